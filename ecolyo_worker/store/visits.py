"""Visits: when each account's provider is asked for it next."""

import sqlite3

from msgspec import Struct

from ecolyo_worker.energy.answers import Provider

__all__ = [
    "Due",
    "begin",
    "due",
    "due_of",
    "hasten",
    "hasten_lacking",
    "note",
    "put_off",
    "visited",
]

# What is asked for; of one whose meter is not known, Enedis is asked which it is.
_VISITED = (
    "a.provider = :provider AND (a.state IN ('meter_known', 'active', 'removing')"
    " OR (a.state = 'authorized' AND a.consent IS NOT NULL))"
)
# One whose state changed since, as by another consent, waits for no time of the schedule; unless it
# changed at a time to come, which would be since every visit.
_WHEN = (
    "iif(v.visited IS NULL OR (v.visited < a.since AND a.since <= :now) OR v.due > :latest, 0,"
    " v.due)"
)


# Who only looks takes a time as it is noted.
_ANY_TIME = 1 << 62


class Due(Struct, frozen=True):
    """The accounts that are to be visited now, and when the next one is, in ms of UTC."""

    accounts: tuple[int, ...]
    following: int | None


def due(
    connection: sqlite3.Connection, provider: Provider, now: int, latest: int, most: int
) -> Due:
    """Tell which of a provider's accounts to visit, those first that wait the longest.

    No visit is due later than `latest`, unless the clock was: then it is due now.
    """
    rows = connection.execute(
        f"SELECT a.id, {_WHEN} AS due FROM accounts AS a"  # noqa: S608  texts of ours
        f" LEFT JOIN visits AS v ON v.account = a.id WHERE {_VISITED} ORDER BY due, a.id LIMIT"
        " :most",
        {"provider": provider, "now": now, "latest": latest, "most": most},
    ).fetchall()
    found = tuple(ident for ident, at in rows if at <= now)
    return Due(found, next((at for _, at in rows if at > now), None))


def due_of(connection: sqlite3.Connection, account: int, now: int) -> int:
    """Give when an account is to be visited next, in ms of UTC; 0 is as soon as can be."""
    row = connection.execute(
        f"SELECT {_WHEN} FROM accounts AS a"  # noqa: S608  texts of ours
        " LEFT JOIN visits AS v ON v.account = a.id WHERE a.id = :id",
        {"id": account, "now": now, "latest": _ANY_TIME},
    ).fetchone()
    return 0 if row is None else int(row[0])


def begin(connection: sqlite3.Connection, account: int) -> None:
    """Note that the visit begins that was to come at once; who hastens now means the next one."""
    connection.execute("UPDATE visits SET due = 1 WHERE account = ? AND due = 0", (account,))


def note(connection: sqlite3.Connection, account: int, visited: int, due: int) -> None:
    """Note a visit, and when the next one is due, unless it is to come at once; in ms of UTC."""
    connection.execute(
        "INSERT INTO visits (account, due, visited)"
        " SELECT id, ?, ? FROM accounts WHERE id = ?"
        " ON CONFLICT DO UPDATE SET due = iif(visits.due = 0, 0, excluded.due),"
        " visited = excluded.visited",
        (due, visited, account),
    )


def hasten(connection: sqlite3.Connection, account: int) -> None:
    """Let an account be visited at once, whatever was to be waited for, or is under way."""
    connection.execute(
        "INSERT INTO visits (account, due) SELECT id, 0 FROM accounts WHERE id = ?"
        " ON CONFLICT DO UPDATE SET due = 0",
        (account,),
    )


def hasten_lacking(connection: sqlite3.Connection, provider: Provider, now: int) -> None:
    """Let the accounts be visited now that wait for the application's credentials, in their turn.

    Those that are being removed may wait for credentials of their own.
    """
    connection.execute(
        "UPDATE visits SET due = min(due, ?) WHERE account IN (SELECT id FROM accounts"
        " WHERE provider = ? AND (word = 'LOGIN_FAILED' OR state = 'removing'))",
        (now, provider),
    )


def visited(
    connection: sqlite3.Connection, provider: Provider, after: int, most: int
) -> list[tuple[int, int]]:
    """Give the next of a provider's accounts that were ever visited, and when they last were."""
    return connection.execute(
        "SELECT a.id, v.visited FROM accounts AS a JOIN visits AS v ON v.account = a.id"
        " WHERE a.provider = ? AND a.id > ? AND v.visited IS NOT NULL ORDER BY a.id LIMIT ?",
        (provider, after, most),
    ).fetchall()


def put_off(connection: sqlite3.Connection, due: list[tuple[int, int]]) -> None:
    """Note of accounts when the next visit is due, which is no later than it was."""
    connection.executemany("UPDATE visits SET due = min(due, ?) WHERE account = ?", due)
