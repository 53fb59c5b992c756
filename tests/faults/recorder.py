"""A worker that says on its standard output what it acknowledged, one thing after the other.

python -m tests.faults.recorder STATE ECHO_URL
"""

import os
import sys
from datetime import datetime
from pathlib import Path

import anyio

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import InstancesImport, Line
from ecolyo_worker.settings import Dacc

NIGHT = datetime(2026, 11, 21, 1, 0)
ALICE = (
    b'{"instance": "alice.example",'
    b' "consent": {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}}'
)


def acknowledge(what: str) -> None:
    os.write(1, f"ack {what}\n".encode())


async def record(state_dir: Path, url: str) -> None:
    """Take a consent and events in, count, send, and let the person leave."""
    settings = Settings(state_dir=state_dir, dacc=Dacc(url=url, rate=1000.0))
    async with Worker(settings).opened() as worker:
        commands = Commands(worker)
        await commands.instances_import(InstancesImport([Line(1, ALICE)]))
        acknowledge("consent")
        for number in range(20):
            event = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}
            await worker.record("alice.example", {**event, "_id": f"{number}"})
            acknowledge(f"event {number}")
        await worker.run_once(NIGHT)
        acknowledge("night")
        await worker.send()
        acknowledge("sent")
        await commands.instances_withdraw("alice.example")
        acknowledge("withdrawn")


if __name__ == "__main__":
    anyio.run(record, Path(sys.argv[1]), sys.argv[2])
