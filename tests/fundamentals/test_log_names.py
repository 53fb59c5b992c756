"""Nobody's name is in the log, unless the operator asks for it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import civil_from_instant
from ecolyo_worker.measures import Rules
from ecolyo_worker.measures.daily import navigation_count_daily
from ecolyo_worker.measures.period import Day, Month, measure
from ecolyo_worker.settings import Dacc, Log
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.echo import Echo
from ecolyo_worker.vocabulary import EVENTS

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]

ALICE = "alice.example"
NIGHT = datetime(2026, 12, 11, 1, 0)
PERSONAL = {event.name for event in EVENTS if event.is_personal}
TOKEN = "t0ken-of-hers"


@pytest.fixture
def agree_and_break(agree: Agree, event: Event) -> Callable[[Worker], Awaitable[None]]:
    """Let Alice do things that break a measure of the day and one of the month, and count."""

    @measure("quiz-stars", groups=2)
    def broken(day: Day) -> Any:
        for found in day.of("QuizEndEvent"):
            raise ValueError(f"{ALICE} broke it by {found.target}")
        yield from ()

    @measure("summary-subscription-monthly", groups=1, rows="each")
    def broken_month(month: Month) -> Any:
        raise LookupError(f"{ALICE.upper()} broke {month.days}")

    async def count(worker: Worker) -> None:
        await agree(worker)
        await worker.record(
            ALICE,
            [
                event("QuizEndEvent", "2026-11-20T10:00", target="QUIZ1"),
                event("NavigationEvent", "2026-11-20T11:00", target="gas"),
            ],
        )
        plan = worker.aggregator.plan(civil_from_instant(NIGHT, worker.settings.civil_zone))
        daily = (broken, navigation_count_daily)
        rules = Rules(worker.definitions, daily=daily, monthly=(broken_month,))
        await worker.aggregator.run_once(msgspec.structs.replace(plan, rules=rules))

    return count


@pytest.fixture
def lines(
    state_dir: Path,
    tmp_path: Path,
    echo: Echo,
    agree_and_break: Callable[[Worker], Awaitable[None]],
) -> Callable[[Log], Awaitable[list[dict[str, Any]]]]:
    """Give all that is logged while everything goes wrong for one person, and right again."""

    async def logged(log: Log) -> list[dict[str, Any]]:
        capture = structlog.testing.LogCapture()
        clock = FakeClock(datetime(2026, 12, 11, 2, tzinfo=UTC))
        dacc = Dacc(
            target="cozy-v2",
            url=f"{echo.url}/{{instance}}",
            token_file=tmp_path / "{instance}.token",
            rate=1000.0,
        )
        worker = Worker(
            Settings(state_dir=state_dir, dacc=dacc, log=log),
            clock=clock,
            logger=structlog.wrap_logger(structlog.PrintLogger(), processors=[capture]),
        )
        async with worker.opened():
            await agree_and_break(worker)
            await worker.send()  # the file of her token is not there
            (tmp_path / f"{ALICE}.token").write_text(TOKEN)
            await worker.send()
        return [dict(entry) for entry in capture.entries]

    return logged


async def test_no_line_names_a_person(lines: Any) -> None:
    """By default her name is in no line, and stands as `{instance}` where others said it."""
    found = await lines(Log())
    assert {line["event"] for line in found} >= PERSONAL
    assert ALICE not in repr(found).lower()
    assert not any("instance" in line for line in found)
    (held,) = [line for line in found if line["event"] == "destination is held back"]
    assert "/{instance}.token cannot be read" in held["reason"]


async def test_who_is_meant_is_said_if_asked_for(lines: Any) -> None:
    """With `log.instances` each line about one person says whom, and no other line does."""
    found = await lines(Log(instances=True))
    assert {line["event"] for line in found} >= PERSONAL
    for line in found:
        assert (line.get("instance") == ALICE) is (line["event"] in PERSONAL), line
    assert TOKEN not in repr(found)
