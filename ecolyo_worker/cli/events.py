"""`events import` and `events list`."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.importing import pieces, show_report
from ecolyo_worker.cli.options import Day, Instance
from ecolyo_worker.cli.session import Session

__all__ = ["register"]


def register(app: App) -> None:
    """Add these commands."""
    group = App(name="events", help="Take usage events in, and see what became of them.")
    group.command(import_events, name="import")
    group.command(list_events, name="list")
    app.command(group)


async def import_events(
    file: Path,
    /,
    *,
    instance: Instance = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Store the events of a file; what is known already is not stored twice.

    Parameters
    ----------
    file
        NDJSON, a JSON array, or an export of ACH; a lone hyphen is stdin.
    instance
        Whose the events are that do not say it themselves.

    Returns
    -------
    65
        Lines were refused; the others are stored.
    75
        Too much waits to be stored; import the file again.

    Examples
    --------
    ecolyo-worker events import events.ndjson --instance alice.example
    """
    accepted = known = 0
    refused: list[ask.LineRefusal] = []
    with pieces(session.output, file) as found:
        async with session.commands() as commands:
            for lines in found:
                report = await commands.events_import(ask.EventsImport(lines, instance))
                accepted += report.accepted
                known += report.known
                refused += report.refused
    return show_report(session.output, ask.ImportReport(accepted, known, refused))


async def list_events(
    *,
    instance: Instance = None,
    day: Day = None,
    state: ask.EventState | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """List stored events, in the order in which they arrived.

    Parameters
    ----------
    instance
        Only those of one instance.
    day
        Only those of one civil day.
    state
        Only those that are in this state.

    Examples
    --------
    ecolyo-worker events list --instance alice.example --state waiting
    """
    columns = {
        "instance": "instance",
        "time": "eventDate",
        "type": "type",
        "target": "target",
        "context": "context",
        "result": "result",
        "state": "state",
        "id": "_id",
    }
    beneath = ("id", "context", "instance", "result", "target")
    async with session.reading() as commands:
        found = commands.events_list(ask.EventsList(instance, day, state))
        await session.output.stream(found, columns, "no such event", beneath)
