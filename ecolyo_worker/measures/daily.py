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
    """Every ConnectionEvent counts once, by the device it came from.

    The context tells the device: `mobile` or `desktop` as such, else the name of a browser or its
    user agent. Phones and tablets are mobile; what cannot be told is desktop.
    """
    for event in day.of("ConnectionEvent"):
        yield Observation((device(event.context),), events=(event.seq,))


@measure("konnector-event-daily", groups=3)
def konnector_event_daily(day: Day) -> Iterator[Observation]:
    """Every KonnectorConnectEvent (connexion) and KonnectorRefreshEvent (refresh) counts once.

    They are counted by the konnector's slug, which is the target, by kind, and by the result in
    lower case.
    """
    for event in day.of(*_KONNECTOR_KINDS):
        groups = (event.target, _KONNECTOR_KINDS[event.type], event.outcome)
        yield Observation(groups, events=(event.seq,))


@measure("konnector-connected-daily", groups=1)
def konnector_connected_daily(day: Day) -> Iterator[Observation | LeftOut]:
    """A home counts once a day, under the fluids that are connected when the day ends.

    No event is needed: it is made for every day since the consent, up to the limit of age, from the
    konnector states that the host gave. Each day gets the states of that day, however late it is
    counted. There is no row when no fluid is connected.
    """
    if day.connected:
        yield Observation((":".join(day.connected),))
    else:
        yield LeftOut(None, "no fluid is connected at the end of the day")


@measure("navigation-count-daily", groups=1)
def navigation_count_daily(day: Day) -> Iterator[Observation]:
    """Every NavigationEvent counts once, under its page, which is the target."""
    for event in day.of("NavigationEvent"):
        yield Observation((event.target,), events=(event.seq,))


@measure("challenge-launch-daily", groups=1)
def challenge_launch_daily(day: Day) -> Iterator[Observation]:
    """Every ChallengeLaunchEvent counts once, under its challenge, which is the target."""
    for event in day.of("ChallengeLaunchEvent"):
        yield Observation((event.target,), events=(event.seq,))


@measure("session-duration", groups=2, rows="each")
def session_duration(day: Day) -> Iterator[Observation | LeftOut]:
    """Each session is a row of its own, with its length in whole seconds, rounded half up.

    A session begins at a ConnectionEvent and ends at the last event, of any type, before the next
    ConnectionEvent or the end of the day. One event alone is a session of 0 seconds. The pages are
    the NavigationEvents in it; its kind is `first` if its ConnectionEvent has the result
    firstConnection, else `any`. Events before the first ConnectionEvent belong to no session.
    """
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
    """Every use of a function of the app counts once, by page, function and parameter.

    For ConsumptionChangeTimeStepEvent and ConsumptionCompareEvent the page is the context and the
    parameter is the target. An ActionChangeEvent is on the page `challenges`, with its target. A
    ProfileSetEvent is on the page `profile`, without a parameter.
    """
    types = ("ConsumptionChangeTimeStepEvent", "ConsumptionCompareEvent")
    for event in day.of(*types, "ActionChangeEvent", "ProfileSetEvent"):
        page, params = event.context, event.target
        if event.type == "ActionChangeEvent":
            page = "challenges"
        elif event.type == "ProfileSetEvent":
            page, params = "profile", None
        yield Observation((page, event.type, params), events=(event.seq,))


@measure("event-duration", groups=3, rows="each")
def event_duration(day: Day) -> Iterator[Observation | LeftOut]:
    """Each end of a challenge, action, exploration, duel or quiz is a row of its own.

    Its value is the whole seconds from its startDate to its own time, rounded half up; a start that
    is later by up to 24 hours gives 0, one that is later still, missing or unreadable gives no row.
    Of equal ends (type, target, startDate) only the first one ever stored makes a row, for the app
    writes one each time a finished challenge is looked at; nor does one that comes late, after an
    equal one was counted.

    And once in the life of a home there is a row from its first connection to its first
    ChallengeLaunchEvent, if the first connection is known when that launch is counted.
    """
    made: set[EndKey] = set()
    for event in day.of("ChallengeLaunchEvent", *sorted(END_TYPES)):
        if event.type == "ChallengeLaunchEvent":
            yield _first_challenge(day, event)
        elif event.start is None:
            yield LeftOut(event.seq, _without_start(event))
        elif end_key(event) in made or not day.facts.may_make_row(event):
            yield LeftOut(event.seq, _not_first(day, event))
        else:
            made.add(end_key(event))
            yield _duration(event, event.start)


@measure("quiz-stars", groups=2, rows="each")
def quiz_stars(day: Day) -> Iterator[Observation | LeftOut]:
    """Each QuizEndEvent with a result of one digit from 0 to 5 is a row of its own.

    The value is that digit; the challenge is the context, the quiz is the target. A quiz that is
    tried again makes a further row.
    """
    for event in day.of("QuizEndEvent"):
        if event.outcome in {"0", "1", "2", "3", "4", "5"}:
            yield Observation((event.context, event.target), int(event.outcome), (event.seq,))
        else:
            yield LeftOut(event.seq, f"its result is no digit from 0 to 5: {event.result!r}")


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
    if facts.launch_row not in {None, event.seq}:
        return LeftOut(event.seq, "the first challenge of this home has its row already")
    if facts.first_launch != event.order:
        return LeftOut(event.seq, "it is not the first challenge launched in this home")
    if facts.first_connection is None:
        return LeftOut(event.seq, "it is the first challenge, but the first connection is unknown")
    groups = ("ConnectionEvent", "ChallengeLaunchEvent", event.target)
    return Observation(groups, _seconds(event.time - facts.first_connection), (event.seq,))


def _duration(event: Event, start: int) -> Observation | LeftOut:
    # An end more than a day before its start is implausible; a smaller gap is a clock's doing.
    if start - event.time > DAY_MS:
        return LeftOut(event.seq, "its startDate is later than its own time by more than 24 hours")
    groups = (_STARTS[event.type], event.type, event.target)
    return Observation(groups, _seconds(event.time - start), (event.seq,))


def _not_first(day: Day, event: Event) -> str:
    known = day.facts.ends.get(end_key(event))
    if known is not None and known.first >= event.order:
        return "it comes late: an equal end (type, target, startDate) was counted before it"
    return "an equal end (type, target, startDate) was there before it"


def _without_start(event: Event) -> str:
    if event.start_text is None:
        return "it has no startDate"
    return f"its startDate cannot be read: {event.start_text!r}"


def _seconds(ms: int) -> int:
    """Round half up to whole seconds; a negative duration counts as 0."""
    return (max(ms, 0) + 500) // 1000
