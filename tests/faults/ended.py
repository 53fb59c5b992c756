"""What a process left behind that ended at a crash point under load, and how it is gone on with."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from ecolyo_worker import Receipt, Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.commands import Commands
from ecolyo_worker.crashpoints import VARIABLE
from ecolyo_worker.store.migrations import latest_version
from ecolyo_worker.testing import Echo, Twin, crash
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import assert_balanced
from tests.forking import Forks

__all__ = ["NOW", "Ended", "ended_at", "tried"]

NOW = crash.BEGIN + timedelta(days=5)
SEEDS = (1, 2, 3)
# How many times as often as the seed says a place is passed; the rare ones once.
TIMES = {
    **dict.fromkeys(("sender", "tokens", "facts", "readings", "accounts", "consents"), 1),
    "intake": 7,
    "aggregation": 7,
    "backup": 3,
    "poller": 3,
}
RARE = {"aggregation.finished"}
# What is known of those whose readings are fetched.
POINTS_HELD = """
    SELECT i.name, s.fluid, s.step, p.start, p.minutes, p.amount, p.quality FROM points AS p
    JOIN series AS s ON s.id = p.series JOIN instances AS i ON i.id = s.instance
    WHERE s.source <> 'import' AND i.name IN (SELECT value FROM json_each(?))
"""
tried: set[str] = set()
"""The places at which some test lets it end."""


class Ended:
    """What a process left behind that ended under load: its state, and what it said."""

    def __init__(
        self, place: str, state_dir: Path, echo: Echo, twin: Twin, readings: set[Any]
    ) -> None:
        self.place = place
        self.state_dir = state_dir
        self.echo = echo
        self.twin = twin
        self.readings = readings
        """What must be held at last."""
        self._first = {key: min(row[3] for row in rows) for key, rows in _by_series(readings)}
        self.is_old = state_dir.exists()
        """Whether the state was there before, and another echo server has what was sent of it."""
        self.logged: list[Any] = []
        self.accepted: list[tuple[str, str]] = []
        self.untold: list[tuple[str, dict[str, Any]]] = []
        """The events of which the host cannot know whether they were taken."""
        self.accounts: list[int] = []
        """Of whom a consent was stored that stays."""
        self.lost: list[int] = []
        """Of whom one was lost."""

    async def end(self, forks: Forks, kind: str, seed: int) -> None:
        """Run the load until it ends there."""
        self.times = passed(self.place, seed)
        await self.echo.clear()
        await self.echo.set_fault("status=422*2")
        arguments = [str(self.state_dir), self.echo.url, self.twin.url, str(seed)]
        armed = {**os.environ, VARIABLE: f"{self.place}:{kind}:{self.times}"}
        done = await forks.run("ecolyo_worker.testing.crash:main", arguments, environ=armed)
        sys.stderr.write(done.stderr.decode())  # it is searched for secrets at the end of the test
        assert done.returncode == (-9 if kind == "kill" else 137)
        self._read(done.stdout.decode())

    def select(self, query: str, *values: object) -> list[Any]:
        """Read from what is left, as any process could."""
        with closing(sqlite3.connect(self.state_dir / "ecolyo.db")) as connection:
            return connection.execute(query, values).fetchall()

    def count(self, query: str, *values: object) -> int:
        """Give the one number that a query comes to."""
        ((number,),) = self.select(query, *values)
        return int(number)

    def held(self) -> set[tuple[Any, ...]]:
        """Give the readings that were fetched of those who stay."""
        return set(self.select(POINTS_HELD, msgspec.json.encode([*crash.METERS]).decode()))

    async def settle(self) -> Receipt:
        """Start again, hand over what is in doubt, and let all be fetched, counted and sent.

        Gives what became of what was in doubt.
        """
        is_made = self.version == latest_version()
        before, asked = (self.held(), self._asked()) if is_made else (set(), set())
        flying = self.flying if is_made else 0
        chosen = crash.fetching(crash.settings(self.state_dir, self.echo.url), self.twin)
        logger = structlog.wrap_logger(None, processors=[self._take])
        await self.echo.set_fault("ok")
        async with Worker(chosen, clock=FakeClock(NOW), logger=logger).opened() as worker:
            commands = Commands(worker)
            found = await self._again(worker)
            await self._fetch(commands)
            assert self._asked() >= asked
            await crash.Load(worker, 0).move_in()
            ends = await self._fetch(commands)
            assert {ends[account] for account in self.accounts} <= {"done"}
            await commands.outbox_retry(ask.Retry())
            await worker.run_once()
            report = await worker.send(until_empty=True, timeout_s=60)
            assert report.waiting == 0, report
            rows = worker.status().outbox
        assert {state for state, number in rows.items() if number} <= {"sent", "sent?"}
        held = self.held()
        assert held >= before
        assert {row for row in held if row[3] >= self._first[row[:3]]} == self.readings
        await self._balance(flying)
        return found

    @property
    def version(self) -> int:
        """The version of the schema."""
        return self.count("PRAGMA user_version")

    @property
    def flying(self) -> int:
        """How many rows were on their way."""
        return self.count("SELECT count(*) FROM outbox WHERE state = 'in_flight'")

    async def _again(self, worker: Worker) -> Receipt:
        """Hand the events over once more of which the host was told nothing."""
        accepted = known = 0
        for name, event in self.untold:
            receipt = await worker.record(name, event)
            accepted, known = accepted + receipt.accepted, known + receipt.known
            self.accepted.append((name, event["_id"]))
        assert accepted + known == len(self.untold)
        return Receipt(accepted, known, ())

    async def _fetch(self, commands: Commands) -> dict[int, str]:
        """Fetch what is missing; give how that ended for each account, and note who lost hers."""
        ends = [one.account async for one in commands.poll(ask.Poll()) if one.account]
        self.lost += [end.account for end in ends if end.outcome == "consent"]
        return {end.account: end.outcome for end in ends}

    def _asked(self) -> set[tuple[int, str, int]]:
        """Give the days that were asked for, of each series of those who stay."""
        found = self.select("SELECT account, series, first, stop FROM asked_days")
        return {
            (account, series, day)
            for account, series, first, stop in found
            if account in self.accounts
            for day in range(first, stop)
        }

    async def _balance(self, flying: int) -> None:
        if self.is_old:
            await assert_balanced(self.state_dir, accepted=self.accepted)
            return
        ledger = await assert_balanced(self.state_dir, self.echo.url, self.accepted)
        assert (ledger.missing, (ledger.duplicates or 0) <= flying) == (0, True)
        assert ledger.events >= len(self.accepted)

    def _read(self, output: str) -> None:
        """Take what it said; the last line may be cut."""
        told: dict[tuple[str, str], dict[str, Any]] = {}
        for line in output.split("\n")[:-1]:
            word, _, rest = line.partition(" ")
            name, _, what = rest.partition(" ")
            if word == "try":
                event = msgspec.json.decode(what)
                told[name, event["_id"]] = event
            elif word == "ack":
                self.accepted.append((name, what))
                del told[name, what]
            else:
                self.accounts.append(int(rest))
        self.untold = [(name, event) for (name, _), event in told.items()]

    def _take(self, _logger: object, level: str, line: Any) -> Any:
        self.logged.append({"level": level, **line})
        sys.stderr.write(f"{line}\n")  # it is searched for secrets at the end of the test
        raise structlog.DropEvent


def _by_series(rows: set[Any]) -> Iterator[tuple[Any, Iterator[Any]]]:
    return groupby(sorted(rows), key=itemgetter(slice(3)))


def passed(place: str, seed: int) -> int:
    """Give how often a place is passed until the end comes there."""
    if place == "migration.applied":
        return min(seed, latest_version())
    return 1 if place in RARE else TIMES.get(place.partition(".")[0], 0) * seed or 1


def ended_at(*places: str) -> pytest.MarkDecorator:
    """Let a test have what is left by an end at each of these places, of each kind and seed."""
    tried.update(places)
    ends = [(place, kind, seed) for place in places for kind in ("kill", "exit") for seed in SEEDS]
    names = ["-".join(map(str, end)) for end in ends]
    return pytest.mark.parametrize("ended", ends, ids=names, indirect=True)
