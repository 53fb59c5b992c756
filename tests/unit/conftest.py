"""What the unit tests share: the shipped definitions, and one person's day as its rows."""

from collections.abc import Callable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ecolyo_worker.clock import DAY_MS, parse_day
from ecolyo_worker.events import Event, check_event
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import Facts, Rules, count

PARIS = ZoneInfo("Europe/Paris")
NIGHT = parse_day("2026-11-21") * DAY_MS + 3_600_000


Store = Callable[..., Sequence[Event]]
Seen = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    """The definitions that are shipped."""
    return Definitions.load()


@pytest.fixture(scope="session")
def rules(definitions: Definitions) -> Rules:
    """The measures that are shipped, with their definitions."""
    return Rules(definitions)


@pytest.fixture
def store() -> Store:
    """Check events, number them as they arrive, and give them in the order of events."""

    def stored(*found: dict[str, Any], first_seq: int = 1) -> Sequence[Event]:
        events = [
            msgspec.structs.replace(check_event(item, PARIS, "wall"), seq=seq)
            for seq, item in enumerate(found, first_seq)
        ]
        return sorted(events, key=lambda event: event.order)

    return stored


@pytest.fixture
def seen(rules: Rules, store: Store) -> Seen:
    """Give (value, group values …) of each row that a measure makes of a day's events."""

    def rows(measure: str, *found: dict[str, Any], **facts: Any) -> list[tuple[Any, ...]]:
        known = Facts(**{"acceptance": 0, **facts})
        counted = count(known, store(*found), NIGHT, rules)
        assert not counted.errors
        made = [row.indicator for row in counted.rows if row.indicator.measure_name == measure]
        return [(row.value, *(text for g in row.groups for text in g.values())) for row in made]

    return rows
