"""1,000 callers at once, each with one event, against one bulk insert of the same rows.

Ours: `worker.record(instance, event)`, checked, deduplicated, with the facts that are kept at
intake, on disk before each caller is answered. Baseline: `sqlite3`'s `executemany` of the ready
rows, each thousand in one transaction that is as durable.
"""

import asyncio
from time import perf_counter

import anyio
from measure import compare
from usage import make_events, opened_worker, raw_insert

CALLERS = 1_000
TIMES = 20

_EVENTS = make_events(CALLERS * TIMES)
_PIECES = [_EVENTS[begin : begin + CALLERS] for begin in range(0, len(_EVENTS), CALLERS)]


async def baseline() -> float:
    """Give the events per second of a bulk insert."""
    return await raw_insert(_PIECES)


async def ours() -> float:
    """Give the events per second of many callers."""
    async with opened_worker() as worker:
        begin = perf_counter()
        for piece in _PIECES:
            await asyncio.gather(*(worker.record(name, event) for name, event in piece))
        return len(_EVENTS) / (perf_counter() - begin)


if __name__ == "__main__":
    anyio.run(compare, "intake_ack_1000", baseline, ours)
