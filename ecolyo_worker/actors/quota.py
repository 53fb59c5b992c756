"""The quota of a provider: how often all accounts together may ask it, over restarts too.

Requests lie on a grid a quarter wider than it must be, so that a network that holds some back for
a quarter of a second and lets them through at once makes no burst at the provider's door.

A clock that is set makes nothing older or younger: what was noted is set by as much. In one life
the monotonic clock tells by how much; a later one knows that no request is of a time to come.
"""

from collections import deque

import anyio
from msgspec.structs import replace

from ecolyo_worker.actors.actor import Channel
from ecolyo_worker.actors.context import Context
from ecolyo_worker.clock import utc_ms
from ecolyo_worker.energy.answers import NAMES, Meaning, Provider
from ecolyo_worker.store import quotas
from ecolyo_worker.store.quotas import Pause

__all__ = ["Quota"]

_MARGIN = 1.25
_HOUR_MS = 3_600_000
_HOUR_MARGIN_MS = 1_000
_JITTER_MS = 60_000
_SECOND_MS = 1_000
# A longer wait is nobody's to sit out: the visit ends, and goes on later.
_LONGEST_WAIT_MS = 5_000
_MOST_FAILURES = 5
_FIRST_PAUSE_MS = 60_000
_LONGEST_PAUSE_MS = 3_600_000
# What the two clocks differ by more than before is no matter of reading them one after the other.
_SET_MS = 1_000
_TOKEN_PAUSE_MS = 900_000


class Quota:
    """Lets requests through, one after the other."""

    def __init__(self, context: Context, provider: Provider) -> None:
        """What was asked before is read before the first request."""
        self._context = context
        self._provider: Provider = provider
        settings = context.settings.providers[provider]
        self._spacing_ms = -int(-_SECOND_MS * _MARGIN // settings.per_second)
        self._per_hour = settings.hourly
        self._made: deque[int] = deque()
        self._pause: Pause | None = None
        self._ahead = 0
        """How far the wall clock is ahead of the monotonic one, in ms."""
        self._refused: set[int] = set()
        self._odd: set[int] = set()
        self._lock = anyio.Lock()
        self._stopping = Channel()

    def stop(self) -> None:
        """Let nobody wait any more."""
        self._stopping.close()

    async def take(self) -> int | None:
        """Wait for the turn of a request, which is noted on disk then.

        None: now is its time. Else it is not soon: the instant before which to ask nothing, in ms
        of UTC.
        """
        async with self._lock:
            while (until := await self._free_at()) > (now := self._now()):
                if until - now > _LONGEST_WAIT_MS:
                    return until
                await self._stopping.wait(self._context.clock, (until - now) / 1000)
                if self._stopping.is_closed:
                    return until
            await self._context.database.run(
                quotas.note_call, self._provider, now, now - _HOUR_MS - _HOUR_MARGIN_MS
            )
            self._made.append(now)
            return None

    async def paused_until(self) -> int | None:
        """Give until when to ask nothing of the provider, in ms of UTC; None: it may be asked."""
        async with self._lock:
            pause = await self._load()
        return pause.until if pause.until > self._now() else None

    @property
    def reason(self) -> str:
        """Say in words why `take` lets nothing through."""
        pause = self._pause
        if pause is None or pause.reason is None or pause.until <= self._now():
            return f"{NAMES[self._provider]} is asked no more in this hour: its quota is used up."
        if pause.failures < _MOST_FAILURES:
            return pause.reason
        return f"{pause.reason} That was so {pause.failures} times in a row: it is left alone."

    async def exceeded(self, meaning: Meaning) -> int:
        """Take in that a quota is used up; give until when nobody asks, in ms of UTC."""
        now = self._now()
        if meaning.until is not None:
            until = meaning.until
        elif meaning.quota == "second":
            until = now + _SECOND_MS
        else:
            jitter = int(self._context.random.random() * _JITTER_MS)
            until = (now // _HOUR_MS + 1) * _HOUR_MS + jitter
        await self.pause(until, meaning.happened)
        return until

    async def pause(self, until: int, reason: str) -> None:
        """Let nobody ask until an instant, in ms of UTC."""
        async with self._lock:
            known = await self._load()
            await self._note(Pause(max(until, known.until), reason, known.failures))

    async def failed(self, meaning: Meaning) -> None:
        """Take in that nothing came as agreed; after some such in a row there is a pause."""
        async with self._lock:
            known = await self._load()
            failures, until = known.failures + 1, known.until
            if failures >= _MOST_FAILURES:
                pause_ms = _FIRST_PAUSE_MS << min(failures - _MOST_FAILURES, 10)
                until = max(until, self._now() + min(pause_ms, _LONGEST_PAUSE_MS))
            until = max(until, meaning.until or 0)
            await self._note(Pause(until, meaning.happened, failures))

    async def refused(self, account: int, meaning: Meaning) -> None:
        """Take in that the token of all accounts, just renewed, is not taken for one of them.

        Where it is not for another one either, there is a pause. An account does not count of which
        others were answered after it was refused: that is its own trouble.
        """
        if account in self._odd:
            return
        self._refused.add(account)
        if len(self._refused) > 1:
            await self.pause(self._now() + _TOKEN_PAUSE_MS, meaning.happened)

    async def answered(self, account: int) -> None:
        """Take in that the provider answers as agreed, about an account."""
        self._odd = (self._odd | self._refused) - {account}
        self._refused.clear()
        async with self._lock:
            known = await self._load()
            is_over = known.until <= self._now()
            if known.failures or (known.until and is_over):
                await self._note(Pause() if is_over else Pause(known.until, known.reason))

    async def _free_at(self) -> int:
        """Give from when on a request may be made, in ms of UTC."""
        free = (await self._load()).until
        now = self._now()
        if self._made:
            free = max(free, self._made[-1] + self._spacing_ms)
        while self._made and self._made[0] <= now - _HOUR_MS - _HOUR_MARGIN_MS:
            self._made.popleft()
        if self._per_hour is not None and len(self._made) >= self._per_hour:
            free = max(free, self._made[-self._per_hour] + _HOUR_MS + _HOUR_MARGIN_MS)
        return free

    async def _load(self) -> Pause:
        """Give the pause, with all that was noted set by as much as the clock was."""
        passed = int(self._context.clock.monotonic() * 1000)
        now = self._now()
        if self._pause is None:
            since = now - _HOUR_MS - _HOUR_MARGIN_MS
            read = self._context.database.read
            self._made = deque(await read(quotas.calls, self._provider, since))
            pause = await read(quotas.pause_of, self._provider)
            by = min(0, now - self._made[-1]) if self._made else 0
            self._ahead = now - passed
        else:
            pause = self._pause
            by = now - passed - self._ahead
        if abs(by) >= _SET_MS:
            pause = await self._set(pause, by)
            self._ahead = now - passed
        self._pause = pause
        return pause

    async def _set(self, pause: Pause, by: int) -> Pause:
        """Set what was noted by some ms, on disk first."""
        await self._context.database.run(quotas.set_by, self._provider, by)
        self._made = deque(at + by for at in self._made)
        return replace(pause, until=pause.until + by) if pause.until else pause

    async def _note(self, pause: Pause) -> None:
        await self._context.database.run(quotas.pause, self._provider, pause)
        self._pause = pause

    def _now(self) -> int:
        return utc_ms(self._context.clock.now())
