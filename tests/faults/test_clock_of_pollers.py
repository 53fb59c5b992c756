"""Wrong clocks and those who fetch readings: what they ask of Enedis, and when."""

from datetime import timedelta

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.clock import parse_day, utc_ms
from ecolyo_worker.store import accounts, cursors, visits
from tests.energy_accounts import PRM, again, settings
from tests.fundamentals.test_poller import MONDAY, Life, moment, paris, people, slot


@pytest.mark.fault(35)
@pytest.mark.parametrize("fault", ["status=503", "ok", "no-data", "too-early"])
@pytest.mark.parametrize("days", [1, 3653])
async def test_a_time_with_a_wrong_clock_costs_no_reading(
    life: Life, fault: str, days: int
) -> None:
    """Whatever Enedis answered meanwhile: set right, all comes that should have come."""
    (account,) = await people(life, PRM)
    await life.twin.set_fault(f"{fault}*99")
    await life.jump(timedelta(days=days))
    async with life.running():
        await life.to(life.clock.now() + timedelta(seconds=30))
    await life.twin.set_fault("ok")
    await life.twin.clear()
    await life.jump(-timedelta(days=days))
    async with life.running() as worker:
        await life.to(life.clock.now() + timedelta(seconds=30))
        assert await life.twin.count(PRM) > 0
        for hour in (12, 36, 60, 84):
            await life.to(paris(f"{MONDAY}T00:00") + timedelta(hours=hour))
        found = await again(worker, account)
        assert (found.state, found.reason) == ("active", None)
        wanted = range(parse_day("2026-11-10"), parse_day("2026-11-19"))
        for series in ("daily", "curve"):
            held = await worker.database.read(cursors.held_days, found, series, wanted)
            assert list(held) == list(wanted)
        (health,) = (one for one in worker.health() if one.name == "enedis")
        assert str(health.next_due).startswith("2026-11-19")


@pytest.mark.fault(36)
async def test_a_consent_of_a_time_to_come_is_no_reason_to_come_again(life: Life) -> None:
    """Who consented while the clock was ahead is visited as often as others once it is right."""
    (account,) = await people(life, PRM)
    await life.jump(timedelta(days=3650))
    lost = accounts.Trouble("it is lost", "USER_ACTION_NEEDED.OAUTH_OUTDATED")
    async with Worker(settings(life.state_dir, life.twin), clock=life.clock).opened() as worker:
        run = worker.database.run
        await run(accounts.move, account.id, "needs_consent", moment(life), lost)
        await run(accounts.authorized, account.id, None, moment(life))
    await life.jump(-timedelta(days=3650))
    await life.twin.set_fault("no-data*99")
    async with life.running() as worker:
        await life.to(life.clock.now() + timedelta(minutes=5))
        assert (await again(worker, account)).since > utc_ms(life.clock.now())
        assert await life.twin.count(PRM) == 2


@pytest.mark.fault(35, 36, 37)
@pytest.mark.parametrize("hours", [-24, -1, 1, 6, 24])
async def test_a_clock_that_is_set_moves_visits_no_further_than_their_slot(
    life: Life, hours: int
) -> None:
    """The next visit to an account is in the next slot of the new time, or at once, and is one."""
    (account,) = await people(life, PRM)
    async with life.running() as worker:
        await life.to(paris(f"{MONDAY}T06:00:10"))
        await life.jump(timedelta(hours=hours))
        following = slot(worker, account, life.clock.now())
        await life.twin.clear()
        await life.to(following + timedelta(minutes=1))
        read = worker.database.read
        ((_, visited),) = await read(visits.visited, "enedis", 0, 9)
        assert utc_ms(following) <= visited <= utc_ms(life.clock.now())
        await life.to(following + timedelta(hours=3))
        assert await read(visits.visited, "enedis", 0, 9) == [(account.id, visited)]
