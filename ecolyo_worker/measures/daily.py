"""The nine daily measures, in the order of the rules: each a pure function over one day.

A function yields what it observes, in the order of events, with the group values as they came, and
what it looked at and leaves out, with the reason. Checking group values against the allow-list, and
adding up what has equal groups, is `count`'s work.
"""

from collections.abc import Iterator

from ecolyo_worker.clock import DAY_MS
from ecolyo_worker.events import END_TYPES, Event
from ecolyo_worker.measures.devices import device
from ecolyo_worker.measures.period import Day, EndKey, LeftOut, Observation, end_key, measure

__all__ = ["CONNECTED", "DAILY"]

_KONNECTOR_KINDS = {"KonnectorConnectEvent": "connexion", "KonnectorRefreshEvent": "refresh"}

_STARTS = {
    "ChallengeEndEvent": "ChallengeLaunchEvent",
    "ActionEndEvent": "ActionStartEvent",
    "ExplorationEndEvent": "ExplorationStartEvent",
    "DuelEndEvent": "DuelLaunchEvent",
    "QuizEndEvent": "QuizStartEvent",
}


@measure("connection-count-daily", groups=1)
def connection_count_daily(day: Day) -> Iterator[Observation]:
    """One per ConnectionEvent, by device."""
    for event in day.of("ConnectionEvent"):
        yield Observation((device(event.context),), events=(event.seq,))


@measure("konnector-event-daily", groups=3)
def konnector_event_daily(day: Day) -> Iterator[Observation]:
    """One per connexion or refresh of a konnector, by slug, kind and result."""
    for event in day.of(*_KONNECTOR_KINDS):
        groups = (event.target, _KONNECTOR_KINDS[event.type], event.outcome)
        yield Observation(groups, events=(event.seq,))


@measure("konnector-connected-daily", groups=1)
def konnector_connected_daily(day: Day) -> Iterator[Observation]:
    """One per home that has a fluid connected at the end of the day."""
    if day.connected:
        yield Observation((":".join(day.connected),))


@measure("navigation-count-daily", groups=1)
def navigation_count_daily(day: Day) -> Iterator[Observation]:
    """One per page looked at."""
    for event in day.of("NavigationEvent"):
        yield Observation((event.target,), events=(event.seq,))


@measure("challenge-launch-daily", groups=1)
def challenge_launch_daily(day: Day) -> Iterator[Observation]:
    """One per challenge begun."""
    for event in day.of("ChallengeLaunchEvent"):
        yield Observation((event.target,), events=(event.seq,))


@measure("session-duration", groups=2)
def session_duration(day: Day) -> Iterator[Observation | LeftOut]:
    """Whole seconds from each ConnectionEvent to the last event before the next one."""
    for session in _sessions(day.events):
        begin, end = session[0], session[-1]
        if begin.type != "ConnectionEvent":
            for event in session:
                yield LeftOut(event.seq, "it comes before the first ConnectionEvent of the day")
            continue
        pages = [event.type for event in session].count("NavigationEvent")
        kind = "first" if begin.outcome == "firstconnection" else "any"
        events = tuple([event.seq for event in session])
        yield Observation((str(pages), kind), _seconds(end.time - begin.time), events)


@measure("navigation-action-daily", groups=3)
def navigation_action_daily(day: Day) -> Iterator[Observation]:
    """One per use of a function, by page, function and what it was used on."""
    types = ("ConsumptionChangeTimeStepEvent", "ConsumptionCompareEvent")
    for event in day.of(*types, "ActionChangeEvent", "ProfileSetEvent"):
        page, params = event.context, event.target
        if event.type == "ActionChangeEvent":
            page = "challenges"
        elif event.type == "ProfileSetEvent":
            page, params = "profile", None
        yield Observation((page, event.type, params), events=(event.seq,))


@measure("event-duration", groups=3)
def event_duration(day: Day) -> Iterator[Observation | LeftOut]:
    """Whole seconds from a start to its end, once for equal ends.

    And once in the life of an instance, from the first connection to the first challenge.
    """
    made: set[EndKey] = set()
    for event in day.of("ChallengeLaunchEvent", *sorted(END_TYPES)):
        if event.type == "ChallengeLaunchEvent":
            yield _first_challenge(day, event)
        elif event.start is None:
            yield LeftOut(event.seq, _without_start(event))
        elif end_key(event) in made or not day.facts.may_make_row(event):
            yield LeftOut(event.seq, "an equal end (type, target, startDate) comes before it")
        else:
            made.add(end_key(event))
            yield _duration(event, event.start)


@measure("quiz-stars", groups=2)
def quiz_stars(day: Day) -> Iterator[Observation | LeftOut]:
    """The stars of each quiz that has a result of 0 to 5."""
    for event in day.of("QuizEndEvent"):
        if event.outcome in {"0", "1", "2", "3", "4", "5"}:
            yield Observation((event.context, event.target), int(event.outcome), (event.seq,))
        else:
            yield LeftOut(event.seq, f"its result is no digit from 0 to 5: {event.result!r}")


CONNECTED = konnector_connected_daily
"""The one measure that is made for every day, with or without events."""

DAILY = (
    connection_count_daily,
    konnector_event_daily,
    navigation_count_daily,
    challenge_launch_daily,
    session_duration,
    navigation_action_daily,
    event_duration,
    quiz_stars,
)
"""The measures of a day's events."""


def _sessions(events: tuple[Event, ...]) -> Iterator[list[Event]]:
    """Cut a day at its ConnectionEvents; what comes before the first one is a piece too."""
    session: list[Event] = []
    for event in events:
        if event.type == "ConnectionEvent" and session:
            yield session
            session = []
        session.append(event)
    if session:
        yield session


def _first_challenge(day: Day, event: Event) -> Observation | LeftOut:
    facts = day.facts
    if facts.first_launch != event.order or facts.launch_row not in {None, event.seq}:
        return LeftOut(event.seq, "it is not the first challenge launched in this life")
    if facts.first_connection is None:
        return LeftOut(event.seq, "the first connection is not known")
    groups = ("ConnectionEvent", "ChallengeLaunchEvent", event.target)
    return Observation(groups, _seconds(event.time - facts.first_connection), (event.seq,))


def _duration(event: Event, start: int) -> Observation | LeftOut:
    # An end more than a day before its start is implausible; a smaller gap is a clock's doing.
    if start - event.time > DAY_MS:
        return LeftOut(event.seq, "its startDate lies more than 24 hours behind its end")
    groups = (_STARTS[event.type], event.type, event.target)
    return Observation(groups, _seconds(event.time - start), (event.seq,))


def _without_start(event: Event) -> str:
    if event.start_text is None:
        return "it has no startDate"
    return f"its startDate cannot be read: {event.start_text!r}"


def _seconds(ms: int) -> int:
    """Round half up to whole seconds; a negative duration counts as 0."""
    return (max(ms, 0) + 500) // 1000
