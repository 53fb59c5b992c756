"""What is kept no longer: only what is finished, only when the time is sure, and counted."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.testing.echo import Echo
from ecolyo_worker.testing.ledger import assert_balanced

HOUR = timedelta(hours=1)


@pytest.fixture
async def sent(
    fill: Callable[..., Awaitable[None]], echo: Echo, quick: Callable[..., Settings]
) -> Settings:
    """A state with six rows: four are sent, one is dead, one waits."""
    await fill()
    await echo.set_fault("ok*4,status=400,status=401")
    settings = quick(echo.url, concurrency=1)
    async with Worker(settings).opened() as worker:
        await worker.send()
        assert _rows(worker) == {"sent": 4, "dead": 1, "pending": 1}
    return settings.replace(mode="off")


def _rows(worker: Worker) -> dict[str, int]:
    return {state: count for state, count in worker.status().outbox.items() if count}


async def later(settings: Settings, *steps: timedelta, **options: Any) -> dict[str, int]:
    """Run a worker from so long after now on, in steps, and give its rows by state."""
    clock = SteppedClock(datetime.now(UTC) + steps[0])
    async with Worker(settings, clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        for step in steps[1:]:
            await clock.step(clock.now() + step, **options)
        return _rows(worker)


async def test_old_sent_rows_go(sent: Settings, state_dir: Path, echo: Echo) -> None:
    """Sent rows go after `retention.sent_days`; what waits or is dead stays; the books balance."""
    assert (await later(sent, timedelta(days=89), HOUR))["sent"] == 4
    assert await later(sent, timedelta(days=91), HOUR) == {"dead": 1, "pending": 1}
    async with Worker(sent).reading() as worker:
        assert worker.status().removed == {"outbox.sent": 4}
    ledger = await assert_balanced(state_dir, echo.url)
    assert (ledger.indicators, ledger.received) == (6, 4)


async def test_nothing_goes_at_once(sent: Settings) -> None:
    """A single look at a clock is not believed: it may have been set wrong."""
    assert (await later(sent, timedelta(days=4000)))["sent"] == 4


async def test_nothing_goes_while_the_clock_jumps(sent: Settings) -> None:
    """A clock that jumps ahead deletes nothing until it has gone evenly for an hour."""
    clock = SteppedClock(datetime.now(UTC))
    async with Worker(sent, clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)  # intake goes by the machine's time
        await clock.step(clock.now() + timedelta(days=3650), jump=True)
        await clock.step(clock.now() + HOUR)
        assert _rows(worker)["sent"] == 4
        await clock.step(clock.now() + HOUR)
        assert "sent" not in _rows(worker)
