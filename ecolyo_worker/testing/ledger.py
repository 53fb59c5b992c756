"""The ledger over a state directory and an echo server, for tests and for a worried operator."""

from collections.abc import Collection
from pathlib import Path

from ecolyo_worker.ledger import Ledger, balance
from ecolyo_worker.remote.echo import received
from ecolyo_worker.settings import Settings
from ecolyo_worker.worker import Worker

__all__ = ["Ledger", "assert_balanced", "check"]


async def check(
    state_dir: Path, echo: str | None = None, accepted: Collection[tuple[str, str]] = ()
) -> Ledger:
    """Check the equations on a state directory that no process uses, without changing it.

    `echo` is the address of an echo server, `accepted` the (instance, `_id`) pairs of events that
    were acknowledged. Raises `StateRefused` if what is there is no state: a file that is damaged,
    another program's or gone is no row that is lost.
    """
    bodies = None if echo is None else await received(echo)
    async with Worker(Settings(state_dir=state_dir)).reading() as worker:
        return await worker.database.read(
            balance, worker.definitions, worker.hmac_key, bodies, accepted
        )


async def assert_balanced(
    state_dir: Path, echo: str | None = None, accepted: Collection[tuple[str, str]] = ()
) -> Ledger:
    """Raise `AssertionError` that says which equations do not hold; else give the ledger."""
    ledger = await check(state_dir, echo, accepted)
    assert ledger.balanced, "\n".join(["the ledger does not balance:", *ledger.problems])
    return ledger
