"""`status`, `migrate` and `version`."""

from typing import Annotated

from anyio import to_thread
from cyclopts import App, Parameter

from ecolyo_worker.cli.identity import refuse_astray
from ecolyo_worker.cli.output import Output, megabytes, several
from ecolyo_worker.cli.screen import show_status
from ecolyo_worker.cli.session import Session
from ecolyo_worker.clock import instant_text
from ecolyo_worker.commands import Commands
from ecolyo_worker.service.client import running_service
from ecolyo_worker.store.migrations import MigrationPlan
from ecolyo_worker.store.refusing import look

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
    show_status(session.output, found, session.directory())


async def migrate(
    *, dry_run: bool = False, session: Annotated[Session, Parameter(parse=False)]
) -> None:
    """Bring the database up to date; one that holds something is copied first.

    A backup that was put in its place is made ready to go on from.

    Parameters
    ----------
    dry_run
        Only tell what would be done; no byte is changed.

    Examples
    --------
    ecolyo-worker migrate --dry-run
    """
    if dry_run:
        _tell_plan(session.output, await _plan(session))
        return
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


async def _plan(session: Session) -> MigrationPlan:
    async with running_service(session.directory()) as commands:
        if commands is not None:
            return await commands.migrate_plan()
    directory = session.settings().directory
    refuse_astray(directory)
    return await to_thread.run_sync(look, directory)


def _tell_plan(output: Output, found: MigrationPlan) -> None:
    if output.as_json:
        output.document(found)
        return
    if found.restores:
        output.line(
            f"{found.database} is a backup that was put here: `migrate` makes it the state to go on"
            " from, and counts what waited in it as maybe delivered"
        )
    if not found.scripts:
        output.line(f"{found.database}: schema {found.after}, nothing to do")
    else:
        was = f"schema {found.before}" if found.before else "nothing there"
        output.line(f"{found.database}: {was} → schema {found.after}, by")
        for name in found.scripts:
            output.line(f"  {name}")
        if found.copy is not None:
            output.line(
                f"It is copied first, to {found.copy}: {megabytes(found.copy_bytes)}, and as much"
                " again may be needed meanwhile."
            )
        output.line(f"{megabytes(found.free_bytes)} are free. Nothing was changed.")


def _doubtful(rows: int) -> str:
    if not rows:
        return "nothing waited in it"
    return f"{several(rows, 'row')} waited in it and may have been delivered since"
