"""Every message between the parts may be lost: that costs time, and nothing else."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.actor import Actor, Channel
from ecolyo_worker.settings import Aggregation, Dacc
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.clock import SteppedClock
from ecolyo_worker.testing.ledger import assert_balanced


class Deaf(Channel):
    """Loses every message, and counts them."""

    lost = 0

    def wake(self) -> None:
        type(self).lost += 1


@pytest.mark.fault(4)
async def test_all_messages_are_lost(
    monkeypatch: pytest.MonkeyPatch,
    state_dir: Path,
    echo: Echo,
    event: Callable[..., dict[str, Any]],
    agree: Callable[..., Awaitable[None]],
) -> None:
    """With nobody ever woken, the sender finds the night's rows by looking, and delivers them.

    Intake and the night find what they have to do in the same way.
    """
    monkeypatch.setattr(Actor, "channel", Deaf)
    monkeypatch.setattr(Actor, "LOOK_S", 0.01)  # of the machine's time, for intake
    clock = SteppedClock(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    settings = Settings(
        state_dir=state_dir,
        aggregation=Aggregation(schedule="30 13 * * *"),
        dacc=Dacc(url=echo.url, spread=timedelta()),
    )
    async with Worker(settings, clock=clock) as worker:
        await agree(worker)
        for page in ("gas", "water", "faq"):
            await worker.record(
                "alice.example", event("NavigationEvent", "2026-11-19T10:00", page, target=page)
            )
        while (await echo.count())["received"] < 3:
            await clock.step(clock.now() + timedelta(minutes=1), sleepers=3)
    assert Deaf.lost > 3
    await assert_balanced(state_dir, echo.url)
