"""Days of providers are those of Paris, wherever the worker runs; imported days are its own."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.clock import day_bounds, parse_day
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.points import Point
from ecolyo_worker.store import accounts, consumption
from ecolyo_worker.store.points import Series
from tests.energy_accounts import NOW, PRM, add
from tests.energy_polling import PARIS, Polling, visit

ALICE = "alice.example"
ELSEWHERE = pytest.mark.parametrize("zone", ["Europe/London", "Indian/Reunion"])


async def exported(worker: Worker, step: ask.ConsumptionStep) -> list[ask.ConsumptionInterval]:
    """Give what is known of all homes."""
    request = ask.ConsumptionExport(step)
    return [one async for one in Commands(worker).consumption_export(request)]


async def imported(worker: Worker, step: str, values: Iterable[tuple[str, float]]) -> None:
    """Take in what alice's home consumed of electricity."""
    fixed = {"instance": ALICE, "fluid": "electricity", "step": step}
    lines = [
        json.dumps({**fixed, "start": start, "value": value}).encode() for start, value in values
    ]
    request = ask.ConsumptionImport([ask.Line(n, line) for n, line in enumerate(lines, 1)])
    report = await Commands(worker).consumption_import(request)
    assert not report.refused, report.refused


@ELSEWHERE
async def test_fetched_days_keep_their_names(polling: Polling, zone: str) -> None:
    """Coverage, export, chart and what is held name the same days, and hours come to their day."""
    polling.clock.jump(datetime(2026, 11, 2, 10, tzinfo=UTC))
    async with polling.worker(zone=zone, history_days=20) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        days = {one.start: one.value for one in await exported(worker, "day")}
        assert (len(days), min(days), max(days)) == (20, "2026-10-13", "2026-11-01")
        commands = Commands(worker)
        [calendar] = [one async for one in commands.coverage(ask.Coverage(account.id, 2026))]
        assert [one.day for one in calendar.days if one.state == "measured"] == list(days)
        for step in ("half-hour", "hour"):
            sums = Counter[str]()
            for one in await exported(worker, step):
                sums[one.start[:10]] += round(one.value * 1000)
            assert sums == {day: round(days[day] * 1000) for day in list(days)[-14:]}
        autumn = "2026-10-25"
        chart = await commands.consumption_chart(
            ask.ConsumptionChart("hour", begin=autumn, end=autumn)
        )
        assert len(chart.bars) == 25
        assert (chart.bars[0].start, chart.bars[-1].start) == (
            f"{autumn}T00:00:00+02:00",
            f"{autumn}T23:00:00+01:00",
        )
        assert None not in [bar.value for bar in chart.bars]
        shown: Any = (await commands.instances_show(ALICE))["consumption"]
        held = {one["step"]: (one["first"], one["last"]) for one in shown}
        assert held["day"] == (min(days), max(days))
        assert held["half-hour"][0] == "2026-10-19T00:00:00+02:00"


@ELSEWHERE
async def test_imported_days_are_those_of_the_zone(state_dir: Path, zone: str) -> None:
    """Half-hours of a day by the zone's clock are its day, until the fluid is fetched."""
    clock = [f"2026-11-10T{hour:02}:{minute}" for hour in range(24) for minute in ("00", "30")]
    own = [("2026-11-10", 4.8, False), ("2026-11-12", 9.0, False)]
    begin, end = day_bounds(parse_day("2026-11-14"), PARIS)
    polled = Point(begin, (end - begin) // 60_000, 7000)
    async with Worker(Settings(state_dir=state_dir, zone=zone)).opened() as worker:

        async def days() -> list[tuple[str, float, bool]]:
            return [(one.start, one.value, one.partial) for one in await exported(worker, "day")]

        await imported(worker, "half-hour", [(start, 0.1) for start in clock])
        await imported(worker, "day", [("2026-11-12", 9)])
        assert await days() == own
        assert (await exported(worker, "hour"))[0].start[:16] == "2026-11-10T00:00"
        run, civil = worker.database.run, worker.settings.civil_zone
        account = await add(worker, "enedis", PRM)
        series = Series(account.instance, "electricity", "day", PRM, "enedis")
        await run(consumption.store, series, [polled], civil)
        # Midnight is 21:00 of the day before in Paris for La Réunion, and 01:00 for London.
        parts = {
            "Europe/London": [("2026-11-10", 4.6, True), ("2026-11-11", 0.2, True)],
            "Indian/Reunion": [("2026-11-09", 0.6, True), ("2026-11-10", 4.2, True)],
        }
        fetched = ("2026-11-14", 7.0, False)
        assert await days() == [*parts[zone], ("2026-11-12", 9.0, False), fetched]
        assert (await exported(worker, "month"))[0].value == 20.8
        await run(accounts.leave, account.id, NOW, keeps_data=False)
        await run(accounts.delete, account.id, civil)
        assert await days() == own
