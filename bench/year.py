"""More than a year of made-up people: `demo --days 400`, beside the minute that it may take.

A process of its own lives through it, with the DACC, Enedis and GRDF in processes beside it. It
ends with 1 if the books do not balance, and the bench with it. `year_indicators` says how much was
made and sent of what came in.
"""

import subprocess
import sys
from time import perf_counter

import msgspec

from bench.measure import ROUNDS, sized, tell

DAYS = sized(400)
ALLOWED_S = 60 * DAYS / 400
COMMAND = (sys.executable, "-m", "ecolyo_worker", "demo", "--json", "--days", str(DAYS))


class Ledger(msgspec.Struct):
    """What the demonstration says that it came to."""

    balanced: bool
    events: int
    indicators: int


def measured() -> tuple[float, Ledger]:
    """Give how many seconds it took, and what came of it."""
    begin = perf_counter()
    done = subprocess.run(COMMAND, check=True, stdout=subprocess.PIPE)
    took_s = perf_counter() - begin
    ledger = msgspec.json.decode(done.stdout, type=Ledger)
    assert ledger.balanced
    return took_s, ledger


def main() -> None:
    """Measure, and print what came of it."""
    found = [measured() for _ in range(ROUNDS)]
    tell("year", [took_s for took_s, _ in found], [ALLOWED_S] * ROUNDS, "s")
    made = [float(ledger.indicators) for _, ledger in found]
    tell("year_indicators", made, [float(ledger.events) for _, ledger in found], "rows")


if __name__ == "__main__":
    main()
