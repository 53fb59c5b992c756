"""How the parts are that work by themselves, for whoever asks."""

from msgspec import Struct

__all__ = ["ActorHealth"]


class ActorHealth(Struct, frozen=True):
    """How an actor is. Instants are ISO 8601 in UTC."""

    name: str
    state: str
    """`working`, `restarting` (it crashed, and waits to run again), or `stopped`."""
    alive: bool
    """Whether it gave a sign of life lately."""
    restarts: int
    error: str | None
    """What it crashed with the last time."""
    last_success: str | None
    """When it last did what it is for."""
    next_due: str | None
    """When it will next have something to do by itself, as far as it knows."""

    @property
    def hangs(self) -> bool:
        """Whether it works as far as its supervisor knows, and gives no sign of life."""
        return self.state == "working" and not self.alive

    @property
    def is_down(self) -> bool:
        """Whether it crashed and waits to run again."""
        return self.state == "restarting"
