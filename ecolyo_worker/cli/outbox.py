"""`outbox list`, `show`, `retry` and `discard`."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.session import Session
from ecolyo_worker.errors import CommandRefused

__all__ = ["register"]


def register(app: App) -> None:
    """Add these commands."""
    group = App(name="outbox", help="The indicators that are sent, wait, or were refused.")
    group.command(list_rows, name="list")
    group.command(show, name="show")
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
        await session.output.stream(found, columns, "no such row")


async def show(row: int, /, *, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Show one row.

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
        body = bytes(document.indicator)
        fields["indicator"] = None if body == b"null" else body
        rows = [(key, _text(value)) for key, value in fields.items()]
        session.output.table(["field", "value"], rows)


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
        raise CommandRefused(f"row {row} would never be sent; say --yes to do it")
    async with session.commands() as commands:
        moved = await commands.outbox_discard(row)
    if session.output.as_json:
        session.output.document(moved)
    else:
        session.output.line(f"discarded: {moved.rows}")


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    return "–" if value is None else str(value)
