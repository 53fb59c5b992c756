"""What `poll` says of how an account's visit ended: whose turn it is, and the next command."""

from contextlib import aclosing
from typing import Any

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.clock import parse_day
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import Poll, PolledAccount
from ecolyo_worker.store import accounts
from ecolyo_worker.store.accounts import Account
from tests.energy_accounts import NOW, PCE, PRM, add, again
from tests.energy_polling import ODD, Polling


async def poll(worker: Worker, account: Account, **request: Any) -> PolledAccount:
    """Do it for one account, and give how it ended."""
    asked = Poll(account=account.id, **request)
    *_, end = [step.account async for step in Commands(worker).poll(asked)]
    assert end is not None
    return end


async def test_an_account_without_a_consent_waits(polling: Polling) -> None:
    """Of one that is new, or whose meter is not known, it says so and what is next."""
    async with polling.worker() as worker:
        new, known = await add(worker), await add(worker)
        await worker.database.run(accounts.authorized, known.id, None, NOW)
        end = await poll(worker, new)
        assert (end.outcome, end.reason) == ("waiting", "nobody consented yet")
        assert end.next == "accounts authorize 1"
        end = await poll(worker, known)
        assert end.outcome == "waiting"
        assert end.reason == "which meter the consent is for is not known yet"
        assert end.next == "accounts authorize 2 --meter NUMBER"
        await worker.database.run(accounts.leave, new.id, NOW, keeps_data=False)
        assert (await poll(worker, new)).reason == "it is being removed"


async def test_a_lost_consent_names_the_next_command(polling: Polling) -> None:
    """When it is found out, and each time after that, without asking again."""
    await polling.twin.revoke(PRM)
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        for windows in (1, 0):
            end = await poll(worker, account)
            assert (end.outcome, end.windows) == ("consent", windows)
            assert str(end.reason).startswith("The consent at Enedis has ended")
            assert end.next == "accounts authorize 1"


async def test_a_refused_meter_is_suspended(polling: Polling) -> None:
    """It is the person's turn; another number takes another account."""
    await polling.twin.set_fault("unknown-meter*9", PRM)
    async with polling.worker() as worker:
        end = await poll(worker, await add(worker, "enedis", PRM))
        assert end.outcome == "suspended"
        assert end.reason == (
            "Enedis knows no such meter. The holder of the account must check the number of the"
            " meter: if it is wrong, remove this account, and add one with the right number."
        )
        assert end.next == "accounts remove 1"


async def test_what_is_given_up_is_not_all_there(polling: Polling) -> None:
    """Where nothing is given it says so, and each reason; where a part is, that it is a part."""
    async with polling.worker() as worker:
        gas, electricity = await add(worker, "grdf", PCE), await add(worker, "enedis", PRM)
        await polling.twin.set_meter(PCE, "gas", "no-informative", "no-published")
        for windows in (2, 0):
            end = await poll(worker, gas)
            assert (end.outcome, end.windows) == ("refused", windows)
            assert "with informative data included." in str(end.reason)
            assert "with published data included." in str(end.reason)
        await polling.twin.set_fault("curve-off*9", "curve")
        for _ in range(2):
            end = await poll(worker, electricity)
            assert end.outcome == "partial"
            assert "must switch on the recording" in str(end.reason)


@pytest.mark.parametrize("fault", ["status=503*2", "drop*2"])
async def test_one_reason_is_said_once(polling: Polling, fault: str) -> None:
    """Series that fail alike have one sentence."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await polling.twin.set_fault(f"{fault},ok")
        end = await poll(worker, account)
        assert (end.outcome, end.next) == ("failed", None)
        assert str(end.reason).count("Enedis") == 1


async def test_what_was_not_heard_is_no_window(polling: Polling) -> None:
    """Where a quota is used up, nothing was fetched, for nobody."""
    async with polling.worker() as worker:
        first, other = await add(worker, "enedis", PRM), await add(worker, "enedis", ODD)
        await polling.twin.set_fault("quota-hour*1,ok")
        for account in (first, other):
            end = await poll(worker, account)
            assert (end.outcome, end.windows) == ("later", 0)
            assert end.reason == "More was asked of Enedis than it allows."
            assert end.until is not None


async def test_a_load_that_is_broken_off_leaves_an_active_account(polling: Polling) -> None:
    """The state says what is the case from the first window on; so it does for half-hours alone."""
    await polling.twin.set_fault("status=503", "daily")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        async with aclosing(worker.visits["enedis"].visit(account.id)) as steps:
            kinds = [(await anext(steps)).kind for _ in range(2)]
        assert kinds == ["vendor_down", "ok"]
        found = await again(worker, account)
        assert (found.state, found.held_through) == ("active", parse_day("2026-11-20"))
