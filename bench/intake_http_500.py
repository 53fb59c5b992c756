"""Requests of 500 events over HTTP, four connections, against a bulk insert of the same rows.

Ours: the HTTP face on TCP with its token, JSON read and checked, answered when it is on disk; the
clients are a process of their own. Baseline: `sqlite3`'s `executemany` of the ready rows, each 500
in one transaction that is as durable.
"""

import json
import sys
import tempfile
from pathlib import Path

import anyio

from bench.measure import compare, sized
from bench.usage import make_events, opened_worker, raw_insert
from ecolyo_worker.service.server import HttpFace
from ecolyo_worker.settings import Http, Settings

CONNECTIONS = 4
BATCH = 500
BATCHES = sized(60, CONNECTIONS)

_EVENTS = make_events(BATCH * BATCHES)
_PIECES = [_EVENTS[begin : begin + BATCH] for begin in range(0, len(_EVENTS), BATCH)]
_BODIES = b"\n".join(
    json.dumps([{"instance": name, **event} for name, event in piece]).encode() for piece in _PIECES
)
_CLIENTS = Path(__file__).with_name("post.py")


async def baseline() -> float:
    """Give the events per second of a bulk insert."""
    return await raw_insert(_PIECES)


async def ours() -> float:
    """Give the events per second over HTTP."""
    with tempfile.NamedTemporaryFile("w") as token:
        token.write("let-me-in-0123456789")
        token.flush()
        http = Http(listen="127.0.0.1:0", token_file=Path(token.name))
        async with opened_worker(Settings(http=http)) as worker:
            face = HttpFace(worker)
            await worker.supervise(face)
            clients = [sys.executable, str(_CLIENTS), str(face.listen), "let-me-in-0123456789"]
            done = await anyio.run_process([*clients, str(CONNECTIONS)], input=_BODIES, stderr=None)
            assert worker.status().events["waiting"] == len(_EVENTS)
            return len(_EVENTS) / float(done.stdout)


if __name__ == "__main__":
    anyio.run(compare, "intake_http_500", baseline, ours)
