"""A night over ten million events beside one over a million: time and memory.

Each is a process of its own on a copy of its state, so that the most memory that it had is its own.
Ten times as many people have used the app on one day. At 10 the time grows with the events alone,
at 1 the memory does not grow. The long night is measured in three rounds, for it takes minutes.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypedDict

import anyio
import msgspec

from bench.measure import ROUNDS, sized, tell
from bench.nights import EVENTS_EACH, copied, make_state

EVENTS = sized(1_000_000, EVENTS_EACH)
TIMES = 10


class Night(TypedDict):
    """What a night took."""

    seconds: float
    peak_kib: int


def night(state: Path) -> Night:
    """Run the night on a copy, in a process of its own."""
    with copied(state) as directory:
        command = [sys.executable, "-m", "bench.nights", str(directory)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Night)


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        small, large = Path(directory) / "small", Path(directory) / "large"
        await make_state(small, EVENTS)
        await make_state(large, TIMES * EVENTS)
        nights = [(night(large), night(small)) for _ in range(min(ROUNDS, 3))]
    seconds = [[one["seconds"] for one in ones] for ones in zip(*nights, strict=True)]
    peaks = [[one["peak_kib"] / 1024 for one in ones] for ones in zip(*nights, strict=True)]
    tell("night_scaling_time", *seconds, "s")
    tell("night_scaling_memory", *peaks, "MiB")


if __name__ == "__main__":
    anyio.run(main)
