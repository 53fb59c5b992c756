"""What a measure sees, and what it says: one instance's day or month in, observations out."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from inspect import getdoc
from typing import Generic, Literal, TypeVar

from msgspec import Struct, field

from ecolyo_worker.clock import month_days
from ecolyo_worker.events import ORDER, Event
from ecolyo_worker.facts import Profile

__all__ = [
    "Consumption",
    "Day",
    "End",
    "EndKey",
    "Facts",
    "LeftOut",
    "Measure",
    "Month",
    "Observation",
    "end_key",
    "measure",
]

EndKey = tuple[str, str, int]
"""What makes end events equal: type, target as it came ("" for none), civil time of the start."""


def end_key(event: Event) -> EndKey:
    """Give what makes an end event equal to another; its start must be known."""
    assert event.start is not None
    return event.type, event.target or "", event.start


class End(Struct, frozen=True, gc=False):
    """What is known of equal end events: the first one ever stored, the first one counted."""

    first: tuple[int, int]
    """Its place in the order of events: civil time, order of arrival."""
    counted: int | None = None
    """The order of arrival (`seq`) of the first that was counted."""
    row: int | None = None
    """The `seq` of the one that may make the row; None if none ever did."""


class Facts(Struct, frozen=True):
    """What is known of an instance when one of its days is counted. Times are civil, in ms."""

    acceptance: int
    first_connection: int | None = None
    first_launch: tuple[int, int] | None = None
    """The place of the earliest ChallengeLaunchEvent ever stored."""
    launch_row: int | None = None
    """The `seq` of the launch that made the one row from the first connection."""
    ends: Mapping[EndKey, End] = {}
    removed_through: int | None = None
    """The civil day up to which events were removed: what comes again may be counted already."""
    is_supplement: bool = False
    """Whether this day was counted before, so that its events are late."""

    def may_make_row(self, event: Event) -> bool:
        """Tell whether an end event whose start is known may make the row of its equals.

        Only the first one ever stored may, unless another did; nor a late one after another was
        counted.
        """
        known = self.ends.get(end_key(event))
        if known is None:
            return True
        if known.first != event.order or known.row not in {None, event.seq}:
            return False
        return not self.is_supplement or known.counted in {None, event.seq}


class Day(Struct, frozen=True, dict=True):
    """One instance's countable events of one civil day, in their order, and the facts."""

    facts: Facts
    events: tuple[Event, ...]
    connected: tuple[str, ...] = ()
    """The fluids connected at the end of the day."""

    def of(self, *types: str) -> Iterator[Event]:
        """Give the events of these types, in their order."""
        return _of(self._by_type, types)

    @cached_property
    def _by_type(self) -> dict[str, list[Event]]:
        return _by_type(self.events)


class Consumption(Struct, frozen=True):
    """What a fluid's days of one month add up to, in Wh (water: ml), and how many days it has."""

    days: int = 0
    total: int = 0


class Month(Struct, frozen=True, dict=True):
    """One instance's civil month: its events since the acceptance, in their order, and the facts.

    The events are all of them, counted, expired or aggregated alike.
    """

    facts: Facts
    number: int
    """The civil month (see `clock`)."""
    events: tuple[Event, ...] = ()
    ever: tuple[Event, ...] = ()
    """Events of types that are kept for life, up to the end of the month, this one's too."""
    subscribed: bool | None = None
    """Whether the monthly summary is subscribed to at the end; None if that was never said."""
    profile: Profile = field(default_factory=Profile)
    consumption: Mapping[str, Consumption] = field(default_factory=dict)
    """By fluid; one that is absent has no day."""
    consumption_before: Mapping[str, Consumption] = field(default_factory=dict)
    """Of the month before."""
    has_half_hours: bool = False
    """Whether a value of electricity of half an hour, or of less, begins in the month."""

    @property
    def days(self) -> range:
        """The civil days of the month."""
        return month_days(self.number)

    @property
    def days_before(self) -> range:
        """The civil days of the month before."""
        return month_days(self.number - 1)

    def of(self, *types: str) -> Iterator[Event]:
        """Give the month's events of these types, in their order."""
        return _of(self._by_type, types)

    def ever_of(self, kind: str) -> Iterator[Event]:
        """Give the events of a type that is kept for life, from the first one on."""
        return _of(self._ever_by_type, (kind,))

    @cached_property
    def _by_type(self) -> dict[str, list[Event]]:
        return _by_type(self.events)

    @cached_property
    def _ever_by_type(self) -> dict[str, list[Event]]:
        return _by_type(self.ever)


def _by_type(events: Iterable[Event]) -> dict[str, list[Event]]:
    kinds: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        kinds[event.type].append(event)
    return kinds


def _of(by_type: Mapping[str, list[Event]], types: tuple[str, ...]) -> Iterator[Event]:
    if len(types) == 1:
        return iter(by_type.get(types[0], ()))
    found = [event for kind in types for event in by_type.get(kind, ())]
    found.sort(key=ORDER)
    return iter(found)


class Observation(Struct, frozen=True, gc=False):
    """One thing a measure saw: its value and its group values, unchecked."""

    groups: tuple[str | None, ...] = ()
    value: int | Decimal = 1
    events: tuple[int, ...] = ()
    """The `seq` of each event it rests on, in their order."""


class LeftOut(Struct, frozen=True, gc=False):
    """What a measure looked at and does not count, and why, in words."""

    event: int | None
    """The `seq` of an event; None for a row that is missing for another reason than an event."""
    reason: str


P = TypeVar("P", Day, Month)
_Observe = Callable[[P], Iterable[Observation | LeftOut]]


class Measure(Struct, Generic[P], frozen=True):
    """A measure's name, how many groups it has, and the function that observes it."""

    name: str
    groups: int
    observe: _Observe[P]
    rows: Literal["count", "each"] = "count"
    """Whether what it observes is counted, or each value is a row that must not be added up."""

    @property
    def rule(self) -> str:
        """What it counts, in words: paragraphs of one line each, with an empty line between."""
        text = (getdoc(self.observe) or "").replace("\n\n", " ", 1)  # behind the first sentence
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def measure(
    name: str, groups: int, rows: Literal["count", "each"] = "count"
) -> Callable[[_Observe[P]], Measure[P]]:
    """Make a `Measure` of the function below, whose docstring is its rule in words."""

    def wrap(observe: _Observe[P]) -> Measure[P]:
        return Measure(name, groups, observe, rows)

    return wrap
