"""Draining the outbox beside huey's worker: ten lanes beside ten threads, the same posts.

Each of huey's tasks is a row of its queue on SQLite, with `fsync`, and is taken from it before it
runs; it posts with a client of httpx that the thread keeps. Ours also marks what became of each.
"""

import tempfile
import threading
from contextlib import closing
from time import perf_counter

import anyio
import httpx
from huey import SqliteHuey

from bench.measure import compare, sized
from bench.sending import bare_lanes, bodies, drained, headers_of, server

LANES = 10
ROWS = sized(5_000, LANES)


async def huey_drained(url: str) -> float:
    """Let huey's worker post so many rows; give posts per second."""
    headers = await headers_of(url)
    local, done = threading.local(), threading.Semaphore(0)
    clients: list[httpx.Client] = []

    def client() -> httpx.Client:
        if not hasattr(local, "client"):
            local.client = httpx.Client(timeout=None, trust_env=False)
            clients.append(local.client)
        return local.client

    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        huey = SqliteHuey(filename=f"{directory}/huey.db", fsync=True, results=False)

        @huey.task()
        def post(body: bytes) -> None:
            answer = client().post(url + "/measure", content=body, headers=headers)
            assert answer.status_code == 201
            done.release()

        with closing(huey.storage):
            for body in bodies(ROWS):
                post(body)
            worker = huey.create_consumer(workers=LANES, worker_type="thread", periodic=False)
            worker._set_signal_handlers = lambda: None  # noqa: SLF001  they are this process's
            begin = perf_counter()
            worker.start()
            for _ in range(ROWS):
                done.acquire()
            took = perf_counter() - begin
            worker.stop(graceful=True)
            assert len(huey) == 0
    for one in clients:
        one.close()
    return ROWS / took


async def main() -> None:
    """Measure and print."""
    with server() as url:
        await bare_lanes(url, LANES, LANES)  # what is loaded once is nobody's doing
        await compare(
            "drain_vs_huey",
            lambda: huey_drained(url),
            lambda: drained(url, ROWS, LANES),
            "deliveries/s",
        )


if __name__ == "__main__":
    anyio.run(main)
