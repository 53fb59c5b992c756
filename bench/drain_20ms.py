"""Draining the outbox to a server that takes 20 ms: lanes should never wait for anything else.

`drain_20ms_bare` says what httpx's own clients come to in the same place.
"""

import anyio
from sending import ROUNDS, bare, drained, server, tell

ROWS = 4000
LANES = 20
DELAY_S = 0.020


async def main() -> None:
    """Measure and print."""
    ours, others = [], []
    with server(DELAY_S) as url:
        for _ in range(ROUNDS):
            ours.append(await drained(url, ROWS, LANES))
            others.append(await bare(url, ROWS, LANES))
    allowed = [LANES / DELAY_S] * ROUNDS
    tell("drain_20ms", ours, allowed, "deliveries/s")
    tell("drain_20ms_bare", others, allowed, "posts/s")


anyio.run(main)
