"""Whole lives through the worker, on a real database, beside a model made of dictionaries.

Events arrive in any order and any cut, nights fall between them, each run is made twice, and the
worker is opened anew in between.
"""

import json
from collections import Counter
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecolyo_worker import Worker
from tests.property.made import FIRST_DAY, events, limits, nights
from tests.property.model import Person
from tests.property.worked import agree, assert_as_modelled, bodies, opened, states

pytestmark = pytest.mark.timeout(600)  # a failure is told in its smallest form

NAMES = ("alice.example", "bob.example")
LAST_NIGHT = datetime(2026, 11, 20, 1)

Told = list[tuple[int, list[dict[str, Any]], datetime | None, bool]]
"""Whose events arrive, the events, the night behind them if one falls there, and a new opening."""


class Life:
    """Some people, as the worker and as the model have them."""

    def __init__(
        self,
        directory: Path,
        accepted: datetime,
        not_before: date | None = None,
        names: tuple[str, ...] = NAMES,
    ) -> None:
        self._directory = directory
        self._settings = {} if not_before is None else {"not_before": not_before.isoformat()}
        self._accepted = accepted
        self.people = {name: Person(not_before=not_before or date.min) for name in names}
        for person in self.people.values():
            person.konnectors["gas", FIRST_DAY] = True
            person.konnectors["gas", FIRST_DAY + timedelta(days=2, hours=9)] = False
            person.konnectors["water", FIRST_DAY + timedelta(days=1)] = True
            person.subscriptions[FIRST_DAY + timedelta(days=1)] = True

    def opened(self) -> AbstractAsyncContextManager[Worker]:
        """Open the worker anew."""
        return opened(self._directory, **self._settings)

    async def live(self, told: Told) -> None:
        """Go through what is told, with one more night at the end."""
        async with self.opened() as worker:
            await agree(worker, self.people, self._accepted)
        told = [*told, (0, [], LAST_NIGHT, True)]
        while told:
            last = next((n for n, step in enumerate(told) if step[3]), len(told) - 1)
            async with self.opened() as worker:
                for whose, found, night, _ in told[: last + 1]:
                    await self._step(worker, NAMES[whose], found, night)
            told = told[last + 1 :]

    async def _step(
        self, worker: Worker, name: str, found: list[dict[str, Any]], night: datetime | None
    ) -> None:
        if found:
            receipt = await worker.record(name, found)
            new = self.people[name].receive(found)
            assert (receipt.accepted, receipt.known) == (new, len(found) - new)
        if night is not None:
            for _ in range(2):
                await worker.run_once(night)
            for person in self.people.values():
                person.night(night)


def told() -> st.SearchStrategy[Told]:
    """Give some batches of events, some nights, and some new openings."""
    step = st.tuples(
        st.sampled_from([0, 0, 0, 1]),
        st.lists(events(), max_size=8),
        st.none() | nights(),
        st.booleans(),
    )
    return st.lists(step, min_size=1, max_size=6)


def an_end(at: str) -> dict[str, Any]:
    """Give an event that ends the same thing each time."""
    texts = {"target": "QUIZ2", "context": None, "result": None, "startDate": "2026-10-30"}
    return {"_id": None, "type": "QuizEndEvent", "eventDate": at, **texts, "aggregated": False}


# An equal end comes to a day that nobody has counted, when a later one has made its row already.
EARLIER_END: Told = [
    (0, [an_end("2026-11-01T09:00")], FIRST_DAY + timedelta(days=4, hours=1), False),
    (0, [an_end("2026-10-31T09:00")], None, False),
]
# And a late one to a counted day, when a later one was counted and made none: the first of them
# was counted elsewhere then.
LATE_END: Told = [
    (
        0,
        [
            an_end("2026-10-30T09:00") | {"aggregated": True},
            an_end("2026-10-31T09:00"),
            an_end("2026-10-29T09:00") | {"target": "QUIZ1"},
        ],
        FIRST_DAY + timedelta(days=4, hours=1),
        False,
    ),
    (0, [an_end("2026-10-29T08:00")], None, True),
]

accepted = st.sampled_from([datetime(2026, 1, 5), datetime(2026, 10, 30, 9), datetime(2026, 11, 1)])
not_before = st.sampled_from([None, None, date(2026, 10, 31), date(2026, 11, 1)])


@limits(20)
@given(told(), accepted, not_before)
@example(EARLIER_END, datetime(2026, 1, 5), None)
@example(LATE_END, datetime(2026, 1, 5), None)
async def test_a_life_comes_to_what_the_rules_say(
    told: Told, accepted: datetime, not_before: date | None
) -> None:
    """Rows, states of events and books are those of the model, and every row may leave."""
    with TemporaryDirectory() as directory:
        life = Life(Path(directory), accepted, not_before)
        await life.live(told)
        async with life.opened() as worker:
            await assert_as_modelled(worker, life.people)


@limits(10)
@given(told(), accepted)
async def test_nothing_is_counted_twice(told: Told, accepted: datetime) -> None:
    """Counts add up to the events that are counted; what is once in a life or a day is once."""
    alone = [(0, found, night, anew) for _, found, night, anew in told]
    with TemporaryDirectory() as directory:
        life = Life(Path(directory), accepted, names=NAMES[:1])
        await life.live(alone)
        async with life.opened() as worker:
            made = [json.loads(body) for body in await bodies(worker)]
            kinds = Counter(
                kind for kind, state in await states(worker, NAMES[0]) if state == "counted"
            )
    sums: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for indicator in made:
        sums[indicator["measureName"]] += indicator["value"]
        rows[indicator["measureName"]] += 1
    assert sums["connection-count-daily"] == rows["session-duration"] == kinds["ConnectionEvent"]
    assert sums["navigation-count-daily"] == kinds["NavigationEvent"]
    assert sums["challenge-launch-daily"] == kinds["ChallengeLaunchEvent"]
    assert sums["konnector-event-daily"] == (
        kinds["KonnectorConnectEvent"] + kinds["KonnectorRefreshEvent"]
    )
    assert sums["navigation-action-daily"] == sum(
        kinds[kind]
        for kind in (
            *("ConsumptionChangeTimeStepEvent", "ConsumptionCompareEvent"),
            *("ActionChangeEvent", "ProfileSetEvent"),
        )
    )
    assert rows["quiz-stars"] <= kinds["QuizEndEvent"]
    _assert_once(made)
    stored = life.people[NAMES[0]].things
    ends = {thing.end for thing in stored if thing.start is not None}
    assert rows["event-duration"] <= len(ends) + 1


def _assert_once(made: list[dict[str, Any]]) -> None:
    """Connected once a day, months once, the first challenge once in a life."""
    firsts = [found for found in made if found.get("group1") == {"start_event": "ConnectionEvent"}]
    assert len(firsts) <= 1
    cells = Counter(
        (found["measureName"], found["startDate"], str(found.get("group1")))
        for found in made
        if found["measureName"].endswith("-monthly")
    )
    assert set(cells.values()) <= {1}
    connected = Counter(
        f["startDate"] for f in made if f["measureName"] == "konnector-connected-daily"
    )
    assert set(connected.values()) <= {1}
