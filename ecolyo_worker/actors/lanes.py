"""One pass over what is due: a few lanes pull rows and send them, until nothing is left to draw."""

from collections import Counter, deque
from collections.abc import Awaitable, Callable

import anyio

from ecolyo_worker.actors.actor import Channel
from ecolyo_worker.actors.hands import Hands
from ecolyo_worker.actors.pacing import RateGrid
from ecolyo_worker.clock import Clock
from ecolyo_worker.errors import EcolyoError, StoreUnavailable
from ecolyo_worker.remote.dacc import DaccLane, open_lane
from ecolyo_worker.remote.http import Clients
from ecolyo_worker.remote.target import Target
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store.draw import Claims
from ecolyo_worker.store.outbox import Claimed

__all__ = ["FAST", "Pass"]

FAST = 100.0
"""Beyond so many starts a second, rows are claimed and marked by the batch."""

_LINGER_S = 0.05
_AHEAD_S = 0.1
_MOST_CLAIMED = 500
_FIRST_RETRY_S = 0.1
# By the machine's time, as an attempt's deadline is.
_LOOK_S = 10.0
_LONGEST_RETRY_S = 5.0

Claim = Callable[[int], Awaitable[Claims]]


class Pass:
    """One pass. It ends when nothing can be drawn and nothing is in flight, or when it is ended.

    Whatever happens, what it had in hand and did not try is put back.
    """

    def __init__(
        self,
        *,
        hands: Hands,
        claim: Claim,
        target: Target,
        clients: Clients,
        grid: RateGrid,
        clock: Clock,
        deadline: float = float("inf"),
        patience_s: float = float("inf"),
        sign: Callable[[], None] = lambda: None,
    ) -> None:
        """`claim` claims up to so many rows. No attempt begins after `deadline` (monotonic).

        `patience_s` is how long a database may refuse what is to be written before it raises.
        """
        self._hands = hands
        self._claim_some = claim
        self._target = target
        self._clients = clients
        self._grid = grid
        self._clock = clock
        self._deadline = deadline
        self._patience_s = patience_s
        self._sign = sign
        self._settings: Dacc = target.settings
        self._is_fast = self._settings.rate > FAST
        self._few = 2 * self._settings.concurrency
        self._drawn: deque[Claimed] = deque()
        self._claiming = anyio.Lock()
        self._dry: anyio.Event | None = None
        """The writing since which nothing could be drawn: only the next one may change that."""
        self._hurry = Channel()
        self._ahead = anyio.Event()
        self._looking = 0
        self._waiting = 0
        self._ended = False
        self._trouble: EcolyoError | None = None
        self.outcomes: Counter[str] = Counter()
        """How many attempts came to what."""

    def __repr__(self) -> str:
        return f"<Pass {dict(self.outcomes)}, {len(self._drawn)} rows drawn, {self._hands!r}>"

    def end(self) -> None:
        """Draw no more, finish what is under way, and return."""
        self._ended = True
        self._grid.give_up()
        self._hands.stir()

    def look(self) -> None:
        """Let lanes that wait look whether there is something to draw."""
        if self._waiting:
            self._hands.stir()

    async def run(self) -> None:
        """Send; raises `StoreUnavailable` if the database does not work for too long."""
        try:
            async with anyio.create_task_group() as writing:
                writing.start_soon(self._keep_writing)
                writing.start_soon(self._keep_looking)
                if self._is_fast:
                    writing.start_soon(self._draw_ahead)
                async with anyio.create_task_group() as lanes:
                    for _ in range(self._settings.concurrency):
                        lanes.start_soon(self._lane)
                writing.cancel_scope.cancel()
        finally:
            await self._put_back()
        if self._trouble is not None:
            raise self._trouble

    async def _put_back(self) -> None:
        """Rows that were drawn and not tried wait again, as if nothing had been."""
        for row in self._drawn:
            self._hands.let_go(row, maybe_delivered=False)
        self._drawn.clear()
        try:
            with anyio.CancelScope(shield=True):
                await self._hands.write()
        except StoreUnavailable as error:
            self._trouble = self._trouble or error

    def _goes_on(self) -> bool:
        return not self._ended and self._clock.monotonic() < self._deadline

    async def _lane(self) -> None:
        async with open_lane(self._target, self._clients, self._clock) as lane:
            while (row := await self._take()) is not None:
                await self._send(lane, row)

    async def _send(self, lane: DaccLane, row: Claimed) -> None:
        lane.was_written = False
        try:
            has_place = await self._grid.wait(self._deadline)
            if not has_place and self._goes_on():
                self._deadline = self._clock.monotonic()  # no later place is earlier
            if not has_place or self._hands.is_stuck or not self._hands.may_go(row):
                self._hands.let_go(row, maybe_delivered=False)
                return
            outcome = await lane.post(row.body, row.instance_name)
        except BaseException:
            # Interrupted is not failed: the attempt is not counted.
            self._hands.let_go(row, maybe_delivered=lane.was_written)
            raise
        self._hands.land(row, outcome, lane.mark)
        self._sign()
        self.outcomes[outcome.kind] += 1
        if self._waiting or self._hands.is_urgent:
            self._hurry.wake()

    async def _take(self) -> Claimed | None:
        """Give the next row; None when there is none, and none in flight that could free others."""
        self._looking += 1
        try:
            while self._goes_on():
                written = self._hands.written
                if not self._drawn and not self._hands.is_stuck:
                    await self._draw()
                while self._drawn and self._goes_on() and not self._hands.is_stuck:
                    row = self._drawn.popleft()
                    if self._is_fast and len(self._drawn) == self._few:
                        self._ahead.set()
                    if self._hands.may_go(row):
                        return row
                    self._hands.let_go(row, maybe_delivered=False)
                if not self._hands or not self._goes_on():
                    return None
                await self._wait_for(written)
            return None
        finally:
            self._looking -= 1

    async def _wait_for(self, written: anyio.Event) -> None:
        """Wait until what is in flight lands: it may free other rows."""
        self._waiting += 1
        self._hurry.wake()
        try:
            await written.wait()
        finally:
            self._waiting -= 1

    async def _draw_ahead(self) -> None:
        """Claim the next rows while the last ones are being sent."""
        while True:
            await self._ahead.wait()
            self._ahead = anyio.Event()
            if not self._hands.is_stuck:
                await self._draw(self._few)

    async def _draw(self, few: int = 0) -> None:
        """Claim rows when there are `few`: one for each lane that looks for one, or many."""
        async with self._claiming:
            is_dry = self._dry is self._hands.written
            if is_dry or len(self._drawn) > few or not self._goes_on():
                return
            limit = self._looking
            if self._is_fast:
                ahead = min(_MOST_CLAIMED, int(self._settings.rate * _AHEAD_S))
                limit = max(ahead, self._settings.concurrency)
            try:
                if self._hands.is_urgent or not self._is_fast:
                    # How the destinations do is on disk before anything is drawn by it.
                    await self._hands.write()
                await self._claim(limit)
            except EcolyoError as error:
                if not self._hands.is_stuck:
                    self._give_up(error)

    async def _claim(self, limit: int) -> None:
        """Claim until there are some, or it is known that there are none."""
        written, more = self._hands.written, True
        while more and self._goes_on():
            claims = await self._claim_some(limit)
            self._hands.take(claims)
            self._drawn.extend(claims.rows)
            self._sign()
            more = claims.more and not self._drawn
        if not more and not self._drawn:
            self._dry = written

    async def _keep_looking(self) -> None:
        """Look now and then what became due: an attempt that hangs holds no other lane up."""
        while True:
            await anyio.sleep(_LOOK_S)
            self.look()

    async def _keep_writing(self) -> None:
        """Write what landed as soon as it did; where it goes fast, much at once."""
        failing_since, delay = None, _FIRST_RETRY_S
        while True:
            await self._hands.landed.wait()
            if self._is_fast and not self._waiting:
                await self._hurry.wait(self._clock, _LINGER_S)
            try:
                await self._hands.write()
            except EcolyoError as error:
                now = self._clock.monotonic()
                failing_since = now if failing_since is None else failing_since
                if not isinstance(error, StoreUnavailable) or (
                    now - failing_since >= self._patience_s
                ):
                    self._give_up(error)
                    return
                self._sign()
                await self._clock.sleep(delay)
                delay = min(2 * delay, _LONGEST_RETRY_S)
            else:
                failing_since, delay = None, _FIRST_RETRY_S

    def _give_up(self, error: EcolyoError) -> None:
        self._trouble = self._trouble or error
        self.end()
