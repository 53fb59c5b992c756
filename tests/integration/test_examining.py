"""Looking through the database: every table in its turn, as far as the time goes."""

import math
from pathlib import Path

import pytest

from ecolyo_worker.clock import SystemClock
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.examining import look_through


class Ticking(SystemClock):
    """Its time goes on by a hundredth of a second whenever somebody looks."""

    def __init__(self) -> None:
        self._s = 0.0

    def monotonic(self) -> float:
        """Give it, in seconds."""
        self._s += 0.01
        return self._s


@pytest.mark.parametrize(
    "clock", [SystemClock(), Ticking()], ids=["many in a turn", "one in a turn"]
)
async def test_each_table_is_looked_at_once(tmp_path: Path, clock: SystemClock) -> None:
    """However long a table takes, all have their turn where there is time enough."""
    async with Database.open(tmp_path) as database:
        looked = await look_through(database, math.inf, clock)
    assert looked.checked == looked.tables > 20
    assert looked.damage == []


async def test_the_time_is_kept(tmp_path: Path) -> None:
    """When the time is over it stops, and says how many tables it has looked at."""
    async with Database.open(tmp_path) as database:
        looked = await look_through(database, 0.1, Ticking())
    assert 0 < looked.checked < looked.tables
