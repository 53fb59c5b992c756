"""Processes that start, say so, and do nothing: ours inside a host, our service, and bare ones.

`LIBRARIES` is a process with what ours is built on, and an open database; `BARE` one with nothing
but asyncio, SQLite and msgspec. A host that embeds the worker is `HOST`.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["BARE", "HOST", "LIBRARIES", "service", "started"]

HOST = """
import asyncio, sys
from pathlib import Path
from ecolyo_worker import Settings, Worker

async def main():
    async with Worker(Settings(state_dir=Path(sys.argv[1]))):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

LIBRARIES = """
import asyncio, sys
import aiosqlite, anyio, msgspec

async def main():
    async with aiosqlite.connect(sys.argv[1] + "/bare.db") as connection:
        await connection.execute("PRAGMA journal_mode = WAL")
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

BARE = """
import asyncio, sqlite3, sys
import msgspec

async def main():
    connection = sqlite3.connect(sys.argv[1] + "/bare.db")
    connection.execute("PRAGMA journal_mode = WAL")
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

# As what is installed, they find their modules compiled, from the second start on.
_ENV = {
    **os.environ,
    "ECOLYO_WORKER__MODE": "off",
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "ecolyo-bench-modules"),
}


@contextmanager
def started(code: str, directory: Path) -> Iterator[int]:
    """Run code in a process of its own, ready when entered, until left; give its id."""
    with _run([sys.executable, "-c", code, str(directory)], subprocess.PIPE, None) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid


@contextmanager
def service(directory: Path) -> Iterator[int]:
    """Run a service that sends nothing, ready when entered, until left; give its id."""
    words = [sys.executable, "-m", "ecolyo_worker", "run", "--state-dir", str(directory)]
    with _run(words, None, subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"ready" not in process.stderr.readline():
            assert process.poll() is None, "the service did not start"
        yield process.pid


@contextmanager
def _run(
    words: list[str], stdout: int | None, stderr: int | None
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(words, env=_ENV, stdout=stdout, stderr=stderr) as process:
        try:
            yield process
        finally:
            process.kill()
