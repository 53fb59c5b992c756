"""What tests of the nightly run share: a worker by a clock that steps, and what its nights made."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import OutboxList
from ecolyo_worker.settings import Aggregation
from ecolyo_worker.testing.clock import SteppedClock

__all__ = ["Agree", "Nights", "asleep", "connect", "days", "nights", "paris", "runs"]

Agree = Callable[..., Awaitable[None]]
Nights = Callable[..., Worker]

PARIS = ZoneInfo("Europe/Paris")


def paris(text: str, fold: int = 0) -> datetime:
    """Give the instant of a wall clock in Paris; `fold` 1 is the second of two."""
    return datetime.fromisoformat(text).replace(tzinfo=PARIS, fold=fold).astimezone(UTC)


@pytest.fixture
def nights(state_dir: Path) -> Nights:
    """Make a worker by a clock, whose night is at 02:30."""
    settings = Settings(state_dir=state_dir, aggregation=Aggregation(schedule="30 2 * * *"))

    def make(clock: SteppedClock, **more: Any) -> Worker:
        return Worker(settings.replace(**more), clock=clock)

    return make


async def days(worker: Worker) -> list[str]:
    """Give the days of which connected rows were made: one for each day that a run looked at."""
    rows = Commands(worker).outbox_list(OutboxList())
    return [row.start_date async for row in rows]


async def runs(worker: Worker) -> int:
    """Give how many runs there were."""
    return await worker.database.read(
        lambda connection: connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    )


async def connect(agree: Agree, worker: Worker, accepted_at: str) -> None:
    """Make a person of whom every day makes a row."""
    facts = {
        "instance": "alice.example",
        "consent": {"version": "1.0.0", "accepted_at": accepted_at},
        "konnectors": [{"fluid": "gas", "connected": True, "since": accepted_at}],
    }
    await agree(worker, facts)


async def asleep(worker: Worker, clock: SteppedClock) -> None:
    """Wait until everything that works by itself waits for its time."""
    await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
