"""What is done about each answer of Enedis and GRDF that is not what was asked for."""

from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.actors.series import End, Wanted
from ecolyo_worker.clock import parse_day, utc_ms
from ecolyo_worker.store import cursors, totals, visits
from ecolyo_worker.store.accounts import Account
from tests.energy_accounts import PCE, PRM, add, again, consent
from tests.energy_polling import NULLS, ODD, Polling, asked, gaps, held, visit

PARTIAL, DOWN = "UNKNOWN_ERROR.PARTIAL_SYNC", "VENDOR_DOWN"
OUTDATED = "USER_ACTION_NEEDED.OAUTH_OUTDATED"


async def test_another_consent_lets_it_go_on(polling: Polling) -> None:
    """Who consents anew is fetched from where it stopped, and nothing is wrong any more."""
    async with polling.worker() as worker:
        account = await consent(worker, await add(worker), PRM)
        await visit(worker, account)
        await polling.later(days=1)
        await polling.twin.revoke(PRM)
        await visit(worker, account)
        await polling.twin.consent(PRM)
        await consent(worker, await again(worker, account), PRM)
        await polling.twin.clear()
        assert (await visit(worker, account))[1] == End("done")
        assert await asked(polling.twin, "daily") == [("2026-11-21", "2026-11-22", 1)]
        found = await again(worker, account)
        assert (found.state, found.reason, found.word) == ("active", None, None)


async def lose_in_three_days(polling: Polling, worker: Worker, account: Account) -> None:
    """Let a consent be in doubt for three days, after which it is lost."""
    for _ in range(3):
        assert (await visit(worker, account))[1].kind == "failed"
        found = await again(worker, account)
        assert (found.state, found.word) == ("meter_known", DOWN)
        await polling.later(days=1)
    assert (await visit(worker, account))[1].kind == "consent"


@pytest.mark.parametrize("fault", ["not-holder", "not-holder-400"])
async def test_a_doubtful_loss_is_believed_after_three_days(polling: Polling, fault: str) -> None:
    """What was said wrongly before is believed once nothing else was said for three days."""
    await polling.twin.set_fault(f"{fault}*99", PRM)
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await lose_in_three_days(polling, worker, account)
        lost = await again(worker, account)
        assert (lost.state, lost.word) == ("needs_consent", OUTDATED)
        assert str(lost.reason).startswith("Enedis has not allowed to read this meter for three")
        assert await polling.twin.count(PRM) == 4


@pytest.mark.parametrize("days", [3, 3650])
async def test_days_that_a_clock_skips_are_none(polling: Polling, days: int) -> None:
    """Set forward between two answers, or in a wrong year, it makes no doubt older."""
    await polling.twin.set_fault("not-holder*99", PRM)
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        polling.clock.jump(polling.clock.now() + timedelta(days=days))
        for _ in range(9):
            assert (await visit(worker, account))[1].kind == "failed"
        polling.clock.jump(polling.clock.now() - timedelta(days=days))
        for _ in range(3):
            assert (await visit(worker, account))[1].kind == "failed"
            await polling.later(days=1)
        assert (await visit(worker, account))[1].kind == "consent"


async def test_a_right_that_ended_is_believed_at_once(polling: Polling) -> None:
    """Where GRDF says that it removed a right, and its list of rights agrees, it is lost."""
    await polling.twin.revoke(PCE)
    await polling.twin.set_fault("not-holder*9", "informative")
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        assert (await visit(worker, account))[1].kind == "consent"
        lost = await again(worker, account)
        assert (lost.state, lost.word) == ("needs_consent", OUTDATED)
        assert str(lost.reason).startswith("The right to this meter has ended. The holder")
        calls = [(call["series"], call["count"]) for call in await polling.twin.calls()]
        assert calls == [("informative", 1), ("rights", 1)]


@pytest.mark.parametrize("rights", ["ok", "unavailable*9", "cut-json*9", "consent-revoked*9"])
async def test_a_right_that_did_not_end_is_waited_for(polling: Polling, rights: str) -> None:
    """Where the list of rights says that it is active, or nothing sure, only three days count."""
    await polling.twin.set_fault("not-holder*9", PCE)
    await polling.twin.set_fault(rights, "rights")
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        await lose_in_three_days(polling, worker, account)
        assert "for three days" in str((await again(worker, account)).reason)


async def test_a_doubt_that_ends_begins_anew(polling: Polling) -> None:
    """A good answer takes a doubt away."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        for _ in range(3):
            await polling.twin.set_fault("not-holder*99", PRM)
            assert (await visit(worker, account))[1].kind == "failed"
            await polling.later(days=2)
            await polling.twin.set_fault("ok", PRM)
            assert (await visit(worker, account))[1].kind == "done"
            assert (await again(worker, account)).suspect_since is None
            await polling.later(days=2)


NONSENSE = [
    *("html-200", "text-200", "empty-json", "status=204", "cut-json"),
    *("html-503", "garbage", "drop", "technical-error"),
]


@pytest.mark.parametrize("fault", NONSENSE)
@pytest.mark.parametrize("provider", ["enedis", "grdf"])
async def test_nonsense_is_the_providers(polling: Polling, provider: Any, fault: str) -> None:
    """What is not as agreed breaks nothing; it is asked for again, and not without end."""
    meter, day = (PRM, "2026-11-19") if provider == "enedis" else (PCE, "2026-11-10")
    series: Any = "daily" if provider == "enedis" else "gas_days"
    await polling.twin.set_fault(f"{fault}*99")
    async with polling.worker() as worker:
        account = await add(worker, provider, meter)
        steps, end = await visit(worker, account)
        assert [step.kind for step in steps] == ["vendor_down", "vendor_down"]
        assert end.kind == "failed"
        # Of records the whole ones are kept.
        is_kept = (provider, fault) == ("grdf", "cut-json")
        assert (await held(worker, account, series, day) != [None]) == is_kept
        state = (await again(worker, account)).state
        assert state == ("active" if is_kept else "meter_known")
        await visit(worker, account)
        assert (await visit(worker, account))[1].kind == "later"
        asked_for = await polling.twin.count()
        assert (await visit(worker, account))[1].kind == "later"
        assert await polling.twin.count() == asked_for == 5
        await polling.twin.set_fault("ok")
        await polling.later(days=1)
        assert (await visit(worker, account))[1].kind == "done"
        assert None not in await held(worker, account, series, day)
    assert {line["level"] for line in polling.lines} <= {"warning", "info"}
    assert not any("exc_info" in line or "exception" in line for line in polling.lines)


@pytest.mark.parametrize(("series", "other"), [("daily", "curve"), ("curve", "daily")])
async def test_series_do_not_hang_on_each_other(polling: Polling, series: Any, other: Any) -> None:
    """While one of days and half-hours fails, the other is fetched: a partial success."""
    await polling.twin.set_fault("status=503*99", series)
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        _, end = await visit(worker, account)
        assert (end.kind, end.failures) == ("failed", 1)
        assert await held(worker, account, series, "2026-11-19") == [None]
        assert None not in await held(worker, account, other, "2026-11-19")
        assert (await again(worker, account)).word == PARTIAL
        assert (await visit(worker, account))[1].failures == 2
        assert len(polling.told("readings are not given")) == 1


async def test_a_curve_that_is_not_collected_is_given_up(polling: Polling) -> None:
    """It is asked for once, and words tell what to switch on; by force it is asked for again."""
    await polling.twin.set_meter(PRM, "curve-off")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        for _ in range(2):
            assert (await visit(worker, account))[1].kind == "done"
            await polling.later(days=1)
        assert await polling.twin.count(PRM, "curve") == 1
        found = await again(worker, account)
        assert (found.state, found.word) == ("active", PARTIAL)
        assert "must switch on the recording" in str(found.reason)
        await polling.twin.set_meter(PRM)
        span = range(parse_day("2026-11-18"), parse_day("2026-11-20"))
        assert (await visit(worker, account, Wanted(span, is_forced=True)))[1] == End("done")
        assert (await again(worker, account)).reason is None
        assert None not in await held(worker, account, "curve", "2026-11-18", "2026-11-19")


async def test_another_consent_has_asked_what_was_given_up(polling: Polling) -> None:
    """The reason names the command, after which the series is asked for like any other."""
    await polling.twin.set_meter(PRM, "curve-off")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        reason = str((await again(worker, account)).reason)
        command = f"`accounts authorize {account.id} --meter NUMBER`"
        assert reason.endswith(f"It is asked for again after {command}.")
        await polling.twin.set_meter(PRM)
        now = utc_ms(polling.clock.now())
        await worker.database.run(visits.note, account.id, now, now + 1)
        found = await worker.consents.typed(await again(worker, account), PRM)
        assert (found.state, found.reason, found.word) == ("active", None, None)
        due = await worker.database.read(visits.due, "enedis", now, now + 1, 9)
        assert due.accounts == (account.id,)
        assert (await visit(worker, account))[1] == End("done")
        assert None not in await held(worker, account, "curve", "2026-11-08", "2026-11-19")
        assert (await again(worker, account)).reason is None


async def test_a_new_consent_ends_a_doubt(polling: Polling) -> None:
    """What the provider said of the consent before is not held against the next one."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        await polling.later(days=1)
        await polling.twin.set_fault("not-holder*1,ok", PRM)
        await visit(worker, account)
        assert (await again(worker, account)).suspect_since is not None
        found = await worker.consents.typed(await again(worker, account), PRM)
        assert (found.state, found.suspect_since) == ("active", None)


@pytest.mark.parametrize("odd", ["activated=2026-11-03", "consented=2026-11-03"])
async def test_nothing_is_asked_before_the_beginning(polling: Polling, odd: str) -> None:
    """Where a history begins later it is found by halving, once, and every day of it is there."""
    await polling.twin.set_meter(PRM, odd)
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        assert (await visit(worker, account))[1].kind == "done"
        assert None not in await held(worker, account, "daily", "2026-11-03", "2026-11-20")
        cursor = await worker.database.read(cursors.cursor, account.id, "daily")
        assert cursor.earliest == parse_day("2026-11-03")
        assert await polling.twin.count(PRM, "daily") <= 12
        await polling.twin.clear()
        await visit(worker, account)
        assert await polling.twin.count(PRM) == 0


async def test_windows_that_are_too_long_are_split(polling: Polling) -> None:
    """They are asked for by halves from then on, and nothing is lost."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await polling.twin.set_fault("too-long*1,ok", "curve")
        steps, end = await visit(worker, account)
        assert end.kind == "done"
        curve = [(len(step.window), step.kind) for step in steps if step.series == "curve"]
        assert curve[:2] == [(7, "split"), (3, "ok")]
        assert {length for length, kind in curve if kind == "ok"} == {3, 2}
        assert await gaps(worker, account, "curve") == {}


async def test_a_token_of_one_person_pauses_nobody_else(polling: Polling) -> None:
    """Of v4, where each has tokens of her own, two that are not taken leave the others alone."""
    async with polling.worker("v4") as worker:
        meters = (PRM, ODD, NULLS)
        three = [await consent(worker, await add(worker), meter) for meter in meters]
        for meter in (PRM, ODD):
            await polling.twin.set_fault("status=401*99", meter)
        ends = [(await visit(worker, account))[1].kind for account in three]
        assert ends == ["failed", "failed", "done"]


async def test_an_unknown_meter_is_suspended(polling: Polling) -> None:
    """Whoever can help is told, and nothing more is asked."""
    await polling.twin.set_fault("unknown-meter*99")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        assert (await visit(worker, account))[1].kind == "failed"
        found = await again(worker, account)
        assert (found.state, found.word) == ("suspended", PARTIAL)
        assert (await visit(worker, account))[1].kind == "gone"
        assert await polling.twin.count() == 1


async def test_gas_that_is_not_in_the_right_is_given_up(polling: Polling) -> None:
    """Published months that may not be read leave the days to be fetched."""
    await polling.twin.set_meter(PCE, "gas", "no-published")
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        for _ in range(2):
            await visit(worker, account)
        assert await polling.twin.count(PCE, "published") == 1
        assert None not in await held(worker, account, "gas_days", "2026-11-10")
        assert (await again(worker, account)).word == PARTIAL


async def test_a_part_that_broke_is_asked_for_again(polling: Polling) -> None:
    """Of an answer with an error in it the good records are kept; other days are asked again."""
    await polling.twin.set_fault("partial-error*99", "informative")
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        _, end = await visit(worker, account)
        assert end.kind == "failed"
        read = worker.database.read
        days = range(parse_day("2026-10-01"), parse_day("2026-11-20"))
        assert await read(cursors.held_days, account, "gas_days", days)
        unread = await gaps(worker, account, "gas_days")
        assert unread["2026-09-22"].state == "unread"
        assert unread["2026-09-22"].reason == "GRDF has a technical error."
        await polling.twin.set_fault("ok", "informative")
        assert (await visit(worker, account))[1].kind == "done"
        assert await held(worker, account, "gas_days", "2026-09-22") != [None]


async def test_answers_are_counted(polling: Polling) -> None:
    """How many requests came to what is kept, by provider."""
    await polling.twin.set_fault("status=503*1,ok")
    async with polling.worker() as worker:
        await visit(worker, await add(worker, "enedis", PRM))
        found = await worker.database.read(totals.read)
        calls = {name: n for name, n in found.items() if name.startswith("energy.")}
        assert calls == {"energy.enedis.calls.vendor_down": 1, "energy.enedis.calls.ok": 2}


async def test_nothing_is_told_that_points_to_a_home(polling: Polling) -> None:
    """No number of a meter is in a log line, whatever is answered."""
    for fault in ("cut-json", "consent-revoked", "curve-off", "status=500", "invalid-request"):
        polling.state_dir = polling.state_dir.with_name(fault)
        await polling.twin.set_fault(f"{fault}*99")
        async with polling.worker() as worker:
            for provider, meter in (("enedis", PRM), ("grdf", PCE)):
                account = await add(worker, provider, meter)  # type: ignore[arg-type]
                _, end = await visit(worker, account)
                found = await again(worker, account)
                assert meter not in f"{end} {found.reason}"
    assert polling.lines
    assert all(meter not in str(polling.lines) for meter in (PRM, PCE))


async def test_a_request_that_is_wrong_is_not_repeated_soon(polling: Polling) -> None:
    """What the operator must change is told with what to do, and waits for the next slot."""
    await polling.twin.set_fault("not-subscribed*9")
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        _, end = await visit(worker, account)
        assert (end.kind, end.failures) == ("failed", 0)
        assert "The operator must look into the contract with Enedis" in str(end.reason)
        assert (await again(worker, account)).word == PARTIAL


@pytest.mark.parametrize("keeps_data", [True, False])
async def test_an_account_that_goes_meanwhile_keeps_nothing(
    polling: Polling, keeps_data: bool
) -> None:
    """What comes for an account that was removed during its visit is not stored, nor asked on."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        visiting = worker.visits["enedis"].visit(account.id)
        async with aclosing(visiting) as steps:
            await anext(steps)
            await worker.consents.remove(account, keeps_data=keeps_data)
            rest = [step async for step in steps]
        assert rest[-1].kind == "gone"
        assert await polling.twin.count(PRM) == 2
        assert (await polling.twin.calls(PRM))[-1]["count"] == 1
        query = "SELECT (SELECT count(*) FROM points) > 0, (SELECT count(*) FROM cursors)"
        found = await worker.database.read(lambda connection: connection.execute(query).fetchone())
        assert found == (keeps_data, 0)
