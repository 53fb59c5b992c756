"""What a worker does about the accounts at Enedis and GRDF, wired together."""

from ecolyo_worker.actors.asking import Asking
from ecolyo_worker.actors.consents import Consents
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.poller import Poller
from ecolyo_worker.actors.tokens import Tokens
from ecolyo_worker.actors.visits import Visits
from ecolyo_worker.energy.meters import PROVIDERS
from ecolyo_worker.remote.energy import EnergyClient

__all__ = ["Accounts"]


class Accounts:
    """Their tokens and consents, the visits to them, and who makes these by itself."""

    def __init__(self, context: Context, energy: EnergyClient) -> None:
        """Nothing is asked for yet. `energy` is closed with it."""
        self._energy = energy
        self.tokens = Tokens(context, energy)
        asking = {one: Asking(context, one, self.tokens, energy) for one in PROVIDERS}
        self.consents = Consents(context, self.tokens, energy, asking)
        self.visits = {one: Visits(asking[one]) for one in PROVIDERS}
        self.pollers = [Poller(context, self.visits[one], self.consents) for one in PROVIDERS]

    async def close(self) -> None:
        """Let go of the tokens, then of the connections."""
        try:
            await self.tokens.close()
        finally:
            await self._energy.close()
