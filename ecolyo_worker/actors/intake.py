"""Intake: usage events come in, are checked, and are on disk before anyone is told so.

Group commit: callers put what they have on a list and wait. One transaction takes the whole list,
and while it runs the next list grows: the price of a commit is shared by all who come meanwhile.
"""

import sqlite3
from asyncio import Future, get_running_loop
from collections.abc import Sequence
from itertools import islice

import anyio
import anyio.lowlevel
from anyio.abc import TaskStatus
from msgspec import Struct

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.context import Context
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import (
    InputRefused,
    IntakeFull,
    IntakeRefused,
    Refusal,
    StateRefused,
    StoreUnavailable,
)
from ecolyo_worker.events import Event, check_event
from ecolyo_worker.facts import check_instance
from ecolyo_worker.store import events, instances

__all__ = ["Intake", "IntakeStatistics", "Receipt"]

_Events = list[tuple[str, Event]]


class Receipt(Struct, frozen=True, gc=False):
    """What became of a batch: how many are on disk now, were there before, or were refused."""

    accepted: int
    known: int
    refused: tuple[Refusal, ...] = ()


class IntakeStatistics(Struct, frozen=True):
    """What intake holds now, and what it has done since it was made."""

    waiting: int
    """Events that no transaction has taken yet."""
    commits: int
    full: int
    """Calls refused because too much was waiting."""
    failed: int
    """Transactions that came to nothing."""


class _Part(Struct, frozen=True, eq=False, gc=False):
    """What one caller handed over; it is told how many of its events are new."""

    events: _Events
    answer: "Future[int]"

    def tell(self, accepted: int) -> None:
        """Answer the caller, unless it has gone: then nobody asks."""
        if not self.answer.done():
            self.answer.set_result(accepted)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Intake(Actor):
    """Takes events in: idempotent by instance and `_id`, all that waits in one transaction."""

    name = "intake"

    def __init__(self, context: Context) -> None:
        """The settings give the zone, the meaning of a `Z`, and how much may wait."""
        super().__init__(context.clock)
        self._database = context.database
        self._settings = context.settings
        self._zone = context.settings.civil_zone
        self._event_clock = context.settings.intake.event_clock
        self._parts: list[_Part] = []
        self._waiting = 0
        self._commits = 0
        self._full = 0
        self._failed = 0

    async def take(self, batch: Sequence[tuple[object, object]]) -> Receipt:
        """Store the good ones of (instance's name, event) pairs; say why others are refused.

        Raises `IntakeRefused` only for all of them, when the mode is `off`; `IntakeFull` when too
        much is waiting, and `StoreUnavailable`: nothing was taken, try again later. Events of a
        caller that is cancelled may be stored: handing them over again stores nothing twice.
        """
        self._database.check_loop()
        self._refuse(len(batch))
        good: _Events = []
        refused: list[Refusal] = []
        for index, (instance, event) in enumerate(batch):
            try:
                name = check_instance(instance)
                good.append((name, check_event(event, self._zone, self._event_clock)))
            except InputRefused as error:
                refused.append(Refusal(index, error.field, error.reason))
        accepted = await self._enter(good) if good else 0
        return Receipt(accepted, len(good) - accepted, tuple(refused))

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Store what waits, again and again; after `stop`, what still waits, and return."""
        task_status.started()
        while True:
            while self._parts:
                await anyio.lowlevel.checkpoint_if_cancelled()
                await self._commit()
            if self.stopping:
                return
            await self.rest()

    async def rest(self, seconds: float | None = None) -> None:
        """Wait until woken or stopped, at most `LOOK_S`.

        It goes by the machine's time: what waits here are callers, whatever clock the worker has.
        """
        self.sign()
        with anyio.move_on_after(self.LOOK_S if seconds is None else seconds):
            await self._wakes.wait(self._clock)

    def close(self) -> None:
        """Take nothing more, and tell those that still wait, for nothing runs any more."""
        self.stop()
        parts, self._parts, self._waiting = self._parts, [], 0
        for part in parts:
            part.fail(StoreUnavailable("the worker has stopped: nothing of it was stored"))

    def statistics(self) -> IntakeStatistics:
        """Tell how much is waiting, and how it went so far."""
        return IntakeStatistics(self._waiting, self._commits, self._full, self._failed)

    def _refuse(self, new: int) -> None:
        """Refuse a batch before anything of it is looked at."""
        if self._settings.mode == "off":
            reason = "the mode is off (worker.mode): no event is taken"
            raise IntakeRefused([Refusal(0, "", reason)])
        if self.stopping:
            raise StoreUnavailable("the worker is stopping: nothing more is taken")
        most = self._settings.intake.max_waiting
        if self._parts and self._waiting + new > most:
            self._full += 1
            raise IntakeFull(
                f"{self._waiting} events wait to be stored, and {most} may (intake.max_waiting):"
                f" nothing of these {new} was taken; try again in a moment"
            )

    def _enter(self, good: _Events) -> "Future[int]":
        answer: Future[int] = get_running_loop().create_future()
        if not self._parts:  # else it was woken for those before, and takes all
            self.wake()
        self._parts.append(_Part(good, answer))
        self._waiting += len(good)
        return answer

    async def _commit(self) -> None:
        """Store all that waits, and answer; whatever happens, none of it is left unanswered."""
        parts, self._parts, self._waiting = self._parts, [], 0
        try:
            # The transaction happens anyway: stopping here would only forget whom to tell.
            with anyio.CancelScope(shield=True):
                await self._store(parts)
        except BaseException:
            reason = "interrupted while it was stored: hand it over again, nothing is stored twice"
            for part in parts:
                part.fail(StoreUnavailable(reason))
            raise

    async def _store(self, parts: list[_Part]) -> None:
        """Store in one transaction, in halves if that fails: only the guilty one sees its error."""
        try:
            accepted = await self._database.run(_store, [part.events for part in parts])
        except (StoreUnavailable, StateRefused) as error:
            self._failed += 1
            for part in parts:
                part.fail(type(error)(*error.args))
        except Exception as error:  # noqa: BLE001  it goes to the caller whose event it is
            self._failed += 1
            if len(parts) == 1:
                parts[0].fail(error)
                return
            middle = len(parts) // 2
            await self._store(parts[:middle])
            await self._store(parts[middle:])
        else:
            reach("intake.committed")
            self._commits += 1
            self.succeeded()
            for part, count in zip(parts, accepted, strict=True):
                part.tell(count)


def _store(connection: sqlite3.Connection, parts: Sequence[_Events]) -> list[int]:
    """Store the events of some callers; give how many of each are new."""
    good = [item for part in parts for item in part]
    ids = instances.identify_all(connection, (name for name, _ in good))
    accepted = iter(events.insert(connection, [(ids[name], event) for name, event in good]))
    reach("intake.stored")
    return [sum(islice(accepted, len(part))) for part in parts]
