"""Where the time goes: the time of each main path, by the part of the program that it is spent in.

py-spy looks at the process from outside, 100 times a second, at each of its threads; waiting, and
what is loaded or made ready before the work, are left out. Of a night the classifying of browsers
is not seen, for it is another process's. It prints a line of JSON for each path, with shares.

    python -m bench.where [PATH STATE]

With a path it does that work once, on a state directory that `main` has made, and measures nothing.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio

from bench import intake_ack_1000, intake_http_500
from bench.measure import sized
from bench.nights import make_state
from bench.nights import run as run_night
from bench.rollup_3y import store_all
from bench.sending import drained, server
from bench.usage import opened_worker

EVENTS = sized(500_000, 1_000)
ROWS = sized(5_000, 10)
LANES = 10
RATE = 100

# The first that stands in the path of a frame's file, from the innermost frame on.
_PARTS = (
    ("/ecolyo_worker/store/database.py", "transactions and commits"),
    ("/ecolyo_worker/store/", "SQL and what it stores"),
    ("/ecolyo_worker/measures/", "counting"),
    ("/ecolyo_worker/indicators.py", "making indicators"),
    ("/ecolyo_worker/energy/", "reading answers"),
    ("/ecolyo_worker/readings.py", "reading answers"),
    ("/ecolyo_worker/events.py", "checking events"),
    ("/ecolyo_worker/facts.py", "checking events"),
    ("/ecolyo_worker/service/", "HTTP server"),
    ("/uvicorn/", "HTTP server"),
    ("/starlette/", "HTTP server"),
    ("/httpcore/", "HTTP client"),
    ("/httpx/", "HTTP client"),
    ("/h11/", "HTTP, its syntax"),
    ("/ecolyo_worker/", "handing over"),
    ("/bench/", "the bench's callers"),
    ("/anyio/", "event loop and sockets"),
    ("/asyncio/", "event loop and sockets"),
    ("/aiosqlite/", "handing over"),
)


# What is on the way to the work, and not the work.
_BEFORE = ("importlib", "_fill (", "opened (", "_open (")
# Where a thread is that has nothing to do.
_WAITING = ("/selectors.py:", "/unix_events.py:", "/aiosqlite/core.py:", "/threading.py:")


def part_of(stack: str) -> str | None:
    """Give the part of the program that a stack is in; None for one that is not of the work."""
    frames = stack.split(";")
    if any(piece in stack for piece in _BEFORE) or any(piece in frames[-1] for piece in _WAITING):
        return None
    for frame in reversed(frames):
        for piece, part in _PARTS:
            if piece in frame:
                return part
    return None


def shares_of(raw: str) -> dict[str, float]:
    """Give the shares of the parts, the largest first, from py-spy's stacks with their counts."""
    counts: Counter[str] = Counter()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        if (part := part_of(stack)) is not None:
            counts[part] += int(count)
    return {part: round(count / counts.total(), 3) for part, count in counts.most_common()}


async def _drain(_: Path) -> None:
    with server() as url:
        await drained(url, ROWS, LANES)


async def _rollups(_: Path) -> None:
    async with opened_worker() as worker:
        await store_all(worker)


PATHS: dict[str, Callable[[Path], Awaitable[object]]] = {
    "intake": lambda _: intake_ack_1000.ours(),
    "http": lambda _: intake_http_500.ours(),
    "night": run_night,
    "drain": _drain,
    "rollups": _rollups,
}


def measured(path: str, state: Path) -> dict[str, float]:
    """Do the work of a path in a process of its own; give where its time went."""
    spy = Path(sys.executable).with_name("py-spy")
    with tempfile.NamedTemporaryFile("r") as raw:
        options = ["--rate", str(RATE), "--format", "raw", "--full-filenames", "--output", raw.name]
        work = [sys.executable, "-m", "bench.where", path, str(state)]
        subprocess.run([spy, "record", *options, "--", *work], check=True, capture_output=True)
        return shares_of(Path(raw.name).read_text())


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state = Path(directory) / "state"
        anyio.run(make_state, state, EVENTS)
        for path in PATHS:
            print(json.dumps({"name": f"where_{path}", "shares": measured(path, state)}))


if __name__ == "__main__":
    if sys.argv[1:]:
        anyio.run(PATHS[sys.argv[1]], Path(sys.argv[2]))
    else:
        main()
