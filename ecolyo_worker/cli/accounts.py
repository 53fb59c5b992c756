"""`accounts add`, `list`, `authorize` and `remove`."""

import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio import to_thread
from cyclopts import App, Parameter

from ecolyo_worker import exits
from ecolyo_worker import requests as ask
from ecolyo_worker.cli.callback import heard_at, listens_at
from ecolyo_worker.cli.interrupting import telling
from ecolyo_worker.cli.options import Instance
from ecolyo_worker.cli.output import Output, several
from ecolyo_worker.cli.session import Session
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.files import open_input

__all__ = ["register"]

_COLUMNS = {
    "id": "id",
    "instance": "instance",
    "provider": "provider",
    "meter": "meter",
    "state": "state",
    "since": "since",
    "held through": "held_through",
    "trouble": "reason",
}
_LONGEST = 65_536
_HOW_TO_GO_ON = (
    "nothing is stored; the page is good for an hour:"
    " ecolyo-worker accounts authorize {} --callback ADDRESS"
)

Meter = Annotated[str | None, Parameter(metavar="NUMBER")]
Address = Annotated[str | None, Parameter(metavar="URL")]


def register(app: App) -> None:
    """Add these commands."""
    group = App(name="accounts", help="Whose electricity and gas are fetched.")
    group.command(add)
    group.command(list_accounts, name="list")
    group.command(authorize)
    group.command(remove)
    app.command(group)


async def add(
    provider: Literal["enedis", "grdf"],
    /,
    *,
    instance: Annotated[str, Parameter(metavar="NAME")],
    meter: Meter = None,
    id_token_file: Path | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Add an account; without a meter, its person consents by `accounts authorize`.

    Parameters
    ----------
    provider
        Who has the meter: enedis for electricity, grdf for gas.
    instance
        Whose meter it is, such as alice.mycozy.cloud.
    meter
        The usage point of Enedis (14 digits) or the PCE of GRDF (14 digits, or GI and 6 digits), if
        its holder has consented already.
    id_token_file
        A file with the id token of a consent, which names the meter; `-` is stdin.

    Examples
    --------
    ecolyo-worker accounts add enedis --instance alice.mycozy.cloud
    """
    token = None if id_token_file is None else await to_thread.run_sync(_text, id_token_file)
    async with session.commands() as commands:
        found = await commands.accounts_add(ask.AccountAdd(provider, instance, meter, token))
    _show(session.output, found)
    if found.state == "new" and not session.output.as_json:
        session.output.talk(f"next: ecolyo-worker accounts authorize {found.id}")


async def list_accounts(
    *,
    instance: Instance = None,
    with_meters: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """List accounts, with what is wrong with them.

    Parameters
    ----------
    instance
        Whose accounts to list; default: everybody's.
    with_meters
        Show the ids of meters in full; each of them points to a home.

    Examples
    --------
    ecolyo-worker accounts list --instance alice.mycozy.cloud
    """
    request = ask.AccountsList(instance, with_meters)
    async with session.reading() as commands:
        await session.output.stream(
            commands.accounts_list(request),
            _COLUMNS,
            "there is no account",
            beneath=("trouble", "since", "held through"),
        )


async def authorize(
    account: int,
    /,
    *,
    callback: Address = None,
    meter: Meter = None,
    id_token_file: Path | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Let a person consent: print the address of the page, and take what it leads back with.

    It listens for that where `redirect_uri` is on this machine; else paste the address that the
    page led to, here or by --callback.

    Parameters
    ----------
    account
        Its number, as `accounts list` tells it.
    callback
        The address that the page given last led back to, or `-` to read it from stdin.
    meter
        The meter, if its holder consented elsewhere.
    id_token_file
        A file with the id token of a consent, which names the meter; `-` is stdin.

    Examples
    --------
    ecolyo-worker accounts authorize 3
    """
    token = None if id_token_file is None else await to_thread.run_sync(_text, id_token_file)
    if callback == "-":
        callback = await to_thread.run_sync(_text, Path("-"))
    if callback is None and meter is None and token is None:
        async with session.commands() as commands:
            page = await commands.accounts_authorize(account)
        # Meanwhile the state is left to others: a person takes her time.
        with telling(lambda: _HOW_TO_GO_ON.format(account)):
            callback = await _callback(session.output, account, page)
        if callback is None:
            return
    async with session.commands() as commands:
        request = ask.AccountConsent(account, callback, meter, token)
        _show(session.output, await commands.accounts_consent(request))


async def remove(
    account: int,
    /,
    *,
    yes: bool = False,
    keep_data: bool = False,
    no_revoke: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Remove an account: revoke its consent at GRDF, then delete its tokens and readings.

    Parameters
    ----------
    account
        Its number, as `accounts list` tells it.
    yes
        Needed, for it cannot be undone.
    keep_data
        Keep the readings.
    no_revoke
        Leave the consent as it is, for its holder to end.

    Returns
    -------
    75
        The consent cannot be revoked now: the account stays until it can.

    Examples
    --------
    ecolyo-worker accounts remove 3 --yes
    """
    if not yes:
        what = "its consent" if keep_data else "its consent and its readings"
        raise CommandRefused(f"this ends account {account} with {what}; say --yes to do it")
    async with session.commands() as commands:
        gone = await commands.accounts_remove(ask.AccountRemove(account, keep_data, not no_revoke))
    output = session.output
    if output.as_json:
        output.document(gone)
    elif gone.removed:
        output.line(f"account {account} is removed: {several(sum(gone.rows.values()), 'row')}")
    if gone.keeps_right:
        output.talk(
            "its right at GRDF is not revoked: another account here is asked for by it, and ends it"
            " when that is removed"
        )
    if not gone.removed:
        output.talk(f"account {account} is not removed yet, and nothing is fetched: {gone.reason}")
        output.talk("do it again later; --no-revoke leaves the consent to its holder")
    return exits.OK if gone.removed else exits.TRY_AGAIN


async def _callback(output: Output, account: int, page: ask.ConsentPage) -> str | None:
    """Show the page of consent, and wait for what it leads back to; None if nobody can tell."""
    if output.as_json:
        output.document(page)
    else:
        output.line(page.url)
    if page.redirect_uri is not None and listens_at(page.redirect_uri):
        output.talk(f"open it, and consent; this waits at {page.redirect_uri} (Ctrl-C ends it)")
        (state,) = parse_qs(urlsplit(page.url).query)["state"]
        return await heard_at(page.redirect_uri, state)
    if not sys.stdin.isatty():
        output.talk(f"then: ecolyo-worker accounts authorize {account} --callback ADDRESS")
        return None
    output.talk("open it, consent, and paste the address that it leads back to:")
    # A thread that reads could not be interrupted.
    await anyio.wait_readable(sys.stdin)
    return sys.stdin.readline()


def _show(output: Output, found: ask.AccountDocument) -> None:
    if output.as_json:
        output.document(found)
        return
    words = f"account {found.id} of {found.instance} at {found.provider}: {found.state}"
    meter = "" if found.meter is None else f", meter {found.meter}"
    output.line(words + meter)
    if found.reason is not None:
        output.talk(found.reason)


def _text(path: Path) -> str:
    """Read a short text; raises `CommandRefused`."""
    try:
        if str(path) == "-":
            return sys.stdin.read(_LONGEST).strip()
        with open_input(path) as file:
            return file.read(_LONGEST).decode("ascii", "replace").strip()
    except OSError as error:
        raise CommandRefused(f"{path}: cannot be read: {error.strerror}") from None
