"""Lists of 500 events, decoded from NDJSON, of 20 callers, against a bulk insert of the same rows.

Ours: 20 callers at a time decode a batch of NDJSON as the HTTP face does, and hand the list to
`worker.record`: 500 events of a person, checked, deduplicated, with the facts that are kept at
intake, on disk before each caller is answered. Baseline: `sqlite3`'s `executemany` of the rows of
all of them, made ready before, in one transaction with `synchronous=FULL`, as ours has it.
"""

from collections.abc import Iterator
from time import perf_counter

import anyio
import msgspec

from bench.measure import compare, sized
from bench.usage import make_events, opened_worker, raw_insert
from ecolyo_worker import Worker
from ecolyo_worker.events import decode_object
from ecolyo_worker.service.bodies import split_events

CALLERS = 20
BATCH = 500
BATCHES = sized(100, CALLERS)

_EVENTS = make_events(BATCH * BATCHES)
_PEOPLE = [name for name, _ in _EVENTS[:BATCHES]]
_LISTS = [
    [event for _, event in _EVENTS[begin : begin + BATCH]]
    for begin in range(0, len(_EVENTS), BATCH)
]
_BODIES = [b"\n".join(map(msgspec.json.encode, events)) for events in _LISTS]


async def baseline() -> float:
    """Give the events per second of a bulk insert."""
    batches = zip(_PEOPLE, _LISTS, strict=True)
    return await raw_insert([[(name, event) for name, events in batches for event in events]])


async def ours() -> float:
    """Give the events per second of callers who hand over one batch after the other."""

    async def call(worker: Worker, batches: Iterator[tuple[str, bytes]]) -> None:
        for name, body in batches:
            texts = split_events(body, is_ndjson=True)
            await worker.record(name, [decode_object(text) for text in texts])

    async with opened_worker() as worker:
        left = zip(_PEOPLE, _BODIES, strict=True)
        begin = perf_counter()
        async with anyio.create_task_group() as callers:
            for _ in range(CALLERS):
                callers.start_soon(call, worker, left)
        return len(_EVENTS) / (perf_counter() - begin)


if __name__ == "__main__":
    anyio.run(compare, "intake_batch_500", baseline, ours)
