"""What is told of days whose daily value is there, and half-hours are not."""

from ecolyo_worker import Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import AccountDocument, AccountsList, Coverage
from tests.energy_accounts import PRM, add
from tests.energy_polling import Polling, visit

HINT = (
    "No half-hours of the last days have come, though their daily values have. The holder must"
    " switch on the recording and the collection of the hourly consumption in the account at"
    " Enedis. Daily values come all the same."
)


async def lacking(worker: Worker, account: int) -> dict[str, tuple[str, str | None]]:
    """Give of which days half-hours lack, why, and when they are asked for again."""
    (year,) = [one async for one in Commands(worker).coverage(Coverage(account))]
    assert {day.state for day in year.days} == {"measured"}
    return {
        day.day: (day.half_hours, day.half_hours_next_try) for day in year.days if day.half_hours
    }


async def listed(worker: Worker) -> AccountDocument:
    """Give what is told of the one account."""
    (found,) = [one async for one in Commands(worker).accounts_list(AccountsList())]
    return found


async def test_days_without_half_hours_say_why(polling: Polling) -> None:
    """Points that were refused, hours that lack, nulls: each with the next time it is asked."""
    await polling.twin.set_meter(PRM, "bad-points", "holes", "nulls")
    async with polling.worker(history_days=20, curve_days=7) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        found = await lacking(worker, account.id)
        assert list(found) == ["2026-11-15", "2026-11-17", "2026-11-20"]
        refused, again = found["2026-11-15"]
        assert (refused[:25], again) == ("3 points were refused: v:", "2026-11-22")
        assert found["2026-11-17"] == ("of 24 hours 22 are there", "2026-11-22")
        assert found["2026-11-20"] == ("the provider gave only empty values", "2026-11-21")


async def test_they_say_it_when_nobody_asks_any_more(polling: Polling) -> None:
    """After a week of asking they stay told, without a time."""
    await polling.twin.set_meter(PRM, "holes", "nulls")
    async with polling.worker(history_days=4) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        await polling.later(days=8)
    async with polling.worker(history_days=12, curve_days=20) as worker:
        await visit(worker, account)
        found = await lacking(worker, account.id)
        assert found["2026-11-17"] == ("of 24 hours 22 are there", None)
        assert found["2026-11-20"] == ("nothing came while it was asked for", None)


async def test_a_holder_who_has_not_switched_it_on_is_told(polling: Polling) -> None:
    """After days without any half-hours the account and its days say what to do, the log once."""
    await polling.twin.set_meter(PRM, "no-curve")
    async with polling.worker(history_days=20, curve_days=14) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        await polling.later(days=1)
        _, end = await visit(worker, account)
        assert (end.kind, end.reason) == ("done", HINT)
        found = await listed(worker)
        assert (found.state, found.reason, found.word) == (
            "active",
            HINT,
            "UNKNOWN_ERROR.PARTIAL_SYNC",
        )
        days = await lacking(worker, account.id)
        assert min(days) == "2026-11-07"
        assert {reason for reason, _ in days.values()} == {HINT}
        assert polling.told("half-hours do not come") == [
            {"level": "warning", "event": "half-hours do not come", "account": account.id}
        ]
        await polling.twin.set_meter(PRM)
        await polling.later(days=1)
        await visit(worker, account)
        assert (await listed(worker)).reason is None
        assert HINT not in {reason for reason, _ in (await lacking(worker, account.id)).values()}


async def test_a_few_days_are_no_reason_to_worry(polling: Polling) -> None:
    """Half-hours of four days may come late: they are asked for again, and nobody is told."""
    await polling.twin.set_meter(PRM, "no-curve")
    async with polling.worker(history_days=4) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        assert (await listed(worker)).reason is None
        days = await lacking(worker, account.id)
        assert days["2026-11-17"] == ("there is a daily value, and no half-hours", "2026-11-22")


async def test_a_curve_that_fails_names_its_own_fault(polling: Polling) -> None:
    """Days of which half-hours were never answered say why, and when; those of before say none."""
    await polling.twin.set_fault("unavailable*99", "curve")
    async with polling.worker(history_days=20, curve_days=3) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        found = await lacking(worker, account.id)
        assert list(found) == ["2026-11-18", "2026-11-19", "2026-11-20"]
        assert set(found.values()) == {("Enedis has a technical error.", "2026-11-21")}
        await polling.twin.set_fault("curve-off*99", "curve")
        await visit(worker, account)
        ((reason, again),) = set((await lacking(worker, account.id)).values())
        assert reason.startswith("not asked for: The half-hours of this meter are not collected")
        assert again is None
