"""Lets a service live and end again and again, under load and with faults, for half an hour.

    SOAK_MINUTES=30 SOAK_SEED=1 python -m tests.soak

Whatever happened, after each life the books must balance, with what the echo server received, too.
It prints a line for each. All is drawn by the seed; what is a matter of time is not the same twice.
"""

import os
import random
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import anyio

from ecolyo_worker.clock import SystemClock
from ecolyo_worker.exits import CHECK_FAILED, OK, USAGE
from ecolyo_worker.testing import echo_server, energy_server
from tests.soak.disk import mounted
from tests.soak.faults import Plan, draw_plan
from tests.soak.lives import Life, Lives

_MINUTES = 30.0
_SEEDS = 1 << 31
# Before each change of the clock, before the leap day, and before the year's end.
_BEGINS = tuple(
    datetime(*day, 12, tzinfo=UTC)
    for day in ((2028, 3, 25), (2028, 10, 28), (2028, 2, 27), (2027, 12, 30))
)
_FIRST = Plan(lasts_s=3, end="term", echo="ok", twin="ok")


async def soak(root: Path, seed: int, minutes: float) -> bool:
    """Let a service live for so many minutes; tell whether all held."""
    end_s = SystemClock().monotonic() + 60 * minutes
    begin = random.Random(seed).choice(_BEGINS)
    options = ("--seed", str(seed))
    with mounted(root / "disk") as disk:
        async with echo_server(*options) as echo, energy_server("--quota", "off", *options) as twin:
            lives = Lives(root, disk, echo, twin, begin)
            try:
                return await _all_hold(lives, seed, end_s)
            finally:
                disk.keep(root / "kept")
                (root / "received.ndjson").write_text("\n".join(await echo.bodies()))


async def _all_hold(lives: Lives, seed: int, end_s: float) -> bool:
    # The first database is brought back to an older schema, which has no accounts.
    first = await lives.live(_FIRST, f"{seed}/0/host")
    if not _tell("0", f"{_FIRST.words}; then it is an older schema", first):
        return False
    lives.make_older()
    number = 0
    while SystemClock().monotonic() < end_s:
        number += 1
        plan = draw_plan(seed, number)
        if not _tell(str(number), plan.words, await lives.live(plan, f"{seed}/{number}/host")):
            return False
        lives.host.has_accounts = True
    return _tell("last", "no fault, until all is done", await lives.drain())


def _tell(number: str, words: str, life: Life) -> bool:
    """Print a life in a line, and what did not hold; tell whether all did."""
    came = "no schema yet" if life.ledger is None else life.ledger.line
    _say(f"life {number:>4} · ended with {life.code} · {came} · {words}")
    for problem in life.problems:
        _say(f"✖ {problem}")
    return not life.problems


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> int:
    """Read from the environment how long, and by which seed; give the exit code."""
    try:
        minutes = float(os.environ.get("SOAK_MINUTES") or _MINUTES)
        seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(_SEEDS))
    except ValueError as error:
        sys.stderr.write(f"soak: {error}; allowed: numbers in SOAK_MINUTES and SOAK_SEED\n")
        return USAGE
    root = Path(tempfile.mkdtemp(prefix="ecolyo-soak-"))
    _say(f"soak: {minutes:g} min, SOAK_SEED={seed}, in {root}")
    if anyio.run(soak, root, seed, minutes):
        shutil.rmtree(root)
        return OK
    again = f"SOAK_SEED={seed} SOAK_MINUTES={minutes:g} make soak"
    _say(f"soak: something did not hold; the state, the logs and what was received are in {root}")
    _say(f"again: {again}")
    return CHECK_FAILED


if __name__ == "__main__":
    sys.exit(main())
