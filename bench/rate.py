"""How well the rate is kept: how many starts arrive in all, and in the busiest second."""

import time
from bisect import bisect_left

import anyio
import httpx
from measure import ROUNDS, tell
from sending import outbox_of, server

from ecolyo_worker.settings import Dacc

RATE = 200.0
SECONDS = 4


async def measured(url: str) -> tuple[float, float]:
    """Drain at the rate; give starts per second, and how many there were in the busiest one."""
    rows = int(RATE * SECONDS)
    async with outbox_of(rows, Dacc(url=url, rate=RATE, concurrency=4)) as worker:
        await worker.send(timeout_s=0)  # what is loaded once is not the rate's doing
        begin = time.monotonic()
        await worker.send()
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(url)).text
    moments = sorted(float(line) for line in text.splitlines())
    busiest = max(bisect_left(moments, at + 1) - n for n, at in enumerate(moments))
    # The first start comes at once: the others take a place of the grid each.
    return (rows - 1) / (moments[-1] - begin), busiest


async def main() -> None:
    """Measure, and print both figures as ratios of what is allowed."""
    with server() as url:
        found = [await measured(url) for _ in range(ROUNDS)]
    tell("rate", [achieved for achieved, _ in found], [RATE] * ROUNDS, "starts/s")
    tell("rate_busiest_second", [busiest for _, busiest in found], [RATE] * ROUNDS, "starts")


anyio.run(main)
