"""The supervisor: starts actors, runs one again that crashed, and ends them all within the grace.

An actor that crashes runs again after a growing, random delay. One that crashes five times within a
minute, or simply returns, cannot be helped: everything ends with `ActorFailed`, and whoever runs
the process starts it anew.
"""

import random
from collections import deque
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskStatus

from ecolyo_worker.actors.actor import Actor, Channel
from ecolyo_worker.clock import Clock, instant_text, utc_ms
from ecolyo_worker.errors import ActorFailed, EcolyoError, StoreUnavailable
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.log import Logger

__all__ = ["Supervisor"]

_MOST_CRASHES = 5
_WITHIN_S = 60.0
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
# An actor looks every `Actor.LOOK_S`; one that gave no sign for so many times that long hangs.
_LOOKS_MISSED = 4


class Supervisor:
    """Runs actors in a task group of its own. Leaving it stops them all, within `grace_s`."""

    def __init__(self, clock: Clock, draw: random.Random, logger: Logger, grace_s: float) -> None:
        """Nothing runs before `start`."""
        self._clock = clock
        self._random = draw
        self._logger = logger
        self._grace_s = grace_s
        self._kept: list[_Kept] = []
        self._group = anyio.create_task_group()
        self._draining = anyio.CancelScope(shield=True)
        self._failure: EcolyoError | None = None
        self._failed = anyio.Event()

    def __repr__(self) -> str:
        return f"<Supervisor of {', '.join(repr(kept.actor) for kept in self._kept)}>"

    async def __aenter__(self) -> Self:
        """Be ready to start actors."""
        await self._group.__aenter__()
        self._group.start_soon(self._wait_for_failure)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Stop the actors: let them finish within the grace, then cancel what is left.

        A host that cancels natively once more meanwhile aborts at once, as does one that cancels a
        scope around the block, which is around the actors too. The host's own error goes on, with
        a note if an actor failed besides; else the `ActorFailed` of an actor that could not be kept
        is raised, or what `fail` was given.
        """
        cancelled = error if isinstance(error, anyio.get_cancelled_exc_class()) else None
        try:
            await self._drain()
        except anyio.get_cancelled_exc_class() as again:
            cancelled = again
        self._group.cancel_scope.cancel()
        try:
            # An error of the host's is none of the group's, which would wrap it.
            await self._group.__aexit__(type(cancelled) if cancelled else None, cancelled, trace)
        except BaseExceptionGroup as failures:
            failure = _first(failures)
            if error is None or cancelled is not None:
                raise failure from failure.__cause__
            error.add_note(f"meanwhile the worker failed, too: {failure}")
        if cancelled is not None and cancelled is not error:
            raise cancelled
        return False

    async def start(self, actor: Actor) -> None:
        """Start an actor and wait until it has; what it raises before that is raised."""
        kept = _Kept(actor)
        await self._group.start(self._keep, kept)
        self._kept.append(kept)

    def abort(self) -> None:
        """Let a stop wait no longer for what has begun."""
        self._draining.cancel()

    def fail(self, error: EcolyoError) -> None:
        """End everything at once: what all actors need is gone. Leaving raises the error."""
        self._failure = self._failure or error
        self._failed.set()

    def health(self) -> list[ActorHealth]:
        """Tell how each actor is."""
        now = self._clock.monotonic()
        return [kept.health(now) for kept in self._kept]

    async def _wait_for_failure(self) -> None:
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    async def _drain(self) -> None:
        for kept in reversed(self._kept):
            kept.stop()
        with self._draining, anyio.move_on_after(self._grace_s) as grace:
            for kept in self._kept:
                await kept.ended.wait()
        if grace.cancelled_caught or self._draining.cancelled_caught:
            busy = [kept.actor.name for kept in self._kept if not kept.ended.is_set()]
            self._logger.warning("stopped before all was finished", unfinished=busy)

    async def _keep(
        self, kept: "_Kept", *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        started = _Started(task_status)
        try:
            while not await self._run(kept, started):
                delay = kept.delay_s(self._random)
                self._logger.error(
                    "actor crashed and will run again",
                    actor=kept.actor.name,
                    error=kept.error,
                    restarts=kept.restarts,
                    in_s=round(delay, 3),
                )
                await kept.pause.wait(self._clock, delay)
            if kept.state == "restarting":
                self._logger.error(
                    "actor crashed while stopping", actor=kept.actor.name, error=kept.error
                )
        finally:
            kept.state = "stopped"
            kept.ended.set()

    async def _run(self, kept: "_Kept", started: "_Started") -> bool:
        """Run an actor once; give whether it ended as it should. Raises `ActorFailed`."""
        kept.state = "working"
        try:
            await kept.actor.run(task_status=started)
        except Exception as failure:  # noqa: BLE001  the edge of an actor
            error = _worst(failure)
            if not started.was_told:
                raise error from error.__cause__
            kept.note(error, self._clock.monotonic())
            if kept.is_beyond_help:
                raise ActorFailed(
                    f"{kept.actor.name} crashed {_MOST_CRASHES} times within a minute, the last"
                    f" time with {kept.error}"
                ) from error
            return kept.actor.stopping
        if not kept.actor.stopping:
            raise ActorFailed(f"{kept.actor.name} ended by itself, which it never should")
        return True


class _Kept:
    """An actor with what happened to it."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.state = "working"
        self.restarts = 0
        self.error: str | None = None
        self.ended = anyio.Event()
        self.pause = Channel()
        self._crashes: deque[float] = deque(maxlen=_MOST_CRASHES)
        self._in_a_row = 0
        self._last = 0.0

    @property
    def is_beyond_help(self) -> bool:
        return (
            len(self._crashes) == _MOST_CRASHES
            and self._crashes[-1] - self._crashes[0] <= _WITHIN_S
        )

    def stop(self) -> None:
        self.actor.stop()
        self.pause.close()

    def note(self, error: Exception, now: float) -> None:
        """Note a crash. A database that does not work now is none, and is waited for."""
        self.state = "restarting"
        self.error = _words(error)
        self.restarts += 1
        is_first = not self._in_a_row or now - self._last > _WITHIN_S
        self._in_a_row = 1 if is_first else self._in_a_row + 1
        self._last = now
        if not isinstance(error, StoreUnavailable):
            self._crashes.append(now)

    def delay_s(self, draw: random.Random) -> float:
        """Give the wait before the next run: doubled each time, between half of it and all."""
        end = min(_FIRST_DELAY_S * (1 << min(self._in_a_row - 1, 10)), _LONGEST_DELAY_S)
        return end * (0.5 + draw.random() / 2)

    def health(self, now: float) -> ActorHealth:
        silence = now - self.actor.last_sign - self.actor.longest_step_s
        return ActorHealth(
            name=self.actor.name,
            state=self.state,
            alive=self.state == "working" and silence <= _LOOKS_MISSED * self.actor.LOOK_S,
            restarts=self.restarts,
            error=self.error,
            last_success=_text(self.actor.last_success),
            next_due=_text(self.actor.next_due) if self.state == "working" else None,
        )


class _Started(TaskStatus[None]):
    """Tells the one who waits that an actor has started, the first time only."""

    def __init__(self, waiting: TaskStatus[None]) -> None:
        self._waiting = waiting
        self.was_told = False

    def started(self, value: Any = None) -> None:  # noqa: ANN401  as the protocol has it
        if not self.was_told:
            self.was_told = True
            self._waiting.started(value)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else instant_text(utc_ms(moment))


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the one error that says why all ended; what it was called for is its cause."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _worst(error: Exception) -> Exception:
    """Give the one error of a group that matters most: a crash, before a database at rest."""
    if not isinstance(error, ExceptionGroup):
        return error
    found = [_worst(inner) for inner in error.exceptions]
    return next((one for one in found if not isinstance(one, StoreUnavailable)), found[0])


def _words(error: Exception) -> str:
    """Say in one line what an error is and where it came from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f" (line {trace.tb_lineno} of {trace.tb_frame.f_code.co_name})"
    return f"{type(error).__name__}: {error}{place}"[:500]
