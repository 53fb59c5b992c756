"""What people, hosts, operators, clocks and crashes do, in any order, beside dictionaries.

A history is some fifty steps on a database file of its own. `model.Person` says what is counted,
`delivery.Delivery` what becomes of the rows; the DACC and Enedis are real servers. A crash leaves
the files as they were at that moment, and another worker goes on from those.

A history that fails is printed as calls of these steps. Once it is understood it is kept in
`kept_histories.py`, in that form, which no new version of anything makes unreadable: what is kept
is gone through on every change. For a long search there is `PROPERTY_EXAMPLES=50 pytest
tests/property/test_histories.py`, which tries fifty times as many.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ecolyo_worker.actors.series import End
from ecolyo_worker.ledger import balance
from ecolyo_worker.requests import ConsumptionImport, Line, Retry
from ecolyo_worker.store import cursors
from ecolyo_worker.store.accounts import Account
from tests import energy_accounts
from tests.energy_polling import PARIS, visit
from tests.property.allowed import Judge
from tests.property.delivery import LOST, OUTCOMES, TAKEN, Delivery, Row
from tests.property.kept_histories import HISTORIES
from tests.property.living import Around, Living, surroundings
from tests.property.made import FIRST_DAY, events, limits, nights
from tests.property.model import Person, line
from tests.property.worked import assert_as_modelled, say

pytestmark = pytest.mark.timeout(900)  # a failure is told in its smallest form

NAMES = ("alice.mycozy.example", "bob.mycozy.example")
CAROL = "carol.mycozy.example"
"""She has an energy account, and nothing of hers is counted."""
VERSIONS = ["1.0.0", "1.0.0", "1.10", "1", "0.9.9", "1.0.0-beta"]
WAITS = [timedelta(hours=2, minutes=7), timedelta(hours=26, minutes=11), timedelta(days=41)]
JUMPS = [timedelta(hours=-25, minutes=-3), timedelta(hours=26, minutes=17), timedelta(days=400)]
A_WHILE = 45
"""A process that has not been asked so often yet is not ended: to open another one takes time."""
JUDGE = Judge()

names = st.sampled_from(NAMES)
moments = st.sampled_from([-30 * 24, 0, 33, 47, 72, 100]).map(
    lambda hours: FIRST_DAY + timedelta(hours=hours)
)
# In one script, the DACC has all rows of which the worker does not know, or none of them.
known = [fault for fault in OUTCOMES if fault not in {*TAKEN, *LOST}]
scripts = st.sampled_from([TAKEN, LOST]).flatmap(
    lambda unknown: st.lists(st.sampled_from([*known, *unknown]), min_size=1, max_size=7)
)


class Histories(RuleBasedStateMachine):
    """A worker, the servers beside it, and the models of all people that it knows."""

    around: ClassVar[Around]

    def __init__(self) -> None:
        super().__init__()
        self.living = Living(self.around)
        self.clock = self.living.clock
        self.people: dict[str, Person] = {}
        self.delivery = Delivery()
        self.has_looked = False
        """Whether the janitor of this process has looked at the clock."""
        self.is_even = True
        """Whether the clock did not jump since then."""
        self.account: Account | None = None
        self.held: dict[int, tuple[int, int]] = {}

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.look()
        finally:
            self.living.close()

    def look(self) -> None:
        """Compare all that the worker and the DACC have with the models, and ask the ledger."""
        for name, person in self.people.items():
            person.rows = self.delivery.unsent(name)
        self.living.call(assert_as_modelled, self.living.worker, self.people)
        self._look_at_rows()
        self._balance()

    # People and their hosts

    @initialize(
        found=st.lists(events(), min_size=2, max_size=5),
        as_of=nights(),
        polled=st.sampled_from([False] * 9 + [True]),
    )
    def begin(self, found: list[dict[str, Any]], as_of: datetime, polled: bool) -> None:
        """Somebody agreed, did something, and a night fell; some have an energy account."""
        self.consent(NAMES[0], "1.0.0", FIRST_DAY)
        self.tell(NAMES[0], found)
        self.run(as_of)
        if polled:
            add, meter = energy_accounts.add, energy_accounts.PRM
            self.account = self.living.call(add, self.living.worker, "enedis", meter, CAROL)

    @rule(name=names, found=st.lists(events(), min_size=1, max_size=3))
    def tell(self, name: str, found: list[dict[str, Any]]) -> None:
        """Events arrive, some of them again."""
        receipt = self.living.call(self.living.worker.record, name, found)
        new = self._person(name).receive(found)
        assert (receipt.accepted, receipt.known) == (new, len(found) - new)

    @rule(name=names, version=st.sampled_from(VERSIONS), at=moments)
    def consent(self, name: str, version: str, at: datetime) -> None:
        """A person accepts some version of the terms, perhaps again."""
        self._say(name, consent={"version": version, "accepted_at": at.isoformat()})
        self._person(name).consents[at] = version

    @rule(name=names, found=st.lists(events(), min_size=1, max_size=3), as_of=nights())
    def live(self, name: str, found: list[dict[str, Any]], as_of: datetime) -> None:
        """A person agrees, perhaps anew, does something, and a night falls."""
        self.consent(name, "1.0.0", FIRST_DAY)
        self.tell(name, found)
        self.run(as_of)

    @precondition(lambda self: self.people)
    @rule(name=names, forgotten=st.booleans())
    def leave(self, name: str, forgotten: bool) -> None:
        """A person takes her consent back, or is forgotten: then who comes back is a new one."""
        if forgotten:
            gone = self.living.call(self.living.worker.forget, name)
            assert (gone is None) == (name not in self.people)
            self.people.pop(name, None)
        else:
            self._say(name, consent=None)
            self._person(name).withdraw()
        self.delivery.remove(name)

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

    @rule(
        name=names,
        fluid=st.sampled_from(["electricity", "gas"]),
        month=st.sampled_from([9, 10, 11]),
        amounts=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    )
    def consume(self, name: str, fluid: str, month: int, amounts: tuple[int, int]) -> None:
        """A host hands a month of consumption over; days that were there are replaced."""
        days = [date(2026, month, 1) + timedelta(days=n) for n in range(31)]
        found = {day: amounts[day.day % 2] for day in days if day.month == month}
        same = {"instance": name, "fluid": fluid, "step": "day"}
        texts = [
            msgspec.json.encode({**same, "start": day.isoformat(), "value": value})
            for day, value in found.items()
        ]
        request = ConsumptionImport([Line(n, text) for n, text in enumerate(texts, 1)])
        report = self.living.call(self.living.commands.consumption_import, request)
        assert not report.refused
        person = self._person(name)
        person.consumption |= {(fluid, day): value for day, value in found.items()}

    # Nights and sending

    @rule(as_of=nights())
    def run(self, as_of: datetime) -> None:
        """A night falls, as of some time; earlier ones may come later. What is old goes."""
        self.living.call(self.living.worker.run_once, as_of)
        found, owners = self.living.rows(), self.living.call(self._owners)
        made: dict[str, Counter[str]] = {name: Counter() for name in self.people}
        for ident in sorted(found.keys() - self.delivery.rows.keys()):
            row, owner, text = found[ident], owners[ident], line(bytes(found[ident].indicator))
            new = Row(owner, text, row.measure, row.start_date, self.clock.now())
            new.maybe = row.maybe_delivered
            made[owner][new.line] += 1
            self.delivery.rows[ident] = new
        for name, person in self.people.items():
            person.rows.clear()
            person.night(as_of)
            assert made[name] == person.rows
        self.delivery.prune(self.clock.now(), is_even=self.is_even)
        self.has_looked = self.is_even = True
        self._look_at_rows()

    async def _owners(self) -> dict[int, str]:
        query = "SELECT o.id, i.name FROM outbox AS o JOIN instances AS i ON i.id = o.instance"
        return await self.living.worker.database.read(lambda c: dict(c.execute(query).fetchall()))

    @precondition(lambda self: self._may_send())
    @rule()
    def send(self) -> None:
        """What may be sent is sent, and comes to what is answered."""
        report = self.living.call(self.living.worker.send)
        found = self.living.rows()
        assert found.keys() == self.delivery.rows.keys()
        expected = self.delivery.send(self._agreed(), found, self.clock.now())
        assert report.outcomes == expected

    @precondition(lambda self: self._may_send())
    @rule(script=scripts)
    def send_in_trouble(self, script: list[str]) -> None:
        """The DACC answers the next requests otherwise than it should, and rows are sent."""
        self._script(script)
        self.send()

    @precondition(lambda self: self._dead())
    @rule(which=st.none() | st.integers(0, 9))
    def requeue(self, which: int | None) -> None:
        """The operator has dead rows sent again: one, or all."""
        ident = None if which is None else self._dead()[which % len(self._dead())]
        moved = self.living.call(self.living.commands.outbox_retry, Retry(ident))
        assert moved.rows == self.delivery.retry(ident)

    @precondition(lambda self: self._dead())
    @rule(which=st.integers(0, 9))
    def discard(self, which: int) -> None:
        """The operator gives a dead row up."""
        ident = self._dead()[which % len(self._dead())]
        self.living.call(self.living.commands.outbox_discard, ident)
        self.delivery.discard(ident)

    # The clock, and crashes

    @rule(duration=st.sampled_from(WAITS))
    def wait(self, duration: timedelta) -> None:
        """Time passes."""
        self.clock.advance(duration.total_seconds())
        self.delivery.later()

    @rule(distance=st.sampled_from(JUMPS))
    def jump(self, distance: timedelta) -> None:
        """Somebody sets the clock, forward or back; nothing goes because of that alone."""
        self.clock.jump(self.clock.now() + distance)
        self.is_even = not self.has_looked
        self.delivery.later()

    @precondition(lambda self: self.living.age > A_WHILE)
    @rule()
    def crash(self) -> None:
        """The process ends, and another one finds everything that was acknowledged."""
        self._end()
        self._look_at_rows()
        self._balance()

    @precondition(lambda self: self.living.age > A_WHILE and self._may_send())
    @rule(requests=st.integers(0, 5), answered=st.booleans())
    def crash_while_sending(self, requests: int, answered: bool) -> None:
        """The process ends before a request leaves, when it is answered, or soon after that."""
        self._script([])
        crashing = self.living.crashing
        crashing.arm(requests, answered=answered)
        self.living.call(self.living.worker.send)
        self._end()
        self.delivery.crash(self.living.rows(), crashing.passed, self.clock.now())
        query = "SELECT state != 'ready', failures FROM destinations"
        read = self.living.worker.database.read
        held, failures = self.living.call(read, lambda c: c.execute(query).fetchone())
        self.delivery.recover(held=bool(held), failures=failures)
        self._balance()

    # Energy accounts

    @precondition(lambda self: self.account is not None)
    @rule()
    def poll(self) -> None:
        """Readings are fetched; what is held stays, and no day up to yesterday is missing."""
        assert self.account is not None
        civil = self.clock.now().astimezone(PARIS).replace(tzinfo=None)
        self.living.call(self.around.twin.set_today, civil)
        _, end = self.living.call(visit, self.living.worker, self.account)
        held = self._held()
        assert held.items() >= self.held.items()
        if end == End("done"):
            yesterday = civil.toordinal() - FIRST_OF_1970 - 1
            assert held.keys() >= set(range(yesterday - 13, yesterday + 1))
        self.held = held

    def _held(self) -> dict[int, tuple[int, int]]:
        span = range(30_000)
        found = self.living.call(
            self.living.worker.database.read, cursors.held_days, self.account, "daily", span
        )
        return {day: (one.minutes, one.amount) for day, one in found.items()}

    # What steps share

    def _script(self, script: list[str]) -> None:
        self.living.call(self.around.echo.set_fault, ",".join(script))
        self.delivery.trouble(script)

    def _may_send(self) -> bool:
        return any(row.state == "pending" for row in self.delivery.rows.values())

    def _end(self) -> None:
        self.living.crash()
        self.has_looked, self.is_even = False, True

    def _balance(self) -> None:
        records = self.living.call(self.around.echo.indicators)
        assert {record["verdict"] for record in records} <= {"ok", "dup"}
        bodies = [record["body"].encode() for record in records]
        assert Counter(map(line, bodies)) == self.delivery.received
        worker = self.living.worker
        ledger = self.living.call(
            worker.database.read, balance, worker.definitions, worker.hmac_key, bodies
        )
        assert not ledger.problems, ledger.problems

    def _look_at_rows(self) -> None:
        found = {ident: row.state for ident, row in self.living.rows().items()}
        assert found == {ident: row.state for ident, row in self.delivery.rows.items()}

    def _say(self, name: str, **facts: Any) -> None:
        self.living.call(say, self.living.worker, {"instance": name, **facts})

    def _person(self, name: str) -> Person:
        if name not in self.people:
            self.people[name] = Person(JUDGE)
        return self.people[name]

    def _agreed(self) -> set[str]:
        return {name for name, one in self.people.items() if one.acceptance() is not None}

    def _dead(self) -> list[int]:
        return [ident for ident, row in self.delivery.rows.items() if row.state == "dead"]


FIRST_OF_1970 = date(1970, 1, 1).toordinal()


@pytest.fixture(scope="module", autouse=True)
def around() -> Iterator[None]:
    """Run what all histories share."""
    with surroundings() as Histories.around:
        yield


@pytest.mark.parametrize("history", HISTORIES)
def test_a_history_that_is_kept(history: Callable[[Any], None]) -> None:
    """What failed once, or comes too seldom, is gone through each time."""
    living = Histories()
    try:
        history(living)
        living.look()
    finally:
        living.living.close()


TestHistories = Histories.TestCase
TestHistories.settings = settings(limits(200), stateful_step_count=50)
