"""`events import` and `events list`."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.files import chunks, opened, read_lines
from ecolyo_worker.cli.output import Output
from ecolyo_worker.cli.session import Session

__all__ = ["register", "show_refusals"]

_BAD_DATA = 65
_MOST_SHOWN = 50


def register(app: App) -> None:
    """Add these commands."""
    group = App(name="events", help="Take usage events in, and see what became of them.")
    group.command(import_events, name="import")
    group.command(list_events, name="list")
    app.command(group)


async def import_events(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    instance: str | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Store the events of a file; what is known already is not stored twice.

    Parameters
    ----------
    file
        NDJSON, a JSON array, or an export of ACH; `-` is stdin.
    instance
        Whose the events are that do not say it themselves.
    """
    with opened(file) as source:
        total = os.fstat(source.fileno()).st_size or None
        progress = _progress(session.output)
        task = progress.add_task(f"importing {file}", total=total, taken=0)
        accepted = known = 0
        refused: list[ask.LineRefusal] = []
        async with session.commands() as commands:
            with progress:
                for lines in chunks(read_lines(source)):
                    report = await commands.events_import(ask.EventsImport(lines, instance))
                    accepted += report.accepted
                    known += report.known
                    refused += report.refused
                    size = sum(len(line.text) + 1 for line in lines)
                    progress.update(task, advance=size, taken=accepted + known)
    return _summary(session.output, ask.ImportReport(accepted, known, refused))


async def list_events(
    *,
    instance: str | None = None,
    day: str | None = None,
    state: ask.EventState | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """List stored events, in the order in which they arrived.

    Parameters
    ----------
    instance
        Only those of one instance.
    day
        Only those of one civil day, as YYYY-MM-DD.
    state
        Only those that are in this state.
    """
    columns = {
        "instance": "instance",
        "time": "eventDate",
        "type": "type",
        "target": "target",
        "context": "context",
        "result": "result",
        "state": "state",
    }
    async with session.reading() as commands:
        found = commands.events_list(ask.EventsList(instance, day, state))
        await session.output.stream(found, columns, "no such event")


def show_refusals(output: Output, refused: list[ask.LineRefusal]) -> None:
    """Print why lines were refused: all of them as JSON, the first ones as a table."""
    rows = [(item.line, item.field or "–", item.reason) for item in refused[:_MOST_SHOWN]]
    if rows:
        output.table(["line", "field", "why it was refused"], rows)
    if len(refused) > len(rows):
        output.talk(f"and {len(refused) - len(rows)} more; --json gives them all")


def _summary(output: Output, report: ask.ImportReport) -> int:
    if output.as_json:
        output.document(report)
    else:
        show_refusals(output, report.refused)
        output.line(
            f"accepted {report.accepted} · known {report.known} · refused {len(report.refused)}"
        )
    return _BAD_DATA if report.refused else 0


def _progress(output: Output) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[taken]} events"),
        TimeElapsedColumn(),
        console=output.console,
        transient=True,
        disable=not output.console.is_terminal,
    )
