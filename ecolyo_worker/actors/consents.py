"""Consents: how a person gives one for her meter, which meter it is for, and how it ends."""

import re
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qs

from msgspec import Struct
from msgspec.structs import replace

from ecolyo_worker.actors.asking import Answer, Asking, why_not
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.rights import RightsOfAccess
from ecolyo_worker.actors.tokens import Tokens
from ecolyo_worker.clock import instant_text
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.energy import identity
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.energy.meters import check_meter, shortened
from ecolyo_worker.energy.services import read_services, wanted
from ecolyo_worker.energy.tokens import Tokens as Given
from ecolyo_worker.energy.tokens import read_token
from ecolyo_worker.errors import AnswerUnreadable, CommandRefused, InputRefused
from ecolyo_worker.remote import oauth
from ecolyo_worker.remote.energy import Ask, EnergyClient
from ecolyo_worker.secret import Secret
from ecolyo_worker.store import accounts, cursors, tokens, visits
from ecolyo_worker.store.accounts import Account, Moment, State, Trouble

__all__ = ["TAKEN", "Begun", "Consents", "Removal", "Revocation"]

TAKEN = "the person has another account for this meter: use that one, and remove this one"
"""Why an account is of no use: its consent is for a meter of another account."""

_STATE_BYTES = 32
_STATE_MS = 3_600_000
_LOOKS = 3
_BETWEEN_LOOKS_S = 2.0
_ERROR = re.compile(r"[a-z_]{1,40}", re.ASCII)
_NOT_MET = {
    "other": "the consent is for another meter than the account's: add another account",
    "taken": TAKEN,
    "gone": "the account is gone, or about to go: add another one",
}


class Begun(Struct, frozen=True):
    """Where a person consents, and where she is sent back to."""

    url: str
    redirect_uri: str | None


class Removal(Struct, frozen=True):
    """What became of an account that is to go."""

    is_gone: bool
    reason: str | None = None
    """Why it is still there, if it is."""
    rows: dict[str, int] = {}
    """What was deleted: how many rows of which table."""
    keeps_right: bool = False
    """Whether the right at GRDF stays, for another account is asked for by it."""


class Revocation(Struct, frozen=True):
    """What became of a person's consents at GRDF: which ones stay."""

    unrevoked: list[str]
    """Those that could not be revoked: the last digits of their meters."""
    kept: int
    """How many another person's account is asked for by."""


class Consents:
    """The consents of all accounts."""

    def __init__(
        self,
        context: Context,
        tokens: Tokens,
        client: EnergyClient,
        asking: Mapping[Provider, Asking],
    ) -> None:
        """Nothing is asked before it is called for.

        `client` asks for tokens; all else is asked in turn with the readings, by `asking`.
        """
        self._context = context
        self._tokens = tokens
        self._client = client
        self._asking = asking
        self._rights = RightsOfAccess(asking["grdf"])

    def moment(self) -> Moment:
        """Give this moment, as an instant and in civil time."""
        return self._context.moment()

    async def begin(self, account: Account) -> Begun:
        """Give the page on which the person consents; it leads back with a state that is checked.

        The page given before is good no more. Raises `ConfigurationError` where the application is
        not known, and `StateRefused` where the key cannot be used.
        """
        await self._tokens.require()
        state = secrets.token_urlsafe(_STATE_BYTES)
        application = self._tokens.application_of(account.provider)
        application.check()
        oauth.identity_key(self._context.settings.providers[account.provider])
        url = application.consent_page(state)
        expires = self.moment().utc + _STATE_MS
        await self._context.database.run(tokens.begin_authorization, account.id, state, expires)
        return Begun(url, self._context.settings.providers[account.provider].redirect_uri)

    async def finish(self, account: Account, callback: str) -> Account:
        """Take what the page of consent led back with: an address, or its query.

        Raises `CommandRefused` for another one's state, and for a consent that was not given.
        """
        given = _query(callback)
        state, now = given.get("state", ""), self.moment().utc
        end = tokens.end_authorization
        if not await self._context.database.run(end, account.id, state, now):
            raise CommandRefused(
                "this is not the answer to the page that was given last for this account, or it is"
                " older than an hour: begin again with `accounts authorize`"
            )
        if "error" in given:
            word = given["error"] if _ERROR.fullmatch(given["error"]) else "no reason was told"
            raise CommandRefused(f"no consent was given: {word}")
        if given.get("autorisation_id", "").isdecimal():
            return await self._numbered(account, int(given["autorisation_id"][:18]))
        if "code" in given and self._has_codes(account.provider):
            return await self._coded(account, Secret(given["code"]), given)
        return await self._meet(account, _of_callback(given))

    async def identify(self, account: Account, token: Secret) -> Account:
        """Take the meter from an id token; raises `InputRefused` where it names none."""
        return await self._meet(account, self.meters_of(account.provider, token))

    async def typed(self, account: Account, meter: str) -> Account:
        """Take a meter for which the person consented elsewhere; raises `InputRefused`."""
        return await self._meet(account, (check_meter(meter, account.provider),))

    def meter_of(self, provider: Provider, token: Secret, typed: str | None) -> str:
        """Give the meter that an id token names; one that was typed must be among them.

        Raises `InputRefused`.
        """
        found = _chosen(typed, self.meters_of(provider, token))
        if typed not in {None, found}:
            raise InputRefused("id token", "it is for another meter than --meter")
        return found

    def meters_of(
        self, provider: Provider, token: Secret, issuer: str | None = None
    ) -> tuple[str, ...]:
        """Give the meters that an id token names, its signature checked if there is a key.

        `issuer` is who led back with a code, if that was told. Raises `InputRefused` for a token
        that has ended, or is another application's.
        """
        settings = self._context.settings.providers[provider]
        key = oauth.identity_key(settings)
        if key is not None:
            identity.check_signature(token, key)
        claims = identity.read_claims(token)
        identity.check_claims(claims, self._context.clock.now(), settings.client_id, issuer)
        return identity.meters_in(claims, provider)

    async def find_meter(self, account: Account) -> Account:
        """Ask Enedis which meter a consent of 2026 is for; it may not know that at once.

        What is wrong is noted with the account. It stays `authorized` where time may help, and is
        `suspended` where the person must do something.
        """
        assert account.consent is not None, "it has no number"
        found = await self._meters_of_consent(account.consent)
        if isinstance(found, Trouble):
            return await self._note(account, found)
        if not found:
            return await self._note(account, _not_told(account))
        try:
            return await self._meet(account, found)
        except CommandRefused as error:
            return await self._suspend(account, str(error))
        except InputRefused as error:
            words = f"{error.reason} of `accounts authorize {account.id}`"
            return await self._suspend(account, words)

    async def remove(self, account: Account, *, keeps_data: bool, revoking: bool = True) -> Removal:
        """Revoke a consent at GRDF, and then delete the account, with its readings or without.

        Where it cannot be revoked now the account stays, `removing`, and `remove_again` goes on.
        With `revoking` off the account goes at once, and the consent stays the person's to end.
        """
        moment = self.moment()
        left = await self._context.database.run(
            accounts.leave, account.id, moment, keeps_data=keeps_data
        )
        if left is None:
            return Removal(is_gone=True)
        return await (self.remove_again(left) if revoking else self._delete(left))

    async def remove_again(self, account: Account) -> Removal:
        """Go on with a removal."""
        end = await self.revoke(account)
        if isinstance(end, Trouble):
            await self._note(account, end)
            return Removal(is_gone=False, reason=end.reason)
        return await self._delete(account, keeps_right=end == "kept")

    async def _delete(self, account: Account, *, keeps_right: bool = False) -> Removal:
        zone = self._context.settings.civil_zone
        rows = await self._context.database.run(accounts.delete, account.id, zone)
        self._tokens.forget(account.id)
        return Removal(is_gone=True, rows=rows, keeps_right=keeps_right)

    async def revoke_all(self, name: str) -> Revocation:
        """Revoke the consents of a person who is about to be forgotten.

        Nothing more is asked for her, and all of her tokens are let go of.
        """
        found = Revocation([], 0)
        for account in await self._context.database.read(accounts.of_person, name):
            self._tokens.forget(account.id)
            await self._context.database.run(
                accounts.leave, account.id, self.moment(), keeps_data=False
            )
            end = await self.revoke(account)
            if isinstance(end, Trouble):
                found.unrevoked.append(shortened(account.meter or ""))
            elif end == "kept":
                found = replace(found, kept=found.kept + 1)
        return found

    async def revoke(self, account: Account) -> Literal["done", "kept"] | Trouble:
        """Revoke a consent at GRDF, unless another account here is asked for by it: `kept`.

        Enedis has no such request: there the person ends a consent herself.
        """
        if account.provider != "grdf" or account.meter is None:
            return "done"
        if await self._context.database.read(accounts.is_shared, account):
            return "kept"
        reason = await self._rights.revoke(account.meter)
        return "done" if reason is None else Trouble(reason, "VENDOR_DOWN")

    async def _numbered(self, account: Account, consent: int) -> Account:
        """Take a consent of 2026, if it is for the account's meter; Enedis may take a moment.

        Until Enedis tells the meter, one that is known is asked for: the answer will tell. For a
        consent to another meter that is one more request, and one line in the log.
        """
        found = await self._meters_of_consent(consent)
        for _ in range(_LOOKS - 1):
            if found != ():
                break
            await self._context.clock.sleep(_BETWEEN_LOOKS_S)
            found = await self._meters_of_consent(consent)
        if found and not isinstance(found, Trouble):
            return await self._meet(account, found, consent=consent)
        moment = self.moment()
        await self._context.database.run(_authorized, account.id, consent, moment)
        known = await self._again(account)
        if known.state != "authorized":
            return known
        trouble = found if isinstance(found, Trouble) else _not_told(known)
        return await self._note(known, trouble)

    async def _meters_of_consent(self, consent: int) -> tuple[str, ...] | Trouble:
        """Ask Enedis which meters a consent of 2026 is for: none where it does not know yet."""
        url, asked = self._context.settings.enedis.services_url, wanted(consent)
        found = await self._asking["enedis"].ask_as(
            "enedis", lambda secret: Ask(method="POST", url=url, json=asked, bearer=secret), "daily"
        )
        if not isinstance(found, Answer):
            return why_not(found)
        try:
            return read_services(found.content.body)
        except AnswerUnreadable:
            meaning = found.meaning
            return Trouble(meaning.happened, meaning.cozy or "VENDOR_DOWN")

    async def _coded(self, account: Account, code: Secret, given: Mapping[str, str]) -> Account:
        """Exchange a code for the first tokens, and take the meter that comes with them."""
        provider = account.provider
        ask = self._tokens.application_of(provider).by_code(code)
        timeout_s = self._context.settings.providers[provider].attempt_timeout.total_seconds()
        reply = await self._client.ask(ask, timeout_s)
        meaning = reply.meaning(provider, "code", self._context.clock.now())
        if meaning.kind != "ok":
            raise CommandRefused(f"{meaning.happened} {meaning.to_do}")
        found = read_token(reply.content.body)
        return await self._meet(account, self._agreed(provider, found, given), found)

    def _agreed(
        self, provider: Provider, found: Given, given: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Give the meters of a consent: in the tokens' answer, the callback, or the id token."""
        told = tuple(check_meter(one.reveal(), provider) for one in found.meters)
        told = told or _of_callback(given)
        if not told and found.identity is not None:
            return self.meters_of(provider, found.identity, given.get("iss"))
        return told

    async def _meet(
        self,
        account: Account,
        meters: Sequence[str],
        found: Given | None = None,
        consent: int | None = None,
    ) -> Account:
        """Note a consent and its meter, with the tokens that came with it, in one transaction."""
        meter, moment = _chosen(account.meter, meters), self.moment()

        def meet(connection: sqlite3.Connection) -> None:
            _authorized(connection, account.id, consent, moment)
            end = accounts.meet(connection, account.id, meter, moment)
            if end != "met":
                raise CommandRefused(_NOT_MET[end])  # and nothing of the transaction is done
            reach("consents.storing")

        if found is None:
            await self._context.database.run(meet)
        else:
            await self._tokens.keep(account, found, meet)
        return await self._again(account)

    async def _suspend(self, account: Account, words: str) -> Account:
        """Ask for nothing more of an account, until the person does something."""
        trouble = Trouble(words, "USER_ACTION_NEEDED.OAUTH_OUTDATED")
        found = await self._note(account, trouble, "suspended")
        if found.state == "suspended":
            self._context.logger.warning(
                "an energy account is suspended", account=account.id, reason=words
            )
        return found

    async def _note(
        self, account: Account, trouble: Trouble, state: State | None = None
    ) -> Account:
        """Note what is wrong, and another state; what was changed meanwhile stays as it is."""
        moment = self.moment()

        def note(connection: sqlite3.Connection) -> None:
            known = accounts.find(connection, account.id)
            if known is not None and known.state == account.state:
                accounts.move(connection, account.id, state or account.state, moment, trouble)

        await self._context.database.run(note)
        return await self._again(account)

    async def _again(self, account: Account) -> Account:
        found = await self._context.database.read(accounts.find, account.id)
        return account if found is None else found

    def _has_codes(self, provider: Provider) -> bool:
        """Tell whether a code is exchanged; of v5 it is not, and the callback names the meter."""
        return provider == "grdf" or self._context.settings.enedis.generation == "v4"


def _authorized(
    connection: sqlite3.Connection, account: int, consent: int | None, moment: Moment
) -> None:
    """Note a consent: whatever was given up is asked for again, and at once."""
    accounts.authorized(connection, account, consent, moment)
    cursors.resume(connection, account)
    visits.hasten(connection, account)


def _not_told(account: Account) -> Trouble:
    """Say that Enedis does not know yet which meter a consent is for, and what to do."""
    return Trouble(
        f"Enedis does not tell yet which meter the consent of {instant_text(account.since)} is for:"
        " it is asked again, after a growing while; or name it by"
        f" `accounts authorize {account.id} --meter`",
        "VENDOR_DOWN",
    )


def _chosen(known: str | None, meters: Sequence[str]) -> str:
    """Give the meter that is meant: the known one of several, or the only one."""
    if known is not None and known in meters:
        return known
    if len(meters) == 1:
        return meters[0]
    if not meters:
        reason = "the consent names none; name it by --meter"
    else:
        shown = ", ".join(map(shortened, meters))
        reason = f"the consent names {len(meters)} ({shown}); choose one by --meter"
    raise InputRefused("meter", reason)


def _of_callback(given: Mapping[str, str]) -> tuple[str, ...]:
    """Give the meters that a page of consent of Enedis led back with."""
    text = given.get("usage_point_id") or given.get("usage_points_id") or ""
    names = [name for name in re.split(r"[,;\s]+", text) if name]
    return tuple(dict.fromkeys(check_meter(name, "enedis", "usage_point_id") for name in names))


def _query(callback: str) -> dict[str, str]:
    """Read an address that somebody was led back to, or what stands behind its question mark."""
    text = callback.strip().partition("#")[0]
    found = parse_qs(text.partition("?")[2] or text, errors="replace")
    return {name: values[0] for name, values in found.items()}
