"""Draining the outbox beside bare HTTP clients that post the same bytes to the same server."""

import anyio
from sending import bare, compared, drained, server

ROWS = 4000
LANES = 10


async def main() -> None:
    """Measure and print."""
    with server() as url:
        await bare(url, 500, LANES)
        await compared(
            "drain",
            lambda: drained(url, ROWS, LANES),
            lambda: bare(url, ROWS, LANES),
            "deliveries/s",
        )


anyio.run(main)
