"""Draining the outbox to a server that takes 20 ms: lanes should never wait for anything else.

The rate is a tenth more than the lanes can do, so that starts lie evenly and not in heaps.
`drain_20ms_bare` says what httpx's own clients come to in the same place.
"""

import anyio

from bench.measure import ROUNDS, sized, tell
from bench.sending import bare, drained, server

LANES = 20
ROWS = sized(5_000, LANES)
DELAY_S = 0.020


async def main() -> None:
    """Measure and print."""
    ours, others = [], []
    with server(DELAY_S) as url:
        for _ in range(ROUNDS):
            ours.append(await drained(url, ROWS, LANES, rate=1.1 * LANES / DELAY_S))
            others.append(await bare(url, ROWS, LANES))
    allowed = [LANES / DELAY_S] * ROUNDS
    tell("drain_20ms", ours, allowed, "deliveries/s")
    tell("drain_20ms_bare", others, allowed, "posts/s")


if __name__ == "__main__":
    anyio.run(main)
