"""Tokens, sealed: of an application at a provider, or of one account."""

import hashlib
import hmac
import sqlite3

import msgspec
from msgspec import Struct

__all__ = [
    "Sealed",
    "begin_authorization",
    "end_authorization",
    "get",
    "last_end_beside",
    "put",
    "remove",
    "rest_on_key",
]


class Sealed(Struct, frozen=True):
    """A sealed token, and when it ends, in ms of UTC."""

    sealed: bytes
    expires: int


def put(connection: sqlite3.Connection, name: str, account: int | None, sealed: Sealed) -> None:
    """Store a token in the place of the one before, unless its account is gone."""
    connection.execute(
        "INSERT INTO tokens (name, account, sealed, expires) SELECT :name, :account,"
        " :sealed, :expires"
        " WHERE :account IS NULL OR EXISTS (SELECT 1 FROM accounts WHERE id = :account)"
        " ON CONFLICT DO UPDATE SET sealed = excluded.sealed, expires = excluded.expires",
        {"name": name, "account": account, **msgspec.structs.asdict(sealed)},
    )


def get(connection: sqlite3.Connection, name: str) -> Sealed | None:
    """Give a token by its name, or None."""
    row = connection.execute(
        "SELECT sealed, expires FROM tokens WHERE name = ?", (name,)
    ).fetchone()
    return None if row is None else Sealed(*row)


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Delete a token, which is good for nothing any more."""
    connection.execute("DELETE FROM tokens WHERE name = ?", (name,))


def last_end_beside(connection: sqlite3.Connection, account: int) -> int | None:
    """Give when the last of the tokens of other accounts ends, in ms of UTC; None without any."""
    query = "SELECT max(expires) FROM tokens WHERE account != ?"
    found: int | None = connection.execute(query, (account,)).fetchone()[0]
    return found


def rest_on_key(connection: sqlite3.Connection) -> int:
    """Give how many tokens there are that nobody but a person could give again."""
    query = "SELECT count(*) FROM tokens WHERE account IS NOT NULL"
    return int(connection.execute(query).fetchone()[0])


def begin_authorization(
    connection: sqlite3.Connection, account: int, state: str, expires: int
) -> None:
    """Note that a person was sent to a page of consent with a state, which is good for a while.

    It replaces the state that she was sent with before.
    """
    connection.execute(
        "INSERT OR REPLACE INTO authorizations (account, digest, expires) VALUES (?, ?, ?)",
        (account, _digest(state), expires),
    )


def end_authorization(connection: sqlite3.Connection, account: int, state: str, now: int) -> bool:
    """Tell whether a person comes back with the state that she was sent with; it is good once."""
    row = connection.execute(
        "SELECT digest, expires FROM authorizations WHERE account = ?", (account,)
    ).fetchone()
    if row is None or not hmac.compare_digest(row[0], _digest(state)) or row[1] < now:
        return False
    connection.execute("DELETE FROM authorizations WHERE account = ?", (account,))
    return True


def _digest(state: str) -> bytes:
    return hashlib.sha256(state.encode("utf-8", "replace")).digest()
