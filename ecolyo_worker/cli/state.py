"""`status`, `migrate` and `version`."""

from typing import Annotated

from cyclopts import App, Parameter

from ecolyo_worker.cli.output import Output, several
from ecolyo_worker.cli.session import Session
from ecolyo_worker.clock import instant_text
from ecolyo_worker.commands import Commands
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.store.status import Status

__all__ = ["register", "show_status"]

_WIDTH = 80
"""What a line of counts by name is cut to; --json tells all."""


def register(app: App) -> None:
    """Add these commands."""
    app.command(status)
    app.command(migrate)
    app.command(version)


async def status(*, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Tell on one screen what there is, and what stands in the way."""
    async with session.reading() as commands:
        found = await commands.status()
    if not session.output.as_json:
        session.output.line(f"state     {session.settings().directory}")
    show_status(session.output, found)


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


def show_status(output: Output, found: Status) -> None:
    """Print a status."""
    if output.as_json:
        output.document(found)
        return
    output.line(
        f"ecolyo-worker {found.version} · mode {found.mode} · DACC {found.url or 'not set'}"
    )
    output.line(f"people    {found.instances}")
    output.line(f"events    {_counts(found.events)}")
    output.line(f"outbox    {_counts(found.outbox)}")
    output.line(
        f"sending   {found.attempts} attempts, {found.maybe_delivered} of unknown end"
        f", oldest waiting {found.oldest_pending or '–'}"
    )
    _show_values(output, found)
    if sum(found.destination_states.values()) > 1:
        output.line(f"targets   {_counts(found.destination_states)}")
    for destination in found.destinations:
        last = destination.last_delivered or "never"
        output.line(f"target    {destination.name}: {destination.state}, last delivery {last}")
    for task in found.tasks:
        output.line(f"task      {_task(task)}")
    if found.removed:
        output.line(f"removed   {_counts(found.removed)}")
    for advice in found.advice:
        output.line(f"! {advice}")


def _show_values(output: Output, found: Status) -> None:
    for counts, what in ((found.other_values, "sent as other"), (found.too_large, "too large")):
        if counts:
            output.line(_by_name(counts, what))


def _task(task: ActorHealth) -> str:
    state = task.state if task.alive or task.state != "working" else "hangs"
    restarts = f", {task.restarts} restarts ({task.error})" if task.restarts else ""
    return (
        f"{task.name}: {state}, last success {task.last_success or 'none yet'}"
        f", next due {task.next_due or '–'}{restarts}"
    )


def _by_name(counts: dict[str, int], what: str) -> str:
    """Give a sum, and as many of the first things it is made of as fit on the line."""
    names = [f"{name} {count}" for name, count in counts.items()]
    begin = f"values    {sum(counts.values())} {what}"
    line = f"{begin}: {', '.join(names)}"
    for shown in range(len(names) - 1, -1, -1):
        if len(line) <= _WIDTH:
            break
        line = f"{begin}: {', '.join([*names[:shown], f'{len(names) - shown} more'])}"
    return line


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "none"
