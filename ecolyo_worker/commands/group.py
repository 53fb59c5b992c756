"""What every group of commands has: the worker, its zone, ways to find a person or an account."""

from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.store import accounts, instances
from ecolyo_worker.store.accounts import Account
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.worker import Worker

__all__ = ["Group", "no_such_instance"]


class Group:
    """Commands on one open worker."""

    def __init__(self, worker: Worker) -> None:
        """`worker` is entered already."""
        self._worker = worker
        self._zone = worker.settings.civil_zone

    async def _known(self, name: str) -> Instance:
        """Give an instance; raises `CommandRefused` for one that nobody knows."""
        found = None
        if name.isascii():
            found = await self._worker.database.read(instances.find, name)
        if found is None:
            raise no_such_instance(name)
        return found

    async def _known_account(self, ident: int) -> Account:
        """Give an energy account; raises `CommandRefused` for one that there is not."""
        found = None
        if 0 < ident < 2**63:
            found = await self._worker.database.read(accounts.find, ident)
        if found is None:
            raise CommandRefused(f"there is no account {ident}; `accounts list` tells which")
        return found


def no_such_instance(name: str) -> CommandRefused:
    """Give the error for a name that nobody has."""
    return CommandRefused(f"no instance is called {name!r}")
