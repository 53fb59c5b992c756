"""What a run comes to, added up while it goes."""

from collections import Counter

from msgspec import Struct

from ecolyo_worker.actors.night import InstanceNight, Plan, Without
from ecolyo_worker.clock import civil_text, day_of, day_text, month_days, month_text
from ecolyo_worker.store import months

__all__ = ["RunReport", "Tally"]


class RunReport(Struct, frozen=True, kw_only=True):
    """What a run came to: what was counted, events by fate, indicators by measure."""

    as_of: str
    instances: int
    days: int
    months: int
    events: dict[str, int]
    indicators: dict[str, int]
    too_large: dict[str, int]
    """Values of 1e10 or more, by measure: they make no indicator."""
    without_consent: int
    """People whose events wait, because no consent of theirs is in force."""
    reason: str | None = None
    """Why nothing was done of the day or month that was chosen, if so."""


class Tally:
    """Adds up what a run makes."""

    def __init__(self) -> None:
        self.sums: Counter[str] = Counter()
        self.fates: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.too_large: Counter[str] = Counter()

    def add(self, found: InstanceNight | Without) -> None:
        """Add what became of an instance."""
        if isinstance(found, Without):
            self.sums["without_consent"] += found.is_waiting
            return
        self.sums["instances"] += 1
        self.sums["days"] += len(found.countings)
        self.sums["months"] += len(found.months)
        for counting in found.countings:
            self.fates.update(counting.counted.fates.values())
        self.too_large.update(found.too_large)
        self.made.update([row.indicator.measure_name for row in found.rows])

    def update(self, other: "Tally") -> None:
        """Add all of another one."""
        self.sums.update(other.sums)
        self.fates.update(other.fates)
        self.made.update(other.made)
        self.too_large.update(other.too_large)

    def report(self, plan: Plan) -> RunReport:
        """Give what the run of a plan comes to."""
        is_nothing = not (self.sums["days"] or self.sums["months"] or self.made)
        return RunReport(
            as_of=civil_text(plan.as_of),
            instances=self.sums["instances"],
            days=self.sums["days"],
            months=self.sums["months"],
            events=dict(self.fates),
            indicators=dict(sorted(self.made.items())),
            too_large=dict(self.too_large),
            without_consent=self.sums["without_consent"],
            reason=_why_nothing(plan, self.sums["instances"]) if is_nothing else None,
        )


def _why_nothing(plan: Plan, people: int) -> str | None:
    """Say why nothing is done of what is chosen; `people` have a consent in force."""
    chosen = []
    if plan.day is not None:
        chosen.append(_why_no_day(plan, plan.day) or _why_none(plan, day_text(plan.day), people))
    if plan.month is not None:
        found = _why_no_month(plan, plan.month)
        chosen.append(found or _why_none(plan, month_text(plan.month), people))
    return "; ".join(chosen) or None


def _why_no_day(plan: Plan, day: int) -> str | None:
    return _not_over(plan, day_text(day)) if day >= day_of(plan.as_of) else None


def _why_no_month(plan: Plan, month: int) -> str | None:
    rules, name = plan.rules, month_text(month)
    if rules.not_before is not None and month_days(month).stop <= rules.not_before:
        limit = day_text(rules.not_before)
        return f"{name} ended before aggregation.not_before, {limit}, so it counts as done"
    if day_of(plan.as_of) < month_days(month).stop:
        return _not_over(plan, name)
    due = month_days(month).stop + rules.monthly_day - 1
    if day_of(plan.as_of) < due:
        return f"{name} is not due before {day_text(due)} (aggregation.monthly_day)"
    if month < months.farthest(plan.as_of):
        return f"{name} is not counted any more: a run looks three months back at most"
    return None


def _not_over(plan: Plan, period: str) -> str:
    return f"{period} is not over as of {civil_text(plan.as_of)[:16]}"


def _why_none(plan: Plan, period: str, people: int) -> str:
    if not people:
        who = "nobody has a" if plan.instance is None else f"{plan.instance} has no"
        return f"{who} consent in force"
    return (
        f"nothing of {period} is left to count: it is done already, or there is nothing of it that"
        " is counted"
    )
