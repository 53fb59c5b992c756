"""Intake: usage events come in, are checked, and are on disk before anyone is told so.

Group commit: callers put what they have on a list and wait. One transaction takes the whole list,
and while it runs the next list grows: the price of a commit is shared by all who come meanwhile.
"""

import sqlite3
from asyncio import Future
from collections.abc import Coroutine, Sequence
from itertools import islice
from typing import Any

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


class _Caller(Struct, frozen=True, eq=False, gc=False):
    """Who handed over so many events, and is told how many of them are new."""

    count: int
    answer: "Future[int]"

    def tell(self, accepted: int) -> None:
        """Answer, unless the caller has gone: then nobody asks."""
        if not self.answer.done():
            self.answer.set_result(accepted)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _Group(Struct):
    """What one transaction stores, and who waits for it.

    Each name belongs to the event in the same place, and the events of one caller stand behind
    those of the one before: few objects for a caller, for Python's garbage collector visits all
    that live while many wait.
    """

    names: list[str] = []
    events: list[Event] = []
    callers: list[_Caller] = []

    def halves(self) -> "tuple[_Group, _Group]":
        """Part it between two callers."""
        middle = len(self.callers) // 2
        cut = sum(caller.count for caller in self.callers[:middle])
        return (
            _Group(self.names[:cut], self.events[:cut], self.callers[:middle]),
            _Group(self.names[cut:], self.events[cut:], self.callers[middle:]),
        )


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
        self._group = _Group()
        self._commits = 0
        self._full = 0
        self._failed = 0

    def take(self, batch: Sequence[tuple[object, object]]) -> Coroutine[Any, Any, Receipt]:
        """Store the good ones of (instance's name, event) pairs; say why others are refused.

        They are checked and queued at once; what is given waits until they are on disk. Raises
        `IntakeRefused` only for all of them, when the mode is `off`; `IntakeFull` when too much is
        waiting, and `StoreUnavailable`: nothing was taken, try again later. Events of a caller that
        is cancelled may be stored: handing them over again stores nothing twice.
        """
        self._database.check_loop()
        self._refuse(len(batch))
        names: list[str] = []
        good: list[Event] = []
        refused: list[Refusal] = []
        for index, (instance, event) in enumerate(batch):
            try:
                name = check_instance(instance)
                good.append(check_event(event, self._zone, self._event_clock))
            except InputRefused as error:
                refused.append(Refusal(index, error.field, error.reason))
            else:
                names.append(name)
        answer = self._enter(names, good) if good else None
        return self._receipt(answer, len(good), tuple(refused))

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Store what waits, again and again; after `stop`, what still waits, and return."""
        task_status.started()
        while True:
            while self._group.callers:
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
        group, self._group = self._group, _Group()
        for caller in group.callers:
            caller.fail(StoreUnavailable("the worker has stopped: nothing of it was stored"))

    def statistics(self) -> IntakeStatistics:
        """Tell how much is waiting, and how it went so far."""
        return IntakeStatistics(len(self._group.events), self._commits, self._full, self._failed)

    def _refuse(self, new: int) -> None:
        """Refuse a batch before anything of it is looked at."""
        if self._settings.mode == "off":
            reason = "the mode is off (worker.mode): no event is taken"
            raise IntakeRefused([Refusal(0, "", reason)])
        if self.stopping:
            raise StoreUnavailable("the worker is stopping: nothing more is taken")
        most = self._settings.intake.max_waiting
        waiting = len(self._group.events)
        if waiting and waiting + new > most:
            self._full += 1
            raise IntakeFull(
                f"{waiting} events wait to be stored, and {most} may (intake.max_waiting):"
                f" nothing of these {new} was taken; try again in a moment"
            )

    def _enter(self, names: list[str], good: list[Event]) -> "Future[int]":
        answer: Future[int] = self._database.loop.create_future()
        group = self._group
        if not group.callers:  # else it was woken for those before, and takes all
            self.wake()
        group.names += names
        group.events += good
        group.callers.append(_Caller(len(good), answer))
        return answer

    async def _receipt(
        self, answer: "Future[int] | None", taken: int, refused: tuple[Refusal, ...]
    ) -> Receipt:
        accepted = 0 if answer is None else await answer
        return Receipt(accepted, taken - accepted, refused)

    async def _commit(self) -> None:
        """Store all that waits, and answer; whatever happens, none of it is left unanswered."""
        group, self._group = self._group, _Group()
        try:
            # The transaction happens anyway: stopping here would only forget whom to tell.
            with anyio.CancelScope(shield=True):
                await self._store(group)
        except BaseException:
            reason = "interrupted while it was stored: hand it over again, nothing is stored twice"
            for caller in group.callers:
                caller.fail(StoreUnavailable(reason))
            raise

    async def _store(self, group: _Group) -> None:
        """Store in one transaction, in halves if that fails: only the guilty one sees its error."""
        counts = [caller.count for caller in group.callers]
        try:
            accepted = await self._database.run(_store, group.names, group.events, counts)
        except (StoreUnavailable, StateRefused) as error:
            self._failed += 1
            for caller in group.callers:
                caller.fail(type(error)(*error.args))
        except Exception as error:  # noqa: BLE001  it goes to the caller whose event it is
            self._failed += 1
            if len(group.callers) == 1:
                group.callers[0].fail(error)
                return
            for half in group.halves():
                await self._store(half)
        else:
            reach("intake.committed")
            self._commits += 1
            self.succeeded()
            for caller, count in zip(group.callers, accepted, strict=True):
                caller.tell(count)


def _store(
    connection: sqlite3.Connection, names: list[str], found: list[Event], counts: list[int]
) -> list[int]:
    """Store the events of callers who handed over so many each; give how many of each are new."""
    ids = instances.identify_all(connection, names)
    are_new = events.insert(connection, [ids[name] for name in names], found)
    reach("intake.stored")
    if all(are_new):
        return counts
    left = iter(are_new)
    return [sum(islice(left, count)) for count in counts]
