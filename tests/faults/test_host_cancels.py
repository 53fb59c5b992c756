"""A host may cancel at any moment, its task or a scope: what was acknowledged stays, no hanging."""

import asyncio
import sqlite3
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from contextlib import closing, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.testing.ledger import assert_balanced

Event = Callable[..., dict[str, Any]]

NIGHT = datetime(2026, 11, 21, 1, 0)


class Cancelled:
    """Runs a coroutine and cancels it where it waits for the nth time: its task, or a scope."""

    def __init__(self, host: Coroutine[Any, Any, None], at: int, *, by_scope: bool = False) -> None:
        self._host = host
        self._at = at
        self._scope = anyio.CancelScope() if by_scope else None
        self.waited = 0

    @types.coroutine
    def _steps(self) -> Generator[Any, Any, None]:
        step: Callable[[], Any] = lambda: self._host.send(None)  # noqa: E731
        while True:
            try:
                waits_for = step()
            except StopIteration:
                return
            self.waited += 1
            if self.waited == self._at:
                asyncio.get_running_loop().call_soon(self._cancel)
            try:
                yield waits_for
                step = lambda: self._host.send(None)  # noqa: E731
            except BaseException as error:  # noqa: BLE001  it is handed on as it came
                thrown = error
                step = lambda: self._host.throw(thrown)  # noqa: E731, B023

    def _cancel(self) -> None:
        (self._scope or self._task).cancel()

    async def run(self) -> bool:
        """Give whether it was cancelled."""
        self._task = asyncio.ensure_future(self._wrapped())
        await asyncio.wait([self._task], timeout=30)
        assert self._task.done(), f"it hangs, cancelled where it waited for the {self._at}th time"
        return self._task.cancelled() or self._task.result()

    async def _wrapped(self) -> bool:
        """Give whether the scope was cancelled."""
        with self._scope or nullcontext():
            await self._steps()
            return False
        return True


@pytest.mark.fault(18)
@pytest.mark.parametrize("by_scope", [False, True], ids=["task", "scope"])
@pytest.mark.parametrize("by_itself", [True, False], ids=["working", "opened"])
async def test_at_every_await(
    tmp_path: Path, event: Event, *, by_itself: bool, by_scope: bool
) -> None:
    """Cancelled at whichever await, the worker leaves no thread, no transaction and no loss."""
    at, was_cancelled = 0, True
    while was_cancelled:
        at += 1
        state_dir = tmp_path / f"{at}"
        acknowledged: list[tuple[str, str]] = []
        host = _host(state_dir, event, acknowledged, by_itself=by_itself)
        was_cancelled = await Cancelled(host, at, by_scope=by_scope).run()
        _no_thread_is_left()
        if acknowledged:
            await assert_balanced(state_dir, accepted=acknowledged)
        if (state_dir / "ecolyo.db").exists():
            with closing(sqlite3.connect(state_dir / "ecolyo.db", timeout=0)) as connection:
                connection.execute("BEGIN IMMEDIATE")  # nobody holds a lock any more
    assert at > 10


async def _host(
    state_dir: Path, event: Event, acknowledged: list[tuple[str, str]], *, by_itself: bool
) -> None:
    worker = Worker(Settings(state_dir=state_dir))
    async with worker if by_itself else worker.opened():
        for hour in range(10, 13):
            found = event("NavigationEvent", f"2026-11-20T{hour}:00", target="gas")
            await worker.record("alice.example", found)
            acknowledged.append(("alice.example", found["_id"]))
        await worker.run_once(NIGHT)


def _no_thread_is_left() -> None:
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(10)
        assert not thread.is_alive(), thread
