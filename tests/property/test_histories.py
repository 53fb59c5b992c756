"""What people and hosts do one after the other, in any order, beside a dictionary for each person.

Every step is a worker of its own: opened on what the last one left, and closed again.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ecolyo_worker import Settings, Worker
from ecolyo_worker.settings import Dacc, Retention
from ecolyo_worker.testing import echo_server
from ecolyo_worker.testing.clock import FakeClock
from tests.property.made import FIRST_DAY, events, limits, nights
from tests.property.model import Person, line
from tests.property.worked import assert_as_modelled, say

pytestmark = pytest.mark.timeout(600)  # a failure is told in its smallest form

NAMES = ("alice.mycozy.example", "bob.mycozy.example")
VERSIONS = ["1.0.0", "1.10", "1", "0.9.9", "1.0.0-beta"]
T = TypeVar("T")

names = st.sampled_from(NAMES)
moments = st.sampled_from([-30 * 24, 0, 33, 47, 72, 100]).map(
    lambda hours: FIRST_DAY + timedelta(hours=hours)
)


class Histories(RuleBasedStateMachine):
    """A worker, the DACC, and the models of all people that the worker knows."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.directory = Path(self.opened.enter_context(TemporaryDirectory()))
        self.echo = self.opened.enter_context(echo_server())
        self.clock = FakeClock(datetime(2027, 3, 1, tzinfo=UTC))
        self.people: dict[str, Person] = {}
        self.sent: Counter[str] = Counter()

    def teardown(self) -> None:
        self.opened.close()

    @initialize(found=st.lists(events(), min_size=3, max_size=8), as_of=nights())
    def begin(self, found: list[dict[str, Any]], as_of: datetime) -> None:
        """Somebody agreed, did something, and a night fell."""
        self.consent(NAMES[0], "1.0.0", FIRST_DAY)
        self.tell(NAMES[0], found)
        self.run(as_of)

    @rule(name=names, found=st.lists(events(), min_size=1, max_size=6))
    def tell(self, name: str, found: list[dict[str, Any]]) -> None:
        """Events arrive, some of them again."""
        receipt = self._do(lambda worker: worker.record(name, found))
        new = self._person(name).receive(found)
        assert (receipt.accepted, receipt.known) == (new, len(found) - new)

    @rule(name=names, version=st.sampled_from(["1.0.0", *VERSIONS]), at=moments)
    def consent(self, name: str, version: str, at: datetime) -> None:
        """A person accepts some version of the terms."""
        consent = {"version": version, "accepted_at": at.isoformat()}
        self._say(name, consent=consent)
        self._person(name).consents[at] = version

    @rule(name=names, at=moments)
    def lapse(self, name: str, at: datetime) -> None:
        """A person has not accepted newer terms, and the sender looks."""
        self.consent(name, "0.9.9", at)
        self.send()

    @rule(name=names)
    def withdraw(self, name: str) -> None:
        """A person takes her consent back."""
        self._say(name, consent=None)
        self._person(name).withdraw()

    @rule(
        name=names,
        fluid=st.sampled_from(["electricity", "gas"]),
        since=moments,
        connected=st.booleans(),
        first=st.none() | moments,
    )
    def know(
        self, name: str, fluid: str, since: datetime, connected: bool, first: datetime | None
    ) -> None:
        """A host tells of a konnector, of the summary, and of the first connection."""
        self._say(
            name,
            konnectors=[{"fluid": fluid, "since": since.isoformat(), "connected": connected}],
            monthly_summary=[{"since": since.isoformat(), "subscribed": connected}],
            first_connection_at=None if first is None else first.isoformat(),
        )
        person = self._person(name)
        person.konnectors[fluid, since] = connected
        person.subscriptions[since] = connected
        person.first_said = first

    @rule(as_of=nights())
    def run(self, as_of: datetime) -> None:
        """A night falls, as of some time; earlier ones may come later."""
        self._do(lambda worker: worker.run_once(as_of))
        for person in self.people.values():
            person.night(as_of)

    @rule()
    def send(self) -> None:
        """What may be sent is sent, over HTTP."""
        self._do(lambda worker: worker.send())
        for person in self.people.values():
            if person.acceptance() is not None:
                self.sent += person.rows
                person.rows.clear()

    @precondition(lambda self: self.people)
    @rule(name=names)
    def forget(self, name: str) -> None:
        """A person is forgotten; who comes back is a new one."""
        gone = self._do(lambda worker: worker.forget(name))
        assert (gone is None) == (name not in self.people)
        self.people.pop(name, None)

    @invariant()
    def all_is_as_modelled(self) -> None:
        """The rows that wait, the states of events, the books, and what the DACC has."""
        self._do(lambda worker: assert_as_modelled(worker, self.people))
        received = anyio.run(self.echo.indicators)
        assert {record["verdict"] for record in received} <= {"ok", "dup"}
        assert Counter(line(record["body"].encode()) for record in received) == self.sent

    def _say(self, name: str, **facts: Any) -> None:
        self._do(lambda worker: say(worker, {"instance": name, **facts}))

    def _person(self, name: str) -> Person:
        return self.people.setdefault(name, Person())

    def _do(self, act: Callable[[Worker], Awaitable[T]]) -> T:
        self.clock.advance(7200)  # what was put off for an hour is due again
        chosen = Settings(
            state_dir=self.directory,
            dacc=Dacc(url=self.echo.url, rate=10_000.0),
            retention=Retention(events_days=3650, sent_days=3650),  # nothing goes for its age
        )

        async def acted() -> T:
            async with Worker(chosen, clock=self.clock).opened() as worker:
                return await act(worker)

        return anyio.run(acted)


TestHistories = Histories.TestCase
TestHistories.settings = settings(limits(16), stateful_step_count=10)


def test_what_waits_is_held_back_and_goes_when_it_may() -> None:
    """One history that is always gone through: a consent lapses, is given again, and withdrawn."""
    alice, page = NAMES[0], {"_id": None, "type": "NavigationEvent", "target": "gas"}
    page |= dict.fromkeys(("context", "result", "startDate", "aggregated"))
    history = Histories()
    try:
        for day in (1, 2, 3):
            at = FIRST_DAY + timedelta(days=day, hours=9)
            night = FIRST_DAY + timedelta(days=day + 1, hours=1)
            history.begin([page | {"eventDate": at.isoformat()}], night)
            history.lapse(alice, FIRST_DAY + timedelta(days=20))
            history.all_is_as_modelled()
            if day == 1:
                history.consent(alice, "1.0.0", FIRST_DAY + timedelta(days=20))
            elif day == 2:
                history.withdraw(alice)
            history.send()
            history.all_is_as_modelled()
    finally:
        history.teardown()
    assert history.sent.total() == 1
