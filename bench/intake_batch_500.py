"""Batches of 500 events from four callers, against a bulk insert of the same rows.

Ours: `worker.record(instance, [500 events])`, checked, deduplicated, with the facts that are kept
at intake, on disk before each caller is answered. Baseline: `sqlite3`'s `executemany` of the ready
rows; each transaction, as durable, has all that the callers hand over at once.
"""

from collections.abc import Iterator
from time import perf_counter

import anyio

from bench.measure import compare, sized
from bench.usage import make_events, opened_worker, raw_insert
from ecolyo_worker import Worker

CALLERS = 4
BATCH = 500
BATCHES = sized(60, CALLERS)

_EVENTS = make_events(BATCH * BATCHES)
_BATCHES = [
    (_EVENTS[begin][0], [event for _, event in _EVENTS[begin : begin + BATCH]])
    for begin in range(0, len(_EVENTS), BATCH)
]


async def baseline() -> float:
    """Give the events per second of a bulk insert."""
    return await raw_insert(
        [
            [(name, event) for name, batch in _BATCHES[begin : begin + CALLERS] for event in batch]
            for begin in range(0, BATCHES, CALLERS)
        ]
    )


async def ours() -> float:
    """Give the events per second of callers who hand over one batch after the other."""

    async def call(worker: Worker, batches: Iterator[tuple[str, list[dict[str, object]]]]) -> None:
        for name, batch in batches:
            await worker.record(name, batch)

    async with opened_worker() as worker:
        left = iter(_BATCHES)
        begin = perf_counter()
        async with anyio.create_task_group() as callers:
            for _ in range(CALLERS):
                callers.start_soon(call, worker, left)
        return len(_EVENTS) / (perf_counter() - begin)


if __name__ == "__main__":
    anyio.run(compare, "intake_batch_500", baseline, ours)
