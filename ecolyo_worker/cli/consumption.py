"""`consumption import`."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.importing import pieces, show_report
from ecolyo_worker.cli.session import Session

__all__ = ["register"]


def register(app: App) -> None:
    """Add this command."""
    group = App(name="consumption", help="What each home consumed, day by day.")
    group.command(import_consumption, name="import")
    app.command(group)


async def import_consumption(
    file: Path,
    /,
    *,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Store the readings of a file: kWh, of water litres, a day or half an hour each.

    A later value of the same interval replaces the earlier one.

    Parameters
    ----------
    file
        NDJSON or a JSON array; a lone hyphen is stdin.

    Returns
    -------
    65
        Lines were refused; the others are stored.

    Examples
    --------
    ecolyo-worker consumption import readings.ndjson
    """
    accepted = 0
    refused: list[ask.LineRefusal] = []
    with pieces(session.output, file) as found:
        async with session.commands() as commands:
            for lines in found:
                report = await commands.consumption_import(ask.ConsumptionImport(lines))
                accepted += report.accepted
                refused += report.refused
    return show_report(session.output, ask.FactsReport(accepted, refused))
