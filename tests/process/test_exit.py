"""However the block of a worker is left, its process can end at once."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

LIMIT_S = 20
HOST = """
import asyncio, signal, sys, threading
from pathlib import Path
from ecolyo_worker import Settings, Worker

others = []

def add(connection, name):
    connection.execute("INSERT INTO meta VALUES (?, '')", (name,))

def leave():
    print("leaves", flush=True)

async def normally(worker):
    await worker.database.run(add, "stored")
    leave()

async def with_an_error(worker):
    await worker.database.run(add, "stored")
    leave()
    raise LookupError("of the host")

async def cancelled(worker):
    await worker.database.run(add, "stored")
    leave()
    asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)
    await asyncio.Event().wait()

async def interrupted(worker):
    await worker.database.run(add, "stored")
    leave()
    signal.raise_signal(signal.SIGINT)
    await asyncio.Event().wait()

async def cancelled_while_it_stores(worker):
    task, loop, gone = asyncio.current_task(), asyncio.get_running_loop(), threading.Event()

    def store(connection):
        leave()
        loop.call_soon_threadsafe(task.cancel)
        assert gone.wait(10)
        add(connection, "stored")

    try:
        await worker.database.run(store)
    finally:
        gone.set()

async def while_others_store(worker):
    for number in range(100):
        others.append(asyncio.create_task(worker.database.run(add, f"stored {number}")))
    await asyncio.sleep(0)
    leave()

async def main(state_dir, how):
    try:
        async with Worker(Settings(state_dir=Path(state_dir))) as worker:
            await globals()[how](worker)
    finally:
        for thread in set(threading.enumerate()) - {threading.main_thread()}:
            thread.join(10)  # it may be at its last step
        print([thread.name for thread in threading.enumerate()])

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("how", "ends_with", "rows"),
    [
        ("normally", "", 1),
        ("with_an_error", "LookupError: of the host", 1),
        ("cancelled", "asyncio.exceptions.CancelledError", 1),
        ("interrupted", "KeyboardInterrupt", 1),
        ("cancelled_while_it_stores", "asyncio.exceptions.CancelledError", 1),
        ("while_others_store", "", 100),
    ],
)
def test_the_process_ends_within_a_second(
    state_dir: Path, how: str, ends_with: str, rows: int
) -> None:
    """Left in any way, a worker leaves no thread, and has stored what it took."""
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(state_dir), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            first = process.stdout.readline()
            begin = time.monotonic()
            process.wait(LIMIT_S)
            took_s = time.monotonic() - begin
        finally:
            process.kill()
        errors = process.stderr.read().rstrip()
        assert (first, process.stdout.read()) == ("leaves\n", "['MainThread']\n"), errors
    assert errors.endswith(ends_with)
    assert bool(errors) == bool(ends_with)
    assert took_s < 1
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection:
        query = "SELECT count(*) FROM meta WHERE key LIKE 'stored%'"
        assert connection.execute(query).fetchone() == (rows,)
