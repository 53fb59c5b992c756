"""What is told of each day of an account: whether it is asked for again, when, or why not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.actors.series import Wanted
from ecolyo_worker.clock import parse_day, utc_ms
from ecolyo_worker.commands import Commands
from ecolyo_worker.providers import Enedis
from ecolyo_worker.requests import Coverage, CoverageDay
from ecolyo_worker.store import accounts, quotas, visits
from ecolyo_worker.store.quotas import Pause
from tests.energy_accounts import NOW, PRM, add, again, settings
from tests.energy_polling import ODD, Polling, visit

WEDNESDAY, SUNDAY = "2026-11-18", "2026-11-15"


async def covered(worker: Worker, account: int, of: int | None = None) -> dict[str, CoverageDay]:
    """Give what is told of the days of a year, by default this one, by their date."""
    (year,) = [one async for one in Commands(worker).coverage(Coverage(account, of))]
    return {day.day: day for day in year.days}


def told(days: dict[str, CoverageDay]) -> set[tuple[str, str | None, str | None]]:
    """Give what is told of days, once each."""
    return {(day.state, day.reason, day.next_try) for day in days.values()}


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
        status = worker.status()
        assert status.suspect_days == 1  # what is held of it contradicts itself for good
        assert "tells which, and which are still asked for" in " ".join(status.advice)


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
        command = f"`accounts authorize {account.id} --meter NUMBER`"
        assert all(command in str(day.reason) for day in days)
        # Both series were given up for the same reason, which is told once.
        assert str((await again(worker, account)).reason).count("It is asked for again") == 1


@pytest.mark.parametrize(
    ("fault", "place", "state", "reason"),
    [
        ("unavailable", "", "error", "Enedis has a technical error."),
        ("not-holder", "", "error", "Enedis says that somebody else holds this meter now"),
        ("status=503", "token", "error", "Enedis has a technical error."),
        ("quota-hour", "", "late", "More was asked of Enedis than it allows."),
    ],
)
async def test_days_that_do_not_come_name_the_fault(
    polling: Polling, fault: str, place: str, state: str, reason: str
) -> None:
    """Whoever is not answered as agreed reads why, and when it is tried again."""
    await polling.twin.set_fault(f"{fault}*99", place)
    async with polling.worker(history_days=3) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        ((found, words, again),) = told(await covered(worker, account.id))
        assert (found, again) == (state, "2026-11-21")
        assert str(words).startswith(reason)


async def test_the_newest_days_name_it_too(polling: Polling) -> None:
    """While a provider is down, the days since are told with the time of the next visit."""
    async with polling.worker(history_days=14) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        await polling.later(days=3)
        days = await covered(worker, account.id)
        assert told({day: days[day] for day in list(days)[-3:]}) == {
            ("late", "not asked for yet", "2026-11-24")
        }
        await polling.twin.set_fault("unavailable*99")
        await visit(worker, account)
        now = utc_ms(polling.clock.now())
        await worker.database.run(visits.note, account.id, now, now + 86_400_000)
        days = await covered(worker, account.id)
        assert days["2026-11-20"].state == "measured"
        assert told({day: days[day] for day in list(days)[-3:]}) == {
            ("error", "Enedis has a technical error.", "2026-11-25")
        }


async def test_others_wait_for_a_provider_that_is_left_alone(polling: Polling) -> None:
    """An account that was never visited says why, and that it is after the pause."""
    async with polling.worker(history_days=3) as worker:
        account = await add(worker, "enedis", PRM)
        until = utc_ms(polling.clock.now()) + 2 * 86_400_000
        for failures, state in ((0, "late"), (5, "error")):
            pause = Pause(until, "Enedis has a technical error.", failures)
            await worker.database.run(quotas.pause, "enedis", pause)
            assert told(await covered(worker, account.id)) == {
                (state, "Enedis has a technical error.", "2026-11-23")
            }


async def test_a_lost_consent_is_told_of_the_history_alone(polling: Polling) -> None:
    """Days before the history that is fetched are left out; others say whose turn it is."""
    await polling.twin.set_meter(PRM, "revoked")
    async with polling.worker(history_days=60) as worker:
        account = await add(worker, "enedis", PRM)
        await visit(worker, account)
        assert not await covered(worker, account.id, 2005)
        days = await covered(worker, account.id)
        assert len(days) == 60
        ((state, reason, again),) = told(days)
        assert (state, again) == ("no consent", None)
        assert str(reason).endswith("The holder of the meter must agree anew, from the app.")


async def test_what_a_lost_consent_left_unasked_is_told(polling: Polling) -> None:
    """Also days before those that came: nobody may ask for them any more."""
    async with polling.worker(history_days=20) as worker:
        account = await add(worker, "enedis", PRM)
        november = Wanted(range(parse_day("2026-11-10"), parse_day("2026-11-20")))
        await visit(worker, account, november)
        await polling.twin.revoke(PRM)
        await visit(worker, account)
        days = await covered(worker, account.id)
        assert [day.state for day in days.values()] == [
            *(["no consent"] * 9),
            *(["measured"] * 10),
            "no consent",
        ]


async def test_who_has_not_consented_reads_so(polling: Polling) -> None:
    """So do accounts of which the meter is not known; Enedis is asked by a consent's number."""
    async with polling.worker(history_days=3) as worker:
        account = await add(worker, "enedis")
        assert told(await covered(worker, account.id)) == {
            ("no consent", "nobody has consented yet", None)
        }
        for number, again in ((None, None), (7, "2026-11-21")):
            await worker.database.run(accounts.authorized, account.id, number, NOW)
            assert told(await covered(worker, account.id)) == {
                ("late", "which meter it is for is not known yet", again)
            }


async def test_where_nothing_is_fetched_no_day_is_promised(
    polling: Polling, state_dir: Path
) -> None:
    """A worker that is off, or not known at the provider, says so instead of a time."""
    async with polling.worker(history_days=3) as worker:
        account = await add(worker, "enedis", PRM)
    known = settings(state_dir, polling.twin, history_days=3)
    unknown = known.replace(enedis=Enedis(history_days=3))
    for chosen, why in (
        (known.replace(mode="off"), "worker.mode is off"),
        (unknown, "enedis.client_id is not set"),
    ):
        async with Worker(chosen, clock=polling.clock).opened() as worker:
            assert told(await covered(worker, account.id)) == {
                ("missing", f"not asked for: {why}", None)
            }
