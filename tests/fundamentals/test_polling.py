"""What a visit to an account fetches, stores, and asks no second time."""

import sqlite3
from datetime import UTC, datetime

import pytest

from ecolyo_worker.actors.series import End, Wanted
from ecolyo_worker.clock import day_text, parse_day
from ecolyo_worker.energy.gaps import Gap
from ecolyo_worker.store import rollups
from tests.energy_accounts import PCE, PRM, add, again
from tests.energy_polling import NULLS, ODD, Polling, asked, gaps, held, visit


def _sums(connection: sqlite3.Connection, instance: int) -> dict[str, int]:
    query = "SELECT step, sum(amount) FROM rollups WHERE instance = ? GROUP BY step"
    return dict(connection.execute(query, (instance,)))


async def test_a_first_visit_fetches_the_history(polling: Polling) -> None:
    """Days by the year and half-hours by the week come, newest first, and none of today."""
    async with polling.worker(history_days=400) as worker:
        account = await add(worker, "enedis", PRM)
        steps, end = await visit(worker, account)
        assert end == End("done")
        assert await asked(polling.twin, "daily") == [
            ("2025-11-21", "2026-11-21", 1),
            ("2025-10-17", "2025-11-21", 1),
        ]
        assert await asked(polling.twin, "curve") == [
            ("2026-11-14", "2026-11-21", 1),
            ("2026-11-07", "2026-11-14", 1),
        ]
        assert [(step.done, step.total) for step in steps] == [(1, 2), (2, 2)] * 2
        found = await again(worker, account)
        assert (found.state, found.reason) == ("active", None)
        assert found.held_through == parse_day("2026-11-20")


async def test_what_is_there_is_not_asked_again(polling: Polling) -> None:
    """A second visit asks for nothing, one on the next day for that day alone."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        await polling.twin.clear()
        assert await visit(worker, account) == ([], End("done"))
        assert await polling.twin.count() == 0
        await polling.later(days=1)
        await visit(worker, account)
        for series in ("daily", "curve"):
            assert await asked(polling.twin, series) == [("2026-11-21", "2026-11-22", 1)]


@pytest.mark.parametrize("date", ["2026-11-02", "2026-04-06"])
async def test_a_day_is_the_sum_of_its_half_hours(polling: Polling, date: str) -> None:
    """To the Wh, also when the clocks change; hours, days, months and years come to the same."""
    polling.clock.jump(datetime.fromisoformat(f"{date}T10:00:00+00:00"))
    async with polling.worker(history_days=14) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        days = [day_text(parse_day(date) - ago) for ago in range(1, 15)]
        daily = await held(worker, account, "daily", *days)
        assert daily == await held(worker, account, "curve", *days)
        assert {minutes for minutes, _ in daily} == {1440, 1500 if "11" in date else 1380}
        sums = await worker.database.read(_sums, account.instance)
        assert set(sums) == {"hour", "day", "month", "year"}
        assert set(sums.values()) == {sum(amount for _, amount in daily)}
    assert polling.told("readings contradict each other") == []


async def test_what_is_missing_is_told_and_asked_again(polling: Polling) -> None:
    """Days that are late, empty or coarse are open for their time; then nobody asks any more."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", NULLS)
        await visit(worker, account)
        # The 20th was a Friday, of which the curve has nothing but nulls.
        friday = parse_day("2026-11-20")
        empty = "the provider gave only empty values"
        assert await gaps(worker, account, "curve") == {
            "2026-11-20": Gap(friday, "empty", empty, friday + 1)
        }
        await polling.later(days=3)
        await visit(worker, account)
        found = await gaps(worker, account, "curve")
        assert found["2026-11-20"].again == friday + 5
        await polling.twin.clear()
        await visit(worker, account)
        assert await polling.twin.count() == 0
        await polling.later(days=5)
        await visit(worker, account)
        assert "2026-11-20" not in await gaps(worker, account, "curve")
        await polling.twin.clear()
        await polling.later(days=1)
        await visit(worker, account)
        windows = await asked(polling.twin, "curve")
        assert ("2026-11-20", "2026-11-21", 1) not in windows


async def test_a_late_day_comes(polling: Polling) -> None:
    """A day of which nothing is there is asked for daily until it comes, and then no more."""
    polling.clock.jump(datetime(2026, 11, 20, 10, tzinfo=UTC))
    async with polling.worker() as worker:
        account = await add(worker, "enedis", ODD)  # its Thursdays come three days late
        await visit(worker, account)
        assert (await gaps(worker, account, "daily"))["2026-11-19"].state == "late"
        assert await held(worker, account, "daily", "2026-11-19") == [None]
        for _ in range(4):
            await polling.later(days=1)
            await visit(worker, account)
        assert "2026-11-19" not in await gaps(worker, account, "daily")
        assert None not in await held(worker, account, "daily", "2026-11-19")
        # Wednesdays never come: of the younger ones there is still hope.
        found = await gaps(worker, account, "daily")
        assert set(found) >= {"2026-11-04", "2026-11-11", "2026-11-18"}
        assert "2026-10-14" not in found


async def test_a_contradiction_is_suspect(polling: Polling) -> None:
    """A whole day whose half-hours do not come to its value is marked, and told once."""
    await polling.twin.set_meter(PRM, "differs")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        ((_, daily),) = await held(worker, account, "daily", "2026-11-15")
        sunday = (await gaps(worker, account, "curve"))["2026-11-15"]
        assert (sunday.state, sunday.again) == ("suspect", parse_day("2026-11-22"))
        assert sunday.reason == f"the half-hours come to {daily - 2} Wh, the day to {daily} Wh"
        told = [line["day"] for line in polling.told("readings contradict each other")]
        assert told == ["2026-11-15", "2026-11-08"]
        await polling.twin.set_meter(PRM)
        await visit(worker, account, Wanted(range(parse_day("2026-11-15"), 30_000), is_forced=True))
        assert set(await gaps(worker, account, "curve")) == {"2026-11-08"}
        assert len(polling.told("readings contradict each other")) == 2


async def test_bad_points_are_refused_and_the_rest_kept(polling: Polling) -> None:
    """A day of which points were refused is an error with its reason; its other points stay."""
    await polling.twin.set_meter(PRM, "bad-points")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        sunday = (await gaps(worker, account, "curve"))["2026-11-15"]
        assert sunday.state == "error"
        assert sunday.reason.startswith("3 points were refused: v: ")
        ((minutes, _),) = await held(worker, account, "curve", "2026-11-15")
        assert minutes == 45 * 30
        assert {line["count"] for line in polling.told("readings were refused")} == {3}


async def test_a_corrected_value_replaces(polling: Polling) -> None:
    """What is asked for again and is another value now is the value."""
    monday = "2026-11-16"
    polling.clock.jump(datetime(2026, 11, 17, 10, tzinfo=UTC))
    async with polling.worker() as worker:
        account = await add(worker, "enedis", ODD)
        await visit(worker, account)
        (before,) = await held(worker, account, "curve", monday)
        await polling.later(days=4)
        span = range(parse_day(monday), parse_day(monday) + 1)
        await visit(worker, account, Wanted(span, is_forced=True))
        (after,) = await held(worker, account, "curve", monday)
        assert after[1] > before[1]
        assert [after] == await held(worker, account, "daily", monday)
        rows = await worker.database.read(
            rollups.between, account.instance, "electricity", "day", span
        )
        assert [row.amount for row in rows] == [after[1]]


async def test_gas_is_provisional_until_it_is_final(polling: Polling) -> None:
    """Days of a month that is not published yet are open, with a value; then they are final."""
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        await visit(worker, account)
        found = await gaps(worker, account, "gas_days")
        assert found["2026-11-10"].state == "provisional"
        assert found["2026-11-20"].state == "late"
        before = await held(worker, account, "gas_days", "2026-11-10")
        assert before != [None]
        await polling.later(days=30)
        await visit(worker, account)
        assert "2026-11-10" not in await gaps(worker, account, "gas_days")
        assert await held(worker, account, "gas_days", "2026-11-10") != [None]
        assert (await again(worker, account)).state == "active"
    assert polling.told("readings contradict each other") == []


async def test_published_months_check_the_days(polling: Polling) -> None:
    """A month that its days do not come to, by more than is rounded, is suspect."""

    def half(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE points SET amount = amount / 2 WHERE series IN"
            " (SELECT id FROM series WHERE step = 'day')"
        )

    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        await visit(worker, account)
        assert polling.told("readings contradict each other") == []
        await worker.database.run(half)
        october = range(parse_day("2026-10-01"), parse_day("2026-10-02"))
        await visit(worker, account, Wanted(october, is_forced=True))
        (month,) = polling.told("readings contradict each other")
        assert (month["series"], month["day"]) == ("gas_days", "2026-10-01")
        suspect = (await gaps(worker, account, "gas_periods"))["2026-10-01"]
        assert suspect.reason.startswith("its days come to ")


async def test_a_day_read_anew_in_another_step_is_there_once(polling: Polling) -> None:
    """Where half-hours follow hours, and the first of them are refused, the day is not complete."""
    day, number = "2026-11-15", parse_day("2026-11-15")
    async with polling.worker() as worker:
        await polling.twin.set_meter(PRM, "pt60m")
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        await polling.twin.set_meter(PRM, "bad-points")
        await visit(worker, account, Wanted(range(number, number + 1), is_forced=True))
        [(minutes, _)] = await held(worker, account, "curve", day)
        # Three half-hours are bad, and the second hour went with the half that is known of it.
        assert minutes == 1440 - 30
        assert (await gaps(worker, account, "curve"))[day].state == "error"
