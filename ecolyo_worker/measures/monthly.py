"""The six monthly measures, in the order of the rules: each a pure function over one month.

As with those of a day: what is observed comes with the group values as they are, what is looked at
and left out comes with the reason.
"""

from collections.abc import Iterator
from decimal import Decimal

from ecolyo_worker.clock import civil_datetime, day_start, month_of, month_text
from ecolyo_worker.events import Event
from ecolyo_worker.facts import FLUIDS
from ecolyo_worker.indicators import ARITHMETIC
from ecolyo_worker.measures.period import Consumption, LeftOut, Month, Observation, measure

_SLUGS = {"enedis": "electricity", "egl": "water", "grdf": "gas"}
_USES = ("cooking", "heating", "hot_water")


@measure("consumption-variation-monthly", groups=3, rows="each")
def consumption_variation_monthly(month: Month) -> Iterator[Observation | LeftOut]:
    """Each fluid whose two months are complete makes a row: by how many percent it changed.

    The month's daily consumptions are added up and compared with the month before; more is
    positive, and two decimals are kept, rounded half up. It needs a ConnectionEvent in the month, a
    value for every day of both months, more than nothing in the month before, and a first
    connection that is known. Seniority is the whole months from the first connection to the day
    after the month; the use is what the fluid does at home: cooking, heating, hot water.
    """
    connections = tuple(event.seq for event in month.of("ConnectionEvent"))
    first = month.facts.first_connection
    if not connections:
        yield LeftOut(None, "there is no ConnectionEvent in the month")
    elif first is None:
        yield from _all_left_out(connections, "the first connection is unknown")
    else:
        seniority = str(_whole_months(first, day_start(month.days.stop)))
        changes = {fluid: _change(month, fluid) for fluid in FLUIDS}
        for fluid, change in changes.items():
            if isinstance(change, str):
                yield LeftOut(None, f"{fluid}: {change}")
            else:
                yield Observation((fluid, seniority, _usage(month, fluid)), change, connections)
        if all(isinstance(change, str) for change in changes.values()):
            yield from _all_left_out(connections, "no fluid has two complete months")


@measure("summary-subscription-monthly", groups=1, rows="each")
def summary_subscription_monthly(month: Month) -> Iterator[Observation | LeftOut]:
    """Up to two rows: who is subscribed to the monthly summary, and who came to the app by it.

    `subscription` is 1 or 0 as the home is subscribed at the end of the month; there is no such row
    if the host never said. `analysis` is 1 if there is a ReportFromEvent in the month, else there
    is no such row.
    """
    if month.subscribed is not None:
        yield Observation(("subscription",), int(month.subscribed))
    else:
        yield LeftOut(None, "subscription: by the end of the month the host had not said it")
    reports = tuple(event.seq for event in month.of("ReportFromEvent"))
    if reports:
        yield Observation(("analysis",), 1, reports)
    else:
        yield LeftOut(None, "analysis: there is no ReportFromEvent in the month")


@measure("fluid-data-granularity-monthly", groups=2, rows="each")
def fluid_data_granularity_monthly(month: Month) -> Iterator[Observation]:
    """Always one row: 1 if a half-hour value of electricity begins in the month, else 0.

    Values of less than half an hour count, too; those of a whole hour do not.
    """
    yield Observation(("electricity", "half_an_hour"), int(month.has_half_hours))


@measure("connection-count-monthly", groups=0, rows="each")
def connection_count_monthly(month: Month) -> Iterator[Observation]:
    """Always one row: on how many days of the month there is a ConnectionEvent, or 0."""
    connections = list(month.of("ConnectionEvent"))
    days = {event.day for event in connections}
    yield Observation((), len(days), tuple(event.seq for event in connections))


@measure("profile-count-monthly", groups=0, rows="each")
def profile_count_monthly(month: Month) -> Iterator[Observation | LeftOut]:
    """One row: how many ProfileSetEvents there were ever, up to the end of the month.

    There is no row if there was none. Those before the month count again each month.
    """
    profiles = tuple(event.seq for event in month.ever_of("ProfileSetEvent"))
    if profiles:
        yield Observation((), len(profiles), profiles)
    else:
        yield LeftOut(None, "there was no ProfileSetEvent up to the end of the month")


@measure("konnector-attempts-monthly", groups=2, rows="each")
def konnector_attempts_monthly(month: Month) -> Iterator[Observation | LeftOut]:
    """Each fluid with an attempt in the month, and no success before it, makes a row.

    Its value is the number of KonnectorAttemptEvents ever, up to the first success or else to the
    end of the month; `success` is `true` if the first success lies in the month. The target tells
    the fluid by how it begins: `enedis` is electricity, `egl` is water, `grdf` is gas; others are
    left out. Attempts after the first success never count.
    """
    attempts: dict[str, list[Event]] = {}
    for event in month.ever_of("KonnectorAttemptEvent"):
        if fluid := _fluid_of(event):
            attempts.setdefault(fluid, []).append(event)
        else:
            yield LeftOut(event.seq, f"its target begins like no known konnector: {event.target!r}")
    if not attempts:
        yield LeftOut(None, "there was no attempt to connect up to the end of the month")
    for fluid in FLUIDS:
        yield from _attempts(month, fluid, attempts.get(fluid, []))


def _all_left_out(events: tuple[int, ...], reason: str) -> Iterator[LeftOut]:
    return (LeftOut(event, reason) for event in events)


def _change(month: Month, fluid: str) -> Decimal | str:
    """Give the percent by which a fluid changed, or why there is none, in words."""
    before = month.consumption_before.get(fluid, Consumption())
    now = month.consumption.get(fluid, Consumption())
    for days, found in ((month.days_before, before), (month.days, now)):
        if found.days != len(days):
            name = month_text(month_of(days.start))
            return f"{name} has a value for {found.days} of its {len(days)} days"
    if before.total <= 0:
        return f"the sum of {month_text(month.number - 1)} is 0"
    return ARITHMETIC.divide(100 * (now.total - before.total), before.total)


def _attempts(month: Month, fluid: str, attempts: list[Event]) -> Iterator[Observation | LeftOut]:
    tried = next((n for n, event in enumerate(attempts, 1) if event.outcome == "success"), None)
    needed, later = attempts[:tried], attempts[len(attempts[:tried]) :]
    for event in later:
        yield LeftOut(event.seq, f"{fluid} had its first success before it")
    seqs = tuple(event.seq for event in needed)
    if tried is not None and needed[-1].day not in month.days:
        yield from _all_left_out(seqs, f"{fluid} had its first success before the month")
    elif not any(event.day in month.days for event in attempts):
        yield from _all_left_out(seqs, f"{fluid} has no attempt in the month")
    else:
        yield Observation((fluid, "false" if tried is None else "true"), len(needed), seqs)


def _fluid_of(event: Event) -> str | None:
    slug = (event.target or "").strip()
    return next((fluid for prefix, fluid in _SLUGS.items() if slug.startswith(prefix)), None)


def _usage(month: Month, fluid: str) -> str:
    """Give what the fluid is used for at home, in the fixed order."""
    return ":".join(use for use in _USES if getattr(month.profile, use) == fluid) or "none"


def _whole_months(begin: int, end: int) -> int:
    """Give the whole months between the days of two civil times, at least 0."""
    first, last = civil_datetime(begin), civil_datetime(end)
    months = (last.year - first.year) * 12 + last.month - first.month
    return max(months - (last.day < first.day), 0)
