"""What a consent allows: which events are counted under it, from when on, and until when."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import EventsList, OutboxDocument, Retry
from ecolyo_worker.settings import Aggregation, Dacc
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.ledger import assert_balanced

Event = Callable[..., dict[str, Any]]
Agree = Callable[..., Awaitable[None]]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

ALICE = "alice.example"
NIGHT = datetime(2026, 11, 21, 1, 0)
WITHDRAWN = {"instance": ALICE, "consent": None}
DAILY = "navigation-count-daily"


def consent(accepted_at: str, version: str = "1.0.0") -> dict[str, Any]:
    return {"instance": ALICE, "consent": {"version": version, "accepted_at": accepted_at}}


@pytest.fixture
async def made(state_dir: Path, rows: Rows, agree: Agree, event: Event) -> Any:
    """Tell a history of consents in order, and give the days of which a run makes a row.

    There is a visit at noon of each day from 1 to 20 November.
    """

    async def days(*told: dict[str, Any], as_of: datetime = NIGHT, **settings: Any) -> list[int]:
        chosen = Settings(state_dir=state_dir, **settings)
        async with Worker(chosen).opened() as worker:
            for said in told:
                await agree(worker, said)
            stamps = [f"2026-11-{day:02}T12:00" for day in range(1, 21)]
            visits = [event("NavigationEvent", at, at, target="gas") for at in stamps]
            await worker.record(ALICE, visits)
            await worker.run_once(as_of)
            found = [row.start_date for row in await rows(worker) if row.measure == DAILY]
        await assert_balanced(state_dir)
        return [int(day[-2:]) for day in found]

    return days


OLD, NEW = consent("2026-11-05T12:00"), consent("2026-11-10T00:00", "1.1")
POOR = consent("2026-11-15T00:00", "0.9")


@pytest.mark.parametrize(
    ("told", "begin"),
    [
        ([OLD], 5),
        ([consent("2026-11-05T12:00:00.001")], 6),  # no grace
        ([OLD, NEW], 5),  # accepting newer terms takes nothing away
        ([NEW, OLD], 5),  # in whatever order that is told
        ([OLD, POOR], None),  # an insufficient one ends the series
        ([OLD, POOR, consent("2026-11-18T00:00")], 18),
        ([OLD, POOR, consent("2026-11-15T00:00", "1.0")], 5),  # of one date the last one given
        ([OLD, consent("2026-11-05T12:00", "0.9")], None),
        ([OLD, WITHDRAWN], None),
        ([OLD, WITHDRAWN, NEW, WITHDRAWN], None),
        ([OLD, WITHDRAWN, OLD], None),  # an old file imported again revives nothing
        ([OLD, NEW, WITHDRAWN, consent("2026-11-08T00:00"), NEW], None),
        ([OLD, NEW, WITHDRAWN, consent("2026-11-12T00:00"), OLD], 12),
        ([WITHDRAWN, OLD], 5),  # it ends what was given before it: nothing
        ([OLD, consent("2026-12-24T00:00", "0.9")], 5),  # not known yet
        ([consent("2026-12-24T00:00")], None),
        ([OLD, consent("2026-11-22T00:00"), WITHDRAWN, consent("2026-11-12T00:00")], None),
    ],
)
async def test_what_is_counted_begins_with_the_acceptance(
    made: Any, told: list[dict[str, Any]], begin: int | None
) -> None:
    """Days are counted from the beginning of the series of consents that is in force."""
    assert await made(*told) == ([] if begin is None else list(range(begin, 21)))


async def test_a_run_as_of_earlier_knows_what_was_known_then(made: Any) -> None:
    """A run as of a time before the insufficient consent counts under the one in force then."""
    assert await made(OLD, POOR, as_of=datetime(2026, 11, 12, 1)) == list(range(5, 12))


async def test_a_withdrawal_holds_whatever_the_time_of_the_run(made: Any) -> None:
    """It has no date: a run as of a time before it counts nothing either."""
    assert await made(OLD, NEW, WITHDRAWN, as_of=datetime(2026, 11, 12, 1)) == []


async def test_the_version_that_suffices_is_a_setting(made: Any) -> None:
    """With newer terms required the series begins with the first consent to those."""
    required = Aggregation(consent_version="1.1.0")
    assert await made(OLD, NEW, aggregation=required) == list(range(10, 21))


async def test_what_is_before_the_acceptance_serves_as_a_fact(
    state_dir: Path, rows: Rows, agree: Agree, event: Event
) -> None:
    """Earlier events make no row, and are the first connection, the first launch, the first end."""
    end = {"target": "CHALLENGE0001", "startDate": "2026-10-01T00:00"}
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await agree(worker, consent("2026-10-10T00:00"))
        launch = {"target": "CHALLENGE0001"}
        await worker.record(
            ALICE,
            [
                event("ConnectionEvent", "2026-10-02T10:00", result="firstConnection"),
                event("ChallengeLaunchEvent", "2026-10-03T10:00", **launch),
                event("ChallengeEndEvent", "2026-10-09T23:59", **end),
                event("ChallengeLaunchEvent", "2026-10-11T10:00", **launch),
                event("ChallengeEndEvent", "2026-10-11T11:00", **end),
                event("ProfileSetEvent", "2026-10-09T10:00"),
                event("ProfileSetEvent", "2026-10-12T10:00"),
                event("ConnectionEvent", "2026-10-12T10:00"),
            ],
        )
        await worker.run_once(datetime(2026, 10, 21, 1))
        await worker.run_once(datetime(2026, 11, 6, 1))
        shown = await Commands(worker).instances_show(ALICE)
        assert shown["first_connection_seen"] == "2026-10-02T10:00:00.000"
        listed = Commands(worker).events_list(EventsList(state="unconsented"))
        assert len([found async for found in listed]) == 4
        values = {row.measure: msgspec.json.decode(row.indicator) for row in await rows(worker)}
    assert "event-duration" not in values
    assert values["connection-count-monthly"]["value"] == 1
    assert values["profile-count-monthly"]["value"] == 1


async def test_a_month_is_not_repeated(state_dir: Path, rows: Rows, agree: Agree) -> None:
    """After a withdrawal and a new consent a month that was done stays done."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await agree(worker, consent("2026-10-01T00:00"))
        assert (await worker.run_once(NIGHT)).months == 1
        await agree(worker, WITHDRAWN)
        await agree(worker, consent("2026-10-15T00:00"))
        assert (await worker.run_once(NIGHT)).months == 0
        assert await rows(worker) == []
    await assert_balanced(state_dir)


async def test_a_day_goes_on_under_a_new_consent(
    state_dir: Path, agree: Agree, event: Event
) -> None:
    """What comes again after a withdrawal is not counted twice, even if the consent is antedated.

    Days that had not been counted are, with what was done under the new consent.
    """
    visits = {day: event("NavigationEvent", f"2026-11-{day}T10:00", f"{day}") for day in (19, 20)}
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await agree(worker, consent("2026-11-01T00:00"))
        await worker.record(ALICE, [visits[19], visits[20]])
        await worker.run_once(datetime(2026, 11, 20, 1))
        await agree(worker, WITHDRAWN)
        await agree(worker, consent("2026-11-02T00:00"))
        await worker.record(ALICE, [visits[19], visits[20]])
        report = await worker.run_once(NIGHT)
        assert report.events == {"expired": 1, "counted": 1}
        assert report.indicators == {DAILY: 1}
    await assert_balanced(state_dir)


async def test_what_was_kept_here_is_never_sent(
    state_dir: Path, echo: Echo, rows: Rows, agree: Agree, event: Event
) -> None:
    """Rows of mode `local` stay after a change to `on`: no command moves them, and no run."""
    async with Worker(Settings(state_dir=state_dir, mode="local")).opened() as worker:
        await agree(worker, consent("2026-11-01T00:00"))
        await worker.record(ALICE, event("NavigationEvent", "2026-11-19T10:00", target="gas"))
        await worker.run_once(NIGHT)
    settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url, rate=1000))
    async with Worker(settings).opened() as worker:
        await worker.record(ALICE, event("NavigationEvent", "2026-11-20T10:00", target="gas"))
        await worker.run_once(NIGHT)
        assert (await Commands(worker).outbox_retry(Retry(None))).rows == 0
        await worker.send(until_empty=True)
        assert [row.state for row in await rows(worker)] == ["local", "sent"]
    assert [one["indicator"]["startDate"] for one in await echo.indicators()] == ["2026-11-20"]
    await assert_balanced(state_dir, echo.url)


async def test_events_are_not_wanted_in_mode_off(cli: Any, event: Event) -> None:
    """`events import` says so and stores nothing; a consent can be given and withdrawn."""
    off = {"ECOLYO_WORKER__MODE": "off"}
    await cli("instances", "consent", ALICE, "--version", "1.0.0", env=off)
    text = msgspec.json.encode(event("NavigationEvent", "2026-11-20T10:00"))
    done = await cli("events", "import", "-", "--instance", ALICE, stdin=text, env=off)
    assert (done.returncode, done.stdout) == (65, b"")
    assert b"the mode is off (worker.mode): no event is taken" in done.stderr
    assert (await cli("instances", "withdraw", ALICE, "--yes", env=off)).returncode == 0
    assert b'"waiting":0' in (await cli("status", "--json", env=off)).stdout


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_file_that_withdraws_wants_a_yes(cli: Any, confirmed: bool) -> None:
    """`instances import` of a null consent without `--yes` is refused line by line: exit 65."""
    await cli("instances", "consent", ALICE, "--version", "1.0.0", "--at", "2026-01-05T10:00")
    text = b'{"instance": "alice.example", "consent": null}\n{"instance": "bob.example"}'
    done = await cli("instances", "import", "-", *["--yes"] * confirmed, stdin=text)
    assert done.returncode == (0 if confirmed else 65)
    assert (b"--yes" in done.stderr + done.stdout) is not confirmed
    shown = (await cli("instances", "show", ALICE, "--json")).stdout
    assert (b'"withdrawn_through":"2026-01-05T10:00:00.000"' in shown) is confirmed
    assert (await cli("instances", "show", "bob.example")).returncode == 0
