"""Draining the outbox beside bare HTTP clients that post the same bytes to the same server.

`drain` is beside httpx's own clients, as a host would use them; `drain_lanes` beside the sender's
own lanes, so that it shows what the outbox costs, and nothing else.
"""

import anyio
from measure import compare
from sending import bare, bare_lanes, drained, server

ROWS = 4000
LANES = 10


async def main() -> None:
    """Measure and print."""
    with server() as url:
        await bare(url, 500, LANES)
        for name, other in (("drain", bare), ("drain_lanes", bare_lanes)):
            await compare(
                name,
                lambda other=other: other(url, ROWS, LANES),
                lambda: drained(url, ROWS, LANES),
                "deliveries/s",
            )


anyio.run(main)
