"""`outbox list`, `show`, `export`, `retry` and `discard`."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.options import Day
from ecolyo_worker.cli.output import cell
from ecolyo_worker.cli.session import Session
from ecolyo_worker.commands import not_dead
from ecolyo_worker.errors import CommandRefused

__all__ = ["register"]


def register(app: App) -> None:
    """Add these commands."""
    group = App(name="outbox", help="The indicators that are sent, wait, or were refused.")
    group.command(list_rows, name="list")
    group.command(show, name="show")
    group.command(export, name="export")
    group.command(retry, name="retry")
    group.command(discard, name="discard")
    app.command(group)


async def list_rows(
    *,
    state: ask.RowState | None = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """List rows, in the order in which they were made.

    Parameters
    ----------
    state
        Only those in this state.

    Examples
    --------
    ecolyo-worker outbox list --state dead
    """
    columns = {
        "id": "id",
        "state": "state",
        "measure": "measure",
        "start date": "start_date",
        "failed tries": "failed_tries",
        "maybe": "maybe_delivered",
        "next try": "next_try",
        "answer": "answer",
    }
    async with session.reading() as commands:
        found = commands.outbox_list(ask.OutboxList(state))
        await session.output.stream(found, columns, "no such row", ("answer", "next try"))


async def show(row: int, /, *, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Show one row, and what each attempt to send it came to.

    Parameters
    ----------
    row
        Its number, as `outbox list` shows it.
    """
    async with session.reading() as commands:
        document = await commands.outbox_show(row)
    if session.output.as_json:
        session.output.document(document)
    else:
        fields = msgspec.structs.asdict(document)
        history = fields.pop("history")
        body = bytes(document.indicator)
        fields["indicator"] = None if body == b"null" else body.decode()
        rows = [(key, cell(value)) for key, value in fields.items()]
        session.output.table(["field", "value"], rows)
        if history:
            headings = ["attempt", "ended", "outcome", "status", "answer"]
            session.output.table(headings, list(_attempts(history)))


async def export(
    *,
    state: ask.RowState | None = None,
    measure: Annotated[str | None, Parameter(metavar="MEASURE")] = None,
    day: Day = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Print rows with all their attempts, each as a line of JSON, in the order they were made in.

    Parameters
    ----------
    state
        Only those in this state.
    measure
        Only those of one measure.
    day
        Only those of one start date; a month's is its first day.

    Examples
    --------
    ecolyo-worker outbox export --state dead --measure quiz-stars
    """
    is_found = False
    async with session.reading() as commands:
        async for row in commands.outbox_export(ask.OutboxExport(state, measure, day)):
            session.output.document(row)
            is_found = True
    if not is_found:
        session.output.talk("no such row")


async def retry(
    row: int | None = None,
    /,
    *,
    every: Annotated[bool, Parameter(name="--all")] = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Send dead rows again.

    Parameters
    ----------
    row
        The row's number.
    every
        All dead rows.

    Examples
    --------
    ecolyo-worker outbox retry 12
    ecolyo-worker outbox retry --all
    """
    if (row is None) != every:
        raise CommandRefused("say which: a row's number, or --all")
    async with session.commands() as commands:
        moved = await commands.outbox_retry(ask.Retry(row))
    if session.output.as_json:
        session.output.document(moved)
    else:
        session.output.line(f"pending again: {moved.rows}")


async def discard(
    row: int, /, *, yes: bool = False, session: Annotated[Session, Parameter(parse=False)]
) -> None:
    """Give a dead row up for good.

    Parameters
    ----------
    row
        The row's number.
    yes
        Needed, for it cannot be undone.
    """
    if not yes:
        async with session.reading() as commands:
            found = await commands.outbox_show(row)
        if found.state != "dead":
            raise not_dead(found)
        raise CommandRefused(f"row {row} would never be sent; say --yes to do it")
    async with session.commands() as commands:
        moved = await commands.outbox_discard(row)
    if session.output.as_json:
        session.output.document(moved)
    else:
        session.output.line(f"discarded: {moved.rows}")


def _attempts(history: Sequence[ask.AttemptDocument]) -> Iterator[Sequence[object]]:
    """Give a line for each attempt, and one for those that are not kept."""
    expected = 1
    for one in history:
        if one.n > expected:
            yield f"{expected}–{one.n - 1}", "not kept: there were too many", "", "", ""
        yield one.n, one.ended, one.outcome, cell(one.status), cell(one.answer)
        expected = one.n + 1
