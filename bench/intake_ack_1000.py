"""1,000 callers at once, each with one event at a time, against one bulk insert of these rows.

Ours: `worker.record(instance, event)`, checked, deduplicated, with the facts that are kept at
intake, on disk before each caller is answered. Baseline: `sqlite3`'s `executemany` of the ready
rows, each thousand in one transaction that is as durable.
"""

from time import perf_counter

import anyio

from bench.measure import compare, sized
from bench.usage import make_events, opened_worker, raw_insert
from ecolyo_worker import Worker

CALLERS = sized(1_000)
TIMES = 20

_EVENTS = make_events(CALLERS * TIMES)
_PIECES = [_EVENTS[begin : begin + CALLERS] for begin in range(0, len(_EVENTS), CALLERS)]


async def baseline() -> float:
    """Give the events per second of a bulk insert."""
    return await raw_insert(_PIECES)


async def ours() -> float:
    """Give the events per second of callers who record one event after the other."""

    async def call(worker: Worker, number: int) -> None:
        for piece in _PIECES:
            name, event = piece[number]
            await worker.record(name, event)

    async with opened_worker() as worker:
        begin = perf_counter()
        async with anyio.create_task_group() as callers:
            for number in range(CALLERS):
                callers.start_soon(call, worker, number)
        return len(_EVENTS) / (perf_counter() - begin)


if __name__ == "__main__":
    anyio.run(compare, "intake_ack_1000", baseline, ours)
