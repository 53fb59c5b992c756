"""Requests about energy accounts, and what is fetched for them."""

from typing import Literal

from msgspec import Struct

__all__ = [
    "AccountAdd",
    "AccountConsent",
    "AccountDocument",
    "AccountRemove",
    "AccountRemoved",
    "AccountsList",
    "ConsentPage",
    "Coverage",
    "CoverageDay",
    "CoverageYear",
    "Poll",
    "Polled",
    "PolledAccount",
    "PolledWindow",
]


class AccountAdd(Struct, frozen=True):
    """An energy account of a person; a meter, or an id token that names one, tells of a consent."""

    provider: Literal["enedis", "grdf"]
    instance: str
    meter: str | None = None
    id_token: str | None = None


class AccountsList(Struct, frozen=True):
    """Whose accounts to list; None is everybody's."""

    instance: str | None = None
    with_meters: bool = False
    """Give the ids of meters in full, instead of their last digits."""


class AccountDocument(Struct, frozen=True, kw_only=True):
    """An energy account. `since` is ISO 8601 in UTC: when the state last changed."""

    id: int
    instance: str
    provider: str
    meter: str | None
    state: str
    since: str
    reason: str | None
    """What is wrong, in words."""
    word: str | None
    """What is wrong, as Cozy says it."""
    held_through: str | None
    """The last civil day of which something is held, as YYYY-MM-DD."""


class ConsentPage(Struct, frozen=True):
    """Where a person consents, and where she is sent back to, if that is set."""

    url: str
    redirect_uri: str | None


class AccountConsent(Struct, frozen=True):
    """A consent for an account: one of what the page led back with, a meter, or an id token."""

    id: int
    callback: str | None = None
    meter: str | None = None
    id_token: str | None = None


class AccountRemove(Struct, frozen=True):
    """An account that is to go, with its readings unless they are kept."""

    id: int
    keeps_data: bool = False
    revoking: bool = True
    """Whether a consent at GRDF is revoked first."""


class AccountRemoved(Struct, frozen=True):
    """What became of a removal: how many rows of which table went, or why it is not done yet."""

    id: int
    removed: bool
    reason: str | None
    rows: dict[str, int]
    keeps_right: bool = False
    """Whether the right at GRDF stays, for another account here is asked for by it."""


class Poll(Struct, frozen=True):
    """Of whom to fetch what is missing, now; None is all.

    `begin` and `end` are the first and the last day, as YYYY-MM-DD. `forced` asks for what is
    complete, and for series that were given up, too.
    """

    provider: Literal["enedis", "grdf", "all"] = "all"
    account: int | None = None
    begin: str | None = None
    end: str | None = None
    forced: bool = False


class PolledWindow(Struct, frozen=True, kw_only=True):
    """A window of days that was asked for: `begin` and `end` are its first and its last day."""

    account: int
    series: str
    begin: str
    end: str
    done: int
    """How many windows of the series are done."""
    total: int
    """How many there are, as far as is known."""
    outcome: str
    new: int
    """Points that were not there before."""
    replaced: int
    refused: int
    reason: str | None
    """Why it came to nothing, in words."""


class PolledAccount(Struct, frozen=True, kw_only=True):
    """How the visit to an account ended.

    `done`: all is there that there is; `partial`: but for a series that is given up; `refused`: all
    series are, and nothing ever came; `failed`: a part could not be fetched; `later`: nothing is to
    be asked before some time; `waiting`: nobody consented yet, or its meter is not known;
    `consent`: it needs another consent; `suspended`: the provider refuses its meter; `gone`: it is
    being removed; `settings`: the operator must put something right first.
    """

    account: int
    instance: str
    provider: str
    outcome: str
    windows: int
    new: int
    replaced: int
    until: str | None
    """Before when nothing is asked of the provider, in ISO 8601 and UTC."""
    reason: str | None
    next: str | None = None
    """The command by which it goes on, where a person must act."""


class Polled(Struct, frozen=True):
    """A step of fetching: a window, or at the end of an account how its visit ended."""

    window: PolledWindow | None = None
    account: PolledAccount | None = None


class Coverage(Struct, frozen=True):
    """Of which account, and of which year, to tell what is known; None is all, and this year."""

    account: int | None = None
    year: int | None = None


class CoverageDay(Struct, frozen=True, omit_defaults=True):
    """What is known of a day: `measured`, `estimated`, `late`, `missing`, `no consent`, `error`."""

    day: str
    state: str
    reason: str | None = None
    next_try: str | None = None
    """From which day on it is asked for again."""
    half_hours: str | None = None
    """Why half-hours are not there of a day that has its daily value; None: they are."""
    half_hours_next_try: str | None = None
    """From which day on those are asked for again."""


class CoverageYear(Struct, frozen=True):
    """What is known of the days of a year; those before the history and to come are left out."""

    account: int
    instance: str
    provider: str
    year: int
    days: list[CoverageDay]
