"""Asking a provider for data: with a token, in turn, and once more at most."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import Struct

from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.quota import Quota
from ecolyo_worker.actors.tokens import ApplicationName, NoToken, Tokens
from ecolyo_worker.clock import instant_text
from ecolyo_worker.energy.answers import NAMES, Asked, Meaning, Provider
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.windows import PolledSeries
from ecolyo_worker.remote.energy import Ask, EnergyClient
from ecolyo_worker.remote.series import ask_for
from ecolyo_worker.secret import Secret
from ecolyo_worker.store.accounts import Account, Trouble

__all__ = ["Answer", "Asking", "Later", "why_not"]


class Later(Struct, frozen=True):
    """Nothing was asked: the provider is left alone until an instant, in ms of UTC."""

    until: int
    reason: str
    """Why, in words."""
    again: str
    """When it is asked again, in words."""

    @property
    def trouble(self) -> Trouble:
        """What is wrong with an account for which it was to be asked."""
        return Trouble(self.reason, "VENDOR_DOWN")


class Answer(Struct, frozen=True):
    """What was answered, and what it means."""

    meaning: Meaning
    content: Content

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
        self._timeout_s = context.settings.providers[provider].attempt_timeout.total_seconds()

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
        """Ask for some civil days of an account's series."""
        meter = account.meter
        assert meter is not None, "its meter is not known"
        return await self._exchange(
            partial(self.tokens.bearer, account),
            partial(self.tokens.refused, account),
            lambda secret: ask_for(self.context.settings, series, meter, window, secret),
            series,
        )

    async def ask_as(
        self, name: ApplicationName, ask: Callable[[Secret], Ask], asked: Asked
    ) -> Answer | NoToken | Later:
        """Ask for something else than readings, by an application's own token.

        Where the provider says that a quota is used up, nobody asks it until it allows that.
        """
        found = await self._exchange(
            partial(self.tokens.application, name),
            partial(self.tokens.application_refused, name),
            ask,
            asked,
        )
        if isinstance(found, Answer) and found.meaning.kind == "quota":
            await self.quota.exceeded(found.meaning)
        return found

    async def _exchange(
        self,
        bearer: Callable[[], Awaitable[Secret | NoToken]],
        refused: Callable[[Secret], Awaitable[bool]],
        ask: Callable[[Secret], Ask],
        asked: Asked,
    ) -> Answer | NoToken | Later:
        """Make a request; where its token is not taken, once more with another one.

        Both requests count against the quota.
        """
        while True:
            secret = await bearer()
            if isinstance(secret, NoToken):
                return secret
            until = await self.quota.take()
            if until is not None:
                again = f"{NAMES[self.provider]} is asked again from {instant_text(until)} on."
                return Later(until, self.quota.reason, again)
            reply = await self._client.ask(ask(secret), self._timeout_s)
            meaning = reply.meaning(self.provider, asked, self.context.clock.now())
            if meaning.kind != "renew_token" or not await refused(secret):
                return Answer(meaning, reply.content)


def why_not(found: NoToken | Later) -> Trouble:
    """Say why nothing was asked, and when it will be, where nothing else tells that."""
    if isinstance(found, NoToken):
        return found.trouble
    return Trouble(f"{found.reason} {found.again}", "VENDOR_DOWN")
