"""Energy accounts: their states, what measures see of them, and what goes with them."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.clock import civil_from_instant, utc_ms
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.points import GasDetail, Point
from ecolyo_worker.store import accounts, consumption, instances, rollups
from ecolyo_worker.store.accounts import Moment, Trouble
from ecolyo_worker.store.points import Series

ALICE = "alice.example"
PRM, OTHER, PCE = "22516914714270", "11453290002823", "GI123456"
PARIS = ZoneInfo("Europe/Paris")
LOST = Trouble("the consent is gone", "USER_ACTION_NEEDED.OAUTH_OUTDATED")


def at(text: str) -> Moment:
    """Give a civil time of November 2026 as a moment."""
    civil = datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=PARIS)
    return Moment(utc_ms(civil), civil_from_instant(civil, PARIS))


def person(connection: sqlite3.Connection) -> int:
    return instances.identify(connection, ALICE)


def add(connection: sqlite3.Connection, provider: Any = "enedis", meter: str | None = PRM) -> int:
    ident = accounts.add(
        connection, person(connection), provider, meter, at("02T10:00"), consented=True
    )
    assert ident is not None
    return ident


async def konnectors(worker: Worker) -> list[Any]:
    found: Any = (await Commands(worker).instances_show(ALICE))["konnectors"]
    return [(one["fluid"], one["connected"], one["since"][8:16]) for one in found]


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    query = "SELECT name, count FROM totals WHERE name LIKE 'accounts.%' AND count != 0"
    return {name.removeprefix("accounts."): count for name, count in connection.execute(query)}


async def counts(worker: Worker) -> dict[str, int]:
    """Give how many accounts are counted in each state."""
    return await worker.database.read(_counts)


async def test_an_account_is_connected_while_it_is_active(worker: Worker) -> None:
    """Measures see a konnector from the first data on, until the consent is gone."""
    run = worker.database.run
    ident = await run(add)
    assert await konnectors(worker) == []
    assert await run(accounts.move, ident, "active", at("03T09:00"))
    assert not await run(accounts.move, ident, "active", at("03T09:30"))
    assert await run(accounts.move, ident, "needs_consent", at("05T08:00"), LOST)
    await run(accounts.authorized, ident, None, at("06T12:00"))
    await run(accounts.move, ident, "active", at("06T13:00"))
    expected = [
        ("electricity", True, "03T09:00"),
        ("electricity", False, "05T08:00"),
        ("electricity", True, "06T13:00"),
    ]
    assert await konnectors(worker) == expected


async def test_one_of_two_meters_keeps_the_fluid_connected(worker: Worker) -> None:
    """A fluid is connected while any account of it is active, and others have no part in it."""
    run = worker.database.run
    one, two, gas = await run(add), await run(add, meter=OTHER), await run(add, "grdf", PCE)
    for ident in (one, two, gas):
        await run(accounts.move, ident, "active", at("03T09:00"))
    await run(accounts.move, one, "needs_consent", at("05T08:00"), LOST)
    first = [("electricity", True, "03T09:00"), ("gas", True, "03T09:00")]
    assert await konnectors(worker) == first
    await run(accounts.move, two, "suspended", at("06T08:00"), LOST)
    assert await konnectors(worker) == [*first, ("electricity", False, "06T08:00")]


async def test_what_a_host_says_is_left_alone(worker: Worker, agree: Callable[..., Any]) -> None:
    """An account that was never active does not end a konnector that a host told of."""
    said = {"fluid": "electricity", "connected": True, "since": "2026-11-01T00:00"}
    await agree(worker, {"instance": ALICE, "konnectors": [said]})
    ident = await worker.database.run(add)
    await worker.database.run(accounts.move, ident, "needs_consent", at("05T08:00"), LOST)
    assert await konnectors(worker) == [("electricity", True, "01T00:00")]


async def test_the_states_are_counted(worker: Worker) -> None:
    """How many accounts are in each state is known without looking at any."""
    run = worker.database.run
    one = await run(add)
    two = await run(add, "grdf", None)
    assert await counts(worker) == {"meter_known": 1, "authorized": 1}
    await run(accounts.move, one, "active", at("03T09:00"))
    await run(accounts.leave, two, at("03T09:00"), keeps_data=False)
    assert await counts(worker) == {"active": 1, "removing": 1}
    await run(accounts.delete, two, PARIS)
    assert await counts(worker) == {"active": 1}
    gone = await Commands(worker).instances_forget(ALICE)
    assert gone.rows["accounts"] == 1
    assert await counts(worker) == {}


async def test_what_is_being_removed_stays_so(worker: Worker) -> None:
    """Nothing brings an account back that is to go; what is wrong with that is noted."""
    run = worker.database.run
    ident = await run(add)
    left = await run(accounts.leave, ident, at("03T09:00"), keeps_data=True)
    assert left is not None
    assert (left.state, left.keeps_data) == ("removing", True)
    states: list[accounts.State] = ["active", "needs_consent"]
    for state in states:
        assert not await run(accounts.move, ident, state, at("04T09:00"), LOST)
    assert await run(accounts.meet, ident, PRM, at("04T09:00")) == "gone"
    await run(accounts.move, ident, "removing", at("04T09:00"), LOST)
    found = await worker.database.read(accounts.find, ident)
    assert found is not None
    assert (found.state, found.reason, found.since) == ("removing", LOST.reason, left.since)
    assert PRM not in repr(found)


async def test_a_meter_belongs_to_one_account(worker: Worker) -> None:
    """A person has one account for a meter, and an account one meter, once and for all."""
    run = worker.database.run
    one, two = await run(add), await run(add, meter=None)
    with pytest.raises(AssertionError):
        await run(add)
    assert await run(accounts.meet, two, PRM, at("03T09:00")) == "taken"
    assert await run(accounts.meet, two, OTHER, at("03T09:00")) == "met"
    assert await run(accounts.meet, two, PRM, at("03T09:00")) == "other"
    assert await run(accounts.meet, 99, PRM, at("03T09:00")) == "gone"
    found = await worker.database.read(accounts.page, 0, 10, "enedis")
    assert [(one.id, one.meter, one.state) for one in found] == [
        (one, PRM, "meter_known"),
        (two, OTHER, "meter_known"),
    ]


async def test_a_suspicion_has_a_begin(worker: Worker) -> None:
    """Since when and on how many days a provider doubts the holder is kept, until it does not."""
    run = worker.database.run
    ident = await run(add)
    first = at("03T09:00")
    doubts = [
        (first, accounts.Doubt(first.utc, 1)),
        (at("03T15:00"), accounts.Doubt(first.utc, 1)),
        (at("04T08:00"), accounts.Doubt(first.utc, 2)),
        (at("09T08:00"), accounts.Doubt(first.utc, 3)),
        (None, None),
        (at("10T09:00"), accounts.Doubt(at("10T09:00").utc, 1)),
        (at("12T09:00"), accounts.Doubt(at("10T09:00").utc, 2)),
        # The clock was set back.
        (at("11T09:00"), accounts.Doubt(at("11T09:00").utc, 1)),
    ]
    for moment, doubt in doubts:
        assert await run(accounts.suspect, ident, moment) == doubt


@pytest.mark.parametrize("keeps_data", [True, False])
async def test_readings_go_with_their_account(worker: Worker, keeps_data: bool) -> None:
    """Without an account its readings and their sums go, but those of others stay, or all stay."""
    run, read = worker.database.run, worker.database.read
    begin = at("10T00:00").utc
    day = Point(begin, 1440, 1500, gas=GasDetail(1.0, 11.27))

    def fill(connection: sqlite3.Connection) -> tuple[int, int]:
        idents = add(connection, "grdf", PCE), add(connection, "grdf", PRM)
        for meter in (PCE, PRM):
            series = Series(person(connection), "gas", "day", meter, "grdf")
            consumption.store(connection, series, [day], PARIS)
        return idents

    def total(connection: sqlite3.Connection) -> list[int]:
        found = rollups.between(connection, person(connection), "gas", "year", range(2026, 2027))
        return [one.amount for one in found]

    first, second = await run(fill)
    assert await read(total) == [3000]
    for ident, left in ((first, 1500), (second, 0)):
        await run(accounts.leave, ident, at("20T00:00"), keeps_data=keeps_data)
        rows = await run(accounts.delete, ident, PARIS)
        assert rows.get("points", 0) == rows.get("gas_details", 0) == int(not keeps_data)
        assert sum(await read(total)) == (3000 if keeps_data else left)
    assert await run(accounts.delete, first, PARIS) == {}


async def test_a_meter_is_missed_as_long_as_there_is_an_account_of_it(worker: Worker) -> None:
    """After its last reading a meter makes days partial, until its account is removed."""
    run, read = worker.database.run, worker.database.read
    one, two = await run(add, "grdf", PCE), await run(add, "grdf", PRM)

    def store(connection: sqlite3.Connection, meter: str, *days: int) -> None:
        series = Series(person(connection), "gas", "day", meter, "grdf")
        points = [Point(at(f"{day}T00:00").utc, 1440, 1500) for day in days]
        consumption.store(connection, series, points, PARIS)

    def whole(connection: sqlite3.Connection) -> list[bool]:
        found = rollups.between(connection, person(connection), "gas", "day", range(2**62))
        return [one.is_whole for one in found]

    await run(store, PCE, 10, 11, 12, 13)
    assert await read(whole) == [True] * 4
    await run(store, PRM, 11)
    assert await read(whole) == [True, True, False, False]
    for ident in (two, one):
        await run(accounts.leave, ident, at("20T00:00"), keeps_data=True)
        await run(accounts.delete, ident, PARIS)
        assert await read(whole) == [True] * 4
    await run(add, "grdf", PRM)
    await run(store, PRM, 13)
    assert await read(whole) == [True, True, False, True]
