"""Drawing rows costs the same whatever else waits."""

import random
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ecolyo_worker.store import destinations, draw, instances
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.destinations import Standing

DRAW = draw.Draw(now=1_000, due=1_000, latest=2_000, limit=4)

WAITING = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
    " INSERT INTO outbox (key, instance, destination, measure, start_date, body, body_hmac, state,"
    " due, shuffle, created) SELECT randomblob(16), ?, ?, 'm', '2026-11-20', x'00', x'00',"
    " 'pending', ?, i + ?, 0 FROM n"
)


def wait(
    connection: sqlite3.Connection, rows: int, due: int, destination: int = 1, place: int = 0
) -> None:
    """Put so many pending rows of a destination into the outbox, with places from one on."""
    instance = instances.identify(connection, "alice.example")
    connection.execute(WAITING, (rows, instance, destination, due, place))


def wait_singly(connection: sqlite3.Connection, moments: int, each: int) -> None:
    """Put rows into the outbox, so many due at each of so many moments, all of which have come.

    No clock that goes right can give them, as after one that was set back.
    """
    wait(connection, moments * each, 1)
    connection.execute("UPDATE outbox SET due = 2001 + id / ?", (each,))


def steps_of_a_claim(connection: sqlite3.Connection) -> int:
    """Count what SQLite does to draw four rows, in units of ten steps of its machine."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    connection.set_progress_handler(count, 10)
    try:
        claims = draw.claim(connection, DRAW, leaving)
    finally:
        connection.set_progress_handler(None, 10)
    assert len(claims.rows) == 4
    return steps


async def cost_beside(directory: Path, put: Callable[..., None], *sizes: int) -> int:
    """Count what a claim takes in a database of its own, in which such rows wait."""
    async with Database.open(directory / "-".join(map(str, sizes))) as database:
        await database.run(destinations.identify, None)
        await database.run(put, *sizes)
        return await database.run(steps_of_a_claim)


async def test_a_claim_costs_the_same_with_many_rows_waiting(tmp_path: Path) -> None:
    """A hundred times as many rows, due or in backoff, make a claim no more work for SQLite."""
    async with Database.open(tmp_path) as database:
        await database.run(destinations.identify, None)
        costs = []
        for rows in (200, 20_000):
            for due in (0, 1_500):
                await database.run(wait, rows, due)
            costs.append(await database.run(steps_of_a_claim))
    assert costs[1] <= 1.2 * costs[0]


async def test_a_claim_costs_the_same_with_many_rows_that_become_due(tmp_path: Path) -> None:
    """A run's rows, which become due at once, make a claim no more work if they are many."""

    def become_due(connection: sqlite3.Connection, rows: int) -> None:
        for moment in (900, 2_001):  # that has come; that no clock which goes right can give
            wait(connection, rows, moment)

    costs = [await cost_beside(tmp_path, become_due, rows) for rows in (200, 20_000)]
    assert costs[1] <= 1.2 * costs[0]


async def test_a_claim_makes_a_bounded_number_of_rows_due(tmp_path: Path) -> None:
    """Ten times as many moments that have come, or four rows of each, make a claim no more work."""
    sizes = ((4_000, 1), (40_000, 1), (4_000, 4))
    costs = [await cost_beside(tmp_path, wait_singly, *size) for size in sizes]
    assert max(costs) <= 1.2 * costs[0]


async def test_rows_that_may_not_leave_keep_no_others_of_their_moment(tmp_path: Path) -> None:
    """A claim goes on to the next rows of a moment where the first ones may not leave."""

    def refusing(drawn: Sequence[draw.Drawn]) -> list[draw.Verdict]:
        return [
            draw.Verdict("in_flight" if row.claimed.id > 10 else "pending", due=1_500)
            for row in drawn
        ]

    async with Database.open(tmp_path) as database:
        await database.run(destinations.identify, None)
        await database.run(wait, 20, 900)
        claims = await database.run(draw.claim, DRAW, refusing)
    assert [row.id for row in claims.rows] == [11, 12, 13, 14]


async def test_rows_that_are_held_back_keep_no_others_of_their_moment(tmp_path: Path) -> None:
    """A claim finds the rows that may leave behind a hundred that become due and are held back."""
    async with Database.open(tmp_path) as database:
        held, free = await database.run(two_destinations)
        await database.run(wait, 100, 900, held)
        await database.run(wait, 4, 900, free, 100)
        claims = await database.run(draw.claim, DRAW, leaving)
    assert [row.destination for row in claims.rows] == [free] * 4


async def test_a_claim_tells_that_there_may_be_more(tmp_path: Path) -> None:
    """It looks at a bounded number of rows that become due, and says that it did not see all."""
    async with Database.open(tmp_path) as database:
        held, free = await database.run(two_destinations)
        await database.run(wait, 40_000, 900, held)
        await database.run(wait, 4, 900, free, 40_000)
        claims = await database.run(draw.claim, DRAW, leaving)
        first = claims
        while claims.more and not claims.rows:
            claims = await database.run(draw.claim, DRAW, leaving)
    assert first.rows == []
    assert [row.destination for row in claims.rows] == [free] * 4


async def test_rows_of_a_paused_destination_cost_nothing(tmp_path: Path) -> None:
    """40,000 rows that are held back make a claim of others no more work than a few of them do."""
    async with Database.open(tmp_path) as database:
        held, free = await database.run(two_destinations)
        costs = []
        await database.run(wait, 200, 0, free)
        for rows in (10, 40_000):
            await database.run(wait, rows, 0, held)
            costs.append(await database.run(steps_of_a_claim))
        assert await database.run(draw.next_moment, 1_000, 2_000) == 1_000
    assert costs[1] <= 1.2 * costs[0]


async def test_a_claim_looks_once_at_each_destination(tmp_path: Path) -> None:
    """Ten rows more for each of a hundred people make a claim no more work."""
    async with Database.open(tmp_path) as database:
        ids = await database.run(many_destinations, 100)
        costs = []
        for rows in (10, 20):
            for ident in ids:
                await database.run(wait, rows, 0, ident)
            costs.append(await database.run(steps_of_a_claim))
    assert costs[1] <= 1.2 * costs[0]


async def test_the_draw_is_one_over_all_moments_that_have_come(tmp_path: Path) -> None:
    """Whenever rows became due, those with the smallest random places leave first, claim by claim.

    Those whose moment has not come yet do not leave.
    """
    draws = random.Random(3)
    rows = [(draws.choice((0, 300, 400, 1_000, 1_500, 2_001)), n) for n in range(200)]
    draws.shuffle(rows)
    drawn: list[int] = []
    async with Database.open(tmp_path) as database:
        await database.run(destinations.identify, None)
        for due, place in rows:
            await database.run(wait, 1, due, 1, place)
        while claims := (await database.run(draw.claim, DRAW, leaving)).rows:
            drawn += [await database.run(place_of, row.id) for row in claims]
    assert drawn == sorted(place + 1 for due, place in rows if due != 1_500)


async def test_the_draw_is_one_over_all_destinations(tmp_path: Path) -> None:
    """The rows with the smallest random places leave first, whosever they are."""
    async with Database.open(tmp_path) as database:
        ids = await database.run(many_destinations, 8)
        for n, ident in enumerate(ids):
            await database.run(wait, 4, 0, ident, 10 * n)
        everything = msgspec.structs.replace(DRAW, limit=8)
        claims = await database.run(draw.claim, everything, leaving)
    assert [row.destination for row in claims.rows] == [ids[0]] * 4 + [ids[1]] * 4


def leaving(drawn: Sequence[draw.Drawn]) -> list[draw.Verdict]:
    """Let every row leave."""
    return [draw.Verdict("in_flight")] * len(drawn)


def place_of(connection: sqlite3.Connection, ident: int) -> int:
    """Give a row's random place."""
    place: int
    (place,) = connection.execute("SELECT shuffle FROM outbox WHERE id = ?", (ident,)).fetchone()
    return place


def two_destinations(connection: sqlite3.Connection) -> tuple[int, int]:
    """Make one that is held back until after the draw, and one that is ready."""
    held, free = many_destinations(connection, 2)
    standing = Standing(state="paused", not_before=1_800, reason="no token")
    destinations.store(connection, {held: standing})
    return held, free


def many_destinations(connection: sqlite3.Connection, count: int) -> list[int]:
    """Make so many instances with a destination each."""
    names = [f"i{n}.example" for n in range(count)]
    return [
        destinations.identify(connection, instances.identify(connection, name)) for name in names
    ]
