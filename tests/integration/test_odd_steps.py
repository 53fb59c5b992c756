"""Points of 5 to 60 minutes: bars and exports begin on the half-hour, and lose nothing."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.clock import MINUTE_MS, day_bounds, parse_day
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.points import Point
from ecolyo_worker.facts import InstanceFacts
from ecolyo_worker.store import consumption
from ecolyo_worker.store.points import Series

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

ALICE = "alice.example"
DAY = "2026-02-10"
STEPS = [5, 10, 15, 20, 30, 60]
AUTUMN = "2026-10-25"


class Home:
    """A home of a worker with an electricity meter."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._commands = Commands(worker)
        self.zone = worker.settings.civil_zone

    async def put(self, points: Iterable[Point]) -> None:
        series = Series(1, "electricity", "half-hour", "11111111111111", "enedis")
        await self._worker.database.run(consumption.store, series, list(points), self.zone)

    def curve(self, minutes: int, day: str = DAY) -> list[Point]:
        """Give a day of points, each of another amount."""
        starts = range(*day_bounds(parse_day(day), self.zone), minutes * MINUTE_MS)
        return [Point(start, minutes, 100 + n) for n, start in enumerate(starts)]

    async def bars(self, day: str = DAY) -> list[ask.Bar]:
        chart = ask.ConsumptionChart("half-hour", begin=day, end=day)
        return (await self._commands.consumption_chart(chart)).bars

    async def exported(self) -> list[ask.ConsumptionInterval]:
        wanted = ask.ConsumptionExport("half-hour")
        return [item async for item in self._commands.consumption_export(wanted)]


@pytest.fixture
async def home(state_dir: Path) -> AsyncIterator[Home]:
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.store_facts(InstanceFacts(ALICE))
        yield Home(worker)


def wh(items: Iterable[Any]) -> int:
    return sum(round((item.value or 0) * 1000) for item in items)


def clocks(items: Iterable[Any]) -> list[str]:
    return [item.start[11:16] for item in items]


@pytest.mark.parametrize("day", [DAY, "2026-03-29", AUTUMN])
@pytest.mark.parametrize("minutes", STEPS)
async def test_bars_have_all_of_a_day(home: Home, minutes: int, day: str) -> None:
    """The bars of a whole day come to its points, to the Wh, and each begins on the half-hour."""
    points = home.curve(minutes, day)
    await home.put(points)
    bars, found = await home.bars(day), await home.exported()
    assert wh(bars) == wh(found) == sum(point.amount for point in points)
    assert [bar.start for bar in bars] == [item.start for item in found]
    assert {clock[3:] for clock in clocks(bars)} == (
        {"00"} if minutes in {20, 60} else {"00", "30"}
    )
    assert not any(bar.partial or bar.value is None for bar in bars)
    assert {item.minutes for item in found} == ({60} if minutes in {20, 60} else {None})


@pytest.mark.parametrize("minutes", STEPS)
@pytest.mark.parametrize("missing", ["first", "last"])
async def test_what_is_missing_moves_no_bar(home: Home, minutes: int, missing: str) -> None:
    """Without its first or last point a half-hour is a part, begins where it did, and is no gap."""
    points = home.curve(minutes)
    left = points[1:] if missing == "first" else points[:-1]
    await home.put(left)
    bars, found = await home.bars(), await home.exported()
    assert wh(bars) == wh(found) == sum(point.amount for point in left)
    shown = [bar for bar in bars if bar.value is not None]
    assert [(bar.start, bar.partial) for bar in shown] == [(i.start, i.partial) for i in found]
    edge = bars[0 if missing == "first" else -1]
    assert edge.partial or (edge.value is None and minutes >= 30)
    assert sum(bar.partial for bar in bars) == (minutes < 30)


@pytest.mark.parametrize("minutes", STEPS)
async def test_a_step_may_change_within_the_day(home: Home, minutes: int) -> None:
    """Where a meter's step changes at noon, no energy is lost, and none is there twice."""
    points = [*home.curve(30)[:24], *home.curve(minutes)[12 * 60 // minutes :]]
    await home.put(points)
    bars = await home.bars()
    assert wh(bars) == wh(await home.exported()) == sum(point.amount for point in points)
    assert clocks(bars)[:2] == ["00:00", "00:30"]
    assert not any(bar.partial or bar.value is None for bar in bars)


@pytest.mark.parametrize("minutes", STEPS)
async def test_documents_begin_on_the_half_hour(cli: Cli, state_dir: Path, minutes: int) -> None:
    """Documents of half-hours have the minute 0 or 30, and come to what the meter gave."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.store_facts(InstanceFacts(ALICE))
        home = Home(worker)
        points = home.curve(minutes, AUTUMN)[1:]
        await home.put(points)
    done = await cli("consumption", "export", "--format", "doctype", "--step", "half-hour")
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    assert {item["minute"] for item in documents} <= {0, 30}
    assert sum(round(item["load"] * 1000) for item in documents) == sum(p.amount for p in points)
