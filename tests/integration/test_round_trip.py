"""What is exported as NDJSON is imported elsewhere, and is the same there."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import MINUTE_MS, day_bounds, parse_day
from ecolyo_worker.energy.points import GasDetail, Point, Quality
from ecolyo_worker.facts import InstanceFacts
from ecolyo_worker.store import consumption
from ecolyo_worker.store.points import Series

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

STEPS = ("half-hour", "hour", "day", "month", "year")
PEOPLE = {f"m{minutes}.example": minutes for minutes in (5, 10, 15, 20, 30, 60)}
ADDED_UP = "hours, months and years are added up of these"
HOUR_MS = 60 * MINUTE_MS


def curve(zone: Any, day: str, minutes: int) -> list[Point]:
    starts = range(*day_bounds(parse_day(day), zone), minutes * MINUTE_MS)
    return [Point(start, minutes, 101 + n) for n, start in enumerate(starts)]


def daily(zone: Any, day: str, amount: int) -> Point:
    begin, end = day_bounds(parse_day(day), zone)
    return Point(begin, (end - begin) // MINUTE_MS, amount)


def electricity(zone: Any, minutes: int) -> Iterator[Point]:
    """Give a whole day, the one on which the clock is set back, and one with holes."""
    yield from curve(zone, "2026-10-24", minutes)
    yield from curve(zone, "2026-10-25", minutes)
    holed = curve(zone, "2026-10-26", minutes)
    yield from holed[1:7]
    yield from holed[8:-1]


@pytest.fixture
async def elsewhere(state_dir: Path) -> Path:
    """Fill a state with what meters of all steps gave, and give the path of another one."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        zone = worker.settings.civil_zone

        async def put(
            ident: int, fluid: Any, step: Any, points: list[Point], meter: str = "1"
        ) -> None:
            source: Any = {"gas": "grdf", "water": "import"}.get(fluid, "enedis")
            meter = "" if fluid == "water" else meter
            series = Series(ident, fluid, step, meter, source)
            await worker.database.run(consumption.store, series, points, zone)

        for ident, (name, minutes) in enumerate(PEOPLE.items(), 1):
            await worker.store_facts(InstanceFacts(name))
            await put(ident, "electricity", "half-hour", list(electricity(zone, minutes)))
            # The value of the first day is another one than its half-hours come to.
            days = [daily(zone, "2026-10-24", 7007), daily(zone, "2025-12-31", 9)]
            await put(ident, "electricity", "day", days[::-1])
        # One home has another meter, whose step changes, and of which the last hours are missing.
        other = [*curve(zone, "2026-10-26", 60)[:9], *curve(zone, "2026-10-26", 15)[40:-9]]
        await put(5, "electricity", "half-hour", other, meter="2")
        begin = day_bounds(parse_day("2026-10-24"), zone)[0] + 6 * HOUR_MS
        gas = Point(begin, 1440, 87_003, Quality.PROVISIONAL_ESTIMATED, GasDetail(8.0, 11.2))
        await put(1, "gas", "day", [gas])
        await put(1, "water", "day", [daily(zone, "2026-10-24", 120_500)])
    return state_dir.with_name("elsewhere")


async def exported(cli: Cli, step: str, *options: str) -> list[dict[str, Any]]:
    done = await cli("consumption", "export", "--step", step, "--format", "ndjson", *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_another_worker_comes_to_the_same(cli: Cli, elsewhere: Path) -> None:
    """Half-hours and days make every step anew: only parts of days are refused, and not missed."""
    there = ("--state-dir", str(elsewhere))
    for step in ("half-hour", "day"):
        given = await exported(cli, step)
        lines = "\n".join(map(json.dumps, given)).encode()
        done = await cli("consumption", "import", "-", "--json", *there, stdin=lines)
        report = json.loads(done.stdout)
        parts = [n for n, item in enumerate(given, 1) if step == "day" and item.get("partial")]
        assert [item["line"] for item in report["refused"]] == parts
        assert {item["field"] for item in report["refused"]} <= {"partial"}
        assert report["accepted"] == len(given) - len(parts)
    for step in STEPS:
        here = await exported(cli, step)
        assert here == await exported(cli, step, *there)
        assert len({item["instance"] for item in here}) == len(PEOPLE)
        assert any(item.get("partial") for item in here)


@pytest.mark.parametrize("step", ["hour", "month", "year"])
async def test_what_is_added_up_is_not_taken(cli: Cli, elsewhere: Path, step: str) -> None:
    """Of hours, months and years each line is refused, and the reason says what they come of."""
    lines = "\n".join(map(json.dumps, await exported(cli, step))).encode()
    there = ("--state-dir", str(elsewhere))
    done = await cli("consumption", "import", "-", "--json", *there, stdin=lines)
    assert done.returncode == 65
    assert {(item["field"], item["reason"]) for item in json.loads(done.stdout)["refused"]} == {
        (
            "step",
            f"found the text '{step}'; allowed: day, half-hour; {ADDED_UP}",
        )
    }


async def test_a_part_never_replaces_the_whole(cli: Cli) -> None:
    """Of a half-hour what is known in full stays, whether a part comes before or after it."""
    whole = {
        "instance": "alice.example",
        "fluid": "electricity",
        "step": "half-hour",
        "start": "2026-10-24T00:30:00+02:00",
        "value": 0.4,
    }
    part = {**whole, "value": 0.1, "partial": True}
    for given, kept in (
        ([part], part),
        ([whole, part], whole),
        ([part], whole),
        ([{**whole, "value": 0.3}], {**whole, "value": 0.3}),
    ):
        text = "\n".join(map(json.dumps, given)).encode()
        done = await cli("consumption", "import", "-", stdin=text)
        assert done.returncode == 0, done.stdout
        assert await exported(cli, "half-hour") == [kept]
