"""A person's life by the rules, with dictionaries alone: what the worker is compared with."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any

from tests.property.allowed import Judge, sent_as
from tests.property.made import CONTEXTS

__all__ = ["Person", "Thing", "line"]

DAY = timedelta(days=1)
FAR = datetime(9999, 1, 1)
FLUIDS = {"electricity": "enedis", "water": "egl", "gas": "grdf"}
ACTIONS = {
    "ConsumptionChangeTimeStepEvent": None,
    "ConsumptionCompareEvent": None,
    "ActionChangeEvent": "challenges",
    "ProfileSetEvent": "profile",
}
"""The page that each has; None where the event says it."""
KINDS = {"KonnectorConnectEvent": "connexion", "KonnectorRefreshEvent": "refresh"}
STARTS = {
    "ChallengeEndEvent": "ChallengeLaunchEvent",
    "ActionEndEvent": "ActionStartEvent",
    "ExplorationEndEvent": "ExplorationStartEvent",
    "DuelEndEvent": "DuelLaunchEvent",
    "QuizEndEvent": "QuizStartEvent",
}

Groups = tuple[str | None, ...]


@dataclass
class Thing:
    """An event as the rules read it, and what became of it."""

    seq: int
    ident: str | None
    kind: str
    at: datetime
    target: str | None
    context: str | None
    outcome: str
    start: datetime | None
    state: str

    @classmethod
    def of(cls, seq: int, found: Mapping[str, Any]) -> "Thing":
        """Read an event as it came in."""
        result = found["result"]
        if isinstance(result, float) and result.is_integer():
            result = int(result)
        return cls(
            seq=seq,
            ident=found["_id"],
            kind=found["type"],
            at=datetime.fromisoformat(found["eventDate"].removesuffix("Z")),
            target=found["target"] or None,
            context=found["context"] or None,
            outcome="" if result is None else str(result).strip().lower(),
            start=_start(found["startDate"]),
            state="imported" if found["aggregated"] else "waiting",
        )

    @property
    def place(self) -> tuple[datetime, int]:
        """Its place in the order of events."""
        return self.at, self.seq

    @property
    def end(self) -> tuple[str, str, datetime | None]:
        """What makes ends equal."""
        return self.kind, self.target or "", self.start


@dataclass
class Person:
    """One person, as she is told of; `rows` are those that are made and not sent."""

    judge: Judge = field(default_factory=Judge)
    not_before: date = date.min
    consents: dict[datetime, str] = field(default_factory=dict)
    withdrawn: datetime | None = None
    konnectors: dict[tuple[str, datetime], bool] = field(default_factory=dict)
    subscriptions: dict[datetime, bool] = field(default_factory=dict)
    profile: dict[str, str] = field(default_factory=dict)
    first_said: datetime | None = None
    consumption: dict[tuple[str, date], int] = field(default_factory=dict)
    half_hours: set[date] = field(default_factory=set)
    things: list[Thing] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    too_large: Counter[str] = field(default_factory=Counter)
    _arrived: int = 0
    _counted_days: set[date] = field(default_factory=set)
    _gone_through: date = date.min  # the last day that was counted before a withdrawal
    _ends_counted: set[Any] = field(default_factory=set)
    _ends_made: set[Any] = field(default_factory=set)
    _launch_made: bool = False
    _connected_through: date = date.min
    _months_from: int | None = None
    _months_done: set[int] = field(default_factory=set)

    def receive(self, found: Iterable[Mapping[str, Any]]) -> int:
        """Store events that arrive; give how many are new."""
        known = {thing.ident for thing in self.things} - {None}
        before = len(self.things)
        for item in found:
            if item["_id"] not in known:
                self._arrived += 1
                self.things.append(Thing.of(self._arrived, item))
                known |= {item["_id"]} - {None}
        return len(self.things) - before

    def withdraw(self) -> None:
        """End the consents; what waits goes, and the events with all that came of them."""
        ended = [*self.consents, *([] if self.withdrawn is None else [self.withdrawn])]
        self.withdrawn = max(ended, default=None)
        self._gone_through = max(self._counted_days, default=date.min)
        self.things.clear()
        self.rows.clear()
        self._ends_counted.clear()
        self._ends_made.clear()

    def acceptance(self, as_of: datetime = FAR) -> datetime | None:
        """Give the beginning of the series of sufficient consents."""
        begin = None
        for at, version in sorted(self.consents.items()):
            if at <= as_of and (self.withdrawn is None or at > self.withdrawn):
                begin = (begin or at) if version in {"1.0.0", "1", "1.10"} else None
        return begin

    def night(self, as_of: datetime) -> None:
        """Count what a run counts."""
        accepted = self.acceptance(as_of)
        if accepted is None:
            return
        waiting = {thing.at.date() for thing in self.things if thing.state == "waiting"}
        for day in sorted(day for day in waiting if day < as_of.date()):
            self._count(day, accepted, as_of)
        self._connect(accepted, as_of.date())
        self._count_months(accepted, as_of)

    # Days

    def _count(self, day: date, accepted: datetime, as_of: datetime) -> None:
        things = sorted(
            (t for t in self.things if t.at.date() == day and t.state == "waiting"),
            key=lambda thing: thing.place,
        )
        for thing in things:
            thing.state = self._fate(thing, accepted, as_of)
        counted = [thing for thing in things if thing.state == "counted"]
        sums: Counter[tuple[str, ...]] = Counter(
            (measure, *self._checked(measure, groups)) for measure, groups in _counts(counted)
        )
        for cell, number in sums.items():
            self._put(cell[0], day, number, cell[1:])
        for measure, value, groups in self._singles(counted, day, as_of):
            self._check_and_put(measure, day, value, groups)
        self._ends_counted |= {t.end for t in counted if t.kind in STARTS and t.start is not None}
        self._counted_days.add(day)

    def _fate(self, thing: Thing, accepted: datetime, as_of: datetime) -> str:
        if thing.at.date() < self.not_before:
            return "imported"
        if thing.at < accepted:
            return "unconsented"
        is_late = thing.at.date() <= self._gone_through
        is_old = (as_of.date() - thing.at.date()).days > 31
        return "expired" if is_late or is_old else "counted"

    def _singles(
        self, counted: list[Thing], day: date, as_of: datetime
    ) -> Iterator[tuple[str, int, Groups]]:
        for session in _sessions(counted):
            pages = sum(thing.kind == "NavigationEvent" for thing in session)
            kind = "first" if session[0].outcome == "firstconnection" else "any"
            yield "session-duration", _seconds(session[-1].at - session[0].at), (str(pages), kind)
        for thing in counted:
            if thing.kind == "QuizEndEvent" and thing.outcome in set("012345"):
                yield "quiz-stars", int(thing.outcome), (thing.context, thing.target)
            if thing.kind in STARTS and thing.start is not None and self._is_first(thing, day):
                self._ends_made.add(thing.end)
                if thing.start - thing.at <= DAY:
                    seconds = _seconds(thing.at - thing.start)
                    yield "event-duration", seconds, (STARTS[thing.kind], thing.kind, thing.target)
            first = self._first_connection(as_of)
            if thing.kind == "ChallengeLaunchEvent" and first and self._is_first_launch(thing):
                self._launch_made = True
                groups = ("ConnectionEvent", thing.kind, thing.target)
                yield "event-duration", _seconds(thing.at - first), groups

    def _is_first(self, thing: Thing, day: date) -> bool:
        equal = [other.place for other in self.things if other.end == thing.end]
        late = day in self._counted_days and thing.end in self._ends_counted
        return thing.place == min(equal) and thing.end not in self._ends_made and not late

    def _is_first_launch(self, thing: Thing) -> bool:
        launches = [other.place for other in self.things if other.kind == thing.kind]
        return thing.place == min(launches) and not self._launch_made

    def _first_connection(self, as_of: datetime) -> datetime | None:
        if self.first_said is not None and self.first_said <= as_of:
            return self.first_said
        seen = [
            thing.at
            for thing in self.things
            if thing.kind == "ConnectionEvent" and thing.outcome == "firstconnection"
        ]
        return min((at for at in seen if at <= as_of), default=None)

    def _connect(self, accepted: datetime, today: date) -> None:
        through = self._connected_through
        begins = [accepted.date(), today - 31 * DAY, self.not_before, date.min]
        day = max(*begins, through if through == date.min else through + DAY)
        while day < today:
            connected = [fluid for fluid in FLUIDS if self._is_connected(fluid, day)]
            if connected:
                groups = (":".join(connected),)
                self._check_and_put("konnector-connected-daily", day, 1, groups)
            day += DAY
        self._connected_through = max(through, today - DAY)

    def _is_connected(self, fluid: str, day: date) -> bool:
        said = {at: on for (name, at), on in self.konnectors.items() if name == fluid}
        known = [at for at in said if at.date() <= day]
        return bool(known) and said[max(known)]

    # Months

    def _count_months(self, accepted: datetime, as_of: datetime) -> None:
        today = as_of.date()
        this = _month(today)
        begin = this - 1 if self._months_from is None else self._months_from
        self._months_from = begin
        last = this - (1 if today.day >= 6 else 2)
        for number in range(max(begin, this - 3), last + 1):
            end = _first_of(number + 1)
            if number in self._months_done or end <= self.not_before:
                continue
            self._months_done.add(number)
            if _midnight(end) > accepted:
                self._count_month(number, accepted, as_of)

    def _count_month(self, number: int, accepted: datetime, as_of: datetime) -> None:
        begin, end = _first_of(number), _first_of(number + 1)
        life = sorted(
            (t for t in self.things if accepted <= t.at < _midnight(end)), key=lambda t: t.place
        )
        month = [thing for thing in life if thing.at >= _midnight(begin)]
        connections = [thing.at.date() for thing in month if thing.kind == "ConnectionEvent"]
        self._check_and_put("connection-count-monthly", begin, len(set(connections)), ())
        granularity = int(any(begin <= day < end for day in self.half_hours))
        groups = ("electricity", "half_an_hour")
        self._check_and_put("fluid-data-granularity-monthly", begin, granularity, groups)
        said = [at for at in self.subscriptions if at < _midnight(end)]
        if said:
            value = int(self.subscriptions[max(said)])
            self._check_and_put("summary-subscription-monthly", begin, value, ("subscription",))
        if any(thing.kind == "ReportFromEvent" for thing in month):
            self._check_and_put("summary-subscription-monthly", begin, 1, ("analysis",))
        profiles = sum(thing.kind == "ProfileSetEvent" for thing in life)
        if profiles:
            self._check_and_put("profile-count-monthly", begin, profiles, ())
        for fluid, slug in FLUIDS.items():
            self._try_konnector(fluid, slug, life, _midnight(begin))
        first = self._first_connection(as_of)
        if connections and first is not None:
            self._vary(begin, first)

    def _try_konnector(self, fluid: str, slug: str, life: list[Thing], begin: datetime) -> None:
        attempts = [
            thing
            for thing in life
            if thing.kind == "KonnectorAttemptEvent"
            and (thing.target or "").strip().startswith(slug)
        ]
        won = [n for n, thing in enumerate(attempts, 1) if thing.outcome == "success"]
        now = [thing for thing in attempts if thing.at >= begin]
        if now and (not won or attempts[won[0] - 1].at >= begin):
            value = won[0] if won else len(attempts)
            groups = (fluid, "true" if won else "false")
            self._check_and_put("konnector-attempts-monthly", begin.date(), value, groups)

    def _vary(self, begin: date, first: datetime) -> None:
        before, end = _first_of(_month(begin) - 1), _first_of(_month(begin) + 1)
        seniority = (end.year - first.year) * 12 + end.month - first.month - (first.day > 1)
        for fluid in FLUIDS:
            try:
                old, new = (
                    sum(self.consumption[fluid, date.fromordinal(day)] for day in range(*span))
                    for span in (
                        (before.toordinal(), begin.toordinal()),
                        (begin.toordinal(), end.toordinal()),
                    )
                )
            except KeyError:
                continue
            if old > 0:
                uses = [
                    u for u in ("cooking", "heating", "hot_water") if self.profile.get(u) == fluid
                ]
                groups = (fluid, str(max(seniority, 0)), ":".join(uses) or "none")
                measure = "consumption-variation-monthly"
                value = _rounded(Fraction(100 * (new - old), old))
                self._check_and_put(measure, begin, value, groups)

    # Rows

    def _checked(self, measure: str, groups: Groups) -> tuple[str, ...]:
        rules = self.judge.rules(measure)
        return tuple(sent_as(rule, text) for rule, text in zip(rules, groups, strict=True))

    def _check_and_put(self, measure: str, day: date, value: float, groups: Groups) -> None:
        self._put(measure, day, value, self._checked(measure, groups))

    def _put(self, measure: str, day: date, value: float, groups: Groups) -> None:
        if abs(value) < 1e10:
            self.rows[_line(self.judge, measure, day, value, groups)] += 1
        else:
            self.too_large[measure] += 1


def line(body: bytes) -> str:
    """Give a body in the one form in which rows are compared."""
    return json.dumps(json.loads(body), sort_keys=True)


def _line(judge: Judge, measure: str, day: date, value: float, groups: Groups) -> str:
    head = {"createdBy": "ecolyo", "measureName": measure, "startDate": day.isoformat()}
    places = {
        f"group{n}": {rule["key"]: text}
        for n, (rule, text) in enumerate(zip(judge.rules(measure), groups, strict=True), 1)
    }
    return json.dumps(head | {"value": value} | places, sort_keys=True)


def _counts(counted: list[Thing]) -> Iterator[tuple[str, Groups]]:
    for thing in counted:
        target, page = thing.target, thing.context
        if thing.kind in ACTIONS:
            page = ACTIONS[thing.kind] or page
            params = None if thing.kind == "ProfileSetEvent" else target
            yield "navigation-action-daily", (page, thing.kind, params)
        elif thing.kind == "ConnectionEvent":
            yield "connection-count-daily", (CONTEXTS[thing.context],)
        elif thing.kind == "NavigationEvent":
            yield "navigation-count-daily", (target,)
        elif thing.kind == "ChallengeLaunchEvent":
            yield "challenge-launch-daily", (target,)
        elif thing.kind in KINDS:
            yield "konnector-event-daily", (target, KINDS[thing.kind], thing.outcome)


def _sessions(counted: list[Thing]) -> list[list[Thing]]:
    sessions: list[list[Thing]] = []
    for thing in counted:
        if thing.kind == "ConnectionEvent":
            sessions.append([])
        if sessions:
            sessions[-1].append(thing)
    return sessions


def _seconds(duration: timedelta) -> int:
    return max(0, (duration + timedelta(milliseconds=500)) // timedelta(seconds=1))


def _rounded(number: Fraction) -> float:
    cents = Decimal(abs(number) * 100 // 1) + (abs(number) * 100 % 1 >= Fraction(1, 2))
    found = (cents / 100).quantize(Decimal("0.01"), ROUND_HALF_UP) * (-1 if number < 0 else 1)
    return int(found) if found == int(found) else float(found)


def _start(text: str | None) -> datetime | None:
    if not text or not text.isascii():
        return None
    try:
        return datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return None


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _first_of(number: int) -> date:
    return date(number // 12, number % 12 + 1, 1)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)
