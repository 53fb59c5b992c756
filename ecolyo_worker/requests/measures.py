"""Requests about counting: runs, previews and explanations."""

from msgspec import Raw, Struct

from ecolyo_worker.actors.report import RunReport

__all__ = [
    "Aggregate",
    "Explain",
    "ExplainEvent",
    "Preview",
    "PreviewLine",
    "Previewed",
]


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


class Previewed(Struct, frozen=True):
    """A line of a preview; at the end of all, instead, what the run would come to."""

    line: PreviewLine | None = None
    outlook: RunReport | None = None


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
