"""A worker on its own state directory, and one person who agreed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import InstancesImport, Line

ALICE = {
    "instance": "alice.example",
    "consent": {"version": "1.0.0", "accepted_at": "2026-01-01T08:00:00"},
}


@pytest.fixture
def agree() -> Callable[..., Awaitable[None]]:
    """Import what hosts say about people; by default, that Alice agreed on New Year's Day."""

    async def tell(worker: Worker, *facts: dict[str, Any]) -> None:
        texts = [msgspec.json.encode(fact) for fact in facts or (ALICE,)]
        lines = [Line(number, text) for number, text in enumerate(texts, 1)]
        report = await Commands(worker).instances_import(InstancesImport(lines, withdrawing=True))
        assert not report.refused, report.refused

    return tell


@pytest.fixture
def settings(state_dir: Path) -> Settings:
    return Settings(state_dir=state_dir)


@pytest.fixture
async def worker(
    settings: Settings, agree: Callable[..., Awaitable[None]]
) -> AsyncIterator[Worker]:
    """A worker whose one person, alice.example, agreed on New Year's Day."""
    async with Worker(settings) as worker:
        await agree(worker)
        yield worker
