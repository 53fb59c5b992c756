"""Asking a provider for a window of readings: with a token, in turn, and once more at most."""

from msgspec import Struct

from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.quota import Quota
from ecolyo_worker.actors.tokens import NoToken, Tokens
from ecolyo_worker.energy.answers import Meaning, Provider
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.remote.energy import EnergyClient
from ecolyo_worker.remote.series import ask_for
from ecolyo_worker.store.accounts import Account

__all__ = ["Answer", "Asking", "Later"]


class Later(Struct, frozen=True):
    """Nothing was asked: the provider is left alone until an instant, in ms of UTC."""

    until: int


class Answer(Struct, frozen=True):
    """What was answered, and what it means."""

    meaning: Meaning
    body: bytes

    def __repr__(self) -> str:
        return f"<Answer {self.meaning.kind}>"


class Asking:
    """Asks one provider, for all accounts."""

    def __init__(
        self, context: Context, provider: Provider, tokens: Tokens, client: EnergyClient
    ) -> None:
        """Nothing is asked before the first need."""
        self.context = context
        self.provider: Provider = provider
        self.tokens = tokens
        self.quota = Quota(context, provider)
        self._client = client
        section = context.settings.enedis if provider == "enedis" else context.settings.grdf
        self._timeout_s = section.attempt_timeout.total_seconds()

    def prepare(self) -> None:
        """Be ready, so that a request leaves at the moment that is noted for it."""
        self._client.prepare()

    @property
    def has_one_token(self) -> bool:
        """Whether all accounts are asked for with the application's one token."""
        return self.provider == "grdf" or self.context.settings.enedis.generation != "v4"

    async def ask(
        self, account: Account, series: PolledSeries, window: range
    ) -> Answer | NoToken | Later:
        """Ask for some civil days of an account's series.

        A token that is not taken is renewed, and the request made once more. Both requests count
        against the quota.
        """
        assert account.meter is not None, "its meter is not known"
        while True:
            secret = await self.tokens.bearer(account)
            if isinstance(secret, NoToken):
                return secret
            until = await self.quota.take()
            if until is not None:
                return Later(until)
            ask = ask_for(self.context.settings, series, account.meter, window, secret)
            reply = await self._client.ask(ask, self._timeout_s)
            meaning = reply.meaning(self.provider, series, self.context.clock.now())
            if meaning.kind != "renew_token" or not await self.tokens.refused(account, secret):
                return Answer(meaning, reply.body)
