"""Quotas: which requests were made of a provider lately, and until when it is left alone."""

import sqlite3

from msgspec import Struct

from ecolyo_worker.energy.answers import Provider

__all__ = ["Pause", "calls", "note_call", "pause", "pause_of", "set_by"]


class Pause(Struct, frozen=True):
    """Until when a provider is left alone, in ms of UTC; 0 where it is not."""

    until: int = 0
    reason: str | None = None
    failures: int = 0
    """Requests in a row, of all accounts, that nobody answered as agreed."""


def calls(connection: sqlite3.Connection, provider: Provider, after: int) -> list[int]:
    """Give when requests were made of a provider after an instant, in ms of UTC, in order."""
    rows = connection.execute(
        "SELECT at FROM calls WHERE provider = ? AND at > ? ORDER BY at", (provider, after)
    )
    return [at for (at,) in rows]


def note_call(connection: sqlite3.Connection, provider: Provider, now: int, after: int) -> None:
    """Note that a request is made, and forget those up to an instant."""
    connection.execute("DELETE FROM calls WHERE provider = ? AND at <= ?", (provider, after))
    connection.execute("INSERT INTO calls (provider, at) VALUES (?, ?)", (provider, now))


def pause_of(connection: sqlite3.Connection, provider: Provider) -> Pause:
    """Give until when a provider is left alone."""
    row = connection.execute(
        "SELECT until, reason, failures FROM pauses WHERE provider = ?", (provider,)
    ).fetchone()
    return Pause(*(row or ()))


def pause(connection: sqlite3.Connection, provider: Provider, noted: Pause) -> None:
    """Note until when a provider is left alone."""
    connection.execute(
        "INSERT OR REPLACE INTO pauses (provider, until, reason, failures) VALUES (?, ?, ?, ?)",
        (provider, noted.until, noted.reason, noted.failures),
    )


def set_by(connection: sqlite3.Connection, provider: Provider, ms: int) -> None:
    """Note that a clock was set, forward or, with a negative number, back by so many ms."""
    for table, column in (("calls", "at"), ("pauses", "until")):
        connection.execute(
            f"UPDATE {table} SET {column} = {column} + ?"  # noqa: S608  names of ours
            f" WHERE provider = ? AND {column} > 0",
            (ms, provider),
        )
