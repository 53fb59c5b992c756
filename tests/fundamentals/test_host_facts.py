"""What the host says of a person: what is added, replaced or cleared, and when a run knows it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import OutboxDocument

Event = Callable[..., dict[str, Any]]
Tell = Callable[..., Awaitable[dict[str, Any]]]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

ALICE = "alice.example"
CONSENT = {"version": "1.0.0", "accepted_at": "2026-01-01T00:00:00"}


@pytest.fixture
async def worker(state_dir: Path) -> AsyncIterator[Worker]:
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        yield worker


@pytest.fixture
def tell(worker: Worker, agree: Callable[..., Awaitable[None]]) -> Tell:
    """Import facts of Alice, and give all that is known then."""

    async def told(**facts: Any) -> dict[str, Any]:
        await agree(worker, {"instance": ALICE, **facts})
        return await Commands(worker).instances_show(ALICE)

    return told


def state(fluid: str, since: str, connected: bool = True) -> dict[str, Any]:
    return {"fluid": fluid, "connected": connected, "since": since}


def subscription(since: str, subscribed: bool = True) -> dict[str, Any]:
    return {"subscribed": subscribed, "since": since}


async def test_histories_grow(tell: Tell) -> None:
    """What is said later is added, in the order of the dates; of one date the last one holds."""
    await tell(
        consent=CONSENT,
        konnectors=[state("gas", "2026-01-05T10:00:00.000")],
        monthly_summary=[subscription("2026-01-06T10:00:00.000")],
    )
    shown = await tell(
        consent={"version": "1.1", "accepted_at": "2026-02-01T00:00:00"},
        konnectors=[
            state("gas", "2026-01-05T10:00:00.000", False),
            state("water", "2026-01-03T10:00:00.000"),
        ],
        monthly_summary=[
            subscription("2026-01-07T10:00:00.000"),
            subscription("2026-01-07T10:00:00.000", False),
        ],
    )
    assert [item["version"] for item in shown["consents"]] == ["1.0.0", "1.1"]
    assert shown["konnectors"] == [
        state("water", "2026-01-03T10:00:00.000"),
        state("gas", "2026-01-05T10:00:00.000", False),
    ]
    assert [item["subscribed"] for item in shown["monthly_summary"]] == [True, False]


async def test_an_absent_key_leaves_and_null_clears(tell: Tell) -> None:
    """The profile and the first connection stay until they are said anew, or null."""
    uses = {"heating": "gas", "hot_water": "electricity", "cooking": "gas"}
    first = "2026-01-05T10:00:00.000"
    said = await tell(consent=CONSENT, profile=uses, first_connection_at=first)
    assert await tell() == await tell(konnectors=[], monthly_summary=[]) == said
    shown = await tell(profile={"heating": "electricity"})
    assert shown["profile"] == {"heating": "electricity", "hot_water": None, "cooking": None}
    assert shown["first_connection_at"] == first
    shown = await tell(profile=None, first_connection_at=None)
    assert set(shown["profile"].values()) == {None}
    assert shown["first_connection_at"] is None
    assert len(shown["consents"]) == 1


async def test_a_day_that_is_caught_up_gets_the_state_of_that_day(
    worker: Worker, tell: Tell, rows: Rows
) -> None:
    """The state at the end of the day counts, with what is dated on its last moment, not after."""
    await tell(
        consent=CONSENT,
        konnectors=[
            state("electricity", "2026-11-16T23:59:59.999"),
            state("water", "2026-11-18T00:00:00"),
            state("electricity", "2026-11-19T08:00", False),
            state("electricity", "2026-11-19T09:00"),
            state("water", "2026-11-21T00:00:00", False),  # when the run's day begins
        ],
    )
    await worker.run_once(datetime(2026, 11, 21, 1))
    made = [msgspec.json.decode(row.indicator) for row in await rows(worker)]
    assert {one["startDate"][-2:]: one["group1"]["categories"] for one in made[:4]} == {
        "16": "electricity",
        "17": "electricity",
        "18": "electricity:water",
        "19": "electricity:water",
    }


@pytest.mark.parametrize(
    ("told", "value"),
    [
        ([], None),  # it was never said
        ([subscription("2026-10-31T23:59:59.999")], 1),
        ([subscription("2026-11-01T00:00:00")], None),  # it was not said by then
        ([subscription("2026-10-02T10:00"), subscription("2026-10-30T10:00", False)], 0),
        ([subscription("2026-10-02T10:00"), subscription("2026-11-02T10:00", False)], 1),
    ],
)
async def test_a_month_goes_by_the_subscription_at_its_end(
    worker: Worker, tell: Tell, rows: Rows, told: list[dict[str, Any]], value: int | None
) -> None:
    """What is said of later times does not count, even if the run knows it."""
    await tell(consent=CONSENT, monthly_summary=told)
    await worker.run_once(datetime(2026, 11, 10, 1))
    made = [msgspec.json.decode(row.indicator) for row in await rows(worker)]
    found = [one["value"] for one in made if one["measureName"] == "summary-subscription-monthly"]
    assert found == ([] if value is None else [value])


@pytest.mark.parametrize(
    ("host", "seen", "duration"),
    [
        ("2026-11-19T10:00", None, 86_400),
        (None, "2026-11-19T22:00", 43_200),
        ("2026-11-19T10:00", "2026-11-19T22:00", 86_400),  # the host's word goes first
        ("2026-11-21T02:00", "2026-11-19T22:00", 43_200),  # and is not known before its date
        ("2026-11-21T02:00", None, None),
        ("2026-11-20T11:00", None, 0),
    ],
)
async def test_a_run_knows_no_later_first_connection(
    worker: Worker,
    tell: Tell,
    rows: Rows,
    event: Event,
    host: str | None,
    seen: str | None,
    duration: int | None,
) -> None:
    """The first challenge is measured from the first connection as the run knows it."""
    await tell(consent=CONSENT, first_connection_at=host)
    if seen is not None:
        first = event("ConnectionEvent", seen, "c", result="firstConnection")
        await worker.record(ALICE, {**first, "aggregated": True})
    launch = event("ChallengeLaunchEvent", "2026-11-20T10:00", target="CHALLENGE0001")
    await worker.record(ALICE, launch)
    await worker.run_once(datetime(2026, 11, 21, 1))
    made = [msgspec.json.decode(row.indicator) for row in await rows(worker)]
    found = [one["value"] for one in made if one["measureName"] == "event-duration"]
    assert found == ([] if duration is None else [duration])


async def test_the_command_line_shows_what_is_known(cli: Any) -> None:
    """`instances show` and `list` tell the histories in full, and the last of each in a line."""
    line = {
        "instance": ALICE,
        "consent": CONSENT,
        "konnectors": [state("gas", "2026-01-05T10:00"), state("water", "2026-01-05T10:00", False)],
        "profile": {"heating": "gas"},
        "first_connection_at": "2026-01-05T10:00:00Z",
    }
    await cli("instances", "import", "-", stdin=msgspec.json.encode(line))
    shown = (await cli("instances", "show", ALICE)).stdout.decode()
    for words in ("version 1.0.0", "fluid gas, connected yes", "heating gas", "2026-01-05T11:00"):
        assert words in shown
    (found,) = (await cli("instances", "list", "--json")).stdout.splitlines()
    assert found == (await cli("instances", "show", ALICE, "--json")).stdout.strip()
    listed = (await cli("instances", "list")).stdout.decode()
    for words in (ALICE, "1.0.0 on 2026-01-01", "gas", "2026-01-05"):
        assert words in listed
    assert "water" not in listed


async def test_the_list_tells_who_withdrew(cli: Any) -> None:
    """Someone who withdrew is listed so, until she agrees anew."""
    shown = []
    for words in ((), ("--at", "2999-01-01T00:00")):
        await cli("instances", "consent", ALICE, "--version", "1.0.0", *words)
        if not words:
            await cli("instances", "withdraw", ALICE, "--yes")
        shown.append(b"withdrawn" in (await cli("instances", "list")).stdout)
    assert shown == [True, False]
