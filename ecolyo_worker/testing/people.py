"""Made-up people who use the app plausibly: what their host says, and the events they leave.

The same seed gives the same people, days and events. Only for demonstrations and tests.
"""

import random
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct

from ecolyo_worker.testing.homes import HomeMeter
from ecolyo_worker.testing.meters import MeterLine, read_days, read_half_hours

__all__ = ["Delivery", "Household", "deliveries", "make_households"]

_NAMES = (
    "amina",
    "basile",
    "camille",
    "diane",
    "elio",
    "farid",
    "gaspard",
    "hana",
    "ines",
    "jules",
    "kim",
    "leila",
    "marius",
    "nora",
    "olivier",
    "paul",
    "quitterie",
    "rose",
    "samuel",
    "tess",
)
_DAY = timedelta(days=1)
_PAGES = ("consumption", "electricity", "gas", "water", "multifluid", "challenges", "ecogestures")
_STEPS = ("half_an_hour", "day", "week", "month", "year")
_SLUGS = {"electricity": "enedissgegrandlyon", "gas": "grdfgrandlyon", "water": "eglgrandlyon"}
_PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/129.0.0.0 Mobile Safari/537.36"
)
_COMPUTER = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
_BROWSERS = ("mobile", "desktop", _PHONE, _COMPUTER)


class Household(Struct, frozen=True):
    """A person's Cozy: what its host says, its events, and its meters."""

    name: str
    said: tuple[tuple[date, dict[str, Any]], ...]
    """Lines as a host imports them, and the civil day on which each is said."""
    events: tuple[dict[str, Any], ...]
    readings: tuple[MeterLine, ...]
    """What its meters give by themselves; those that are fetched are left out."""
    meters: tuple[HomeMeter, ...] = ()
    """Those that are fetched."""
    left: date | None = None
    """Her last day, on whose evening she leaves."""
    is_forgotten: bool = False
    """Whether she wants every trace deleted when she leaves; else she takes her consent back."""


class Delivery(Struct, frozen=True):
    """What reaches the worker during one civil day, in the order in which it comes."""

    day: date
    events: tuple[dict[str, Any], ...] = ()
    facts: tuple[dict[str, Any], ...] = ()
    """Lines about instances, as a host imports them."""
    consumption: tuple[dict[str, Any], ...] = ()
    """Lines of consumption, as a host imports them."""
    added: tuple[tuple[str, HomeMeter], ...] = ()
    """Meters that are fetched from now on, and whose."""
    lost: tuple[HomeMeter, ...] = ()
    """Meters for which the consent is taken back."""
    left: tuple[Household, ...] = ()
    """Who leaves in the evening."""


def make_households(
    seed: int,
    count: int,
    first_day: date,
    days: int,
    meters: Sequence[HomeMeter] = (),
    *,
    seldom: int = 0,
    leaving: int = 0,
) -> list[Household]:
    """Make people who use the app from `first_day` on, for so many days.

    Some have `meters` that are fetched. So many at the end of the list use the app `seldom` and
    have none, and of these again so many leave before the last day.
    """
    draw = random.Random(seed)
    owned: dict[int, list[HomeMeter]] = {}
    for meter in meters:
        owned.setdefault(meter.person, []).append(meter)
    often = count - seldom
    lived = [_Person(draw, n, first_day, days, owned.get(n, ())).live() for n in range(often)]
    for n in range(often, count):
        person = _Seldom(draw, n, first_day, days)
        if n >= count - leaving:
            person.leave(first_day + timedelta(days=draw.randrange(1, days)))
        lived.append(person.live())
    return lived


def deliveries(households: list[Household], seed: int) -> Iterator[Delivery]:
    """Give all that comes in by its day: events mostly at once, some late, some twice.

    A phone without a network hands its events over the day after; an app that saw no answer sends
    them again. What the meters' operators give after the last event is left out.
    """
    draw = random.Random(seed)
    events: dict[date, list[dict[str, Any]]] = {}
    for event in (event for household in households for event in household.events):
        day = date.fromisoformat(event["eventDate"][:10])
        arrival = day + _DAY if draw.random() < 0.03 else day
        events.setdefault(arrival, []).append(event)
        if draw.random() < 0.02:
            events[arrival].append(event)
    facts: dict[date, list[dict[str, Any]]] = {}
    readings: dict[date, list[dict[str, Any]]] = {}
    added: dict[date, list[tuple[str, HomeMeter]]] = {}
    first, last = min(events), max(events)
    halfway = first + (last - first) // 2
    for household in households:
        for day, line in household.said:
            facts.setdefault(day, []).append(line)
        begun = max(household.said[0][0], first)
        added.setdefault(begun, []).extend((household.name, one) for one in household.meters)
        for reading in household.readings:
            readings.setdefault(max(reading.day, first), []).append(reading.line)
    for day in (first + n * _DAY for n in range((last - first).days + 1)):
        found = sorted(events.get(day, ()), key=lambda event: (event["eventDate"], event["_id"]))
        yield Delivery(
            day,
            tuple(found),
            tuple(facts.get(day, ())),
            tuple(readings.get(day, ())),
            tuple(added.get(day, ())),
            _lost(households) if day == halfway else (),
            tuple(household for household in households if household.left == day),
        )


def _lost(households: list[Household]) -> tuple[HomeMeter, ...]:
    return tuple(meter for home in households for meter in home.meters if meter.is_lost)


class _Person:
    """One person's habits, and what they come to."""

    def __init__(
        self,
        draw: random.Random,
        number: int,
        first_day: date,
        days: int,
        meters: Sequence[HomeMeter],
    ) -> None:
        self._draw = draw
        self._meters = tuple(meters)
        fetched = {meter.fluid for meter in meters}
        again = f"-{number // len(_NAMES) + 1}" if number >= len(_NAMES) else ""
        self._name = f"{_NAMES[number % len(_NAMES)]}{again}.example"
        # The second one never accepted the current terms, the third one begins in the middle.
        self._version = "0.9.0" if number == 1 else draw.choice(("1.0.0", "1.1.0"))
        self._begin = first_day + timedelta(days=days // 2 if number == 2 else 0)
        self._end = first_day + timedelta(days=days)
        self._is_new = number == 2
        self._browser = draw.choice(_BROWSERS)
        fluids = [fluid for fluid in _SLUGS if draw.random() < 0.7 or fluid in fetched] or [
            "electricity"
        ]
        # When each was connected. The new one, and every third one, connect one in these days.
        self._fluids = dict.fromkeys(fluids, self._begin)
        self._fetched = fetched
        self._connecting = draw.choice(fluids)
        tries = self._is_new or number % 3 == 0
        self._tries = tries and self._connecting not in fetched
        if self._tries and not self._is_new:
            self._fluids[self._connecting] = self._begin + timedelta(days=1 + number % 7 * 5)
        self._has_half_hours = number % 2 == 0
        self._habit = draw.uniform(0.15, 0.6)
        self._is_subscribed = draw.random() < 0.6
        self._month = 0
        self._said: list[tuple[date, dict[str, Any]]] = []
        self._events: list[dict[str, Any]] = []
        self._challenges: dict[str, datetime] = {}
        self._left: date | None = None
        self._is_forgotten = False

    def live(self) -> Household:
        self._said.append((self._begin, self._facts()))
        day = self._begin
        while day < self._end:
            self._refresh(day)
            if self._tries and day <= self._fluids[self._connecting]:
                self._try_to_connect(day)
            if self._is_new and day == self._begin:
                self._visit(self._at(day, 9), first=True)
            elif self._draw.random() < self._habit:
                for hour in self._draw.sample(range(7, 23), self._draw.choice((1, 1, 2))):
                    self._visit(self._at(day, hour))
            day += _DAY
        return Household(
            self._name,
            tuple(self._said),
            tuple(self._events),
            tuple(self._readings()),
            self._meters,
            self._left,
            self._is_forgotten,
        )

    def _facts(self) -> dict[str, Any]:
        accepted = datetime.combine(self._begin, datetime.min.time())
        if not self._is_new:
            accepted -= timedelta(days=self._draw.randrange(20, 300))
        facts: dict[str, Any] = {
            "instance": self._name,
            "consent": {"version": self._version, "accepted_at": accepted.isoformat()},
            "konnectors": [
                self._konnector(fluid, accepted + timedelta(minutes=10))
                for fluid, since in self._fluids.items()
                if since == self._begin and not (self._tries and fluid == self._connecting)
            ],
            "profile": self._profile(),
        }
        if not self._is_new:
            facts["first_connection_at"] = (accepted + timedelta(minutes=5)).isoformat()
            since = accepted + timedelta(minutes=15)
            facts["monthly_summary"] = [self._subscription(since)]
        return facts

    def _profile(self) -> dict[str, str]:
        warm = [fluid for fluid in self._fluids if fluid != "water"] or ["electricity"]
        return {use: self._draw.choice(warm) for use in ("heating", "hot_water", "cooking")}

    def _subscription(self, since: datetime) -> dict[str, Any]:
        return {"subscribed": self._is_subscribed, "since": since.isoformat()}

    @staticmethod
    def _konnector(fluid: str, since: datetime) -> dict[str, Any]:
        return {"fluid": fluid, "connected": True, "since": since.isoformat()}

    def _say(self, at: datetime, **facts: Any) -> None:  # noqa: ANN401  any fact's value
        """Let the host say something more on that day."""
        self._said.append((at.date(), {"instance": self._name, **facts}))

    def _refresh(self, day: date) -> None:
        """Fetch what was consumed, at night, as the konnectors do by themselves."""
        for fluid, since in self._fluids.items():
            if since > day or (self._tries and fluid == self._connecting and since == day):
                continue
            result = "success" if self._draw.random() < 0.93 else "error"
            at = self._at(day, 3)
            self._event(at, "KonnectorRefreshEvent", target=_SLUGS[fluid], result=result)

    def _try_to_connect(self, day: date) -> None:
        """Type the wrong password twice on the day on which it succeeds, and once before."""
        is_day = day == self._fluids[self._connecting]
        if not (is_day or day == self._begin):
            return
        slug, at = _SLUGS[self._connecting], self._at(day, 10)
        for result in ("error", "error", "success") if is_day else ("error",):
            at = self._event(at, "KonnectorConnectEvent", target=slug, result=result)
            self._event(at, "KonnectorAttemptEvent", target=slug, result=result)
        if is_day:
            self._say(at, konnectors=[self._konnector(self._connecting, at)])

    def _readings(self) -> Iterator[MeterLine]:
        """Read the meters, from the month before the one in which she begins."""
        begin = (self._begin.replace(day=1) - _DAY).replace(day=1)
        read = {one: since for one, since in self._fluids.items() if one not in self._fetched}
        for fluid, since in read.items():
            for reading in read_days(self._draw, self._name, fluid, begin, self._end):
                # What was measured before it was connected is fetched then.
                yield MeterLine(max(reading.day, since), reading.line)
        if self._has_half_hours and "electricity" in read:
            yield from read_half_hours(self._draw, self._name, begin, self._end)

    def _visit(self, at: datetime, *, first: bool = False) -> None:
        result = "firstConnection" if first else None
        at = self._event(at, "ConnectionEvent", context=self._browser, result=result)
        self._look_up(at)
        for _ in range(self._draw.randrange(1, 6)):
            page = self._draw.choice(_PAGES)
            at = self._event(at, "NavigationEvent", target=page)
            if page in {"electricity", "gas", "water"} and self._draw.random() < 0.6:
                kind = self._draw.choice(
                    ("ConsumptionChangeTimeStepEvent", "ConsumptionCompareEvent")
                )
                at = self._event(at, kind, target=self._draw.choice(_STEPS), context=page)
            elif page == "challenges":
                at = self._play(at)

    def _look_up(self, at: datetime) -> None:
        """Do what one does the first time in a month: see the last one's summary, set the rest."""
        month = at.year * 12 + at.month
        if month == self._month:
            return
        is_first, self._month = not self._month, month
        if self._is_subscribed and self._draw.random() < 0.7:
            self._event(at, "ReportFromEvent", context="analysis", result="1")
        if self._draw.random() < (0.5 if is_first else 0.1):
            at = self._event(at, "ProfileSetEvent")
            self._say(at, profile=self._profile())
        if self._draw.random() < 0.1 or (is_first and self._is_new):
            self._is_subscribed = not self._is_subscribed
            self._say(at, monthly_summary=[self._subscription(at)])

    def _play(self, at: datetime) -> datetime:
        """Begin a challenge, or go on with the one that was begun."""
        if not self._challenges:
            challenge = f"CHALLENGE{self._draw.randrange(1, 12):04}"
            self._challenges[challenge] = at
            return self._event(at, "ChallengeLaunchEvent", target=challenge)
        challenge, begun = next(iter(self._challenges.items()))
        quiz, stars = f"QUIZ{int(challenge[-4:]):04}", str(self._draw.randrange(6))
        at = self._event(at, "QuizEndEvent", target=quiz, context=challenge, result=stars, start=at)
        if self._draw.random() < 0.3:
            del self._challenges[challenge]
            at = self._event(at, "ChallengeEndEvent", target=challenge, start=begun)
        return at

    def _event(
        self,
        at: datetime,
        kind: str,
        *,
        target: str | None = None,
        context: str | None = None,
        result: str | None = None,
        start: datetime | None = None,
    ) -> datetime:
        """Leave an event some seconds after `at`, and give its time."""
        at += timedelta(milliseconds=self._draw.randrange(2_000, 90_000))
        self._events.append(
            {
                "instance": self._name,
                "_id": f"{self._draw.getrandbits(128):032x}",
                "type": kind,
                "eventDate": f"{at.isoformat(timespec='milliseconds')}Z",
                "target": target,
                "context": context,
                "result": result,
                "startDate": None if start is None else f"{start.isoformat()}Z",
                "aggregated": False,
            }
        )
        return at

    def _at(self, day: date, hour: int) -> datetime:
        minute = self._draw.randrange(50)
        return datetime.combine(day, datetime.min.time()) + timedelta(hours=hour, minutes=minute)


class _Seldom(_Person):
    """Somebody who looks at the app a few times a year, and has connected nothing."""

    def __init__(
        self,
        draw: random.Random,
        number: int,
        first_day: date,
        days: int,
    ) -> None:
        super().__init__(draw, number, first_day, days, ())
        self._fluids = {}
        self._tries = False
        self._habit = 0.01

    def leave(self, day: date) -> None:
        """Let this be the last day."""
        self._left, self._end = max(day, self._begin), max(day, self._begin) + _DAY
        self._is_forgotten = self._draw.random() < 0.5
