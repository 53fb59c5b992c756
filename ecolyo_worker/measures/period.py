"""What a measure sees, and what it says: one instance's day in, observations out."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from msgspec import Struct

from ecolyo_worker.events import Event

__all__ = ["Day", "End", "EndKey", "Facts", "Measure", "Observation", "end_key", "measure"]

EndKey = tuple[str, str, int]
"""What makes end events equal: type, target as it came ("" for none), civil time of the start."""


def end_key(event: Event) -> EndKey:
    """Give what makes an end event equal to another; its start must be known."""
    assert event.start is not None
    return event.type, event.target or "", event.start


class End(Struct, frozen=True):
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


@dataclass(frozen=True)
class Day:
    """One instance's countable events of one civil day, in their order, and the facts."""

    facts: Facts
    events: tuple[Event, ...]
    connected: tuple[str, ...] = ()
    """The fluids connected at the end of the day."""

    @cached_property
    def _by_type(self) -> dict[str, list[Event]]:
        kinds: dict[str, list[Event]] = {}
        for event in self.events:
            kinds.setdefault(event.type, []).append(event)
        return kinds

    def of(self, *types: str) -> Iterator[Event]:
        """Give the events of these types, in their order."""
        if len(types) == 1:
            yield from self._by_type.get(types[0], ())
            return
        found = [event for kind in types for event in self._by_type.get(kind, ())]
        yield from sorted(found, key=lambda event: event.order)


class Observation(Struct, frozen=True, gc=False):
    """One thing a measure saw: its value and its group values, unchecked.

    `event` is the `seq` of the event it rests on, 0 where it rests on none.
    """

    groups: tuple[str | None, ...]
    value: int | Decimal = 1
    event: int = 0


@dataclass(frozen=True)
class Measure:
    """A measure's name, how many groups it has, and the function that observes it."""

    name: str
    groups: int
    observe: Callable[[Day], Iterable[Observation]]


def measure(name: str, groups: int) -> Callable[[Callable[[Day], Iterable[Observation]]], Measure]:
    """Make a `Measure` of the function below."""

    def wrap(observe: Callable[[Day], Iterable[Observation]]) -> Measure:
        return Measure(name, groups, observe)

    return wrap
