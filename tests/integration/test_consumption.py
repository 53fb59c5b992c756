"""Consumption comes in: every fault is named, later values replace, and people can look at it."""

import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from zoneinfo import ZoneInfo

from ecolyo_worker import Settings, Worker
from ecolyo_worker.clock import instant_of_civil, utc_ms
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.points import Point
from ecolyo_worker.requests import ConsumptionImport, Line, ReadingsReport
from ecolyo_worker.store import consumption, instances
from ecolyo_worker.store.points import Series

PARIS = ZoneInfo("Europe/Paris")

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]


def line(**changes: Any) -> bytes:
    reading = {
        "instance": "alice.example",
        "fluid": "gas",
        "step": "day",
        "start": "2026-10-01",
        "value": 8.038,
    }
    return json.dumps({**reading, **changes}).encode()


async def imported(state_dir: Path, *texts: bytes) -> ReadingsReport:
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        lines = [Line(number, text) for number, text in enumerate(texts, 1)]
        return await Commands(worker).consumption_import(ConsumptionImport(lines))


def points(state_dir: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
        return other.execute(
            "SELECT i.name, s.fluid, s.step, s.meter, s.source, p.start, p.minutes, p.amount"
            " FROM points AS p JOIN series AS s ON s.id = p.series"
            " JOIN instances AS i ON i.id = s.instance ORDER BY s.id, p.start"
        ).fetchall()


OCTOBER = 1_790_805_600_000  # 2026-10-01 in Paris
HOUR = 3_600_000


async def test_a_day_is_kept_in_wh(state_dir: Path) -> None:
    """A reading is a point of the instance's series of no meter; a new instance is made for it."""
    assert await imported(state_dir, line()) == ReadingsReport(1, [], 0)
    kept = ("alice.example", "gas", "day", "", "import", OCTOBER, 1440, 8038)
    assert points(state_dir) == [kept]


async def test_a_later_value_replaces(state_dir: Path) -> None:
    """Of two values of an interval the later holds, in one file and in the next one."""
    await imported(state_dir, line(value=1), line(value=2), line(value=1))
    assert [point[-1] for point in points(state_dir)] == [1000]
    await imported(state_dir, line(value=3), line(start="2026-10-02"))
    assert [point[-1] for point in points(state_dir)] == [3000, 8038]


async def test_what_lies_under_fetched_readings_is_told(cli: Cli, state_dir: Path) -> None:
    """A gas day is the civil day it is named by, an hour both halves; all meters must be there."""
    half_hour = {"fluid": "electricity", "step": "half-hour"}
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:

        def fetch(connection: sqlite3.Connection) -> None:
            person = instances.identify(connection, "alice.example")
            gas = Series(person, "gas", "day", "GI123456", "grdf")
            consumption.store(connection, gas, [Point(OCTOBER + 6 * HOUR, 1440, 8000)], PARIS)
            curve = Series(person, "electricity", "half-hour", "11111111111111", "enedis")
            consumption.store(connection, curve, [Point(OCTOBER, 60, 200)], PARIS)
            other = Series(person, "gas", "day", "GI654321", "grdf")
            second = [Point(OCTOBER + 30 * HOUR, 1440, 1)]
            consumption.store(connection, other, second, PARIS)
            last = [Point(OCTOBER + 54 * HOUR, 1440, 1)]
            consumption.store(connection, gas, last, PARIS)

        await worker.database.run(fetch)
    texts = [
        line(),
        line(start="2026-09-30"),
        line(start="2026-10-02"),
        line(start="2026-10-01T00:00:00", **half_hour),
        line(start="2026-10-01T00:30:00", **half_hour),
        line(start="2026-10-01T01:00:00", **half_hour),
        line(instance="bob.example"),
    ]
    assert await imported(state_dir, *texts) == ReadingsReport(7, [], 3)
    told = await cli("consumption", "import", "-", stdin=b"\n".join(texts))
    assert told.stdout.decode().splitlines() == [
        "accepted 7 · refused 0",
        "of these 3 without effect: fetched readings go before them",
    ]
    document = await cli("consumption", "import", "-", "--json", stdin=texts[0])
    assert json.loads(document.stdout) == {"accepted": 1, "refused": [], "beneath": 1}


async def test_the_same_file_again_changes_nothing(state_dir: Path, examples: Path) -> None:
    """Every point of the example is there after one import, and the same after two."""
    texts = (examples / "consumption.ndjson").read_bytes().splitlines()
    assert (await imported(state_dir, *texts)).accepted == len(texts) == 308
    first = points(state_dir)
    assert len(first) == 308
    assert {point[6] for point in first if point[2] == "day"} == {1440, 1500}
    await imported(state_dir, *texts)
    assert points(state_dir) == first


async def test_fluids_steps_and_people_are_kept_apart(state_dir: Path) -> None:
    """The same interval is another point for another fluid, step or instance."""
    half_hour = {"step": "half-hour", "start": "2026-10-01T00:00"}
    changes: list[dict[str, Any]] = [{}, {"fluid": "water"}, half_hour, {"instance": "bob.example"}]
    await imported(state_dir, *(line(**change) for change in changes))
    assert len({point[:3] for point in points(state_dir)}) == 4


async def test_both_half_hours_of_the_autumn_night_are_kept(state_dir: Path) -> None:
    """The two 02:30 of 25 October are two points, told apart by their offsets."""
    starts = [f"2026-10-25T02:30:00{offset}" for offset in ("+02:00", "+01:00")]
    await imported(state_dir, *(line(step="half-hour", start=start) for start in starts))
    first, second = (point[5] for point in points(state_dir))
    assert second - first == 3_600_000


async def test_refused_lines_are_named_and_the_others_taken(cli: Cli, state_dir: Path) -> None:
    """A file with faults ends with 65, names each by its line, and is taken but for these."""
    texts = [line(), b"{", line(value=-1), b"", line(instance="bob.example"), line(stop=1)]
    done = await cli("consumption", "import", "-", "--json", stdin=b"\n".join(texts) + b"\n")
    assert done.returncode == 65
    report = json.loads(done.stdout)
    assert report["accepted"] == 2
    assert [(r["line"], r["field"]) for r in report["refused"]] == [
        (2, ""),
        (3, "value"),
        (4, ""),
        (6, "stop"),
    ]
    assert [point[0] for point in points(state_dir)] == ["alice.example", "bob.example"]


async def test_a_person_reads_the_sums(cli: Cli) -> None:
    """Without `--json` the refusals are a table and the sums a line; a good file ends with 0."""
    done = await cli("consumption", "import", "-", stdin=line() + b"\n" + line(fluid="oil") + b"\n")
    assert done.returncode == 65
    shown = done.stdout.decode().splitlines()
    assert "fluid  found the text 'oil'; allowed: electricity, water, gas" in shown[1]
    assert shown[-1] == "accepted 1 · refused 1"
    done = await cli("consumption", "import", "-", stdin=b"[" + line() + b"]")
    assert (done.returncode, done.stdout) == (0, "accepted 1 · refused 0\n".encode())


async def test_lines_of_many_pieces_keep_their_numbers(cli: Cli, state_dir: Path) -> None:
    """A file is imported piece by piece; a refused line has its number in the file."""
    texts = [line(instance=f"p{n}.example") for n in range(1200)]
    texts[1100] = line(fluid="oil")
    done = await cli("consumption", "import", "-", "--json", stdin=b"\n".join(texts))
    report = json.loads(done.stdout)
    assert (report["accepted"], report["refused"][0]["line"]) == (1199, 1101)
    assert len(points(state_dir)) == 1199


async def test_an_instance_shows_what_is_held_of_it(cli: Cli, examples: Path) -> None:
    """`instances show` tells of each series how many intervals it has, from when to when."""
    await cli("consumption", "import", examples / "consumption.ndjson")
    shown = json.loads((await cli("instances", "show", "bob.example", "--json")).stdout)
    day = {"step": "day", "source": "import", "points": 61}
    days = {**day, "first": "2026-09-01", "last": "2026-10-31"}
    half_hours = {
        "fluid": "electricity",
        "step": "half-hour",
        "source": "import",
        "points": 2,
        "first": "2026-09-30T23:30:00+02:00",
        "last": "2026-11-01T00:00:00+01:00",
    }
    assert shown["consumption"] == [
        {"fluid": "electricity", **days},
        half_hours,
        {"fluid": "water", **days},
    ]
    table = (await cli("instances", "show", "bob.example")).stdout.decode()
    assert "electricity: 61 days, 2026-09-01 to 2026-10-31 (import)" in table
    assert "electricity: 2 half-hours, 2026-09-30 to 2026-11-01 (import)" in table


async def test_published_periods_are_shown(cli: Cli, state_dir: Path) -> None:
    """What GRDF published stands with the days, and nothing that looks at people stumbles on it."""
    start = instant_of_civil(datetime(2026, 10, 1, 6), PARIS)
    period = Point(utc_ms(start), 31 * 1440, 87_000)

    def fill(connection: sqlite3.Connection) -> None:
        person = instances.identify(connection, "alice.example")
        series = Series(person, "gas", "published", "20000000000002", "grdf")
        consumption.store(connection, series, [period], PARIS)

    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.database.run(fill)
    shown = (await cli("instances", "show", "alice.example")).stdout.decode()
    assert "gas: 1 published period, 2026-10-01 to 2026-10-01 (grdf)" in shown
    assert "2026-10-01" in (await cli("instances", "list")).stdout.decode()
    assert (await cli("doctor")).returncode == 0


async def test_a_list_tells_how_far_consumption_reaches(cli: Cli, examples: Path) -> None:
    """`instances list` has the last day of which anything is held; a dash where nothing is."""
    for kind in ("instances", "consumption"):
        await cli(kind, "import", examples / f"{kind}.ndjson")
    listed = (await cli("instances", "list")).stdout.decode().splitlines()
    assert [row.split()[-1] for row in listed] == ["to", "2026-11-01", "2026-11-01", "–", "–"]
