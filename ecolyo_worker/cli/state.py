"""`status`, `migrate` and `version`."""

from typing import Annotated

from cyclopts import App, Parameter

from ecolyo_worker.cli.output import several
from ecolyo_worker.cli.screen import show_status
from ecolyo_worker.cli.session import Session
from ecolyo_worker.clock import instant_text
from ecolyo_worker.commands import Commands

__all__ = ["register"]


def register(app: App) -> None:
    """Add these commands."""
    app.command(status)
    app.command(migrate)
    app.command(version)


async def status(*, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Tell on one screen what there is, and what stands in the way."""
    async with session.reading() as commands:
        found = await commands.status()
    show_status(session.output, found, session.settings().directory)


async def migrate(*, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Bring the database up to date; one that holds something is copied first."""
    async with session.commands() as commands:
        found = await commands.migrate()
    if session.output.as_json:
        session.output.document(found)
        return
    if found.restored is not None:
        made, rows = instant_text(found.restored.made), found.restored.rows
        session.output.line(f"the backup of {made} is put back: {_doubtful(rows)}")
    if found.before == found.after:
        session.output.line(f"{found.database}: schema {found.after}, nothing to do")
    else:
        session.output.line(f"{found.database}: schema {found.before} → {found.after}")


async def version(*, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Tell the version of the program and of what it runs on."""
    found = await Commands.version()
    if session.output.as_json:
        session.output.document(found)
    else:
        session.output.line(
            f"ecolyo-worker {found.ecolyo_worker} · schema {found.schema}"
            f" · Python {found.python} · SQLite {found.sqlite}"
        )


def _doubtful(rows: int) -> str:
    if not rows:
        return "nothing waited in it"
    return f"{several(rows, 'row')} waited in it and may have been delivered since"
