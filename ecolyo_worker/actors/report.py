"""What a run comes to, added up while it goes."""

from collections import Counter

from msgspec import Struct

from ecolyo_worker.actors.night import InstanceNight, Without
from ecolyo_worker.clock import civil_text

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

    def report(self, as_of: int) -> RunReport:
        """Give what it comes to; `as_of` is the run's civil time, in ms."""
        return RunReport(
            as_of=civil_text(as_of),
            instances=self.sums["instances"],
            days=self.sums["days"],
            months=self.sums["months"],
            events=dict(self.fates),
            indicators=dict(sorted(self.made.items())),
            too_large=dict(self.too_large),
            without_consent=self.sums["without_consent"],
        )
