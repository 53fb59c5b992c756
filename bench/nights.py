"""What the benches of the night share: a state with many events, copies of it, and a night on one.

    python -m bench.nights STATE

runs the night on that state, in this process alone, and prints as JSON how many seconds it took and
how much memory the process had at most, in KiB.
"""

import json
import os
import re
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copytree
from time import perf_counter

import anyio

from bench.usage import make_events
from ecolyo_worker import Settings, Worker
from ecolyo_worker.events import Event, check_event
from ecolyo_worker.facts import Consent, InstanceFacts
from ecolyo_worker.store import events, instances

__all__ = ["DAY", "EVENTS_EACH", "NIGHT", "SETTINGS", "Ticker", "copied", "make_state", "run"]

EVENTS_EACH = 100
"""Of one person, on the day that is counted."""

DAY = datetime(2026, 11, 20)  # noqa: DTZ001  civil time
NIGHT = DAY + timedelta(days=1, hours=1)
SETTINGS = Settings(state_dir=Path("/nonexistent"))
TICK_S = 0.005

_PIECE = 20_000
# So many events are different; others do the same as these people at the same times.
_DIFFERENT = 100_000


async def make_state(directory: Path, count: int) -> None:
    """Store so many events of one day, as they come in: everybody's by turns."""
    alike = max(count // _DIFFERENT, 1)
    people = max(count // alike // EVENTS_EACH, 1)
    made = make_events(count // alike, people=people, start=DAY, days=1)
    checked = [(name, check_event(event, SETTINGS.civil_zone, "wall")) for name, event in made]
    names = [[f"{group}-{name}" for group in range(alike)] for name, _ in made[:people]]
    async with Worker(SETTINGS.replace(state_dir=directory)).opened() as worker:
        for same in names:
            await worker.store_facts(*(InstanceFacts(one, Consent(0, "1.0.0")) for one in same))
        await worker.run_once(DAY + timedelta(hours=1))  # so that it is nobody's first night
        size = max(_PIECE // alike, 1)
        for begin in range(0, len(checked), size):
            await worker.database.run(_store, checked[begin : begin + size], alike)


def _store(connection: sqlite3.Connection, made: list[tuple[str, Event]], alike: int) -> None:
    batch = [(f"{group}-{name}", event) for group in range(alike) for name, event in made]
    ids = instances.identify_all(connection, (name for name, _ in batch))
    events.insert(connection, [ids[name] for name, _ in batch], [event for _, event in batch])


@contextmanager
def copied(state: Path) -> Iterator[Path]:
    """Give a copy of a state, in a file of its own, as a database is found in the morning."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        copy = copytree(state, Path(directory) / "state")
        os.sync()  # else what is still written of it would hold every commit up
        yield copy


class Ticker:
    """Asks for its turn again and again, and keeps the longest time for which it had none."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self.longest_ms = 0.0

    async def tick(self) -> None:
        """Tick until cancelled."""
        last = perf_counter()
        while True:
            await anyio.sleep(TICK_S)
            now = perf_counter()
            self.longest_ms = max(self.longest_ms, (now - last - TICK_S) * 1000)
            last = now


async def run(state: Path) -> float:
    """Run the night on a state; give the seconds."""
    async with Worker(SETTINGS.replace(state_dir=state)) as worker:
        begin = perf_counter()
        await worker.run_once(NIGHT)
        return perf_counter() - begin


def _peak_kib() -> int:
    (peak,) = re.findall(
        r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE
    )
    return int(peak)


if __name__ == "__main__":
    took_s = anyio.run(run, Path(sys.argv[1]))
    print(json.dumps({"seconds": took_s, "peak_kib": _peak_kib()}))
