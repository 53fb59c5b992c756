"""Monthly rows beside the model: meters of any size, profiles, attempts, and values too large."""

import sqlite3
from contextlib import closing
from copy import deepcopy
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecolyo_worker.clock import instant_of_civil, utc_ms
from ecolyo_worker.readings import Reading
from ecolyo_worker.store import consumption
from tests.property.made import limits
from tests.property.model import Person
from tests.property.worked import agree, assert_as_modelled, opened

pytestmark = pytest.mark.timeout(600)  # a failure is told in its smallest form

ALICE = "alice.mycozy.example"
FLUIDS = ["electricity", "water", "gas"]
SEPTEMBER, OCTOBER = date(2026, 9, 1), date(2026, 10, 1)  # the clock changes in the second
AS_OF = datetime(2026, 11, 6, 1)
AMOUNTS = st.integers(0, 3) | st.integers(0, 10**6) | st.just(10**13)
EXTREMES = [(1, 10**8 - 1), (1, 10**8), (1, 10**8 + 1), (0, 7), (10**13, 0), (3, 2), (800, 801)]
TOO_LARGE = "consumption-variation-monthly"

Meter = dict[str, tuple[int, int, int | None, bool]]
"""By fluid: what September and October come to, a day that is missing, and has it half-hours."""


@st.composite
def people(draw: st.DrawFn) -> tuple[Person, Meter, datetime]:
    """Give a person with all that a host says of her, her meters, and when she agreed."""
    person = Person()
    uses = st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["heating", "hot_water", "cooking"], st.sampled_from(FLUIDS))
    )
    person.profile = draw(uses)
    moments = st.sampled_from([datetime(1, 1, 1), datetime(2005, 2, 28), datetime(2026, 10, 5, 9)])
    person.first_said = draw(st.none() | moments | st.just(datetime(2026, 12, 1)))
    for at in (datetime(2026, 9, 30), datetime(2026, 10, 31, 23, 59), datetime(2026, 11, 1)):
        if draw(st.booleans()):
            person.subscriptions[at] = draw(st.booleans())
    totals = st.tuples(AMOUNTS, AMOUNTS) | st.sampled_from(EXTREMES)
    meter = st.tuples(totals, st.none() | st.integers(0, 60), st.booleans()).map(
        lambda parts: (*parts[0], *parts[1:])
    )
    meters = draw(st.dictionaries(st.sampled_from(FLUIDS), meter))
    return person, meters, draw(moments)


def attempts() -> st.SearchStrategy[list[dict[str, Any]]]:
    """Give events that the months look at, of two months, in any order."""
    event = st.fixed_dictionaries(
        {
            "_id": st.none(),
            "type": st.sampled_from(
                [
                    *("KonnectorAttemptEvent", "KonnectorAttemptEvent", "ProfileSetEvent"),
                    *("ReportFromEvent", "ConnectionEvent"),
                ]
            ),
            "eventDate": st.integers(0, 66).map(
                lambda n: (datetime(2026, 9, 1, 12) + timedelta(days=n)).isoformat()
            ),
            "target": st.sampled_from(["enedis", " egl", "grdf-x", "Enedis", "ene", None]),
            "context": st.just("mobile"),
            "result": st.sampled_from(["success", " SUCCESS\n", "error", "firstConnection", None]),
            "startDate": st.none(),
            "aggregated": st.booleans(),
        }
    )
    return st.lists(event, max_size=12)


def install(directory: Path, person: Person, meters: Meter) -> None:
    """Put meters into a state that nobody uses, and into the model."""
    with closing(sqlite3.connect(directory / "ecolyo.db")) as other, other:
        for fluid, (september, october, missing, has_half_hours) in meters.items():
            spread = _daily(SEPTEMBER, september, 30) | _daily(OCTOBER, october, 31)
            days = {day: amount for n, (day, amount) in enumerate(spread.items()) if n != missing}
            person.consumption |= {(fluid, day): amount for day, amount in days.items()}
            _insert(other, fluid, "day", 1440, days)
            if has_half_hours:
                _insert(other, fluid, "half-hour", 30, days)
                person.half_hours |= set(days) if fluid == "electricity" else set()


def _daily(first: date, total: int, days: int) -> dict[date, int]:
    """Spread a sum over a month; the last day gets the rest."""
    amounts = [total // days] * (days - 1)
    amounts.append(total - sum(amounts))
    return {first + timedelta(days=n): amount for n, amount in enumerate(amounts)}


def _insert(
    other: sqlite3.Connection, fluid: str, step: str, minutes: int, days: dict[date, int]
) -> None:
    starts = {
        utc_ms(instant_of_civil(datetime(day.year, day.month, day.day), ZONE)): amount
        for day, amount in days.items()
    }
    readings = (Reading(ALICE, fluid, step, start, minutes, n) for start, n in starts.items())
    consumption.store_imported(other, readings, ZONE)


CONNECTED = [
    {
        **dict.fromkeys(("_id", "target", "result", "startDate")),
        "type": "ConnectionEvent",
        "eventDate": "2026-10-20T09:00",
        "context": "mobile",
        "aggregated": False,
    }
]
ZONE = ZoneInfo("Europe/Paris")
LONG_AGO = datetime(2005, 2, 28)


@limits(40)
@given(people(), attempts())
@example((Person(first_said=LONG_AGO), {"gas": (1, 10**8 + 1, None, True)}, LONG_AGO), CONNECTED)
@example((Person(first_said=LONG_AGO), {"gas": (1, 10**8, None, False)}, LONG_AGO), CONNECTED)
async def test_months_come_to_what_the_rules_say(
    said: tuple[Person, Meter, datetime], found: list[dict[str, Any]]
) -> None:
    """Rows of months are those of the model; a value of 1e10 or more is reported, and no row."""
    person, meters, accepted = deepcopy(said)  # what is tried is what is shown, and tried again
    with TemporaryDirectory() as directory:
        async with opened(Path(directory)) as worker:
            await agree(worker, {ALICE: person}, accepted)
        install(Path(directory), person, meters)
        async with opened(Path(directory)) as worker:
            if found:
                await worker.record(ALICE, found)
            person.receive(found)
            report = await worker.run_once(AS_OF)
            person.night(AS_OF)
            assert report.too_large == person.too_large
            await assert_as_modelled(worker, {ALICE: person})
            again = await worker.run_once(AS_OF)
            assert (again.months, again.indicators, again.too_large) == (0, {}, {})
