"""Consents of 2026, which have a number: Enedis tells later which meter they are for."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import CommandRefused, Worker
from ecolyo_worker.clock import utc_ms
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import InputRefused
from ecolyo_worker.requests import Poll
from ecolyo_worker.store import accounts
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import PRM, add, again, consent, settings
from tests.energy_polling import ODD, Polling, visit
from tests.fundamentals.test_poller import MONDAY, Life, paris

OUTDATED = "USER_ACTION_NEEDED.OAUTH_OUTDATED"
TAKEN = "the person has another account for this meter: use that one, and remove this one"


@pytest.fixture
def life(state_dir: Path, energy_twin: Twin) -> Life:
    return Life(state_dir, energy_twin)


async def consented(life: Life, meter: str) -> tuple[Any, Any]:
    """Let Alice, who has the meter PRM, consent once more, and Bob after her; nobody told where."""
    clock = FakeClock(life.clock.now() - timedelta(minutes=1))
    async with Worker(settings(life.state_dir, life.twin), clock=clock).opened() as worker:
        await add(worker, "enedis", PRM)
        await life.twin.set_fault("no-services*9", "services")
        alice = await consent(worker, await add(worker), meter)
        assert alice.state == "authorized"
        return alice, await add(worker, "enedis", ODD, "bob.example")


@pytest.mark.parametrize(
    ("meter", "fault", "words"),
    [
        (PRM, "ok", TAKEN),
        (ODD, "two-meters", r"the consent names 2 (…222, …999); choose one by --meter of"),
    ],
)
async def test_what_cannot_be_matched_is_the_persons(
    life: Life, meter: str, fault: str, words: str
) -> None:
    """The service notes what the person must do, asks no more of it, and goes on with others."""
    alice, bob = await consented(life, meter)
    await life.twin.set_fault(f"{fault}*9", "services")
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T08:00"))
        found = await again(worker, alice)
        assert (found.state, found.word, found.meter) == ("suspended", OUTDATED, None)
        assert str(found.reason).startswith(words)
        assert (await again(worker, bob)).state == "active"
        (health,) = (one for one in worker.health() if one.name == "enedis")
        assert (health.state, health.restarts) == ("working", 0)
        asked = await life.twin.count(series="services")
        await life.to(paris(f"{MONDAY}T18:00"))
        assert await life.twin.count(series="services") == asked


async def test_who_is_suspended_may_name_the_meter(life: Life) -> None:
    """Of two meters the person chooses one, and it is fetched."""
    alice, _ = await consented(life, ODD)
    await life.twin.set_fault("two-meters*9", "services")
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T06:00:01"))
        assert (await again(worker, alice)).state == "suspended"
        await worker.consents.typed(await again(worker, alice), ODD)
        await life.to(paris(f"{MONDAY}T06:01"))
        found = await again(worker, alice)
        assert (found.state, found.meter, found.reason) == ("active", ODD, None)


async def test_a_command_goes_on_with_others(polling: Polling) -> None:
    """`poll` says what is wrong with one account, and fetches for those behind it."""
    await polling.twin.set_fault("no-services*3,ok", "services")
    async with polling.worker() as worker:
        await add(worker, "enedis", PRM)
        taken = await consent(worker, await add(worker), PRM)
        bob = await add(worker, "enedis", ODD, "bob.example")
        steps = [step async for step in Commands(worker).poll(Poll("enedis"))]
        ends = {step.account.account: step.account for step in steps if step.account is not None}
        assert (ends[taken.id].outcome, ends[taken.id].reason) == ("suspended", TAKEN)
        assert ends[taken.id].next == f"accounts remove {taken.id}"
        assert ends[bob.id].outcome == "done"
    (told,) = polling.told("an energy account is suspended")
    assert (told["account"], told["reason"]) == (taken.id, TAKEN)


async def test_a_refused_consent_changes_nothing(polling: Polling) -> None:
    """A consent for another meter leaves the account as it was, and nothing is asked for it."""
    await polling.twin.revoke(PRM)
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        lost = await again(worker, account)
        assert lost.state == "needs_consent"
        with pytest.raises(CommandRefused, match="for another meter than the account's"):
            await consent(worker, lost, ODD)
        assert await again(worker, account) == lost
        new = await add(worker)
        await polling.twin.set_fault("two-meters*1,ok", "services")
        with pytest.raises(InputRefused, match=r"names 2 \(…222, …999\); choose one by --meter"):
            await consent(worker, new, ODD)
        assert await again(worker, new) == new
        assert (await visit(worker, account))[1].kind == "gone"
        assert await polling.twin.after_revocation(PRM) == 1


async def test_a_meter_that_is_known_waits_for_no_number(polling: Polling) -> None:
    """Where Enedis does not tell yet which meter it is, the account's own one is asked for."""
    await polling.twin.revoke(PRM)
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        await polling.twin.set_fault("no-services*9", "services")
        found = await consent(worker, await again(worker, account), PRM)
        assert (found.state, found.reason) == ("meter_known", None)
        assert (await visit(worker, account))[1].kind == "done"


async def test_a_meter_is_asked_for_less_and_less(life: Life) -> None:
    """After as long as it is waited for, four hours at most, over restarts, too."""
    alice, _ = await consented(life, PRM)
    await life.twin.set_fault("no-services*99", "services")
    await life.twin.clear()
    asked = []
    night = settings(life.state_dir, life.twin, schedule="0 3 * * *").enedis
    for last in (2, 24, 42):
        async with life.running(enedis=night) as worker:
            while life.clock.now() < paris(f"{MONDAY}T06:00") + timedelta(minutes=10 * last):
                await life.to(life.clock.now() + timedelta(minutes=10))
            asked.append(await life.twin.count(series="services"))
            alice = await again(worker, alice)
    assert asked == [1, 4, 5]
    assert alice.state == "authorized"
    assert f"the consent of {MONDAY}T04:59:04Z is for" in alice.reason
    assert f"`accounts authorize {alice.id} --meter`" in alice.reason


async def test_a_consent_of_a_day_to_come_is_not_asked_about_all_the_time(life: Life) -> None:
    """Where a wrong clock dated it, nobody knows how long it is waited for: four hours do."""
    alice, _ = await consented(life, PRM)
    await life.twin.set_fault("no-services*99", "services")
    await life.twin.clear()
    night = settings(life.state_dir, life.twin, schedule="0 3 * * *").enedis
    async with life.running(enedis=night) as worker:
        ahead = utc_ms(paris("2036-01-01T06:00"))
        await worker.database.run(
            lambda it: it.execute("UPDATE accounts SET since = ?", (ahead,)).close()
        )
        while life.clock.now() < paris(f"{MONDAY}T14:30"):
            await life.to(life.clock.now() + timedelta(minutes=10))
        assert await life.twin.count(series="services") == 3
        assert (await again(worker, alice)).state == "authorized"


async def test_another_number_is_asked_about_soon(polling: Polling) -> None:
    """Who consents anew, for a meter that was never told, waits as little as at first."""
    await polling.twin.set_fault("no-services*99", "services")
    async with polling.worker() as worker:
        first = await consent(worker, await add(worker), PRM)
        await polling.later(hours=9)
        second = await consent(worker, first, ODD)
        assert second.since > first.since
        await worker.database.run(
            accounts.authorized, second.id, second.consent, worker.consents.moment()
        )
        assert (await again(worker, second)).since == second.since
