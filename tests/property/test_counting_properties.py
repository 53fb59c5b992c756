"""What holds of counting for any events: in any order of arrival, over any cut into nights."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecolyo_worker.clock import DAY_MS, civil_text, day_of, parse_day
from ecolyo_worker.events import END_TYPES, EVENT_TYPES, Event, check_event
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import End, Facts, Fate, Row, Rules, count
from tests.property.made import limits

PARIS = ZoneInfo("Europe/Paris")
FIRST_DAY = parse_day("2026-11-18")
LAST_NIGHT = (FIRST_DAY + 6) * DAY_MS
LIMITS = limits(60)

# What each counting measure counts, and what each measure of rows makes a row of.
COUNTING = {
    "connection-count-daily": {"ConnectionEvent"},
    "konnector-event-daily": {"KonnectorConnectEvent", "KonnectorRefreshEvent"},
    "navigation-count-daily": {"NavigationEvent"},
    "challenge-launch-daily": {"ChallengeLaunchEvent"},
    "navigation-action-daily": {
        *("ConsumptionChangeTimeStepEvent", "ConsumptionCompareEvent"),
        *("ActionChangeEvent", "ProfileSetEvent"),
    },
}
# The rules' table, as words of its own: all that may stand in a daily indicator.
IDENT = "[A-Z][A-Z_]{0,30}[0-9]{1,6}"
MAY_LEAVE = {
    "device": "mobile|desktop",
    "slug": "[a-z][a-z0-9-]{0,39}",
    "event_type": "connexion|refresh",
    "status": "success|error",
    "page": "electricity|gas|eau|water|multifluid|faq|legalNotice|consumption|challenges"
    "|ecogestures|analysis|options|profile",
    "feature": "|".join(sorted(COUNTING["navigation-action-daily"])),
    "params": f"half_an_hour|day|week|month|years?|none|{IDENT}",
    "challenge_id": f"none|{IDENT}",
    "quiz_id": f"none|{IDENT}",
    "number_pages": "[0-9]{1,3}|1000\\+",
    "session_type": "first|any",
    "start_event": "(Connection|(Challenge|Duel)Launch|(Action|Exploration|Quiz)Start)Event",
    "end_event": "(ChallengeLaunch|(Challenge|Action|Exploration|Duel|Quiz)End)Event",
}

MARK = "alice.mycozy.cloud"
HOSTILE = [
    MARK,
    f"gas {MARK}",
    f"CHALLENGE0001\n{MARK}",
    "12345678901234",
    "6f1c2a3b4c5d6e7f8091a2b3c4d5e6f7",
    '"},"group9":{"x":"',
    "electricity\x00",
    "ÉLECTRICITÉ",
    "\N{FULLWIDTH LATIN SMALL LETTER G}as",
    "x" * 256,
]
ALLOWED = ["gas", " gas ", "electricity", "day", "CHALLENGE0001", "QUIZ0002", "enedis", "egl"]
TEXTS = st.sampled_from([*ALLOWED, *HOSTILE]) | st.none() | st.text(max_size=12)
RESULTS = st.sampled_from(["success", "ERROR", "firstConnection", 0, 3, 5.0, "6", MARK]) | TEXTS
TIMES = st.integers(0, 4 * DAY_MS - 1) | st.integers(0, 40).map(lambda n: n * DAY_MS // 10)


Told = tuple[list[dict[str, Any]], list[tuple[int, int]], int]
"""Events in the order of arrival; nights, as (how many arrived before it, day); the acceptance."""


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(Definitions.load())


@st.composite
def usage_events(draw: st.DrawFn) -> dict[str, Any]:
    """Give one event as it comes in, at a time of its own or at one that others have too."""
    kind = draw(st.sampled_from(EVENT_TYPES) | st.sampled_from(sorted(END_TYPES)))
    # A context that nobody saw before is slow to classify: only a few are drawn for connections.
    few = st.sampled_from(["mobile", "desktop", None, "Firefox", *HOSTILE[:4]])
    return {
        "type": kind,
        "eventDate": civil_text(FIRST_DAY * DAY_MS + draw(TIMES)),
        "target": draw(TEXTS),
        "context": draw(few if kind == "ConnectionEvent" else TEXTS),
        "result": draw(RESULTS),
        "startDate": draw(st.sampled_from(["2026-11-18", "2026-11-20T09:00", "2026-12-31", None])),
        "aggregated": draw(st.sampled_from([False] * 5 + [True])),
    }


class Life:
    """One instance as a store keeps it: all its events, and what its countings came to."""

    def __init__(self, rules: Rules, acceptance: int) -> None:
        self._rules = rules
        self.stored: list[Event] = []
        self.facts = Facts(acceptance=acceptance)
        self.fates: dict[int, Fate] = {}
        self.rows: list[Row] = []
        self.others = 0

    def receive(self, found: Sequence[dict[str, Any]]) -> None:
        """Store events as they arrive, with the facts that rest on "ever stored"."""
        for item in found:
            event = check_event(item, PARIS, "wall")
            event = msgspec.structs.replace(event, seq=len(self.stored) + 1)
            self.stored.append(event)
            self.facts = msgspec.structs.replace(self.facts, **self._facts_of(event))

    def night(self, as_of: int) -> None:
        """Count every day before the run's that has events nobody passed over, oldest first."""
        for day in range(FIRST_DAY, day_of(as_of)):
            waiting = [e for e in self.stored if e.day == day and e.seq not in self.fates]
            if not waiting:
                continue
            waiting.sort(key=lambda event: event.order)
            counted = count(self.facts, waiting, as_of, self._rules)
            assert not counted.errors
            assert set(counted.fates) == {event.seq for event in waiting}
            self.facts = counted.facts
            self.fates |= counted.fates
            self.rows += counted.rows
            self.others += sum(counted.others.values())

    def counted(self) -> Iterator[Event]:
        """Give the events that were counted."""
        return (event for event in self.stored if self.fates[event.seq] == "counted")

    def values(self, measure: str) -> list[int | float]:
        """Give the values of a measure's rows."""
        made = [row.indicator for row in self.rows]
        return [indicator.value for indicator in made if indicator.measure_name == measure]

    def cells(self) -> Counter[tuple[str, ...]]:
        """Give what adds up at the DACC: the sums of the counting measures, by day and groups."""
        sums: Counter[tuple[str, ...]] = Counter()
        for indicator in (row.indicator for row in self.rows):
            if indicator.measure_name in COUNTING:
                groups = [text for group in indicator.groups for text in group.values()]
                sums[indicator.measure_name, indicator.start_date, *groups] += int(indicator.value)
        return sums

    def _facts_of(self, event: Event) -> dict[str, Any]:
        facts = self.facts
        if event.type == "ConnectionEvent" and event.outcome == "firstconnection":
            return {"first_connection": min(facts.first_connection or event.time, event.time)}
        if event.type == "ChallengeLaunchEvent":
            return {"first_launch": min(facts.first_launch or event.order, event.order)}
        if event.type in END_TYPES and event.start is not None:
            key = (event.type, event.target or "", event.start)
            known = facts.ends.get(key, End(event.order))
            first = min(known.first, event.order)
            return {"ends": {**facts.ends, key: End(first, known.counted, known.row)}}
        return {}


def lived(
    rules: Rules, events: list[dict[str, Any]], nights: list[tuple[int, int]], acceptance: int
) -> Life:
    """Give a life in which these events arrive between these nights, and one last night."""
    life = Life(rules, acceptance)
    arrived = 0
    for upto, day in nights:
        life.receive(events[arrived:upto])
        life.night((FIRST_DAY + day) * DAY_MS)
        arrived = upto
    life.receive(events[arrived:])
    life.night(LAST_NIGHT)
    return life


@st.composite
def lives(draw: st.DrawFn) -> Told:
    """Give some events, some nights between them, and an acceptance before or among them."""
    events = draw(st.lists(usage_events(), min_size=1, max_size=14))
    cuts = draw(st.lists(st.integers(0, len(events)), max_size=4).map(sorted))
    days = draw(st.lists(st.integers(1, 5), min_size=len(cuts), max_size=len(cuts)).map(sorted))
    acceptance = draw(st.sampled_from([0, (FIRST_DAY + 1) * DAY_MS + DAY_MS // 2]))
    return events, list(zip(cuts, days, strict=True)), acceptance


@LIMITS
@given(lives())
def test_counts_add_up_to_the_events(rules: Rules, told: Told) -> None:
    """However events arrive and nights fall, every event is passed over and counts once."""
    life = lived(rules, *told)
    assert set(life.fates) == {event.seq for event in life.stored}
    kinds = Counter(event.type for event in life.counted())
    for measure, types in COUNTING.items():
        assert sum(life.values(measure)) == sum(kinds[kind] for kind in types)


@LIMITS
@given(lives())
def test_nights_change_no_count(rules: Rules, told: Told) -> None:
    """What adds up at the DACC is the same for any cut into nights as for one night alone."""
    events, _, acceptance = told
    alone = lived(rules, events, [], acceptance)
    life = lived(rules, *told)
    assert life.cells() == alone.cells()
    assert life.fates == alone.fates


@LIMITS
@given(lives())
def test_rows_of_their_own_rest_on_their_events(rules: Rules, told: Told) -> None:
    """Sessions are as many as connections, stars as quizzes; equal ends make one row at most."""
    life = lived(rules, *told)
    counted = list(life.counted())
    connections = [event for event in counted if event.type == "ConnectionEvent"]
    assert len(life.values("session-duration")) == len(connections)
    stars = [
        int(e.outcome) for e in counted if e.type == "QuizEndEvent" and e.outcome in set("012345")
    ]
    assert sorted(life.values("quiz-stars")) == sorted(stars)
    durations = life.values("event-duration")
    assert len(durations) <= len(life.facts.ends) + 1
    assert all(value >= 0 for value in durations + life.values("session-duration"))


@LIMITS
@given(lives())
def test_a_quiet_night_makes_nothing(rules: Rules, told: Told) -> None:
    """A run with nothing new to count makes no row and changes no fact."""
    life = lived(rules, *told)
    rows, facts = list(life.rows), life.facts
    life.night(LAST_NIGHT)
    assert life.rows == rows
    assert life.facts == facts


@LIMITS
@given(lives())
def test_only_what_is_allowed_leaves(rules: Rules, told: Told) -> None:
    """Every row passes the check, and says only words of the rules' table, ids, or `other`."""
    life = lived(rules, *told)
    others = 0
    for indicator in (row.indicator for row in life.rows):
        rules.definitions.check(indicator)
        rules.definitions.check_body(indicator.encode())
        for group in indicator.groups:
            ((key, text),) = group.items()
            others += text == "other"
            assert text == "other" or re.fullmatch(MAY_LEAVE[key], text, re.ASCII), (key, text)
    assert others <= life.others


@LIMITS
@given(lives())
def test_no_word_of_a_person_leaves(rules: Rules, told: Told) -> None:
    """No text of an event stands in a body unless it is one that may be sent as it is."""
    life = lived(rules, *told)
    bodies = b"".join(row.indicator.encode() for row in life.rows)
    for text in HOSTILE:
        assert msgspec.json.encode(text)[1:-1] not in bodies
    for event in life.stored:
        assert event.id.encode() not in bodies


@LIMITS
@given(lives(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(rules: Rules, told: Told, draw: Random) -> None:
    """Events with different times make the same rows in whatever order they arrive."""
    events, _, acceptance = told
    at_one_time = {event["eventDate"]: event for event in events}
    apart = list(at_one_time.values())
    shuffled = draw.sample(apart, len(apart))
    lines = [
        Counter(row.indicator.encode() for row in lived(rules, order, [], acceptance).rows)
        for order in (apart, shuffled)
    ]
    assert lines[0] == lines[1]
