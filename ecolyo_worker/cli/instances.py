"""`instances import`, `list`, `show`, `consent`, `withdraw` and `forget`."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.importing import pieces, show_report
from ecolyo_worker.cli.options import Time
from ecolyo_worker.cli.output import Output, cell, several
from ecolyo_worker.cli.session import Session
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.store.database import DATABASE

__all__ = ["register"]


def register(app: App) -> None:
    """Add these commands."""
    group = App(name="instances", help="What the host says about each person's Cozy.")
    group.command(import_instances, name="import")
    group.command(list_instances, name="list")
    group.command(show, name="show")
    group.command(consent, name="consent")
    group.command(withdraw, name="withdraw")
    group.command(forget, name="forget")
    app.command(group)


async def import_instances(
    file: Path,
    /,
    *,
    yes: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Store what a file says: consents, konnector states, subscriptions, profiles.

    Parameters
    ----------
    file
        NDJSON or a JSON array; a lone hyphen is stdin.
    yes
        Allow lines that withdraw a consent, which deletes what waits.

    Returns
    -------
    65
        Lines were refused; the others are stored.

    Examples
    --------
    ecolyo-worker instances import people.ndjson
    """
    accepted = 0
    refused: list[ask.LineRefusal] = []
    with pieces(session.output, file) as found:
        async with session.commands() as commands:
            for lines in found:
                report = await commands.instances_import(ask.InstancesImport(lines, yes))
                accepted += report.accepted
                refused += report.refused
    return show_report(session.output, ask.FactsReport(accepted, refused))


async def list_instances(*, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """List all instances with the facts that are known of them."""
    async with session.reading() as commands:
        found = [item async for item in commands.instances_list()]
    output = session.output
    if output.as_json:
        for item in found:
            output.document(item)
    elif found:
        headings = ["instance", "last consent", "connected", "first day", "held to"]
        output.table(headings, [_summary(item) for item in found])
    else:
        output.talk("no instance is known yet")


async def show(instance: str, /, *, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Show all that is known of one instance.

    Parameters
    ----------
    instance
        Its name, such as alice.mycozy.cloud.
    """
    async with session.reading() as commands:
        _show(session.output, await commands.instances_show(instance))


async def consent(
    instance: str,
    /,
    *,
    version: Annotated[str, Parameter(metavar="VERSION")],
    at: Time = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Note that a person accepted a version of the terms.

    Parameters
    ----------
    instance
        Whose consent it is.
    version
        The version of the terms, such as 1.0.0.
    at
        When; civil time, or with an offset a true instant. Default: now.

    Examples
    --------
    ecolyo-worker instances consent alice.example --version 1.0.0
    """
    async with session.commands() as commands:
        request = ask.GiveConsent(instance, version, at)
        document = await commands.instances_consent(request)
    _show(session.output, document)
    if document["consent_in_force_since"] is None:
        session.output.talk(
            "nothing is counted by that now: the consent is older than aggregation.consent_version,"
            " was withdrawn, or is dated later than now"
        )


async def withdraw(
    instance: str,
    /,
    *,
    yes: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """End a person's consents: what waits to be sent and the raw events are deleted.

    Parameters
    ----------
    instance
        Whose consents end.
    yes
        Needed, for it cannot be undone.

    Examples
    --------
    ecolyo-worker instances withdraw alice.example --yes
    """
    if not yes:
        raise CommandRefused(f"this deletes what waits of {instance}; say --yes to do it")
    async with session.commands() as commands:
        document = await commands.instances_withdraw(instance)
    if session.output.as_json:
        session.output.document(document)
        return
    holding = document.pop("holding", [])
    _show(session.output, document)
    _tell_holding(session.output, instance, holding)


async def forget(
    instance: str,
    /,
    *,
    yes: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Delete every trace of a person: events, facts, waiting indicators, and the name itself.

    Parameters
    ----------
    instance
        Who is forgotten.
    yes
        Needed, for it cannot be undone.

    Examples
    --------
    ecolyo-worker instances forget alice.example --yes
    """
    if not yes:
        raise CommandRefused(f"this deletes all that is known of {instance}; say --yes to do it")
    async with session.commands() as commands:
        gone = await commands.instances_forget(instance)
    output = session.output
    if output.as_json:
        output.document(gone)
        return
    output.table(["table", "rows deleted"], list(gone.rows.items()))
    if gone.kept:
        output.talk(f"{gone.kept} indicators may have been delivered: their number stays, no text")
    if gone.in_flight:
        output.talk(f"{gone.in_flight} indicators are being sent; each goes when that has ended")
    if gone.unrevoked:
        consents = several(gone.unrevoked, "consent")
        output.talk(
            f"{consents} at GRDF could not be revoked (PCE {', '.join(gone.unrevoked_meters)}), and"
            " nothing here knows of it any more: the holder can end it in the account at GRDF"
        )
    if gone.rights_kept:
        output.talk(
            f"{several(gone.rights_kept, 'consent')} at GRDF not revoked: somebody else's account"
            " here is asked for by it, and ends it when that is removed"
        )
    _tell_holding(output, instance, gone.holding)


def _tell_holding(output: Output, instance: str, paths: Iterable[str]) -> None:
    for path in paths:
        output.talk(f"{path} may hold something of {instance} still: {_advice(path)}")


def _advice(path: str) -> str:
    if Path(path).name in {DATABASE, f"{DATABASE}-wal"}:
        return (
            "a running service overwrites it within the hour, a large one at night; without one,"
            " the next command that changes something does"
        )
    return "remove it if you can"


def _summary(item: dict[str, Any]) -> list[str]:
    """Give an instance in a line: the last of each history, and the last day of consumption."""
    consents = [f"{c['version']} on {c['accepted_at'][:10]}" for c in item["consents"]]
    states = {k["fluid"]: k["connected"] for k in item["konnectors"]}
    connected = [fluid for fluid, is_connected in states.items() if is_connected]
    first = item["first_connection_at"] or item["first_connection_seen"] or "–"
    if item["consents"] and item["consents"][-1]["accepted_at"] <= (
        item["withdrawn_through"] or ""
    ):
        consents.append("withdrawn")
    held_to = max((c["last"][:10] for c in item["consumption"]), default="–")
    return [
        item["instance"],
        (consents or ["–"])[-1],
        ", ".join(connected) or "–",
        first[:10],
        held_to,
    ]


def _show(output: Output, document: dict[str, Any]) -> None:
    if output.as_json:
        output.document(document)
        return
    rows: list[tuple[str, str]] = []
    for key, value in document.items():
        if isinstance(value, list):
            words = _held if key == "consumption" else _words
            rows += [(key, words(item)) for item in value] or [(key, "–")]
        elif isinstance(value, dict):
            rows.append((key, _words(value)))
        else:
            rows.append((key, str(cell(value))))
    output.table(["fact", "value"], rows)


def _words(item: dict[str, Any]) -> str:
    return ", ".join(f"{key} {cell(value)}" for key, value in item.items())


def _held(item: dict[str, Any]) -> str:
    kind = "published period" if item["step"] == "published" else item["step"]
    return (
        f"{item['fluid']}: {several(item['points'], kind)},"
        f" {item['first'][:10]} to {item['last'][:10]} ({item['source']})"
    )
