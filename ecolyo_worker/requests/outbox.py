"""Requests about sending, and the rows of the outbox."""

from typing import Literal

from msgspec import Raw, Struct

__all__ = [
    "AttemptDocument",
    "Moved",
    "OutboxDocument",
    "OutboxExport",
    "OutboxHistory",
    "OutboxList",
    "Reconcile",
    "Retry",
    "RowState",
    "Send",
]

RowState = Literal["pending", "in_flight", "sent", "sent?", "dead", "local", "discarded"]


class Send(Struct, frozen=True):
    """Drain the outbox; see `Sender.drain`. `timeout` is seconds."""

    until_empty: bool = False
    timeout: float | None = None


class OutboxList(Struct, frozen=True):
    """Which rows to list; None is all."""

    state: RowState | None = None


class OutboxDocument(Struct, frozen=True, kw_only=True):
    """A row of the outbox. Instants are ISO 8601 in UTC; `indicator` is `null` once it is sent."""

    id: int
    state: str
    measure: str
    start_date: str
    indicator: Raw
    counted_attempts: int
    """Those that count towards `dacc.max_attempts`; a retry by hand begins anew."""
    failed_tries: int
    """Those that failed since then, whether they count or not."""
    maybe_delivered: int
    created: str
    next_try: str | None
    last_attempt: str | None
    answer: str | None


class OutboxExport(Struct, frozen=True):
    """Which rows to give with their attempts; None is all.

    `day` is their start date, as YYYY-MM-DD: of a monthly measure the first day of the month.
    """

    state: RowState | None = None
    measure: str | None = None
    day: str | None = None


class AttemptDocument(Struct, frozen=True):
    """An attempt to send a row, and when it ended: ISO 8601 in UTC."""

    n: int
    """Its number, from 1; of very many only the first and the last ones are kept."""
    ended: str
    outcome: str
    """What it came to; `interrupted` where it was cut off and nobody knows."""
    status: int | None
    """Of HTTP; None where no answer came."""
    answer: str | None
    """The beginning of what was answered, or what went wrong; nothing of a row that is finished."""


class OutboxHistory(OutboxDocument, frozen=True, kw_only=True):
    """A row of the outbox with its attempts, in their order."""

    attempts: int
    """All that were ever made: those before a retry by hand, too, and those that were cut off."""
    history: list[AttemptDocument]


class Retry(Struct, frozen=True):
    """Which dead row to send again; None is all of them."""

    id: int | None = None


class Moved(Struct, frozen=True):
    """How many rows changed their state."""

    rows: int


class Reconcile(Struct, frozen=True):
    """Check the ledger, with what an echo server received if its address is given."""

    echo: str | None = None
