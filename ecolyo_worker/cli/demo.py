"""`demo`: the whole way of some made-up people's events to a DACC on this machine."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.output import Output
from ecolyo_worker.cli.runs import show_ledger
from ecolyo_worker.cli.session import Session
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.settings import Aggregation, Dacc, Settings
from ecolyo_worker.testing.echo import Echo, echo_server
from ecolyo_worker.testing.people import Delivery, Household, deliveries, make_households
from ecolyo_worker.worker import Worker

__all__ = ["register"]

# The first night of the demonstration's world; its days are not those of the calendar on the wall.
_FIRST_DAY = date(2026, 11, 14)
# The DACC of the demonstration is away for two requests, and once takes one without an answer.
_FAULTS = "ok*20,status=503*2,accept-then-drop,ok"


def register(app: App) -> None:
    """Add this command."""
    app.command(demo)


async def demo(
    *,
    days: int = 7,
    instances: int = 12,
    seed: int = 1,
    keep: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Show everything at work, with made-up people and a DACC on this machine.

    Parameters
    ----------
    days
        How many days the people use the app.
    instances
        How many people there are.
    seed
        The same seed gives the same people.
    keep
        Keep the state directory, to look at it afterwards.
    """
    if not (1 <= days <= 400 and 1 <= instances <= 1000):
        raise CommandRefused("--days goes from 1 to 400, --instances from 1 to 1000")
    output = session.output
    households = make_households(seed, instances, _FIRST_DAY, days)
    with _directory(keep=keep) as directory:
        async with echo_server("--fault", _FAULTS) as echo:
            worker = Worker(
                _settings(directory, echo), random=Random(seed), logger=session.logger()
            )
            async with worker.opened():
                commands = Commands(worker)
                await _introduce(output, commands, households)
                rows = [await _day(commands, delivery) for delivery in deliveries(households, seed)]
                ledger = await commands.reconcile(ask.Reconcile(echo.url))
                if not output.as_json:
                    _show(output, rows, await echo.indicators())
        show_ledger(output, ledger)
        if keep:
            output.talk(f"look at it: ecolyo-worker --state-dir {directory} status")
    return 0 if ledger.balanced else 1


def _settings(directory: Path, echo: Echo) -> Settings:
    """Send fast and wait little: this DACC is on this machine and holds made-up people only.

    One lane and a seed make every demonstration the same.
    """
    return Settings(
        state_dir=directory,
        # As if another system had counted the days before.
        aggregation=Aggregation(not_before=str(_FIRST_DAY)),
        dacc=Dacc(
            url=echo.url,
            rate=400.0,
            concurrency=1,
            backoff_base=timedelta(milliseconds=100),
            unknown_retry=timedelta(milliseconds=300),
        ),
    )


async def _introduce(output: Output, commands: Commands, households: list[Household]) -> None:
    lines = _lines([household.facts for household in households])
    report = await commands.instances_import(ask.InstancesImport(lines))
    if not output.as_json:
        output.line(
            f"{report.accepted} people use the app; each night their day is counted and sent to a"
            " DACC on this machine,"
        )
        output.line(
            "which is away for two requests, and once takes an indicator and does not say so."
        )
        output.line("")


async def _day(commands: Commands, delivery: Delivery) -> list[object]:
    """Take a day's events in, count the night, send; give a row of the table."""
    report = await commands.events_import(ask.EventsImport(_lines(delivery.events)))
    night = delivery.day + timedelta(days=1)
    run = await commands.aggregate(ask.Aggregate(as_of=f"{night}T01:00:00"))
    sent = await commands.send(ask.Send(until_empty=True, timeout=30))
    failed = sent.attempts - sent.outcomes.get("delivered", 0)
    return [
        str(delivery.day),
        report.accepted,
        report.known,
        sum(run.indicators.values()),
        sent.outcomes.get("delivered", 0),
        failed,
    ]


def _show(output: Output, rows: list[list[object]], received: list[dict[str, Any]]) -> None:
    headings = ["day", "events", "sent again", "indicators", "delivered", "failed tries"]
    output.table(headings, rows)
    measures = Counter(record["indicator"]["measureName"] for record in received)
    example: dict[str, str] = {}
    for record in received:
        name, body = record["indicator"]["measureName"], record["body"]
        example[name] = min(body, example.get(name, body))
    output.line("")
    output.table(
        ["measure", "received", "such as"],
        [(name, count, _values(example[name])) for name, count in sorted(measures.items())],
    )
    output.line("")
    _chart(output, received)


def _values(body: str) -> str:
    """Give an indicator's value and groups in a few words."""
    found = msgspec.json.decode(body)
    groups = [value for n in (1, 2, 3) for value in found.get(f"group{n}", {}).values()]
    return f"{found['value']} · {' · '.join(groups)}"


def _chart(output: Output, received: list[dict[str, Any]]) -> None:
    """Draw the connections of each day, as the DACC can see them."""
    sums: Counter[str] = Counter()
    for record in received:
        indicator = record["indicator"]
        if indicator["measureName"] == "connection-count-daily":
            sums[indicator["startDate"]] += int(indicator["value"])
    output.line("connections a day, as the DACC sees them")
    most = max(sums.values(), default=1)
    for day, count in sorted(sums.items()):
        output.line(f"{day}  {'█' * round(40 * count / most)} {count}")
    output.line("")


def _lines(documents: Any) -> list[ask.Line]:  # noqa: ANN401  an iterable of documents
    return [ask.Line(n, msgspec.json.encode(item)) for n, item in enumerate(documents, 1)]


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="ecolyo-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="ecolyo-demo-") as directory:
        yield Path(directory)
