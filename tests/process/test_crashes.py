"""A worker that is ended at any of its crash points, under load, loses nothing it acknowledged.

`crashpoints.POINTS` names them, `ecolyo_worker.testing.crash` is the load. Each ends by SIGKILL,
and by an exit that cleans nothing up, with three seeds. Then a worker opens what is left, counts
and sends the rest, and the ledger is asked.
"""

import os
import shutil
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from ecolyo_worker import Worker
from ecolyo_worker.crashpoints import POINTS, VARIABLE
from ecolyo_worker.testing import Echo, crash, echo_server
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced

SEEDS = (1, 2, 3)
# Readings are fetched in no load of this kind: they have tests of their own.
PLACES = [point for point in POINTS if not point.startswith(("poller", "tokens"))]
# The places that are reached many times; the others are rare, and the first time will do.
OFTEN = {"intake", "aggregation", "backup", "sender"}


def count(point: str, seed: int) -> int:
    """Give how often a place is passed before the process ends there."""
    group = point.partition(".")[0]
    return seed * 7 if group in OFTEN and point != "aggregation.finished" else 1


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def old_state(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Make a state of long ago, which a janitor prunes, and give what was received from it."""
    state_dir = tmp_path_factory.mktemp("old") / "state"
    clock = FakeClock(datetime.now(UTC) - timedelta(days=100))
    async with echo_server() as echo:
        async with Worker(crash.settings(state_dir, echo.url), clock=clock).opened() as worker:
            load = crash.Load(worker, 0)
            await load.agree(*crash.PEOPLE)
            for _ in range(20):
                await load.record()
            await worker.run_once()
            await worker.send(until_empty=True)
            assert worker.status().outbox["sent"] > 20
        # As if no janitor had looked at the clock yet: its first look comes under load.
        with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection, connection:
            connection.execute("DELETE FROM meta WHERE key = 'clock_seen'")
        return state_dir, await echo.bodies()


async def end_at(state_dir: Path, echo: Echo, seed: int, armed: str) -> tuple[int, list[str]]:
    """Run the load until it ends at an armed place; give its exit code and what it acknowledged."""
    process = await anyio.run_process(
        [sys.executable, "-m", "ecolyo_worker.testing.crash", str(state_dir), echo.url, str(seed)],
        env={**os.environ, VARIABLE: armed},
        stderr=None,
        check=False,
    )
    lines = process.stdout.decode().split("\n")[:-1]  # the last one may be cut
    return process.returncode, [line for line in lines if line.startswith("ack ")]


def months(state_dir: Path) -> int:
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection:
        done: int = connection.execute("SELECT count(*) FROM month_countings").fetchone()[0]
        return done


def in_flight(state_dir: Path) -> int:
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection:
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            return 0
        query = "SELECT count(*) FROM outbox WHERE state = 'in_flight'"
        flying: int = connection.execute(query).fetchone()[0]
        return flying


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["kill", "exit"])
@pytest.mark.parametrize("point", PLACES)
async def test_nothing_acknowledged_is_lost(
    tmp_path: Path, old_state: tuple[Path, list[str]], point: str, kind: str, seed: int
) -> None:
    """After the end every acknowledged event is there, all is delivered, and the books balance."""
    state_dir = tmp_path / "state"
    if point.startswith("janitor"):
        shutil.copytree(old_state[0], state_dir)
    async with echo_server() as echo:
        armed = f"{point}:{kind}:{count(point, seed)}"
        code, acknowledged = await end_at(state_dir, echo, seed, armed)
        assert code == (-9 if kind == "kill" else 137)
        flying = in_flight(state_dir)
        async with Worker(crash.settings(state_dir, echo.url)).opened() as worker:
            await worker.run_once()
            report = await worker.send(until_empty=True, timeout_s=60)
            assert report.waiting == 0, report
            rows = worker.status().outbox
            assert {state for state, number in rows.items() if number} <= {"sent", "sent?"}
        accepted = [(name, ident) for _, name, ident in map(str.split, acknowledged)]
        if point.startswith("janitor"):
            ledger = await assert_balanced(state_dir, accepted=accepted)
        else:
            ledger = await assert_balanced(state_dir, echo.url, accepted)
            assert (ledger.missing, (ledger.duplicates or 0) <= flying) == (0, True)
        if not point.startswith("migration"):
            assert ledger.events >= len(accepted) > 0
            assert months(state_dir) > 0
