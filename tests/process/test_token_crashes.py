"""A process that is killed while a token of Enedis v4 is renewed loses its consent, or nothing."""

import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.series import Wanted
from ecolyo_worker.crashpoints import VARIABLE
from ecolyo_worker.store.accounts import Account
from ecolyo_worker.testing import Twin
from tests.energy_accounts import PRM, add, again, consent, settings
from tests.energy_polling import visit
from tests.energy_tokens import LOST

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

ALL_AGAIN = Wanted(is_forced=True)
NAMES = (
    *("client_id", "client_secret_file", "redirect_uri", "generation", "base_url"),
    *("authorize_url", "token_url", "history_days", "curve_days", "per_second"),
)


class Home:
    """An account of Enedis v4 whose readings are fetched, and what is logged of it."""

    def __init__(self, cli: Cli, twin: Twin, state_dir: Path) -> None:
        self.cli = cli
        self.twin = twin
        self.settings: Settings = settings(
            state_dir, twin, "v4", history_days=20, curve_days=7, per_second=100
        )
        self.account: Account
        self.lines: list[Any] = []

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Open a worker in this process, on the machine's clock."""
        logger = structlog.wrap_logger(None, processors=[self._take])
        async with Worker(self.settings, logger=logger).opened() as worker:
            yield worker

    async def move_in(self) -> None:
        """Let a person consent, and fetch all that there is."""
        async with self.worker() as worker:
            self.account = await consent(worker, await add(worker), PRM)
            _, end = await visit(worker, self.account)
            assert end.kind == "done"

    async def killed_at(self, point: str) -> None:
        """Let a process be killed while it renews the token, which the twin takes no more."""
        await self.twin.fail_next(1, "token-expired", "daily")
        enedis = msgspec.structs.asdict(self.settings.enedis)
        env = {f"ECOLYO_ENEDIS__{name.upper()}": str(enedis[name]) for name in NAMES}
        armed = {**env, VARIABLE: f"{point}:kill:1"}
        done = await self.cli("poll", "--account", "1", "--force", env=armed)
        assert done.returncode == -9, done.stderr

    async def refreshes(self) -> dict[int, int]:
        """Count the refreshes, by the status of their answers."""
        found = await self.twin.token_requests()
        return {one["status"]: one["count"] for one in found if one["grant"] == "refresh_token"}

    def rows(self) -> list[Any]:
        """Give all that was fetched, and how far it goes; not why nothing comes now."""
        cursors = "(SELECT account, series, earliest, longest, never FROM cursors)"
        with closing(sqlite3.connect(self.settings.directory / "ecolyo.db")) as connection:
            return [
                connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
                for table in ("points", "rollups", cursors, "asked_days")
            ]

    def _take(self, _logger: object, level: str, line: Any) -> Any:
        self.lines.append({"level": level, **line})
        sys.stderr.write(f"{line}\n")  # it is searched for secrets at the end of the test
        raise structlog.DropEvent


@pytest.fixture
async def home(cli: Cli, energy_twin: Twin, state_dir: Path) -> Home:
    found = Home(cli, energy_twin, state_dir)
    await found.move_in()
    return found


async def test_a_pair_that_was_not_stored_ends_the_consent(home: Home) -> None:
    """After the restart one request tells, and one line; all that was fetched is there."""
    before = home.rows()
    await home.killed_at("tokens.answered")
    assert await home.refreshes() == {200: 2}
    for end in ("consent", "gone"):
        async with home.worker() as worker:
            _, found = await visit(worker, home.account, ALL_AGAIN)
            assert found.kind == end
            assert (await again(worker, home.account)).state == "needs_consent"
    assert await home.refreshes() == {200: 2, 400: 1}
    (line,) = [line for line in home.lines if line["event"] == LOST]
    assert (line["level"], line["account"]) == ("warning", home.account.id)
    assert home.rows() == before


async def test_a_pair_that_was_stored_goes_on(home: Home) -> None:
    """After the restart the pair on disk is used, and nothing is asked for in its place."""
    before = home.rows()
    await home.killed_at("tokens.stored")
    async with home.worker() as worker:
        _, found = await visit(worker, home.account, ALL_AGAIN)
    assert found.kind == "done"
    assert await home.refreshes() == {200: 2}
    assert home.lines == []
    assert home.rows() == before
