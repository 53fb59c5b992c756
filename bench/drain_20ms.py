"""Draining the outbox to a server that takes 20 ms: lanes should never wait for anything else."""

import anyio
from sending import ROUNDS, drained, server, tell

ROWS = 4000
LANES = 20
DELAY_S = 0.020


async def main() -> None:
    """Measure and print."""
    with server(DELAY_S) as url:
        ours = [await drained(url, ROWS, LANES) for _ in range(ROUNDS)]
    tell("drain_20ms", ours, [LANES / DELAY_S] * ROUNDS, "deliveries/s")


anyio.run(main)
