"""The quota of a provider holds for all its accounts, over restarts too."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from ecolyo_worker import Worker
from ecolyo_worker.actors.quota import Quota
from ecolyo_worker.clock import instant_text, utc_ms
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.store import quotas
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.energy import Twin
from ecolyo_worker.tools.energy_twin import EnergyTwin
from tests.energy_accounts import PCE, PRM, add, again, consent, settings
from tests.energy_polling import ODD, Polling, visit

HOUR_S = 3600


def most_within(times: list[float], seconds: float) -> int:
    """Give the most moments that lie within any so many seconds."""
    return max(sum(begin <= at < begin + seconds for at in times) for begin in times)


async def take(quota: Quota, clock: FakeClock, count: int, times: list[float]) -> None:
    """Make requests as fast as it lets them through."""
    while len(times) < count:
        until = await quota.take()
        if until is None:
            times.append(clock.monotonic())
        else:
            clock.advance((until - utc_ms(clock.now())) / 1000)


async def test_there_are_never_too_many(polling: Polling) -> None:
    """Not in any second, with room for a network's jitter, nor in any hour; over a restart too."""
    times: list[float] = []
    for count in (40, 70, 130):
        async with polling.worker(per_second=3, per_hour=50) as worker:
            await take(worker.visits["enedis"].asking.quota, polling.clock, count, times)
    assert most_within(times, 1.24) == 3
    assert most_within(times, HOUR_S) == 50
    # It is no slower than it must be.
    assert times[49] < 50 / 3 * 1.3
    assert times[50] < HOUR_S + 2


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("hours", [-24, -1, 1, 24 * 3650])
async def test_a_clock_that_is_set_changes_no_quota(
    polling: Polling, hours: int, restarts: bool
) -> None:
    """Forward or back, in mid-hour: no second and no hour has more requests, nor is one lost."""
    times: list[float] = []
    async with AsyncExitStack() as stack:
        worker = await stack.enter_async_context(polling.worker(per_second=3, per_hour=20))
        quota = worker.visits["enedis"].asking.quota
        await take(quota, polling.clock, 11, times)
        polling.clock.jump(polling.clock.now() + timedelta(hours=hours))
        await take(quota, polling.clock, 15, times)
        if restarts:
            await stack.aclose()
            worker = await stack.enter_async_context(polling.worker(per_second=3, per_hour=20))
            quota = worker.visits["enedis"].asking.quota
        await take(quota, polling.clock, 41, times)
    assert most_within(times, 1.24) == 3
    assert most_within(times, HOUR_S) == 20
    assert times[40] < 2 * HOUR_S + 20


@pytest.mark.parametrize("days", [-3650, -1, 1])
async def test_a_pause_is_as_long_whatever_the_clock_is_set_to(polling: Polling, days: int) -> None:
    """What is left of it stays, also for `status`; it ends an hour after it began."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await polling.twin.set_fault("quota-nonsense*1,ok")
        _, end = await visit(worker, account)
        left = (end.until or 0) - utc_ms(polling.clock.now())
        polling.clock.jump(polling.clock.now() + timedelta(days=days))
        quota = worker.visits["enedis"].asking.quota
        now = utc_ms(polling.clock.now())
        assert await quota.paused_until() == now + left
        assert worker.status().pauses["enedis"].until == instant_text(now + left)
        polling.clock.advance(left / 1000)
        assert await quota.paused_until() is None


async def test_a_clock_that_is_set_back_before_a_start_makes_no_pause_longer(
    polling: Polling,
) -> None:
    """No request is of a time to come: the pause after it lasts no longer than it did then."""
    async with polling.worker() as worker:
        account = await add(worker, "enedis", PRM)
        await polling.twin.set_fault("quota-nonsense*1,ok")
        _, end = await visit(worker, account)
        left = (end.until or 0) - utc_ms(polling.clock.now())
    polling.clock.jump(polling.clock.now() - timedelta(days=3650))
    for _ in range(2):
        async with polling.worker() as worker:
            until = await worker.visits["enedis"].asking.quota.paused_until()
            assert until == utc_ms(polling.clock.now()) + left
    polling.clock.advance(left / 1000)
    async with polling.worker() as worker:
        assert (await visit(worker, account))[1].kind == "done"


async def test_a_request_is_noted_when_it_leaves(polling: Polling) -> None:
    """What the first one after a start needs is made before its moment, however long that takes."""

    def slowly() -> httpx.AsyncClient:
        polling.clock.advance(5)
        return httpx.AsyncClient(trust_env=False)

    async with polling.worker() as worker:
        account, other = await add(worker, "enedis", PRM), await add(worker, "enedis", ODD)
        await visit(worker, other)  # there is a token then
    begin = utc_ms(polling.clock.now())
    chosen = settings(polling.state_dir, polling.twin, history_days=60, curve_days=14)
    async with Worker(chosen, clock=polling.clock, http=slowly).opened() as worker:
        assert (await visit(worker, account))[1].kind == "done"
        first, *_ = await worker.database.read(quotas.calls, "enedis", begin)
        assert first >= begin + 5000


async def test_providers_do_not_share(polling: Polling) -> None:
    """Gas waits for nothing that was asked of electricity."""
    async with polling.worker(per_second=1) as worker:
        for provider in ("enedis", "grdf"):
            assert await worker.visits[provider].asking.quota.take() is None
        assert polling.clock.monotonic() == 0


async def test_the_quota_of_a_second_is_waited_for(polling: Polling) -> None:
    """A visit goes on a second later with the same window."""
    async with polling.worker() as worker:
        await polling.twin.set_fault("quota-second*1,ok")
        steps, end = await visit(worker, await add(worker, "enedis", PRM))
        assert end.kind == "done"
        assert [step.kind for step in steps] == ["quota", "ok", "ok", "ok"]
        assert steps[0].window == steps[1].window


# When nobody asks any more from 10:20 on, and until when: exactly, or from then on for a minute.
TOLD = [
    ("2026", PRM, "quota-hour", "11:00:00", 0),  # nextAccessTime
    ("2026", PRM, "throttle=90", "10:21:30", 0),  # Retry-After
    ("2026", PRM, "throttle=86400", "34:20:00", 0),
    ("2026", PRM, "throttle=86401", "11:00:00", 60),
    ("2026", PRM, "throttle=9999999999", "11:00:00", 60),
    ("2026", PRM, "throttle=0", "11:00:00", 60),
    ("2026", PRM, "throttle", "11:00:00", 60),
    ("2026", PRM, "quota-nonsense", "11:00:00", 60),
    ("2026", PRM, "quota-nested", "11:00:00", 60),
    ("v5", PRM, "quota-hour", "11:00:00", 60),
    ("2026", PCE, "quota-hour", "11:00:00", 60),
    ("2026", PCE, "throttle=90", "10:21:30", 0),
    ("2026", PRM, "retry-after=90", "10:21:30", 0),
]


@pytest.mark.parametrize(("generation", "meter", "fault", "until", "for_s"), TOLD)
async def test_a_provider_is_left_alone_as_it_says(
    polling: Polling, generation: str, meter: str, fault: str, until: str, for_s: int
) -> None:
    """Until the time that it tells sanely; else until some time after the next full hour."""
    polling.clock.jump(datetime(2026, 11, 21, 10, 20, tzinfo=UTC))
    hours, minutes, seconds = map(int, until.split(":"))
    wanted = utc_ms(
        datetime(2026, 11, 21, tzinfo=UTC)
        + timedelta(hours=hours, minutes=minutes, seconds=seconds)
    )
    provider: Provider = "grdf" if meter == PCE else "enedis"
    async with polling.worker(generation) as worker:
        account = await add(worker, provider, meter)
        await polling.twin.set_fault(f"{fault}*1,ok")
        await visit(worker, account)
        found = await worker.visits[provider].asking.quota.paused_until()
        assert found is not None
        if for_s == 0:
            assert found == wanted
        else:
            assert wanted < found <= wanted + for_s * 1000
        assert await polling.twin.count() == 1
        assert (await visit(worker, account))[1].until == found
        polling.clock.advance((found - utc_ms(polling.clock.now())) / 1000)
        await polling.stand()
        assert (await visit(worker, account))[1].kind == "done"


@pytest.mark.parametrize(("generation", "meter"), [("2026", PRM), ("v5", PRM), ("2026", PCE)])
async def test_a_second_that_is_full_costs_a_second(
    polling: Polling, generation: str, meter: str
) -> None:
    """Where a quota of a second is named, the visit goes on a second later, and no earlier."""
    async with polling.worker(generation) as worker:
        account = await add(worker, "grdf" if meter == PCE else "enedis", meter)
        await polling.twin.set_fault("quota-second*1,ok")
        steps, end = await visit(worker, account)
        assert (end.kind, steps[0].kind) == ("done", "quota")
        requests = len(steps)
        spacing_s = 1.25 if meter == PCE else 0.25
        first_s = max(1, spacing_s)
        passed_s = polling.clock.monotonic()
        assert first_s <= passed_s - (requests - 2) * spacing_s < first_s + 1


async def test_the_quota_of_an_hour_ends_all_visits(polling: Polling) -> None:
    """Nobody asks before the time that was told, or the next full hour; nor after a restart."""
    async with polling.worker() as worker:
        account, other = await add(worker, "enedis", PRM), await add(worker, "enedis", ODD)
        gas = await add(worker, "grdf", PCE)
        await polling.twin.set_fault("quota-hour*1,ok")
        _, end = await visit(worker, account)
        assert (end.kind, end.until is not None) == ("later", True)
        assert (await visit(worker, other))[1].until == end.until
        assert (await visit(worker, gas))[1].kind == "done"
    async with polling.worker() as worker:
        assert (await visit(worker, account))[1].until == end.until
        assert await polling.twin.count(PRM) == 1
        assert await polling.twin.count(ODD) == 0
        polling.clock.advance(((end.until or 0) - utc_ms(polling.clock.now())) / 1000)
        assert (await visit(worker, account))[1].kind == "done"


async def test_a_silent_provider_is_left_alone(polling: Polling) -> None:
    """After five answers in a row that are none, of any accounts, there is a growing pause."""
    await polling.twin.set_fault("status=503*99")
    async with polling.worker() as worker:
        accounts = [await add(worker, "enedis", PRM, f"p{n}.example") for n in range(5)]
        for account in accounts:
            await visit(worker, account)
        assert await polling.twin.count() == 5
        pauses = []
        for _ in range(3):
            until = await worker.visits["enedis"].asking.quota.paused_until()
            assert until is not None
            pauses.append((until - utc_ms(polling.clock.now())) // 1000)
            polling.clock.advance(pauses[-1] + 1)
            await visit(worker, accounts[0])
        assert pauses == [60, 120, 240]
        await polling.twin.set_fault("ok")
        await polling.later(hours=2)
        assert (await visit(worker, accounts[0]))[1].kind == "done"
        assert await worker.visits["enedis"].asking.quota.paused_until() is None


async def test_a_provider_that_counts_never_refuses(state_dir: Path) -> None:
    """A twin that goes by the same clock refuses nothing, in a long load with a restart."""
    clock = FakeClock(datetime(2026, 11, 21, 10, tzinfo=UTC))
    quotas = ("2026=5/s", "2026=40/h")
    with EnergyTwin(today="2026-11-21", clock=lambda: clock.now().timestamp(), quotas=quotas) as on:
        polling = Polling(Twin(on.url), state_dir)
        polling.clock = clock
        async with polling.worker() as worker:
            accounts = [await add(worker, "enedis", meter) for meter in (PRM, ODD)]
        for _ in range(4):
            async with polling.worker(per_hour=40, curve_days=200) as worker:
                for account in accounts:
                    _, end = await visit(worker, account)
                    if end.until is not None:
                        clock.advance((end.until - utc_ms(clock.now())) / 1000)
        found = await polling.twin.calls()
        assert {status for call in found for status in call["statuses"]} == {"200"}
        assert {call["count"] for call in found} == {1}
        assert await polling.twin.busiest_second("enedis") <= 5


async def test_consents_go_by_the_quotas_too(state_dir: Path) -> None:
    """A provider that counts refuses nothing of readings, consents and revocations in a row."""
    clock = FakeClock(datetime(2026, 11, 21, 10, tzinfo=UTC))
    with EnergyTwin(today="2026-11-21", clock=lambda: clock.now().timestamp()) as on:
        polling = Polling(Twin(on.url), state_dir)
        polling.clock = clock
        for round_of in ("a", "b"):  # the second one after a restart
            async with polling.worker() as worker:
                for number in range(4):
                    home = await add(worker, instance=f"{round_of}{number}.example")
                    await consent(worker, home, PRM)
                    gas = await add(worker, "grdf", PCE, f"{round_of}.example")
                    if number == 1:
                        await visit(worker, home)
                        await visit(worker, gas)
                    await worker.consents.remove(gas, keeps_data=False)
                    await polling.twin.consent(PCE)
        found = await polling.twin.calls()
        assert {call["series"] for call in found} >= {"services", "rights", "right", "informative"}
        assert {status for call in found for status in call["statuses"]} == {"200"}
        assert await polling.twin.busiest_second("enedis") <= 5
        assert await polling.twin.busiest_second("grdf") == 1


async def test_a_consent_waits_for_the_hour_after_a_restart(polling: Polling) -> None:
    """Where the hour's number is used up the account says so, and goes on later."""
    async with polling.worker(per_hour=3) as worker:
        assert (await visit(worker, await add(worker, "enedis", PRM)))[1].kind == "done"
        account = await add(worker, instance="bob.example")
    async with polling.worker(per_hour=3) as worker:
        waiting = await consent(worker, account, ODD)
        assert (waiting.state, waiting.word) == ("authorized", "VENDOR_DOWN")
        assert "Enedis is asked again from 2026-11-21T11:00:0" in str(waiting.reason)
        assert await polling.twin.count(series="services") == 0
        polling.clock.advance(HOUR_S + 2)
        assert (await worker.consents.find_meter(waiting)).meter == ODD


async def test_a_quota_that_a_revocation_meets_is_everybodys(polling: Polling) -> None:
    """Nobody asks before the time that was told; the account stays until then."""
    async with polling.worker() as worker:
        account, other = await add(worker, "grdf", PCE), await add(worker, "grdf", "GI123456")
        await polling.twin.set_fault("quota-hour*1,ok", "rights")
        assert not (await worker.consents.remove(account, keeps_data=False)).is_gone
        _, end = await visit(worker, other)
        assert end.kind == "later"
        left = await again(worker, account)
        assert "GRDF is asked again from" in str(await worker.consents.revoke(left))
        assert await polling.twin.count() == 1
        polling.clock.advance(((end.until or 0) - utc_ms(polling.clock.now())) / 1000)
        assert (await worker.consents.remove_again(left)).is_gone


async def test_a_wait_for_a_quota_has_its_true_reason(polling: Polling) -> None:
    """Who comes later is told the same as who met with it, or that it is ours; in lists too."""
    async with polling.worker(per_hour=4) as worker:
        account, other = await add(worker, "enedis", PRM), await add(worker, "enedis", ODD)
        await polling.twin.set_fault("quota-hour*1,ok")
        used_up = "More was asked of Enedis than it allows."
        for one in (account, other):
            assert (await visit(worker, one))[1].reason == used_up
            assert (await again(worker, one)).reason == used_up
        await polling.later(hours=2)
        await visit(worker, account)
        assert (await visit(worker, other))[1].reason == (
            "Enedis is asked no more in this hour: its quota is used up."
        )


async def test_a_wait_after_failures_has_its_true_reason(polling: Polling) -> None:
    """Who comes later is told what failed, and how often in a row."""
    await polling.twin.set_fault("status=503*99")
    async with polling.worker() as worker:
        accounts = [await add(worker, "enedis", PRM, f"p{n}.example") for n in range(6)]
        ends = [(await visit(worker, account))[1] for account in accounts]
        assert {end.reason for end in ends[:2]} == {"Enedis has a technical error."}
        assert {(end.kind, end.reason) for end in ends[2:]} == {
            (
                "later",
                "Enedis has a technical error. That was so 5 times in a row: it is left alone.",
            )
        }
        reasons = [(await again(worker, account)).reason for account in accounts]
        assert [str(reason).count("technical error") for reason in reasons] == [1] * 6
