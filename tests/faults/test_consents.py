"""Tokens and consents of Enedis and GRDF that end, and requests that are not answered in full."""

from datetime import timedelta
from typing import Any

import anyio
import msgspec
import pytest

from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import Coverage
from tests.energy_accounts import PCE, PRM, add, again
from tests.energy_polling import NULLS, ODD, Polling, asked, held, visit
from tests.energy_tokens import ENDED, LOST, Due, shown

OUTDATED = "USER_ACTION_NEEDED.OAUTH_OUTDATED"


@pytest.mark.fault(59)
async def test_two_who_renew_a_token_at_once(due: Due) -> None:
    """The first one asks for it, once; the second waits, and gets the same token."""
    both = anyio.Event()
    due.before = both.wait
    found: list[str] = []
    async with due.worker() as worker, anyio.create_task_group() as tasks:

        async def renew() -> None:
            if due.asked:
                both.set()
            found.append(await shown(worker, due.account))

        tasks.start_soon(renew)
        while not due.asked:
            await anyio.lowlevel.checkpoint()
        tasks.start_soon(renew)
    assert found == ["access-1"] * 2
    assert due.asked == 1


@pytest.mark.fault(60)
async def test_a_grant_that_has_ended(due: Due) -> None:
    """The account needs a consent from then on, which one line of the log tells.

    Neither in the following days nor after a restart is a token or a reading asked for again.
    """
    due.answers = [ENDED] * 9
    ends = []
    for _ in range(2):
        async with due.worker() as worker:
            for _ in range(3):
                ends.append((await visit(worker, due.account))[1].kind)
                await due.polling.later(days=1)
            lost = await again(worker, due.account)
            assert (lost.state, lost.word) == ("needs_consent", OUTDATED)
            assert worker.status().accounts["needs_consent"] == 1
    assert ends == ["consent", *["gone"] * 5]
    assert due.asked == 1
    assert len(due.polling.told(LOST)) == 1
    assert await due.polling.twin.count() == 0


@pytest.mark.fault(61)
async def test_a_token_that_is_revoked_early(polling: Polling) -> None:
    """One request gives the next token for ten accounts; what was refused is asked once more."""
    async with polling.worker() as worker:
        ten = [await add(worker, "enedis", PRM, f"p{n}.example") for n in range(10)]
        await visit(worker, ten[0])
        await polling.twin.end_tokens()
        for account in ten[1:]:
            assert (await visit(worker, account))[1].kind == "done"
        assert [one["count"] for one in await polling.twin.token_requests()] == [1]


@pytest.mark.fault(61)
@pytest.mark.parametrize("fault", ["status=401", "empty-403"])
async def test_a_token_that_nobody_may_use_pauses_the_provider(
    polling: Polling, fault: str
) -> None:
    """A token is renewed once, and if that one is refused as well, all wait, over restarts too."""
    async with polling.worker() as worker:
        account, other = await add(worker, "enedis", PRM), await add(worker, "enedis", ODD)
        third = await add(worker, "enedis", NULLS)
        await polling.twin.set_fault(f"{fault}*1,ok")
        assert (await visit(worker, account))[1].kind == "done"
        await polling.later(days=1)
        await polling.twin.clear()
        await polling.twin.set_fault(f"{fault}*99")
        assert (await visit(worker, account))[1].kind == "failed"
        assert await polling.twin.count(PRM) == 2
        assert await worker.visits["enedis"].asking.quota.paused_until() is None
        assert (await visit(worker, other))[1].kind == "failed"
        assert (await visit(worker, third))[1].kind == "later"
        assert await polling.twin.count() == 3
    async with polling.worker() as worker:
        assert (await visit(worker, third))[1].kind == "later"
        await polling.twin.set_fault("ok")
        await polling.later(hours=1)
        assert (await visit(worker, account))[1].kind == "done"


@pytest.mark.fault(61)
@pytest.mark.parametrize("days", [-3650, -1, 1, 3650])
async def test_a_clock_that_is_wrong(polling: Polling, days: int) -> None:
    """A token that ends sooner than the clock tells is renewed once it is refused; one is enough.

    One that ended by the clock alone is renewed before it is used.
    """
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await worker.tokens.bearer(account)
        await polling.twin.end_tokens()
        polling.clock.jump(polling.clock.now() + timedelta(days=days))
        await polling.stand()
        assert (await visit(worker, account))[1].kind == "done"
        assert [one["count"] for one in await polling.twin.token_requests()] == [1]


@pytest.mark.fault(61)
@pytest.mark.parametrize("said", [{}, {"expires_in": None}, {"expires_in": "soon"}])
async def test_a_token_that_does_not_tell_its_end(due: Due, said: dict[str, Any]) -> None:
    """A token that does not tell its end is taken to live an hour, and renewed 5 minutes before."""
    body = msgspec.json.encode({"access_token": "first", "refresh_token": "next", **said})
    due.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)]
    async with due.worker() as worker:
        assert await shown(worker, due.account) == "first"
        due.polling.clock.advance(54 * 60)
        assert await shown(worker, due.account) == "first"
        due.polling.clock.advance(2 * 60)
        assert await shown(worker, due.account) == "access-2"
    assert due.asked == 2


@pytest.mark.fault(62)
@pytest.mark.parametrize("fault", ["quota-hour", "html-503"], ids=["quota", "maintenance"])
async def test_requests_that_are_refused_for_a_while(polling: Polling, fault: str) -> None:
    """What was fetched stays, and over a restart only what is missing is asked for again."""
    days = ("2026-11-08", "2026-11-19")
    await polling.twin.set_fault(f"ok*2,{fault}*99")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        assert worker.status().held_through["enedis"].least == "2026-11-20"
        assert [one is None for one in await held(worker, account, "curve", *days)] == [True, False]
        pauses = worker.status().pauses
        assert ("enedis" in pauses) == (fault == "quota-hour")
        assert (await again(worker, account)).reason
    await polling.twin.set_fault("ok")
    await polling.twin.clear()
    await polling.later(hours=2)
    async with polling.worker() as worker:
        assert (await visit(worker, account))[1].kind == "done"
        assert await asked(polling.twin, "daily") == []
        assert await asked(polling.twin, "curve") == [("2026-11-07", "2026-11-14", 1)]
        assert (await again(worker, account)).reason is None


@pytest.mark.fault(62)
async def test_a_day_of_which_a_part_came(polling: Polling) -> None:
    """`coverage` tells what lacks, and when it is asked for again; what comes then is stored."""
    await polling.twin.set_meter(PRM, "holes")
    async with polling.worker(history_days=20, curve_days=7) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        (year,) = [one async for one in Commands(worker).coverage(Coverage(account.id))]
        lacking = {
            day.day: (day.half_hours, day.half_hours_next_try)
            for day in year.days
            if day.half_hours
        }
        assert lacking == {"2026-11-17": ("of 24 hours 22 are there", "2026-11-22")}
        await polling.twin.set_meter(PRM)
        await polling.later(days=1)
        await visit(worker, account)
        ((minutes, _),) = await held(worker, account, "curve", "2026-11-17")
        assert minutes == 24 * 60


@pytest.mark.fault(62)
async def test_a_day_that_cannot_be_read(polling: Polling) -> None:
    """`status` tells the last day that is held, and of how many days what came cannot be read."""
    await polling.twin.set_meter(PCE, "gas", "torn=2026-11-05")
    async with polling.worker() as worker:
        await visit(worker, await add(worker, "grdf", PCE))
        status = worker.status()
        assert status.unread_days == 2
        assert status.held_through["grdf"].least == "2026-11-19"
        assert "of which what came cannot be read: 2" in " ".join(status.advice)


@pytest.mark.fault(63)
async def test_a_consent_that_was_withdrawn_at_enedis(polling: Polling) -> None:
    """One request tells it; then that account is silent, with one line in the log; others go on."""
    await polling.twin.revoke(PRM)
    async with polling.worker() as worker:
        account, other = await add(worker, "enedis", PRM), await add(worker, "enedis", ODD)
        _, end = await visit(worker, account)
        assert end.kind == "consent"
        for _ in range(3):
            await polling.later(days=1)
            assert (await visit(worker, account))[1].kind == "gone"
            assert (await visit(worker, other))[1].kind == "done"
        assert await polling.twin.count(PRM) == await polling.twin.after_revocation(PRM) == 1
        lost = await again(worker, account)
        assert (lost.state, lost.word) == ("needs_consent", OUTDATED)
        assert str(lost.reason).startswith("The consent at Enedis has ended")
        assert len(polling.told("an energy account needs a consent")) == 1


@pytest.mark.fault(63)
@pytest.mark.parametrize("provider", ["enedis", "grdf"])
async def test_what_was_fetched_before_a_consent_was_withdrawn(
    polling: Polling, provider: Any
) -> None:
    """Readings stay until the account is removed; `status` and `coverage` tell of the consent.

    One call learns of it, and there is none after it.
    """
    meter, day = (PRM, "2026-11-19") if provider == "enedis" else (PCE, "2026-11-10")
    series: Any = "daily" if provider == "enedis" else "gas_days"
    async with polling.worker() as worker:
        account = await add(worker, provider, meter)
        await visit(worker, account)
        before = await held(worker, account, series, day)
        await polling.later(days=1)
        await polling.twin.revoke(meter)
        assert (await visit(worker, account))[1].kind == "consent"
        assert (await visit(worker, account))[1].kind == "gone"
        assert await polling.twin.after_revocation(meter) == 1
        assert await held(worker, account, series, day) == before != [None]
        status = worker.status()
        assert status.accounts["needs_consent"] == 1
        assert "energy accounts that need a consent: 1" in " ".join(status.advice)
        (year,) = [one async for one in Commands(worker).coverage(Coverage(account.id))]
        assert "no consent" in {one.state for one in year.days}
        removal = await worker.consents.remove(await again(worker, account), keeps_data=False)
        assert removal.is_gone
        assert removal.rows["points"] > 0
