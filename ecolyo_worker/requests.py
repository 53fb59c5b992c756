"""What each command is asked, and what it answers: plain structs, the same in every face."""

from typing import Literal

from msgspec import Raw, Struct

from ecolyo_worker.actors.report import RunReport
from ecolyo_worker.store.restoring import Restored

__all__ = [
    "AccountAdd",
    "AccountConsent",
    "AccountDocument",
    "AccountRemove",
    "AccountRemoved",
    "AccountsList",
    "Aggregate",
    "AttemptDocument",
    "Bar",
    "Chart",
    "ConsentPage",
    "ConsumptionChart",
    "ConsumptionExport",
    "ConsumptionImport",
    "ConsumptionInterval",
    "ConsumptionStep",
    "ConsumptionWanted",
    "Coverage",
    "CoverageDay",
    "CoverageYear",
    "EventsImport",
    "EventsList",
    "Examine",
    "Explain",
    "ExplainEvent",
    "FactsReport",
    "Forgotten",
    "GiveConsent",
    "ImportReport",
    "InstancesImport",
    "Line",
    "LineRefusal",
    "Migrated",
    "Moved",
    "OutboxDocument",
    "OutboxExport",
    "OutboxHistory",
    "OutboxList",
    "Poll",
    "Polled",
    "PolledAccount",
    "PolledWindow",
    "Preview",
    "PreviewLine",
    "Previewed",
    "ReadingsReport",
    "Reconcile",
    "Retry",
    "Send",
    "Version",
]

EventState = Literal["waiting", "counted", "imported", "expired", "unconsented", "failed"]
RowState = Literal["pending", "in_flight", "sent", "sent?", "dead", "local", "discarded"]


Fluid = Literal["electricity", "water", "gas"]
ConsumptionStep = Literal["half-hour", "hour", "day", "month", "year"]


class Line(Struct, frozen=True):
    """One line of a file: its number, from 1, and its bytes."""

    number: int
    text: bytes


class LineRefusal(Struct, frozen=True):
    """Why a line was not taken. `field` is empty where the line as a whole is wrong."""

    line: int
    field: str
    reason: str


class EventsImport(Struct, frozen=True):
    """Some lines of an event file; `instance` is for those that name none."""

    lines: list[Line]
    instance: str | None = None


class ImportReport(Struct, frozen=True):
    """How many events are on disk now, were known before, and which were refused."""

    accepted: int
    known: int
    refused: list[LineRefusal]


class EventsList(Struct, frozen=True):
    """Which events to list; None is all. `day` is YYYY-MM-DD."""

    instance: str | None = None
    day: str | None = None
    state: EventState | None = None


class InstancesImport(Struct, frozen=True):
    """Some lines of an instance file; `withdrawing` allows those that withdraw a consent."""

    lines: list[Line]
    withdrawing: bool = False


class FactsReport(Struct, frozen=True):
    """How many lines were taken, and which were refused."""

    accepted: int
    refused: list[LineRefusal]


class ReadingsReport(FactsReport, frozen=True):
    """What an import of readings came to."""

    beneath: int
    """How many of those taken lie under fetched readings, which go before them."""


class ConsumptionImport(Struct, frozen=True):
    """Some lines of a file of readings."""

    lines: list[Line]


class ConsumptionWanted(Struct, frozen=True):
    """Which intervals of which consumption; what None is, each request says.

    `begin` and `end` are the first and the last day, as YYYY-MM-DD.
    """

    step: ConsumptionStep
    instance: str | None = None
    fluid: Fluid | None = None
    begin: str | None = None
    end: str | None = None


class ConsumptionExport(ConsumptionWanted, frozen=True):
    """What to give of what homes consumed; None is all."""


class ConsumptionInterval(Struct, frozen=True, omit_defaults=True):
    """What a home consumed in an interval: kWh, of water litres, with three decimals at most.

    `start` is a date-time with its offset for half an hour and an hour, else a day as YYYY-MM-DD, a
    month as YYYY-MM, or a year.
    """

    instance: str
    fluid: Fluid
    step: ConsumptionStep
    start: str
    value: float
    minutes: int | None = None
    """How long it is, where that is not what the step says."""
    partial: bool = False
    """Whether only a part of the interval is known."""


class ConsumptionChart(ConsumptionWanted, frozen=True):
    """What to look at, of one home and one fluid; None is what there is, if there is but one.

    An `account` stands for its home and its fluid, in the place of both.
    """

    account: int | None = None


class Bar(Struct, frozen=True):
    """An interval of a chart; None is a gap: nothing is known of it."""

    start: str
    value: float | None
    partial: bool = False


class Chart(Struct, frozen=True):
    """What a home consumed, interval by interval, without leaving one out."""

    instance: str
    fluid: Fluid
    step: ConsumptionStep
    unit: str
    bars: list[Bar]


class GiveConsent(Struct, frozen=True):
    """A person accepted this version of the terms at a civil time; by default, now."""

    instance: str
    version: str
    at: str | None = None


class Forgotten(Struct, frozen=True):
    """What was deleted of a person: how many rows of which table, and what could not be."""

    instance: str
    rows: dict[str, int]
    kept: int
    """Indicators that may have been delivered: their number stays, without text and owner."""
    in_flight: int
    """Indicators that are being sent just now; each goes when its attempt has ended."""
    holding: list[str]
    """Files of the state directory that may hold something of the person still."""
    unrevoked: int
    """Consents at GRDF that could not be revoked: their holder can end them there."""
    unrevoked_meters: list[str]
    """The last digits of the meters that they are for."""
    rights_kept: int
    """Consents at GRDF that stay, for others' accounts are asked for by them."""


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


class Aggregate(Struct, frozen=True):
    """A run now, or as if it were `as_of`.

    `day` (YYYY-MM-DD) and `month` (YYYY-MM) choose what to do.
    """

    as_of: str | None = None
    day: str | None = None
    month: str | None = None


class Preview(Struct, frozen=True):
    """What a run would make, for one instance or for all."""

    as_of: str | None = None
    day: str | None = None
    month: str | None = None
    instance: str | None = None


class PreviewLine(Struct, frozen=True):
    """An indicator, byte for byte as it would be sent, and whose it is."""

    instance: str
    indicator: Raw


class Explain(Struct, frozen=True):
    """A measure, and a day (YYYY-MM-DD) or, of a monthly one, any day of a month or YYYY-MM.

    Of one instance, or of all that have anything then. What waits is explained by the next run of
    the schedule, or by one as of `as_of`.
    """

    measure: str
    period: str
    instance: str | None = None
    as_of: str | None = None


class ExplainEvent(Struct, frozen=True):
    """An event by its `_id`, of one instance or of all; `as_of` as in `Explain`."""

    event: str
    instance: str | None = None
    as_of: str | None = None


class Send(Struct, frozen=True):
    """Drain the outbox; see `Sender.drain`. `timeout` is seconds."""

    until_empty: bool = False
    timeout: float | None = None


class Previewed(Struct, frozen=True):
    """A line of a preview; at the end of all, instead, what the run would come to."""

    line: PreviewLine | None = None
    outlook: RunReport | None = None


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


class Examine(Struct, frozen=True):
    """Look through the database, for so many seconds at most."""

    seconds: float


class Migrated(Struct, frozen=True):
    """The schema's version as it was found and as it is now, and the file."""

    before: int
    after: int
    database: str
    restored: Restored | None
    """What became of a backup that was found in the place of the database."""


class Version(Struct, frozen=True):
    """The versions of the program, of its database schema, of Python and of SQLite."""

    ecolyo_worker: str
    schema: int
    python: str
    sqlite: str
