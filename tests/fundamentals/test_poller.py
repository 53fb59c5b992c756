"""The pollers work by themselves: when they come, how often, and how they stop."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker import Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.clock import day_text, instant_text, utc_ms
from ecolyo_worker.commands import Commands
from ecolyo_worker.service.client import RemoteCommands, running_service
from ecolyo_worker.service.server import ControlSocket
from ecolyo_worker.store import accounts, cursors, totals, visits
from ecolyo_worker.testing.clock import SimulatedClock
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import PCE, PRM, add, again, consent, settings, visit
from tests.energy_polling import NULLS, ODD, PARIS

MONDAY = "2026-11-16"


def paris(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS)


class Life:
    """A service's worker that lives by a clock which the twin goes by."""

    def __init__(self, state_dir: Path, twin: Twin) -> None:
        self.state_dir = state_dir
        self.twin = twin
        self.clock = SimulatedClock(paris(f"{MONDAY}T06:00"))
        self.worker: Any = None
        self.wrong = timedelta()

    @asynccontextmanager
    async def running(self, **more: Any) -> AsyncIterator[Worker]:
        chosen = settings(self.state_dir, self.twin, history_days=30, curve_days=7)
        chosen = chosen.replace(**more)
        await self.twin.set_quotas("off")  # it counts by the machine's time
        await self._stand(self.clock.now())
        async with Worker(chosen, clock=self.clock) as worker:
            self.worker = worker
            yield worker

    async def jump(self, by: timedelta) -> None:
        """Let the worker's clock be set, and be wrong by so much more; the twin's is right."""
        self.wrong += by
        await self.clock.step(self.clock.now() + by, jump=True)

    async def to(self, moment: datetime) -> None:
        """Let time pass until a moment, and all work that is due then be done."""
        await self._stand(moment)
        resting = len(self.worker.health()) - 1  # intake goes by the machine's time
        await self.clock.step_whole(moment, resting)

    async def _stand(self, moment: datetime) -> None:
        """Let the twin stand at the right time."""
        civil = (moment - self.wrong).astimezone(PARIS).replace(tzinfo=None)
        await self.twin.set_today(civil)


@pytest.fixture
def life(state_dir: Path, energy_twin: Twin) -> Life:
    return Life(state_dir, energy_twin)


async def people(life: Life, *meters: str) -> list[Any]:
    """Make accounts before the service starts."""
    chosen = settings(life.state_dir, life.twin)
    async with Worker(chosen, clock=life.clock).opened() as worker:
        return [await add(worker, "grdf" if meter == PCE else "enedis", meter) for meter in meters]


def slot(worker: Worker, account: Any, after: datetime) -> datetime:
    """Give an account's own time in the first slot after a moment."""
    enedis, grdf = worker.pollers
    poller = grdf if account.provider == "grdf" else enedis
    found = poller.slot_after(int(after.timestamp() * 1000), account.id)
    return datetime.fromtimestamp(found / 1000, PARIS)


async def test_each_account_has_its_own_time(life: Life) -> None:
    """A new account is visited at once, then in each slot at its own second, for ever the same."""
    (account,) = await people(life, PRM)
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T06:00:01"))
        assert await life.twin.count(PRM, "daily") == 1
        own = slot(worker, account, life.clock.now())
        assert paris(f"{MONDAY}T08:00") <= own < paris(f"{MONDAY}T10:00")
        assert slot(worker, account, own) == own + timedelta(hours=6)
        assert slot(worker, account, own + timedelta(hours=6)) == own + timedelta(days=1)
        tomorrow = own + timedelta(days=1)
        for moment in (own, own + timedelta(hours=6), tomorrow - timedelta(minutes=1)):
            await life.to(moment)
        await life.twin.clear()
        await life.to(tomorrow)
        (call,) = await life.twin.calls(PRM, "daily")
        assert (call["start"], call["end"], call["count"]) == (MONDAY, "2026-11-17", 1)
        (health,) = (one for one in worker.health() if one.name == "enedis")
        assert health.last_success == instant_text(utc_ms(tomorrow))
        assert health.next_due is not None


async def test_accounts_do_not_come_all_at_once(life: Life) -> None:
    """Their times lie all over the slot, and are the same after a restart."""
    ten = await people(life, *(f"{n:014}" for n in range(10)))
    found = []
    for _ in range(2):
        async with Worker(settings(life.state_dir, life.twin), clock=life.clock).opened() as worker:
            found.append([slot(worker, account, life.clock.now()) for account in ten])
    assert found[0] == found[1]
    assert len(set(found[0])) == 10


async def test_missed_slots_are_caught_up_by_one_visit(life: Life) -> None:
    """After an outage of days one visit asks for all that is missing, at once."""
    await people(life, PRM)
    async with life.running():
        await life.to(paris(f"{MONDAY}T12:00"))
    await life.twin.clear()
    life.clock = SimulatedClock(paris("2026-11-20T06:00"))
    async with life.running():
        await life.to(paris("2026-11-20T06:00:01"))
        calls = await life.twin.calls(PRM)
        assert [(call["start"], call["end"], call["count"]) for call in calls] == [
            (MONDAY, "2026-11-20", 1)
        ] * 2


async def test_what_came_to_nothing_is_tried_before_the_next_slot(life: Life) -> None:
    """After five minutes at first, and then after growing whiles."""
    await people(life, PRM)
    await life.twin.set_fault("status=503*2,ok")
    async with life.running():
        await life.to(paris(f"{MONDAY}T06:00:01"))
        assert await life.twin.count() == 2
        await life.to(paris(f"{MONDAY}T06:04"))
        assert await life.twin.count() == 2
        await life.to(paris(f"{MONDAY}T06:05:30"))
        assert await life.twin.count() > 2
        assert (await life.twin.calls())[-1]["statuses"] == {"503": 1, "200": 1}


@pytest.mark.parametrize("fault", ["empty-403", "status=401"])
async def test_a_token_that_is_not_taken_for_one_stops_nobody_else(life: Life, fault: str) -> None:
    """That account alone is asked for more and more seldom; others as if it were not there."""
    account, other = await people(life, PRM, ODD)
    await life.twin.set_fault(f"{fault}*99999", PRM)
    paused = []
    async with life.running() as worker:
        for hours in range(49):
            await life.to(paris(f"{MONDAY}T06:00:30") + timedelta(hours=hours))
            paused.append(await worker.visits["enedis"].asking.quota.paused_until())
        assert [until for until in paused if until is not None] == []
        assert (await again(worker, other)).state == "active"
        cursor = await worker.database.read(cursors.cursor, account.id, "daily")
    # Thrice in the first hours, then every four hours or in the next slot; each time a token is
    # renewed once, beside those that end by themselves, and the request made once more.
    assert cursor.failures == 16
    assert await life.twin.count(PRM) == 32
    assert sum(one["count"] for one in await life.twin.token_requests()) <= 2 * 16


async def test_two_odd_accounts_pause_the_provider_no_longer_than_it_takes_to_see(
    life: Life,
) -> None:
    """Once others are answered after them, their tokens are their own trouble."""
    await people(life, PRM, ODD, NULLS)
    for meter in (PRM, ODD):
        await life.twin.set_fault("empty-403*99999", meter)
    async with life.running() as worker:
        paused = worker.visits["enedis"].asking.quota.paused_until
        await life.to(paris(f"{MONDAY}T06:00:30"))
        assert await paused() is not None
        await life.to(paris(f"{MONDAY}T07:00"))
        assert await life.twin.count(NULLS) > 0
        for hours in range(1, 24):
            await life.to(paris(f"{MONDAY}T07:00") + timedelta(hours=hours))
            assert await paused() is None


async def test_another_state_is_looked_at_soon(life: Life) -> None:
    """Who consents anew waits for no slot."""
    (account,) = await people(life, PRM)
    async with life.running() as worker:
        await life.twin.revoke(PRM)
        await life.to(paris(f"{MONDAY}T11:00"))
        assert (await again(worker, account)).state == "needs_consent"
        await life.twin.consent(PRM)
        await life.to(paris(f"{MONDAY}T11:00:30"))
        await worker.database.run(accounts.authorized, account.id, None, moment(life))
        await life.to(paris(f"{MONDAY}T11:01"))
        assert (await again(worker, account)).state == "active"


async def test_a_visit_may_be_wished_for_during_another(life: Life) -> None:
    """It comes after the one under way, of which nobody knows what it asked before the wish."""
    (account,) = await people(life, PRM)
    now = utc_ms(life.clock.now())
    later = now + 3_600_000
    async with Worker(settings(life.state_dir, life.twin), clock=life.clock).opened() as worker:
        run = worker.database.run
        for is_wished in (False, True):
            await run(visits.hasten, account.id)
            await run(visits.begin, account.id)
            if is_wished:
                await run(visits.hasten, account.id)
            await run(visits.note, account.id, now, later)
            found = await worker.database.read(visits.due, "enedis", now, later, 9)
            assert bool(found.accounts) is is_wished


async def test_a_command_wakes_the_poller(life: Life) -> None:
    """Who is added, or consents, is visited at once: nobody waits until the poller looks itself."""
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T11:00"))
        commands, begin = Commands(worker), life.clock.now()
        found = await commands.accounts_add(ask.AccountAdd("enedis", "alice.example", PRM))
        await life.to(life.clock.now())
        assert await life.twin.count(PRM) == 2
        page = await commands.accounts_authorize(
            (await commands.accounts_add(ask.AccountAdd("grdf", "alice.example"))).id
        )
        callback = await visit(page.url, pce=PCE)
        await commands.accounts_consent(ask.AccountConsent(found.id + 1, callback))
        await life.to(life.clock.now())
        assert await life.twin.count(PCE, "informative") > 0
        assert [one.state async for one in commands.accounts_list(ask.AccountsList())] == [
            "active",
            "active",
        ]
        assert life.clock.now() < begin + timedelta(seconds=10)


async def test_a_command_over_the_control_socket_wakes_the_poller(life: Life) -> None:
    """Another process that adds an account has it visited at once as well."""
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T11:00"))
        await worker.supervise(ControlSocket(worker))
        await life.to(life.clock.now())
        begin = life.clock.now()
        async with running_service(life.state_dir) as commands:
            assert isinstance(commands, RemoteCommands)
            await commands.accounts_add(ask.AccountAdd("enedis", "alice.example", PRM))
        await life.to(life.clock.now())
        assert await life.twin.count(PRM) == 2
        assert life.clock.now() < begin + timedelta(seconds=10)


async def test_a_meter_that_is_found_late_is_fetched_then(life: Life) -> None:
    """Enedis did not know it right after the consent; once the poller finds it, readings come."""
    async with life.running() as worker:
        account = await add(worker)
        back = await visit((await worker.consents.begin(account)).url, usage_point_id=PRM)
        number = int(httpx.URL(back).params["autorisation_id"])
        await life.twin.fail_next(1, "no-services", "services")
        await worker.database.run(accounts.authorized, account.id, number, moment(life))
        await life.to(paris(f"{MONDAY}T06:00:30"))
        assert (await again(worker, account)).state == "authorized"
        await life.to(paris(f"{MONDAY}T06:11"))
        assert await life.twin.count(PRM, "daily") == 1


async def test_a_removal_is_tried_until_it_is_done(life: Life) -> None:
    """While GRDF does not answer the account stays, and says so; an hour later it goes."""
    (account,) = await people(life, PCE)
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T10:00"))
        for second in (30, 40):  # behind a request of this very second, another one waits
            await life.to(paris(f"{MONDAY}T10:00:{second}"))
        await life.twin.set_fault("status=503*2,ok", "rights")
        removal = await worker.consents.remove(await again(worker, account), keeps_data=False)
        assert not removal.is_gone
        await life.to(paris(f"{MONDAY}T10:01:10"))
        found = await again(worker, account)
        assert (found.state, found.word) == ("removing", "VENDOR_DOWN")
        await life.to(paris(f"{MONDAY}T11:02"))
        assert await worker.database.read(accounts.find, account.id) is None


async def test_a_bug_that_one_account_meets_stops_no_other(life: Life) -> None:
    """Its visit ends with words to report it; all others are visited, and nothing restarts."""
    broken, other = await people(life, PRM, "12222222222222")
    chosen = settings(life.state_dir, life.twin)
    async with Worker(chosen, clock=life.clock).opened() as worker:
        await worker.database.run(_fill, broken.id)
    await life.twin.set_fault("status=503*99", PRM)
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T12:00"))
        found = await again(worker, broken)
        assert str(found.reason).startswith("A bug of the worker ended the visit (OverflowError)")
        assert (await again(worker, other)).state == "active"
        (health,) = (one for one in worker.health() if one.name == "enedis")
        assert (health.state, health.restarts) == ("working", 0)
        counted = await worker.database.read(totals.read)
        assert counted["energy.enedis.broken"] in (1, 2)


def _fill(connection: sqlite3.Connection, account: int) -> None:
    """Let a number be the largest that there is, so that none can be added."""
    cursors.begin(connection, account, "daily")
    most = "UPDATE cursors SET failures = 0x7FFFFFFFFFFFFFFF WHERE account = ?"
    assert connection.execute(most, (account,)).rowcount


async def test_a_stop_costs_nothing(life: Life) -> None:
    """What a stop interrupts is no failure; the next start asks for the same window."""
    (account,) = await people(life, PRM)
    await life.twin.set_fault("latency=30s*1,ok")
    async with life.running(grace=timedelta(milliseconds=10)):
        with anyio.fail_after(20):
            while not await life.twin.count():
                await anyio.lowlevel.checkpoint()
    async with Worker(settings(life.state_dir, life.twin), clock=life.clock).opened() as worker:
        assert await worker.database.read(cursors.asked, account.id, "daily") == ()
        cursor = await worker.database.read(cursors.cursor, account.id, "daily")
        assert (cursor.failures, cursor.trouble) == (0, None)
        assert (await again(worker, account)).reason is None
    async with life.running() as worker:
        await life.to(life.clock.now() + timedelta(seconds=1))
        asked = await worker.database.read(cursors.asked, account.id, "daily")
        assert [(day_text(one.start), day_text(one.stop)) for one in asked] == [
            ("2026-10-17", MONDAY)
        ]


async def test_nothing_is_fetched_in_mode_off(life: Life) -> None:
    """A worker that is off asks nobody."""
    await people(life, PRM)
    async with life.running(mode="off"):
        await life.to(paris(f"{MONDAY}T12:00"))
        assert await life.twin.count() == 0


def moment(life: Life) -> accounts.Moment:
    now = int(life.clock.now().timestamp() * 1000)
    return accounts.Moment(now, now)


async def helped(life: Life, account: Any, words: str, mend: Callable[[], object]) -> None:
    """Visit an account in vain, put a file right, and see it help before long."""
    async with anyio.create_task_group() as living:
        living.start_soon(life.to, paris(f"{MONDAY}T06:02"))
        while (found := await again(life.worker, account)).word is None:
            await anyio.lowlevel.checkpoint()
        assert (found.state, found.word) == ("meter_known", "LOGIN_FAILED")
        assert words in str(found.reason)
        mended = life.clock.now()
        mend()
        while life.clock.now() - mended < timedelta(minutes=1):
            found = await again(life.worker, account)
            if found.word is None:
                break
        assert (found.state, found.reason) == ("active", None)


async def test_a_secret_that_is_put_right_helps_at_once(life: Life) -> None:
    """Neither the pause of the credentials nor the time of the next visit is waited for."""
    (account,) = await people(life, PRM)
    await life.twin.set_fault("invalid-client,ok", "token")
    file = life.state_dir.with_name("client-secret")
    async with life.running():
        words = "does not know the application by these credentials"
        await helped(life, account, words, lambda: os.utime(file, ns=(0, 1)))
        assert sum(one["count"] for one in await life.twin.token_requests()) == 2


async def test_a_secret_file_that_comes_helps_at_once(life: Life) -> None:
    """So it does where there was none that could be read."""
    (account,) = await people(life, PCE)
    file = life.state_dir.with_name("client-secret")
    async with life.running():
        secret = file.read_text()
        file.unlink()
        words = "client-secret cannot be read"
        await helped(life, account, words, lambda: file.write_text(secret))


@pytest.mark.parametrize("wrong", ["no key", "00" * 32])
async def test_a_key_that_is_put_right_helps_at_once(life: Life, wrong: str) -> None:
    """A file that holds no key, or another one than tokens were encrypted with, is read anew."""
    (account,) = await people(life, PRM)
    chosen = settings(life.state_dir, life.twin, "v4")
    async with Worker(chosen, clock=life.clock).opened() as worker:
        account = await consent(worker, account, PRM)
    file = life.state_dir / "energy.key"
    key = file.read_text()
    file.write_text(wrong)
    async with life.running(enedis=chosen.enedis):
        await helped(life, account, "energy.key", lambda: file.write_text(key))
