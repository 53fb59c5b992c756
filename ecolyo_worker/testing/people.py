"""Made-up people who use the app plausibly: what their host says, and the events they leave.

The same seed gives the same people, days and events. Only for demonstrations and tests.
"""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct

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
    """A person's Cozy: the line its host imports, and its events."""

    name: str
    facts: dict[str, Any]
    events: tuple[dict[str, Any], ...]


class Delivery(Struct, frozen=True):
    """The events that reach the worker during one civil day, in the order in which they come."""

    day: date
    events: tuple[dict[str, Any], ...]


def make_households(seed: int, count: int, first_day: date, days: int) -> list[Household]:
    """Make people who use the app from `first_day` on, for so many days."""
    draw = random.Random(seed)
    return [_Person(draw, n, first_day, days).live() for n in range(count)]


def deliveries(households: list[Household], seed: int) -> Iterator[Delivery]:
    """Give all events by the day on which they come in: mostly at once, some late, some twice.

    A phone without a network hands its events over the day after; an app that saw no answer sends
    them again.
    """
    draw = random.Random(seed)
    by_day: dict[date, list[dict[str, Any]]] = {}
    for event in (event for household in households for event in household.events):
        day = date.fromisoformat(event["eventDate"][:10])
        arrival = day + timedelta(days=1) if draw.random() < 0.03 else day
        by_day.setdefault(arrival, []).append(event)
        if draw.random() < 0.02:
            by_day[arrival].append(event)
    for day in sorted(by_day):
        events = sorted(by_day[day], key=lambda event: (event["eventDate"], event["_id"]))
        yield Delivery(day, tuple(events))


class _Person:
    """One person's habits, and what they come to."""

    def __init__(self, draw: random.Random, number: int, first_day: date, days: int) -> None:
        self._draw = draw
        again = f"-{number // len(_NAMES) + 1}" if number >= len(_NAMES) else ""
        self._name = f"{_NAMES[number % len(_NAMES)]}{again}.example"
        # The second one never accepted the current terms, the third one begins in the middle.
        self._version = "0.9.0" if number == 1 else draw.choice(("1.0.0", "1.1.0"))
        self._begin = first_day + timedelta(days=days // 2 if number == 2 else 0)
        self._end = first_day + timedelta(days=days)
        self._is_new = number == 2
        self._browser = draw.choice(_BROWSERS)
        fluids = [fluid for fluid in _SLUGS if draw.random() < 0.7]
        self._fluids = fluids or ["electricity"]
        self._habit = draw.uniform(0.4, 0.95)
        self._events: list[dict[str, Any]] = []
        self._challenges: dict[str, datetime] = {}

    def live(self) -> Household:
        day = self._begin
        while day < self._end:
            self._refresh(day)
            if self._is_new and day == self._begin:
                self._visit(self._at(day, 9), first=True)
            elif self._draw.random() < self._habit:
                for hour in self._draw.sample(range(7, 23), self._draw.choice((1, 1, 2))):
                    self._visit(self._at(day, hour))
            day += timedelta(days=1)
        return Household(self._name, self._facts(), tuple(self._events))

    def _facts(self) -> dict[str, Any]:
        accepted = datetime.combine(self._begin, datetime.min.time())
        if not self._is_new:
            accepted -= timedelta(days=self._draw.randrange(20, 300))
        facts: dict[str, Any] = {
            "instance": self._name,
            "consent": {"version": self._version, "accepted_at": accepted.isoformat()},
            "konnectors": [
                {
                    "fluid": fluid,
                    "connected": True,
                    "since": (accepted + timedelta(minutes=10)).isoformat(),
                }
                for fluid in self._fluids
            ],
        }
        if not self._is_new:
            facts["first_connection_at"] = (accepted + timedelta(minutes=5)).isoformat()
        return facts

    def _refresh(self, day: date) -> None:
        """Fetch what was consumed, at night, as the konnectors do by themselves."""
        for fluid in self._fluids:
            result = "success" if self._draw.random() < 0.93 else "error"
            at = self._at(day, 3)
            self._event(at, "KonnectorRefreshEvent", target=_SLUGS[fluid], result=result)

    def _visit(self, at: datetime, *, first: bool = False) -> None:
        result = "firstConnection" if first else None
        at = self._event(at, "ConnectionEvent", context=self._browser, result=result)
        for _ in range(self._draw.randrange(1, 7)):
            page = self._draw.choice(_PAGES)
            at = self._event(at, "NavigationEvent", target=page)
            if page in {"electricity", "gas", "water"} and self._draw.random() < 0.6:
                kind = self._draw.choice(
                    ("ConsumptionChangeTimeStepEvent", "ConsumptionCompareEvent")
                )
                at = self._event(at, kind, target=self._draw.choice(_STEPS), context=page)
            elif page == "challenges":
                at = self._play(at)

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
