"""Draining the outbox beside clients that post the same bytes to the same server, without one.

`drain` is beside the sender's own lanes, so that it shows what the outbox costs, and nothing else;
`drain_httpx` beside httpx's own clients, as a host would use them.
"""

import anyio

from bench.measure import compare, sized
from bench.sending import bare, bare_lanes, drained, server

LANES = 10
ROWS = sized(5_000, LANES)


async def main() -> None:
    """Measure and print."""
    with server() as url:
        await bare(url, LANES, LANES)  # what is loaded once is nobody's doing
        for name, other in (("drain", bare_lanes), ("drain_httpx", bare)):
            await compare(
                name,
                lambda other=other: other(url, ROWS, LANES),
                lambda: drained(url, ROWS, LANES),
                "deliveries/s",
            )


if __name__ == "__main__":
    anyio.run(main)
