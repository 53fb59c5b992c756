"""What every group of commands has: the worker, its zone, and a way to find a person."""

from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.store import instances
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


def no_such_instance(name: str) -> CommandRefused:
    """Give the error for a name that nobody has."""
    return CommandRefused(f"no instance is called {name!r}")
