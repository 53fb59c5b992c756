"""`aggregate`, `preview`, `send` and `reconcile`."""

from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from ecolyo_worker import exits
from ecolyo_worker import requests as ask
from ecolyo_worker.actors.report import RunReport
from ecolyo_worker.actors.sender import SendReport
from ecolyo_worker.cli.options import Day, Instance, Month, Time
from ecolyo_worker.cli.output import Output, several
from ecolyo_worker.cli.session import Session
from ecolyo_worker.ledger import Ledger

__all__ = ["register", "show_ledger", "show_outlook", "show_run", "show_send"]


def register(app: App) -> None:
    """Add these commands."""
    app.command(aggregate)
    app.command(preview)
    app.command(send)
    app.command(reconcile)


async def aggregate(
    *,
    as_of: Time = None,
    day: Day = None,
    month: Month = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Count what waits, and the months that are due, into indicators. Twice changes nothing.

    Parameters
    ----------
    as_of
        Run as if it were this time, such as 2026-11-21T01:00:00.
    day
        Count this day only.
    month
        Count this month only. What was done is never done again.

    Examples
    --------
    ecolyo-worker aggregate --as-of 2026-11-21T01:00
    """
    async with session.commands() as commands:
        show_run(session.output, await commands.aggregate(ask.Aggregate(as_of, day, month)))


async def preview(
    *,
    as_of: Time = None,
    day: Day = None,
    month: Month = None,
    instance: Instance = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Show what `aggregate` would make, and store nothing.

    Parameters
    ----------
    as_of
        As if it were this time, such as 2026-11-21T01:00:00.
    day
        This day only.
    month
        This month only.
    instance
        This instance only.

    Examples
    --------
    ecolyo-worker preview --as-of 2026-11-21T01:00 --json
    """
    async with session.reading() as commands:
        found = commands.preview(ask.Preview(as_of, day, month, instance))
        if session.output.as_json:
            async for item in found:
                if item.line is not None:
                    session.output.document(item.line)
            return
        rows = []
        async for item in found:
            if item.line is not None:
                rows.append((item.line.instance, *_indicator(bytes(item.line.indicator))))
            elif item.outlook is not None:
                headings = ["instance", "measure", "start date", "value", "groups"]
                session.output.table(headings, rows, beneath=("groups", "instance"))
                show_outlook(session.output, item.outlook)


async def send(
    *,
    until_empty: bool = False,
    timeout: Annotated[  # noqa: ASYNC109  it bounds attempts, not this function
        float | None, Parameter(metavar="SECONDS")
    ] = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Send what is due now, without waiting for the random delay.

    Parameters
    ----------
    until_empty
        Wait for what becomes due, too: up to the timeout, or while something is due within a
        minute.
    timeout
        Begin no attempt after so many seconds.

    Returns
    -------
    75
        Only rows that must wait remain.

    Examples
    --------
    ecolyo-worker send --until-empty --timeout 60
    """
    async with session.commands() as commands:
        report = await commands.send(ask.Send(until_empty, timeout))
    show_send(session.output, report)
    return exits.TRY_AGAIN if report.waiting else exits.OK


async def reconcile(
    *,
    echo: Annotated[str | None, Parameter(metavar="URL")] = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Check that nothing was lost or doubled unseen.

    It reads all that there is, and changes nothing. Where the file itself is damaged, it says so
    and checks no equation.

    Parameters
    ----------
    echo
        The address of an echo server: compare with what it received.

    Returns
    -------
    1
        Something does not balance; it says which equation.

    Examples
    --------
    ecolyo-worker reconcile --echo http://127.0.0.1:8081
    """
    async with session.reading() as commands:
        ledger = await commands.reconcile(ask.Reconcile(echo))
    show_ledger(session.output, ledger)
    return exits.OK if ledger.balanced else exits.CHECK_FAILED


def show_run(output: Output, report: RunReport) -> None:
    """Print what a run came to."""
    if output.as_json:
        output.document(report)
        return
    if report.indicators:
        output.table(["measure", "indicators"], list(report.indicators.items()))
    show_outlook(output, report)


def show_outlook(output: Output, report: RunReport) -> None:
    """Print the sums of a run that was made, or of one that would be."""
    fates = ", ".join(f"{count} {fate}" for fate, count in report.events.items())
    output.line(
        f"as of {report.as_of[:16]}: people {report.instances} · days {report.days}"
        f" · months {report.months}"
        f" · events: {fates or 'none to count'} · indicators: {sum(report.indicators.values())}"
    )
    if report.reason is not None:
        output.talk(report.reason)
    if report.events.get("expired"):
        output.talk("expired events are older than aggregation.max_age_days, and not counted")
    if report.without_consent:
        people = several(report.without_consent, "person", "people")
        output.talk(
            f"events wait of {people} without a consent in force; `instances consent` notes one"
        )
    for measure, count in report.too_large.items():
        output.talk(f"{measure}: {count} values of 1e10 or more make no indicator")


def show_send(output: Output, report: SendReport) -> None:
    """Print what a drain came to."""
    if output.as_json:
        output.document(report)
        return
    outcomes = ", ".join(f"{count} {kind}" for kind, count in report.outcomes.items())
    output.line(
        f"attempts {report.attempts}{f' ({outcomes})' if outcomes else ''}"
        f" · still waiting {report.waiting}"
    )
    if report.reason is not None:
        output.talk(report.reason)
    elif not report.attempts and not report.waiting:
        output.talk("nothing was left to send; what waited before, a service's own sender took")
    if rejected := report.outcomes.get("rejected"):
        output.talk(f"{rejected} were refused for good: `outbox list --state dead` says why")


def show_ledger(output: Output, ledger: Ledger, **more: object) -> None:
    """Print the reconciliation line, and every equation that does not hold.

    `more` stands beside them as JSON.
    """
    if output.as_json:
        output.document(msgspec.to_builtins(ledger) | {"balanced": ledger.balanced} | more)
        return
    for problem in ledger.problems:
        output.line(f"✖ equation {problem}")
    output.line(ledger.line)


def _indicator(body: bytes) -> tuple[str, str, Any, str]:
    found = msgspec.json.decode(body)
    groups = [
        f"{key}={value}" for n in (1, 2, 3) for key, value in found.get(f"group{n}", {}).items()
    ]
    return found["measureName"], found["startDate"], found["value"], " ".join(groups)
