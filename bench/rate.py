"""How well the rate is kept, for five seconds with twenty lanes: in all, and in the busiest second.

`rate_50`, `rate_200` and `rate_1000` compare the starts per second that arrive with those that are
set; `…_busiest` the most starts within any second.
"""

import time
from bisect import bisect_left

import anyio
import httpx

from bench.measure import ROUNDS, sized, tell
from bench.sending import outbox_of, server
from ecolyo_worker.settings import Dacc

RATES = (50, 200, 1_000)
SECONDS = sized(5_000, 200) / 1000
LANES = 20


async def measured(url: str, rate: int) -> tuple[float, float]:
    """Drain at the rate; give starts per second, and how many there were in the busiest one."""
    rows = int(rate * SECONDS)
    async with outbox_of(rows, Dacc(url=url, rate=rate, concurrency=LANES)) as worker:
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
    """Measure, and print both figures of each rate as ratios of what is allowed."""
    with server() as url:
        for rate in RATES:
            found = [await measured(url, rate) for _ in range(ROUNDS)]
            allowed = [rate] * ROUNDS
            tell(f"rate_{rate}", [achieved for achieved, _ in found], allowed, "starts/s")
            tell(f"rate_{rate}_busiest", [busiest for _, busiest in found], allowed, "starts")


if __name__ == "__main__":
    anyio.run(main)
