"""Intake that is offered half as much again as it can take, beside one that is offered just enough.

Capacity: as many callers as may wait, each with 20 events, and for each that is answered the next
one comes. Overload: callers come by the clock, at 1.5 times that rate, and are refused with
`IntakeFull` where too much waits. `intake_overload` compares the events per second that were
stored; what is refused costs something too.

`intake_overload_waiting` is how many events waited at most, beside `intake.max_waiting`;
`intake_overload_memory` the process's memory at the end of the overload beside that at its middle.
Each refusal is counted: by the caller, and by the worker.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio
from anyio.abc import TaskGroup

from bench.measure import ROUNDS, sized, tell
from bench.usage import make_events, opened_worker
from ecolyo_worker import Settings, Worker
from ecolyo_worker.errors import IntakeFull
from ecolyo_worker.settings import Intake

SECONDS = sized(3_000, 100) / 1000
EACH = 20
CALLERS = 100
OFFERED = 1.5
TICK_S = 0.001

_MOST = EACH * CALLERS
_SETTINGS = Settings(state_dir=Path("/nonexistent"), intake=Intake(max_waiting=_MOST))
_EVENTS = make_events(10_000)
for _, _event in _EVENTS:
    del _event["_id"]  # so that it may come again and again, and is new each time
_BATCHES = [
    (_EVENTS[begin][0], [event for _, event in _EVENTS[begin : begin + EACH]])
    for begin in range(0, len(_EVENTS), EACH)
]


@dataclass
class Load:
    """Callers of one worker, and what became of them."""

    worker: Worker
    group: TaskGroup
    called: int = 0
    stored: int = 0
    refused: int = 0
    most_waiting: int = 0

    async def call(self) -> None:
        """Record one batch."""
        name, batch = _BATCHES[self.called % len(_BATCHES)]
        self.called += 1
        try:
            receipt = await self.worker.record(name, batch)
            self.stored += receipt.accepted
        except IntakeFull:
            self.refused += 1
        self.most_waiting = max(self.most_waiting, self.worker.intake.statistics().waiting)

    async def call_again(self, until: float) -> None:
        """Let one caller come after the other, each a task of its own."""
        while perf_counter() < until:
            async with anyio.create_task_group() as one:
                one.start_soon(self.call)

    async def call_at(self, rate: float, until: float) -> int:
        """Let callers come so often; give the memory in bytes when half of the time is over."""
        begin, begun, middle = perf_counter(), 0, 0
        while (now := perf_counter()) < until:
            due = int((now - begin) * rate)
            for _ in range(due - begun):
                self.group.start_soon(self.call)
            begun = due
            if not middle and now > (begin + until) / 2:
                middle = memory()
            await anyio.sleep(TICK_S)
        return middle or memory()  # none where the second half of a short trial was one pause


def memory() -> int:
    """Give the bytes of memory that the process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def capacity() -> float:
    """Give the events per second that are stored when as many come as can be taken."""
    async with opened_worker(_SETTINGS) as worker:
        begin = perf_counter()
        async with anyio.create_task_group() as group:
            load = Load(worker, group)
            for _ in range(CALLERS):
                group.start_soon(load.call_again, begin + SECONDS)
        assert load.refused == 0
        return load.stored / (perf_counter() - begin)


async def overloaded(rate: float) -> dict[str, float]:
    """Offer so many events per second; give what came of it."""
    async with opened_worker(_SETTINGS) as worker:
        begin = perf_counter()
        async with anyio.create_task_group() as group:
            load = Load(worker, group)
            middle = await load.call_at(rate / EACH, begin + SECONDS)
            end = memory()
        took = perf_counter() - begin
        assert load.called * EACH == load.stored + load.refused * EACH
        assert load.refused == worker.intake.statistics().full
        return {
            "stored": load.stored / took,
            "refused": load.refused * EACH / took,
            "waiting": load.most_waiting,
            "middle": middle / 2**20,
            "end": end / 2**20,
        }


async def main() -> None:
    """Measure and print."""
    capacities: list[float] = []
    found: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        capacities.append(await capacity())
        found.append(await overloaded(OFFERED * median(capacities)))

    def each(key: str) -> list[float]:
        return [one[key] for one in found]

    tell("intake_overload", each("stored"), capacities, "events/s")
    tell("intake_overload_refused", each("refused"), capacities, "events/s")
    tell("intake_overload_waiting", each("waiting"), [_MOST] * len(found), "events")
    tell("intake_overload_memory", each("end"), each("middle"), "MiB")


if __name__ == "__main__":
    anyio.run(main)
