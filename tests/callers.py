"""Callers who hand events over at the same time, and what each of them is told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from ecolyo_worker import Worker
from ecolyo_worker.actors.intake import Receipt

__all__ = ["ALICE", "Callers", "calling", "navigation"]

ALICE = "alice.example"


def navigation(ident: str) -> dict[str, Any]:
    """Give an event that is not like another one."""
    return {"_id": ident, "type": "NavigationEvent", "eventDate": "2026-11-20T18:00:00Z"}


class Callers:
    """Callers in a task group, each with one batch; `receipts` and `errors` are by batch."""

    def __init__(self, worker: Worker, tasks: anyio.abc.TaskGroup) -> None:
        self._worker = worker
        self._tasks = tasks
        self.receipts: dict[str, Receipt] = {}
        self.errors: dict[str, Exception] = {}

    def record(self, *idents: str) -> None:
        self._tasks.start_soon(self.recorded, *idents)

    async def recorded(self, *idents: str) -> None:
        key = " ".join(idents)
        try:
            self.receipts[key] = await self._worker.record(ALICE, [navigation(i) for i in idents])
        except Exception as error:  # noqa: BLE001  the test says which it expects
            self.errors[key] = error

    @property
    def accepted(self) -> dict[str, int]:
        return {key: receipt.accepted for key, receipt in self.receipts.items()}


@asynccontextmanager
async def calling(worker: Worker) -> AsyncIterator[Callers]:
    """Let callers come who are all answered when the block is left."""
    async with anyio.create_task_group() as tasks:
        yield Callers(worker, tasks)
