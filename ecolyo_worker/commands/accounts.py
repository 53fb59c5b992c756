"""Commands on energy accounts: making them, consents, and removing them."""

import sqlite3
from collections.abc import AsyncIterator

from ecolyo_worker import requests as ask
from ecolyo_worker.clock import day_text, instant_text
from ecolyo_worker.commands.group import Group
from ecolyo_worker.energy.meters import PROVIDERS, check_meter, shortened
from ecolyo_worker.errors import CommandRefused, InputRefused
from ecolyo_worker.facts import check_instance
from ecolyo_worker.secret import Secret, fits_header
from ecolyo_worker.store import accounts, instances
from ecolyo_worker.store.accounts import Account

__all__ = ["AccountCommands"]

_PAGE = 500
_ONE_OF = "a consent is taken from one thing: --callback, --meter or --id-token-file"


class AccountCommands(Group):
    """`accounts add`, `list`, `authorize` and `remove`."""

    async def accounts_add(self, request: ask.AccountAdd) -> ask.AccountDocument:
        """Make an account of a person at a provider; one not known yet is made, too.

        With a meter, or an id token that names it, the person has consented elsewhere; of Enedis v4
        she consents by `accounts authorize` all the same, for her tokens.
        """
        worker, provider = self._worker, request.provider
        if provider not in PROVIDERS:
            raise CommandRefused(f"found {provider!r}; allowed: {', '.join(PROVIDERS)}")
        name = check_instance(request.instance)
        await worker.tokens.require()
        meter = None if request.meter is None else check_meter(request.meter, provider)
        if request.id_token is not None:
            meter = worker.consents.meter_of(provider, _secret(request.id_token), meter)
        moment, consented = (
            self._worker.consents.moment(),
            meter is not None and not self._needs_page(provider),
        )

        def make(connection: sqlite3.Connection) -> int | None:
            person = instances.identify(connection, name)
            return accounts.add(connection, person, provider, meter, moment, consented=consented)

        ident = await worker.database.run(make)
        if ident is None:
            raise CommandRefused(
                f"{name} has an account for this meter already: `accounts list` tells which, and"
                " `accounts authorize` takes a new consent for it"
            )
        worker.wake_poller(provider)
        return _document(await self._known_account(ident))

    async def accounts_list(self, request: ask.AccountsList) -> AsyncIterator[ask.AccountDocument]:
        """Give accounts in the order in which they were made, their meters shortened by default."""
        after: int | None = 0
        while after is not None:
            page = await self._worker.database.read(accounts.page, after, _PAGE)
            for account in page:
                if request.instance in {None, account.name}:
                    yield _document(account, with_meter=request.with_meters)
            after = page[-1].id if len(page) == _PAGE else None

    async def accounts_authorize(self, ident: int) -> ask.ConsentPage:
        """Give the page on which the person consents, in the place of any page given before."""
        begun = await self._worker.consents.begin(await self._living(ident))
        return ask.ConsentPage(begun.url, begun.redirect_uri)

    async def accounts_consent(self, request: ask.AccountConsent) -> ask.AccountDocument:
        """Take a consent: what the page led back with, a meter, or an id token that names it."""
        account = await self._living(request.id)
        try:
            return _document(await self._consented(account, request))
        finally:
            self._worker.wake_poller(account.provider)

    async def accounts_remove(self, request: ask.AccountRemove) -> ask.AccountRemoved:
        """Revoke the consent at GRDF, then delete the account with its readings.

        Where it cannot be revoked now the account stays, `removing`, and says why. It is not where
        another account is asked for by the same right.
        """
        account = await self._known_account(request.id)
        try:
            removal = await self._worker.consents.remove(
                account, keeps_data=request.keeps_data, revoking=request.revoking
            )
        finally:
            self._worker.wake_poller(account.provider)
        return ask.AccountRemoved(
            request.id, removal.is_gone, removal.reason, removal.rows, removal.keeps_right
        )

    async def _consented(self, account: Account, request: ask.AccountConsent) -> Account:
        consents = self._worker.consents
        if [request.callback, request.meter, request.id_token].count(None) != 2:
            raise CommandRefused(_ONE_OF)
        if request.callback is not None:
            return await consents.finish(account, request.callback)
        if self._needs_page(account.provider):
            raise CommandRefused("with Enedis v4 only the page gives tokens: use --callback")
        if request.meter is not None:
            return await consents.typed(account, request.meter)
        return await consents.identify(account, _secret(request.id_token or ""))

    def _needs_page(self, provider: str) -> bool:
        return provider == "enedis" and self._worker.settings.enedis.generation == "v4"

    async def _living(self, ident: int) -> Account:
        account = await self._known_account(ident)
        if account.state == "removing":
            raise CommandRefused(f"account {ident} is being removed: add another one")
        return account


def _secret(text: str) -> Secret:
    """Take an id token; raises `InputRefused` for what can be none."""
    if not fits_header(text.strip()):
        raise InputRefused("id token", "allowed: a line of printable ASCII without blanks")
    return Secret(text.strip())


def _document(account: Account, *, with_meter: bool = False) -> ask.AccountDocument:
    meter, held = account.meter, account.held_through
    return ask.AccountDocument(
        id=account.id,
        instance=account.name,
        provider=account.provider,
        meter=meter if meter is None or with_meter else shortened(meter),
        state=account.state,
        since=instant_text(account.since),
        reason=account.reason,
        word=account.word,
        held_through=None if held is None else day_text(held),
    )
