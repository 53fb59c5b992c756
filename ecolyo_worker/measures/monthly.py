"""The six monthly measures, in the order of the rules: each a pure function over one month.

As with those of a day: what is observed comes with the group values as they are, what is looked at
and left out comes with the reason.
"""

from collections.abc import Iterator
from decimal import Decimal

from ecolyo_worker.clock import civil_datetime, day_start
from ecolyo_worker.events import Event
from ecolyo_worker.facts import FLUIDS
from ecolyo_worker.measures.period import Consumption, LeftOut, Month, Observation, measure

_SLUGS = {"enedis": "electricity", "egl": "water", "grdf": "gas"}
_USES = ("cooking", "heating", "hot_water")


@measure("consumption-variation-monthly", groups=3, rows="each")
def consumption_variation_monthly(month: Month) -> Iterator[Observation]:
    """Percent by which a fluid's consumption differs from the month before; more is positive.

    Only with a ConnectionEvent in the month, a value for every day of both months, more than
    nothing in the month before, and a first connection that is known.
    """
    connections = tuple(event.seq for event in month.of("ConnectionEvent"))
    if not connections or month.facts.first_connection is None:
        return
    seniority = str(_whole_months(month.facts.first_connection, day_start(month.days.stop)))
    for fluid in FLUIDS:
        before = month.consumption_before.get(fluid, Consumption())
        now = month.consumption.get(fluid, Consumption())
        is_whole = (before.days, now.days) == (len(month.days_before), len(month.days))
        if is_whole and before.total > 0:
            change = Decimal(100) * (now.total - before.total) / before.total
            yield Observation((fluid, seniority, _usage(month, fluid)), change, connections)


@measure("summary-subscription-monthly", groups=1, rows="each")
def summary_subscription_monthly(month: Month) -> Iterator[Observation]:
    """`subscription`: whether the monthly summary is subscribed to at the end of the month.

    No row if that was never said. `analysis`: 1 if there is a ReportFromEvent, else no row.
    """
    if month.subscribed is not None:
        yield Observation(("subscription",), int(month.subscribed))
    reports = tuple(event.seq for event in month.of("ReportFromEvent"))
    if reports:
        yield Observation(("analysis",), 1, reports)


@measure("fluid-data-granularity-monthly", groups=2, rows="each")
def fluid_data_granularity_monthly(month: Month) -> Iterator[Observation]:
    """Whether a half-hour value of electricity begins in the month: 1 or 0, always one row."""
    yield Observation(("electricity", "half_an_hour"), int(month.has_half_hours))


@measure("connection-count-monthly", groups=0, rows="each")
def connection_count_monthly(month: Month) -> Iterator[Observation]:
    """How many days of the month have a ConnectionEvent; always one row."""
    connections = list(month.of("ConnectionEvent"))
    days = {event.day for event in connections}
    yield Observation((), len(days), tuple(event.seq for event in connections))


@measure("profile-count-monthly", groups=0, rows="each")
def profile_count_monthly(month: Month) -> Iterator[Observation]:
    """How many ProfileSetEvents there were ever, up to the end of the month; no row if none."""
    profiles = tuple(event.seq for event in month.ever_of("ProfileSetEvent"))
    if profiles:
        yield Observation((), len(profiles), profiles)


@measure("konnector-attempts-monthly", groups=2, rows="each")
def konnector_attempts_monthly(month: Month) -> Iterator[Observation | LeftOut]:
    """How many attempts ever it took to connect a fluid for the first time, or took so far.

    One row for each fluid that has an attempt in the month and no success before the month.
    """
    attempts: dict[str, list[Event]] = {}
    for event in month.ever_of("KonnectorAttemptEvent"):
        if fluid := _fluid_of(event):
            attempts.setdefault(fluid, []).append(event)
        else:
            yield LeftOut(event.seq, f"its target is no known konnector: {event.target!r}")
    for fluid in FLUIDS:
        yield from _attempts(month, fluid, attempts.get(fluid, []))


def _attempts(month: Month, fluid: str, attempts: list[Event]) -> Iterator[Observation | LeftOut]:
    tried = next((n for n, event in enumerate(attempts, 1) if event.outcome == "success"), None)
    needed, later = attempts[:tried], attempts[len(attempts[:tried]) :]
    for event in later:
        yield LeftOut(event.seq, f"{fluid} was connected before")
    in_month = any(event.day in month.days for event in attempts)
    if in_month and (tried is None or needed[-1].day in month.days):
        success = "false" if tried is None else "true"
        yield Observation((fluid, success), len(needed), tuple(event.seq for event in needed))


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
