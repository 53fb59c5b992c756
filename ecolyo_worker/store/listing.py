"""The outbox as it is read by people: row by row, with what each attempt came to.

Each reading looks at a bounded number of rows, however few of them are wanted, so that nothing
else waits long for the database.
"""

import sqlite3

import msgspec
from msgspec import Struct

from ecolyo_worker.store import attempts
from ecolyo_worker.store.attempts import Kept
from ecolyo_worker.store.outbox import OutboxRow

__all__ = ["Tried", "Wanted", "page", "tried", "tried_page"]

_MOST_LOOKS = 10_000


class Wanted(Struct, frozen=True):
    """Which rows to give; None is all. `start_date` is YYYY-MM-DD."""

    state: str | None = None
    measure: str | None = None
    start_date: str | None = None


class Tried(Struct, frozen=True):
    """A row, and those of its attempts that are kept."""

    row: OutboxRow
    attempts: list[Kept]

    @property
    def made(self) -> int:
        """How many attempts of it were ever made."""
        return self.attempts[-1].n if self.attempts else 0


def page(
    connection: sqlite3.Connection, after: int, limit: int, wanted: Wanted
) -> tuple[list[OutboxRow], int | None]:
    """Give up to `limit` of the next rows behind an id, and the id to go on behind.

    That id is None at the end. There may be none among those that were looked at, and some behind.
    """
    (upto,) = connection.execute(
        "SELECT max(id) FROM (SELECT id FROM outbox WHERE id > ? ORDER BY id LIMIT ?)",
        (after, _MOST_LOOKS),
    ).fetchone()
    values = {"after": after, "upto": upto, "limit": limit, **msgspec.structs.asdict(wanted)}
    rows = [OutboxRow(*row) for row in connection.execute(_PAGE, values)]
    return rows, rows[-1].id if len(rows) == limit else upto


def tried_page(
    connection: sqlite3.Connection, after: int, limit: int, wanted: Wanted
) -> tuple[list[Tried], int | None]:
    """Give the same with the attempts of each row."""
    rows, last = page(connection, after, limit, wanted)
    found = attempts.of_rows(connection, [row.id for row in rows])
    return [Tried(row, found[row.id]) for row in rows], last


def tried(connection: sqlite3.Connection, ident: int) -> Tried | None:
    """Give one row with its attempts, or None."""
    found, _ = tried_page(connection, ident - 1, 1, Wanted())
    return found[0] if found and found[0].row.id == ident else None


_PAGE = f"""
    SELECT {", ".join(OutboxRow.__struct_fields__)} FROM outbox
     WHERE id > :after AND id <= :upto
       AND (:state IS NULL OR state = :state) AND (:measure IS NULL OR measure = :measure)
       AND (:start_date IS NULL OR start_date = :start_date)
     ORDER BY id LIMIT :limit
"""  # noqa: S608  columns of ours
