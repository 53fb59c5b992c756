"""`consumption import` and `export`."""

import csv
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.importing import pieces, show_report
from ecolyo_worker.cli.options import Day, Instance
from ecolyo_worker.cli.session import Session
from ecolyo_worker.energy.documents import DOCTYPES, grandlyon_documents, may_shrink

__all__ = ["register"]

_COLUMNS = ("instance", "fluid", "step", "start", "value", "unit", "minutes", "partial")
_UNITS = {"water": "L"}


def register(app: App) -> None:
    """Add these commands."""
    group = App(name="consumption", help="What each home consumed, day by day.")
    group.command(import_consumption, name="import")
    group.command(export, name="export")
    app.command(group)


async def import_consumption(
    file: Path,
    /,
    *,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Store the readings of a file: kWh, of water litres, a day or half an hour each.

    A later value of the same interval replaces the earlier one, but a part never the whole;
    a fetched one goes before both. Of what `consumption export` prints as ndjson it takes
    half-hours and whole days; hours, months, years and days that are `partial` are refused, for
    they are added up of these.

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
    accepted = beneath = 0
    refused: list[ask.LineRefusal] = []
    with pieces(session.output, file) as found:
        async with session.commands() as commands:
            for lines in found:
                report = await commands.consumption_import(ask.ConsumptionImport(lines))
                accepted += report.accepted
                refused += report.refused
                beneath += report.beneath
    return show_report(session.output, ask.ReadingsReport(accepted, refused, beneath))


async def export(
    *,
    step: ask.ConsumptionStep = "day",
    format_: Annotated[
        Literal["csv", "ndjson", "doctype"] | None, Parameter(name="--format", show_default=False)
    ] = None,
    instance: Instance = None,
    fluid: ask.Fluid | None = None,
    from_: Annotated[Day, Parameter(name="--from")] = None,
    to: Day = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Print what homes consumed, in the order of time: kWh, of water litres.

    Parameters
    ----------
    step
        How long the intervals are.
    format_
        csv (the default), ndjson (with --json), of which `consumption import` takes half-hours and
        whole days, or doctype: the documents of com.grandlyon.enedis and com.grandlyon.grdf, each
        as a line of JSON. These do not say `partial`: of what is known only in part, days and the
        first month and year are left out.
    instance
        Only this person's.
    fluid
        Only this one.
    from_
        The first day, as YYYY-MM-DD.
    to
        The last day.
    """
    request = ask.ConsumptionExport(step, instance, fluid, from_, to)
    write = {"csv": _csv, "ndjson": _ndjson, "doctype": _doctypes}[
        format_ or ("ndjson" if session.output.as_json else "csv")
    ]
    async with session.reading() as commands:
        if not await write(session, commands.consumption_export(request)):
            session.output.talk("nothing is known of what was consumed there and then")


async def _csv(_: Session, found: AsyncIterator[ask.ConsumptionInterval]) -> bool:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    is_found = False
    async for item in found:
        # What is refused shows with the first item: until then nothing is printed.
        if not is_found:
            rows.writerow(_COLUMNS)
            is_found = True
        unit = _UNITS.get(item.fluid, "kWh")
        partial = "partial" if item.partial else ""
        value = f"{item.value:.3f}"
        where = (item.instance, item.fluid, item.step, item.start)
        rows.writerow([*where, value, unit, item.minutes, partial])
    if not is_found:
        rows.writerow(_COLUMNS)
    return is_found


async def _ndjson(session: Session, found: AsyncIterator[ask.ConsumptionInterval]) -> bool:
    is_found = False
    async for item in found:
        is_found = True
        session.output.document(item)
    return is_found


async def _doctypes(session: Session, found: AsyncIterator[ask.ConsumptionInterval]) -> bool:
    """Print documents day by day: on an autumn night the same hour comes twice."""
    left_out: set[str] = set()
    parts = 0
    begun: set[tuple[str, str]] = set()
    day: list[ask.ConsumptionInterval] = []

    async for item in found:
        home = (item.instance, item.fluid)
        is_first = home not in begun
        begun.add(home)
        if item.step not in DOCTYPES.get(item.fluid, {}):
            left_out.add(item.fluid)
            continue
        if may_shrink(item.step, is_whole=not item.partial, is_first=is_first):
            parts += 1
            continue
        if day and _day_of(day[0]) != _day_of(item):
            _print_documents(session, day)
            day = []
        day.append(item)
    _print_documents(session, day)
    for fluid in sorted(left_out):
        session.output.talk(f"{fluid} has no documents of this step: left out")
    if parts:
        session.output.talk(
            f"known only in part, and might replace what is fuller: {parts} left out"
        )
    return bool(begun)


def _day_of(item: ask.ConsumptionInterval) -> tuple[str, str, str]:
    return item.instance, item.fluid, item.start[:10]


def _print_documents(session: Session, day: list[ask.ConsumptionInterval]) -> None:
    intervals = ((_begin(item.start), round(item.value * 1000)) for item in day)
    for document in grandlyon_documents(intervals):
        doctype = DOCTYPES[day[0].fluid][day[0].step]
        session.output.document({"doctype": doctype, "instance": day[0].instance, **document})


def _begin(start: str) -> datetime:
    """Read where an interval begins: a date-time, a day, a month or a year."""
    return datetime.fromisoformat({4: f"{start}-01-01", 7: f"{start}-01"}.get(len(start), start))
