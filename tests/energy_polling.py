"""What tests of polling share: workers beside a twin that goes by their clock, and their visits."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import structlog

from ecolyo_worker import Worker
from ecolyo_worker.actors.series import ALL, End, Step, Wanted
from ecolyo_worker.clock import day_text, parse_day
from ecolyo_worker.energy.gaps import Gap
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.store import cursors
from ecolyo_worker.store.accounts import Account
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import settings

__all__ = ["NULLS", "ODD", "PARIS", "Polling", "asked", "gaps", "held", "visit"]

ODD, NULLS = "12222222222222", "13333333333333"
"""Meters of the twin."""
PARIS = ZoneInfo("Europe/Paris")
DAYS = {"history_days": 60, "curve_days": 14}


class Polling:
    """Workers on one clock beside a twin, what they log, and how their visits went."""

    def __init__(self, twin: Twin, state_dir: Path) -> None:
        self.twin = twin
        self.state_dir = state_dir
        self.clock = FakeClock(datetime(2026, 11, 21, 10, tzinfo=UTC))
        self.lines: list[Any] = []

    @asynccontextmanager
    async def worker(
        self,
        generation: Any = "2026",
        zone: str = "Europe/Paris",
        gas: int = 60,
        grdf: Mapping[str, Any] = MappingProxyType({}),
        **enedis: Any,
    ) -> AsyncIterator[Worker]:
        """Open a worker, which fetches so many days of gas; the twin stands at the same time."""
        chosen = settings(self.state_dir, self.twin, generation, **{**DAYS, **enedis})
        of_gas = msgspec.structs.replace(chosen.grdf, **{"history_days": gas, **grdf})
        chosen = chosen.replace(zone=zone, grdf=of_gas)
        await self.stand()
        logger = structlog.wrap_logger(None, processors=[self._take])
        async with Worker(chosen, clock=self.clock, logger=logger).opened() as worker:
            yield worker

    async def stand(self) -> None:
        """Let it be the same time at the twin."""
        civil = self.clock.now().astimezone(PARIS).replace(tzinfo=None)
        await self.twin.set_today(civil)

    async def later(self, **ago: float) -> None:
        """Let time pass, here and at the twin."""
        days, hours = ago.get("days", 0), ago.get("hours", 0)
        self.clock.advance(days * 86_400 + hours * 3600)
        await self.stand()

    def told(self, event: str) -> list[Any]:
        return [line for line in self.lines if line["event"] == event]

    def _take(self, _logger: object, level: str, line: Any) -> Any:
        self.lines.append({"level": level, **line})
        sys.stderr.write(f"{line}\n")  # it is searched for secrets at the end of the test
        raise structlog.DropEvent


async def visit(worker: Worker, account: Account, wanted: Wanted = ALL) -> tuple[list[Step], End]:
    """Visit an account; give its windows, and how it ended."""
    async with aclosing(worker.visits[account.provider].visit(account.id, wanted)) as steps:
        found = [step async for step in steps]
    return found[:-1], found[-1]  # type: ignore[return-value]


async def asked(twin: Twin, series: str) -> list[tuple[str, str, int]]:
    """Give the windows that a twin was asked for, and how often each."""
    return [(call["start"], call["end"], call["count"]) for call in await twin.calls(series=series)]


async def gaps(worker: Worker, account: Account, series: PolledSeries) -> dict[str, Gap]:
    """Give the days of a series that are open, by their date."""
    found = await worker.database.read(cursors.open_days, account.id, series, range(30_000))
    return {day_text(gap.day): gap for gap in found}


async def held(worker: Worker, account: Account, series: PolledSeries, *days: str) -> Any:
    """Give what is held of days: minutes and Wh."""
    numbers = [parse_day(day) for day in days]
    span = range(min(numbers), max(numbers) + 1)
    found = await worker.database.read(cursors.held_days, account, series, span)
    return [(found[day].minutes, found[day].amount) if day in found else None for day in numbers]
