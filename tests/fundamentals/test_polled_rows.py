"""What is stored of odd meters and odd answers: what was measured, row by row, and its sums."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.actors.series import End, Wanted
from ecolyo_worker.clock import month_of, parse_day, utc_ms
from ecolyo_worker.energy.points import Quality
from ecolyo_worker.tools.twins.energy.electricity import Interval, intervals
from ecolyo_worker.tools.twins.energy.gas import gas_day, published_on
from ecolyo_worker.tools.twins.energy.meters import traits_of
from ecolyo_worker.tools.twins.energy.paris import gas_day_begin, midnight
from tests.energy_accounts import PCE, PRM, add, consent
from tests.energy_polling import Polling, gaps, visit

SEED = 0
AUTUMN, SPRING = date(2026, 10, 27), date(2026, 3, 31)
"""Two days after the clocks were changed, which is on a Sunday."""
MEASURED, PROVISIONAL = Quality.DEFINITIVE_MEASURED, Quality.PROVISIONAL_MEASURED

Rows = list[tuple[Any, ...]]


async def rows(worker: Worker, query: str) -> Rows:
    """Give what a query finds."""

    def read(connection: sqlite3.Connection) -> Rows:
        return [tuple(row) for row in connection.execute(query)]

    return await worker.database.read(read)


async def points(worker: Worker, step: str) -> Rows:
    """Give start, minutes, Wh and quality of each point of a step."""
    return await rows(
        worker,
        "SELECT start, minutes, amount, quality FROM points JOIN series ON series.id = series"
        f" WHERE step = '{step}' ORDER BY start",
    )


async def sums(worker: Worker) -> dict[str, dict[int, int]]:
    """Give the roll-ups, by their step and begin."""
    found: dict[str, dict[int, int]] = {}
    for step, start, amount in await rows(worker, "SELECT step, start, amount FROM rollups"):
        found.setdefault(step, {})[start] = amount
    return found


def days(end: date, number: int) -> list[date]:
    """Give so many days before one."""
    return [end - timedelta(days=ago) for ago in range(number, 0, -1)]


def summed(by_day: dict[date, int]) -> dict[str, dict[int, int]]:
    """Add days up to months and years."""
    found: dict[str, Counter[int]] = {"day": Counter(), "month": Counter(), "year": Counter()}
    for day, amount in by_day.items():
        number = parse_day(str(day))
        for step, start in (("day", number), ("month", month_of(number)), ("year", day.year)):
            found[step][start] += amount
    return {step: dict(amounts) for step, amounts in found.items()}


def hours(measured: list[Interval]) -> dict[int, int]:
    """Add intervals up to hours."""
    found: Counter[int] = Counter()
    for one in measured:
        begin = utc_ms(one.begin)
        found[begin - begin % 3_600_000] += one.wh
    return dict(found)


Kept = Callable[[Interval], bool]
COARSE = "of 25 hours 24 are there"
ELECTRICITY: list[tuple[str, str, Kept, dict[str, str]]] = [
    ("", "ok", lambda _: True, {}),
    ("", "octet-stream", lambda _: True, {}),
    *((f"pt{minutes}m", "ok", lambda _: True, {}) for minutes in (5, 10, 15, 20, 60)),
    ("step-change", "ok", lambda _: True, {}),
    ("unsorted", "ok", lambda _: True, {}),
    ("zero", "ok", lambda _: True, {}),
    ("autumn-48", "ok", lambda one: not one.end.fold, {"2026-10-25": COARSE}),
    (
        "daily-only",
        "ok",
        lambda one: one.begin.weekday() != 5,
        {"2026-10-24": "there is a daily value, and no half-hours"},
    ),
]


@pytest.mark.parametrize(("odd", "fault", "is_told", "coarse"), ELECTRICITY)
async def test_electricity_is_stored_as_it_was_measured(
    polling: Polling, odd: str, fault: str, is_told: Kept, coarse: dict[str, str]
) -> None:
    """Every interval and day, at its very instant and to the Wh, also on the day of 25 hours."""
    polling.clock.jump(datetime(2026, 10, 27, 10, tzinfo=UTC))
    await polling.twin.set_meter(PRM, *filter(None, [odd]))
    await polling.twin.set_fault(f"{fault}*99")
    meter = traits_of(PRM, odd)
    by_day = {day: list(intervals(SEED, meter, day)) for day in days(AUTUMN, 14)}
    told = [one for found in by_day.values() for one in found if is_told(one)]
    async with polling.worker(history_days=14) as worker:
        account = await add(worker, "enedis", PRM)
        assert (await visit(worker, account))[1] == End("done")
        assert await points(worker, "half-hour") == [
            (utc_ms(one.begin), one.minutes, one.wh, MEASURED) for one in told
        ]
        amounts = {day: sum(one.wh for one in found) for day, found in by_day.items()}
        assert await points(worker, "day") == [
            (utc_ms(midnight(day)), sum(one.minutes for one in by_day[day]), amount, MEASURED)
            for day, amount in amounts.items()
        ]
        assert await sums(worker) == {"hour": hours(told), **summed(amounts)}
        found = await gaps(worker, account, "curve")
        assert {day: gap.reason for day, gap in found.items() if gap.state == "coarse"} == coarse
    assert polling.told("readings contradict each other") == []


@pytest.mark.parametrize(
    ("odd", "fault"),
    [
        ("zero", "ok"),
        *(("", fault) for fault in ("ok", "crlf", "glued", "doubled", "octet-stream")),
    ],
)
async def test_gas_is_stored_as_it_was_measured(polling: Polling, odd: str, fault: str) -> None:
    """Each gas day once, from 06:00 to 06:00, with what is published; however records stand."""
    polling.clock.jump(datetime(2026, 10, 27, 10, tzinfo=UTC))
    await polling.twin.set_meter(PCE, "gas", *filter(None, [odd]))
    await polling.twin.set_fault(f"{fault}*99")
    meter = traits_of(PCE, f"gas,{odd}")
    # The history begins on the 28th of August, and of yesterday there is nothing yet.
    by_day = {day: gas_day(SEED, meter, day).kwh * 1000 for day in days(AUTUMN, 60)[:-1]}
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        assert (await visit(worker, account))[1] == End("done")
        assert await points(worker, "day") == [
            (*gas_span(day, day + timedelta(days=1)), amount, quality_of(day))
            for day, amount in by_day.items()
        ]
        september = sum(amount for day, amount in by_day.items() if day.month == 9)
        span = gas_span(date(2026, 9, 1), date(2026, 10, 1))
        assert await points(worker, "published") == [(*span, september, MEASURED)]
        assert await sums(worker) == summed(by_day)
    assert polling.told("readings contradict each other") == []


async def test_of_gas_a_cut_record_costs_its_day_alone(polling: Polling) -> None:
    """All other days are stored, those behind it too, and it comes with the next good answer."""
    await polling.twin.set_fault("cut-line*1,ok", "informative")
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        assert (await visit(worker, account))[1].kind == "failed"
        before = await points(worker, "day")
        assert (await visit(worker, account))[1] == End("done")
        after = await points(worker, "day")
        assert len(after) > 50
        assert before == [row for number, row in enumerate(after) if number != len(after) // 2]


def gas_span(first: date, end: date) -> tuple[int, int]:
    """Give begin and minutes of gas days."""
    begin = utc_ms(gas_day_begin(first))
    return begin, (utc_ms(gas_day_begin(end)) - begin) // 60_000


def quality_of(day: date) -> Quality:
    return MEASURED if published_on(day) <= AUTUMN else PROVISIONAL


@pytest.mark.parametrize(("odd", "odd_then"), [("corrected", "corrected"), ("", "zero")])
async def test_a_final_value_of_gas_stays(polling: Polling, odd: str, odd_then: str) -> None:
    """Lower or higher, what was told before it was final does not come back when told again."""
    # A Monday, which comes too low at first; on Sundays what was told before is told again.
    monday = date(2026, 10, 26)
    number = parse_day(str(monday))
    wanted = Wanted(range(number, number + 1), is_forced=True)
    true = gas_day(SEED, traits_of(PCE, "gas"), monday).kwh * 1000
    span = gas_span(monday, monday + timedelta(days=1))
    before = (*span, true - 1000 * bool(odd), PROVISIONAL)
    after = (*span, 0 if odd_then == "zero" else true, MEASURED)
    assert before[2] != after[2]
    thursday, wednesday, sunday = date(2026, 10, 29), date(2026, 11, 4), date(2026, 11, 8)
    polling.clock.jump(datetime(2026, 10, 1, tzinfo=UTC))
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        for today, traits, row in (
            (thursday, odd, before),
            (wednesday, odd_then, after),
            (sunday, odd, after),
        ):
            polling.clock.jump(datetime(today.year, today.month, today.day, 10, tzinfo=UTC))
            await polling.stand()
            await polling.twin.set_meter(PCE, "gas", "wavering", *filter(None, [traits]))
            assert (await visit(worker, account, wanted))[1].kind == "done"
            assert await points(worker, "day") == [row]
            assert (await sums(worker))["day"] == {number: row[2]}


ODDITIES = [
    (),
    ("unsorted", "autumn-48", "nulls", "daily-only", "corrected", "differs"),
    ("step-change", "holes", "gaps", "late", "bad-points"),
]


@pytest.mark.parametrize("odd", ODDITIES)
@pytest.mark.parametrize("today", [AUTUMN, SPRING])
async def test_generations_give_the_same_rows(
    polling: Polling, today: date, odd: tuple[str, ...]
) -> None:
    """What Enedis of v4, v5 and 2026 tell is the same: points, sums, and which days are open."""
    polling.clock.jump(datetime(today.year, today.month, today.day, 10, tzinfo=UTC))
    await polling.twin.set_meter(PRM, *odd)
    found = []
    for generation in ("v4", "v5", "2026"):
        polling.state_dir = polling.state_dir.with_name(generation)
        async with polling.worker(generation, history_days=14) as worker:
            account = await consent(worker, await add(worker), PRM)
            assert (await visit(worker, account))[1] == End("done")
            halves = await points(worker, "half-hour")
            assert len(halves) > 400
            found.append(
                [
                    halves,
                    await points(worker, "day"),
                    await sums(worker),
                    # Not the reasons, which name a field as the generation does.
                    await rows(worker, "SELECT series, day, state, next_try FROM open_days"),
                ]
            )
    assert found[0] == found[1] == found[2]
