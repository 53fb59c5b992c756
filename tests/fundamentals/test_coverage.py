"""What is told of each day of an account: whether it is asked for again, when, or why not."""

from datetime import UTC, datetime

from ecolyo_worker import Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import Coverage, CoverageDay
from tests.energy_accounts import PRM, add
from tests.energy_polling import ODD, Polling, visit

WEDNESDAY, SUNDAY = "2026-11-18", "2026-11-15"


async def covered(worker: Worker, account: int) -> dict[str, CoverageDay]:
    """Give what is told of the days of this year, by their date."""
    (year,) = [one async for one in Commands(worker).coverage(Coverage(account))]
    return {day.day: day for day in year.days}


async def test_a_day_that_is_overdue_is_asked_today(polling: Polling) -> None:
    """Whoever was away asks for it now, and no time that is over is told."""
    async with polling.worker(history_days=14) as worker:
        account = await add(worker, "enedis", ODD)  # its Wednesdays never come
        await visit(worker, account)
        assert (await covered(worker, account.id))[WEDNESDAY].next_try == "2026-11-22"
        await polling.later(days=5)
        found = (await covered(worker, account.id))[WEDNESDAY]
        assert (found.state, found.reason, found.next_try) == (
            "late",
            "not there yet",
            "2026-11-26",
        )


async def test_a_day_that_left_the_history_is_not_asked(polling: Polling) -> None:
    """It says so, by the setting that does not reach it."""
    async with polling.worker(history_days=14) as worker:
        account = await add(worker, "enedis", ODD)
        await visit(worker, account)
        await polling.later(days=12)
        found = (await covered(worker, account.id))[WEDNESDAY]
        assert (found.state, found.next_try) == ("missing", None)
        assert found.reason == (
            "not there yet, and not asked for any more: enedis.history_days (14) does not reach so"
            " far back"
        )


async def test_half_hours_go_by_their_own_setting(polling: Polling) -> None:
    """A day whose half-hours contradict it stays told when they are not asked for any more."""
    polling.clock.jump(datetime(2026, 11, 16, 10, tzinfo=UTC))
    await polling.twin.set_meter(PRM, "differs")
    async with polling.worker(curve_days=3) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        assert (await covered(worker, account.id))[SUNDAY].next_try == "2026-11-16"
        await polling.later(days=4)
        found = (await covered(worker, account.id))[SUNDAY]
        assert (found.state, found.next_try) == ("error", None)
        assert str(found.reason).startswith("the half-hours come to ")
        assert "enedis.curve_days (3) does not reach so far back" in str(found.reason)


async def test_of_a_suspended_account_nothing_is_asked(polling: Polling) -> None:
    """Each day that is not there says why, and none when it would be asked for."""
    async with polling.worker(history_days=14) as worker:
        account = await add(worker, "enedis", ODD)
        await visit(worker, account)
        await polling.later(days=1)
        await polling.twin.set_fault("unknown-meter*9")
        await visit(worker, account)
        days = await covered(worker, account.id)
        assert {day.next_try for day in days.values()} == {None}
        assert days[WEDNESDAY].state == days["2026-11-21"].state == "missing"
        for date in (WEDNESDAY, "2026-11-21"):
            assert "Enedis knows no such meter." in str(days[date].reason)


async def test_days_before_the_first_of_the_provider_are_not_asked(polling: Polling) -> None:
    """Where the provider tells later that it gives nothing before a day, that is the reason."""
    async with polling.worker(history_days=14) as worker:
        account = await add(worker, "enedis", ODD)
        await visit(worker, account)
        await polling.later(days=1)
        await polling.twin.set_meter(ODD, "gaps", "activated=2026-11-19")
        await visit(worker, account)
        found = (await covered(worker, account.id))[WEDNESDAY]
        assert (found.state, found.next_try) == ("missing", None)
        assert str(found.reason).endswith("the provider gives nothing before 2026-11-19")


async def test_days_that_were_given_up_name_the_command(polling: Polling) -> None:
    """Of a meter that consumes nothing no day is late, and a command has it asked for again."""
    await polling.twin.set_meter(PRM, "production")
    async with polling.worker(history_days=3) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        days = list((await covered(worker, account.id)).values())
        assert [(day.state, day.next_try) for day in days] == [("missing", None)] * 3
        assert all(f"`accounts authorize {account.id}`" in str(day.reason) for day in days)
