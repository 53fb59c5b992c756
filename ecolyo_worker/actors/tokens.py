"""Tokens: what a provider wants to see with each request for data, renewed in time.

Whoever needs one takes it by `bearer`, and says by `refused` that a provider did not take it. Of
all who need the same one, a single one asks for the next. What comes is on disk before it is used:
a refresh token is good once, and the one before is dead then.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeVar

import anyio
import msgspec
from msgspec.structs import replace

from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.grants import is_refusal, why_ended
from ecolyo_worker.actors.owners import NoToken, Owner, Pair
from ecolyo_worker.clock import utc_ms
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.energy.answers import Asked, Meaning, Provider
from ecolyo_worker.energy.tokens import Tokens as Given
from ecolyo_worker.energy.tokens import read_token
from ecolyo_worker.errors import ConfigurationError, StateRefused, StoreUnavailable
from ecolyo_worker.files import changed_at
from ecolyo_worker.remote import oauth
from ecolyo_worker.remote.energy import Ask, EnergyClient
from ecolyo_worker.secret import Secret
from ecolyo_worker.store import accounts, tokens
from ecolyo_worker.store.accounts import Account, Trouble
from ecolyo_worker.store.sealing import Seal, key_path
from ecolyo_worker.store.tokens import Sealed

__all__ = ["ApplicationName", "NoToken", "Tokens"]

R = TypeVar("R")

_LIFETIME_S = 3600.0
"""How long a token is taken to live of which that was not said."""
_FIRST_PAUSE_S = 60.0
_LONGEST_PAUSE_S = 3600.0
_OPERATOR_PAUSE_S = 900.0
_REFUSED_PAUSE_S = 900.0
# A token that was refused this soon after it replaced a refused one is refused for another reason.
_AT_ONCE_S = 600.0

ApplicationName = Literal["enedis", "grdf", "grdf/revocation"]
"""Who may ask for tokens of its own; the last one may revoke consents."""


class Tokens:
    """The tokens of a worker."""

    def __init__(self, context: Context, client: EnergyClient) -> None:
        """Nothing is read or asked before the first need."""
        self._context = context
        self._client = client
        self._owners: dict[str, Owner] = {}
        self._seal: Seal | None = None
        self._key_mark = 0
        settings = context.settings
        self._applications: dict[str, oauth.Application] = {
            "enedis": oauth.enedis(settings.enedis),
            "grdf": oauth.grdf(settings.grdf),
            "grdf/revocation": oauth.grdf_revocation(settings.grdf),
        }

    async def bearer(self, account: Account) -> Secret | NoToken:
        """Give the token for an account's data, renewed if need be.

        Where its grant has ended for good, the account needs a consent from then on: that is noted,
        logged once, and not asked again.
        """
        if account.state == "needs_consent":
            trouble = Trouble(account.reason or "", "USER_ACTION_NEEDED.OAUTH_OUTDATED")
            return NoToken("consent", trouble)
        if self._is_personal(account.provider):
            return await self._get(self._owner_of(account))
        return await self.application(account.provider)

    async def application(self, name: ApplicationName) -> Secret | NoToken:
        """Give an application's own token, which serves all meters, or revokes consents."""
        return await self._get(self._owner(name))

    async def refused(self, account: Account, secret: Secret) -> bool:
        """Say that a provider did not take a token; tell whether it is worth to try another one.

        It is not where that one just came in the place of a refused one, and is refused as well.
        """
        if self._is_personal(account.provider):
            return await self._refuse(self._owner_of(account), secret)
        return await self.application_refused(account.provider, secret)

    async def application_refused(self, name: ApplicationName, secret: Secret) -> bool:
        """Say that a provider did not take an application's token; as `refused` otherwise."""
        return await self._refuse(self._owner(name), secret)

    async def keep(
        self, account: Account, given: Given, also: Callable[[sqlite3.Connection], R]
    ) -> R:
        """Keep the first tokens of a person who consented, in one transaction with something else.

        Of generations whose tokens are the application's, only the other thing is done. Raises
        `StateRefused` where the key cannot be used, and `ConfigurationError` without cryptography.
        """
        run = self._context.database.run
        if not self._is_personal(account.provider):
            return await run(also)
        owner = self._owner_of(account)
        async with owner.lock:
            pair, expires = self._pair(given, None)
            sealed = await self._sealed(owner, pair, expires)

            def store(connection: sqlite3.Connection) -> R:
                tokens.put(connection, owner.name, owner.account, sealed)
                return also(connection)

            result = await run(store)
            owner.take(pair, expires)
        return result

    async def require(self) -> None:
        """Raise `ConfigurationError` or `StateRefused` where tokens cannot be sealed."""
        await self._seals()

    def forget(self, account: int) -> None:
        """Let go of an account's tokens, which are deleted."""
        self._owners.pop(_name(account), None)

    async def close(self) -> None:
        """Store what was given and could not be stored before, if that can be now."""
        with anyio.CancelScope(shield=True), suppress(StoreUnavailable):
            for owner in list(self._owners.values()):
                if owner.unstored is not None:
                    await self._take(owner, *owner.unstored)

    def application_of(self, provider: Provider) -> oauth.Application:
        """Give the application as a provider knows it."""
        return self._applications[provider]

    def marks(self, provider: Provider) -> tuple[int, ...]:
        """Give what the files are known by that tokens of a provider hang on: secrets, and the key.

        Nothing is read; what is put right has another mark.
        """
        names = [name for name in self._applications if name.partition("/")[0] == provider]
        return *(self._applications[name].mark for name in names), changed_at(self._key_path)

    def lacks_secret(self, provider: Provider) -> bool:
        """Tell whether tokens of a provider are not had for want of the right secret, or key."""
        owners = self._owners.values()
        return any(owner.lacks_secret for owner in owners if owner.provider == provider)

    @property
    def _key_path(self) -> Path:
        settings = self._context.settings
        return key_path(settings.energy.key_file, settings.directory)

    def _is_personal(self, provider: Provider) -> bool:
        return provider == "enedis" and self._context.settings.enedis.generation == "v4"

    def _owner_of(self, account: Account) -> Owner:
        name = _name(account.id)
        if name not in self._owners:
            self._owners[name] = Owner(name, account.provider, account.id)
        return self._owners[name]

    def _owner(self, name: ApplicationName) -> Owner:
        if name not in self._owners:
            self._owners[name] = Owner(name, "enedis" if name == "enedis" else "grdf", None)
        return self._owners[name]

    async def _get(self, owner: Owner) -> Secret | NoToken:
        async with owner.lock:
            try:
                await self._load(owner)
            except (ConfigurationError, StateRefused) as error:
                owner.lacks_secret = True
                return NoToken("settings", Trouble(str(error), "LOGIN_FAILED"))
            # Broken off, an answer that ends the refresh token could be lost.
            with anyio.CancelScope(shield=owner.account is not None):
                found = await self._current(owner)
            owner.lacks_secret = isinstance(found, NoToken) and found.kind == "settings"
            if isinstance(found, NoToken) and found.kind != "consent":
                return self._last(owner) or found
            return found

    async def _current(self, owner: Owner) -> Secret | NoToken:
        """Give the token that is good for a while still, or ask for the next one."""
        if owner.unstored is not None:
            await self._take(owner, *owner.unstored)
        if owner.ended is not None:
            return await self._end(owner, owner.ended)
        if owner.access is not None and not owner.is_dead and self._now() < owner.renew_at:
            return owner.access
        if owner.pause is not None and self._is_paused(owner):
            return owner.pause
        return await self._renew(owner)

    def _is_paused(self, owner: Owner) -> bool:
        """Tell whether nobody is to ask: not once there is another secret to ask by."""
        is_over = self._context.clock.monotonic() >= owner.pause_ends
        return not is_over and self._application(owner).mark == owner.pause_mark

    def _application(self, owner: Owner) -> oauth.Application:
        return self._applications[owner.name if owner.account is None else owner.provider]

    def _last(self, owner: Owner) -> Secret | None:
        """Give the token that there is while it lives, where another one cannot be had now."""
        return owner.access if self._now() < owner.expires and not owner.is_dead else None

    async def _refuse(self, owner: Owner, secret: Secret) -> bool:
        async with owner.lock:
            if owner.access is None or owner.access.reveal() != secret.reveal():
                return True  # there is another one already
            since = owner.replaced_at
            now = self._context.clock.monotonic()
            if since is not None and now - since < _AT_ONCE_S:
                return False
            owner.is_dead = True
            return True

    async def _load(self, owner: Owner) -> None:
        """Read what is in the database; of an application, what cannot be opened is not there."""
        if owner.is_loaded:
            return
        found = await self._context.database.read(tokens.get, owner.name)
        if found is not None:
            try:
                text = (await self._seals()).open(found.sealed, owner.name)
            except StateRefused:
                if owner.account is not None:
                    raise
            else:
                owner.take(msgspec.json.decode(text, type=Pair), found.expires)
        owner.is_loaded = True

    async def _renew(self, owner: Owner) -> Secret | NoToken:
        try:
            await self._seals()
            ask = self._ask(owner)
        except (ConfigurationError, StateRefused) as error:
            return NoToken("settings", Trouble(str(error), "LOGIN_FAILED"))
        if ask is None:
            return await self._lost(owner, "no token of this account is there: consent anew")
        if owner.account is not None and owner.pair is not None:
            # Nothing is asked for that could not be stored. It is not the same: sealed anew.
            await self._store(owner, owner.pair, owner.expires)
        reply = await self._client.ask(ask, self._timeout_s(owner))
        asked: Asked = "token" if owner.account is None else "refresh"
        meaning = reply.meaning(owner.provider, asked, self._context.clock.now())
        if meaning.kind == "ok":
            given = read_token(reply.content.body)
            pair, expires = self._pair(given, owner.pair)
            return await self._take(owner, pair, expires)
        reason = None
        if owner.account is not None and owner.pair is not None:
            reason = await self._why_ended(owner.account, owner, owner.pair, meaning)
        return self._paused(owner, meaning) if reason is None else await self._lost(owner, reason)

    async def _why_ended(
        self, account: int, owner: Owner, pair: Pair, meaning: Meaning
    ) -> str | None:
        """Say why a grant has ended whose token was not renewed; None if that is not known yet."""
        if not is_refusal(meaning):
            return why_ended(meaning, 0, others_renewed=None)
        now = self._now()
        if pair.refused is None:
            pair = replace(pair, refused=now)
            await self._store(owner, pair, owner.expires)
            owner.pair = pair
        since = pair.refused or now
        end = await self._context.database.read(tokens.last_end_beside, account)
        others_renewed = None if end is None else end - int(pair.lifetime_s * 1000) > since
        return why_ended(meaning, now - since, others_renewed=others_renewed)

    def _ask(self, owner: Owner) -> Ask | None:
        """Give the request for the next token; None where there is nothing to ask by."""
        if owner.account is None:
            return self._application(owner).by_credentials()
        if owner.pair is None or owner.pair.refresh is None:
            return None
        return self._application(owner).by_refresh(Secret(owner.pair.refresh))

    async def _take(self, owner: Owner, pair: Pair, expires: int) -> Secret:
        """Store a token, and then hold it.

        Until it is stored it is kept for the next time, for the one before is dead already.
        """
        owner.unstored = pair, expires
        reach("tokens.answered")
        await self._store(owner, pair, expires)
        reach("tokens.stored")
        owner.replaced_at = self._context.clock.monotonic() if owner.is_dead else None
        owner.take(pair, expires)
        return Secret(pair.access)

    async def _store(self, owner: Owner, pair: Pair, expires: int) -> None:
        sealed = await self._sealed(owner, pair, expires)
        await self._context.database.run(tokens.put, owner.name, owner.account, sealed)

    async def _lost(self, owner: Owner, reason: str) -> NoToken:
        """Note that an account's grant has ended: nothing is asked again until there is another."""
        owner.ended = NoToken("consent", Trouble(reason, "USER_ACTION_NEEDED.OAUTH_OUTDATED"))
        return await self._end(owner, owner.ended)

    async def _end(self, owner: Owner, ended: NoToken) -> NoToken:
        """Let an account need a consent, unless that is noted: then its owner is let go of."""
        if self._owners.get(owner.name) is owner:
            assert owner.account is not None
            await self.lose_consent(owner.account, ended.trouble)
        return ended

    async def lose_consent(self, account: int, trouble: Trouble) -> bool:
        """Let an account need a consent, delete its tokens, and log it once.

        False if it needed one already.
        """
        moment = self._context.moment()

        def lose(connection: sqlite3.Connection) -> bool:
            tokens.remove(connection, _name(account))
            known = accounts.find(connection, account)
            if known is None or known.state == "needs_consent":
                return False
            return accounts.move(connection, account, "needs_consent", moment, trouble)

        is_new = await self._context.database.run(lose)
        self.forget(account)
        if is_new:
            self._context.logger.warning(
                "an energy account needs a consent", account=account, reason=trouble.reason
            )
        return is_new

    def _paused(self, owner: Owner, meaning: Meaning) -> NoToken:
        """Let nobody ask for a while."""
        is_operators = meaning.whose == "operator" or meaning.kind == "consent_lost"
        is_either = meaning.kind == "consent_suspect"
        owner.failures += 1
        first_s = _REFUSED_PAUSE_S if is_either else _FIRST_PAUSE_S
        pause_s = min(first_s * 2 ** min(owner.failures - 1, 10), _LONGEST_PAUSE_S)
        now = self._now()
        if meaning.until is not None:
            pause_s = max(1.0, (meaning.until - now) / 1000)
        elif is_operators:
            pause_s = _OPERATOR_PAUSE_S
        has_turn = is_operators or is_either
        reason = f"{meaning.happened} {meaning.to_do}" if has_turn else meaning.happened
        trouble = Trouble(reason, meaning.cozy or "VENDOR_DOWN")
        until = now + int(pause_s * 1000)
        owner.pause = NoToken("settings" if is_operators else "later", trouble, until)
        owner.pause_ends = self._context.clock.monotonic() + pause_s
        owner.pause_mark = self._application(owner).mark
        self._context.logger.warning(
            "no token for energy data", provider=owner.provider, reason=reason
        )
        return owner.pause

    def _pair(self, given: Given, before: Pair | None) -> tuple[Pair, int]:
        """Give what to seal, and when it ends; without a new refresh token the one before stays."""
        lifetime_s = float(given.lifetime_s or _LIFETIME_S)
        refresh = None if before is None else before.refresh
        if given.refresh is not None:
            refresh = given.refresh.reveal()
        expires = self._now() + int(lifetime_s * 1000)
        return Pair(given.access.reveal(), refresh, lifetime_s), expires

    async def _sealed(self, owner: Owner, pair: Pair, expires: int) -> Sealed:
        seal = await self._seals()
        return Sealed(seal.close(msgspec.json.encode(pair), owner.name), expires)

    async def _seals(self) -> Seal:
        path = self._key_path
        mark = changed_at(path)
        # One that is gone, which was read before, is not missed.
        if self._seal is None or mark not in {0, self._key_mark}:
            rests = await self._context.database.read(tokens.rest_on_key)
            self._seal = Seal.load(path, may_make=not rests)
            self._key_mark = changed_at(path)
        return self._seal

    def _timeout_s(self, owner: Owner) -> float:
        section = self._context.settings.providers[owner.provider]
        return section.attempt_timeout.total_seconds()

    def _now(self) -> int:
        return utc_ms(self._context.clock.now())


def _name(account: int) -> str:
    return f"account/{account}"
