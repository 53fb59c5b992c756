"""What becomes of a part of the history that a provider never gives so that it can be read."""

from typing import Any

from ecolyo_worker import Worker
from ecolyo_worker.actors.series import End, Step
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import Coverage, CoverageDay
from ecolyo_worker.service.metrics import exposition, observe
from ecolyo_worker.store.accounts import Account
from tests.energy_accounts import PCE, PRM, add, again
from tests.energy_polling import Polling, asked, gaps, held, visit

TORN = "2026-11-10"
NOT_GIVEN = "readings are not given"


async def covered(worker: Worker, account: Account, day: str) -> CoverageDay:
    """Give what coverage tells of a day."""
    request = Coverage(account=account.id, year=int(day[:4]))
    (year,) = [one async for one in Commands(worker).coverage(request)]
    return next(one for one in year.days if one.day == day)


def kinds(steps: list[Step], series: str) -> list[str]:
    return [step.kind for step in steps if step.series == series]


async def test_a_record_that_cannot_be_read_holds_nothing_up(polling: Polling) -> None:
    """All else of three years comes in the same visit; that day is told, and asked for again."""
    await polling.twin.set_meter(PCE, "gas", f"torn={TORN}")
    async with polling.worker(gas=1000) as worker:
        account = await add(worker, "grdf", PCE)
        steps, end = await visit(worker, account)
        assert kinds(steps, "gas_days") == ["vendor_down", "ok", "ok"]
        assert (end.kind, end.failures) == ("failed", 1)
        found = await held(worker, account, "gas_days", "2024-03-01", "2026-11-09", TORN)
        assert [one is not None for one in found] == [True, True, False]
        told = await covered(worker, account, TORN)
        assert (told.state, told.next_try) == ("error", "2026-11-21")
        assert "cannot be read" in str(told.reason)
        status = worker.status()
        assert status.unread_days == 2
        found = await gaps(worker, account, "gas_days")
        assert [day for day in found if found[day].state != "provisional"] == [TORN, "2026-11-20"]
        assert "of which what came cannot be read: 2; `ecolyo-worker" in " ".join(status.advice)
        assert "\necolyo_energy_unread_days 2" in exposition(observe(worker)).decode()


async def test_a_day_that_cannot_be_read_is_asked_for_ever_more_seldom(polling: Polling) -> None:
    """Once more the same day, then daily, that day alone; it is logged once, and told as long."""
    await polling.twin.set_meter(PCE, "gas", f"torn={TORN}", "zero")
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        await visit(worker, account)
        expected = [("failed", 1), ("done", 0), ("failed", 1), ("done", 0)]
        for kind, count in expected:
            await polling.twin.clear()
            _, end = await visit(worker, account)
            assert end.kind == kind
            calls = [call for call in await asked(polling.twin, "informative") if call[0] == TORN]
            assert calls == [(TORN, "2026-11-11", 1)][:count]
            if kind == "done":
                reason = str((await again(worker, account)).reason)
                assert reason.startswith("Days that could not be read: 1. GRDF answered what")
                await polling.later(days=1)
        assert len(polling.told(NOT_GIVEN)) == 1
        await polling.twin.set_meter(PCE, "gas")
        assert (await visit(worker, account))[1] == End("done")
        assert await held(worker, account, "gas_days", TORN) != [None]
        assert worker.status().unread_days == 0
        assert (await again(worker, account)).reason is None


async def test_an_answer_that_is_refused_whole_holds_nothing_up(polling: Polling) -> None:
    """Where a record is of another meter, older windows come; then ever smaller parts, but it."""
    await polling.twin.set_meter(PCE, "gas", f"foreign={TORN}")
    async with polling.worker(gas=800) as worker:
        account = await add(worker, "grdf", PCE)
        steps, _ = await visit(worker, account)
        assert kinds(steps, "gas_days") == ["vendor_down", "ok", "ok"]
        unread = []
        for _ in range(4):
            unread.append(worker.status().unread_days)
            steps, _ = await visit(worker, account)
            assert kinds(steps, "gas_days").count("vendor_down") == 1
            await polling.later(days=1)
        assert unread == [365, 43, 6, 1]
        found = await held(worker, account, "gas_days", "2026-11-09", TORN, "2026-11-11")
        assert [one is not None for one in found] == [True, False, True]


async def test_a_window_that_fails_time_and_again_lets_others_go_first(polling: Polling) -> None:
    """From the third time on it comes last; while others are answered it waits until tomorrow."""
    days: Any = {"history_days": 800, "curve_days": 7}
    await polling.twin.set_fault("status=500*3,ok*2,status=500,ok", "daily")
    async with polling.worker(**days) as worker:
        account = await add(worker, "enedis", PRM)
        seen = [kinds((await visit(worker, account))[0], "daily") for _ in range(6)]
        down = ["vendor_down"]
        assert seen == [down, down, down, ["ok", "ok", *down, *["ok"] * 7], [], []]
        assert worker.status().unread_days == 43
        assert (await covered(worker, account, "2026-11-19")).next_try == "2026-11-22"
        await polling.later(days=1)
        assert (await visit(worker, account))[1] == End("done")
        assert worker.status().unread_days == 0


async def test_days_put_aside_by_a_clock_that_was_ahead_are_asked_for(polling: Polling) -> None:
    """What nobody answered in a year that was not yet is asked for as if it had not been."""
    await polling.twin.set_fault("status=500*9", "daily")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        right = polling.clock.now()
        await polling.later(days=40)
        for _ in range(3):
            await visit(worker, account)
        assert worker.status().unread_days == 60
        polling.clock.jump(right)
        await polling.stand()
        await polling.twin.set_fault("ok", "daily")
        assert (await visit(worker, account))[1] == End("done")
        assert await held(worker, account, "daily", "2026-11-19") != [None]
        assert worker.status().unread_days == 0
