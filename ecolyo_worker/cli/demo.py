"""`demo`: the whole way of some made-up people's events to a DACC on this machine."""

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from rich.progress import Progress

from ecolyo_worker import exits
from ecolyo_worker import requests as ask
from ecolyo_worker.cli.coverage import show_calendar
from ecolyo_worker.cli.output import Output, several
from ecolyo_worker.cli.runs import show_ledger
from ecolyo_worker.cli.session import Session
from ecolyo_worker.energy.meters import FLUIDS_OF
from ecolyo_worker.errors import CommandRefused, ConfigurationError
from ecolyo_worker.store.sealing import require_cryptography
from ecolyo_worker.testing.echo import echo_server
from ecolyo_worker.testing.energy import Twin, energy_server
from ecolyo_worker.testing.homes import HOMES, FetchingReport, fetched
from ecolyo_worker.testing.simulate import (
    SimulatedDay,
    SimulationReport,
    World,
    simulate,
    simulated,
)

__all__ = ["register"]

# A week that ends with the day on which November is counted, of a year with a 29 February.
_FIRST_DAY = date(2027, 11, 29)
# More days than these are shown month by month.
_MOST_DAYS = 31
# The DACC of the demonstration is away for two requests, and once takes one without an answer.
_FAULTS = "ok*20,status=503*2,accept-then-drop,ok"
_HELD = ("measured", "estimated")


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
    """Show everything at work, with made-up people, a simulated clock and a DACC on this machine.

    Enedis and GRDF are on this machine, too: two homes have their readings fetched.

    Parameters
    ----------
    days
        How many days the people use the app.
    instances
        How many people there are.
    seed
        The same seed gives the same people.
    keep
        Keep the state directory, to look at it afterwards. It is always a new one, whatever
        --state-dir says.

    Returns
    -------
    1
        The books do not balance, or half-hours do not come to their daily value.

    Examples
    --------
    ecolyo-worker demo --days 30
    """
    if not (1 <= days <= 400 and 1 <= instances <= 1000):
        raise CommandRefused("--days goes from 1 to 400, --instances from 1 to 1000")
    output = session.output
    meters = tuple(meter for meter in HOMES if meter.person < instances)
    if not _may_fetch(output):
        meters = ()
    world = World(first_day=_FIRST_DAY, days=days, people=instances, seed=seed, meters=meters)
    # The same seed prints the same tables; a long demonstration had rather be fast.
    lanes = 1 if days <= _MOST_DAYS else 2
    with _directory(keep=keep) as directory:
        async with echo_server("--fault", _FAULTS) as echo, _twin(world) as twin:
            _introduce(output, world)
            settings = simulated(directory, echo.url, world, lanes=lanes)
            if twin is not None:
                secret_file = directory / "client-secret"
                secret_file.write_text("made-up\n")
                settings = fetched(settings, twin, secret_file, days)
            with _progress(output, days) as told:
                report = await simulate(
                    settings,
                    world,
                    every_month=False,
                    twin=twin,
                    told=told,
                    # What goes wrong on purpose is told at the end.
                    logger=session.logger("error"),
                )
            if not output.as_json:
                _show(output, report, await echo.indicators())
        show_ledger(output, report.ledger, fetching=_fetching(report.fetching))
        if keep:
            output.talk(f"look at it: ecolyo-worker --state-dir {directory} status")
    is_exact = report.fetching is None or not report.fetching.sums.wrong
    return exits.OK if report.balanced and is_exact else exits.CHECK_FAILED


def _may_fetch(output: Output) -> bool:
    """Tell whether readings can be fetched here; say what is missing if they cannot."""
    try:
        require_cryptography()
    except ConfigurationError as error:
        output.talk(f"without Enedis and GRDF: {error}")
        return False
    return True


@asynccontextmanager
async def _twin(world: World) -> AsyncIterator[Twin | None]:
    if not world.meters:
        yield None
        return
    async with energy_server("--quota", "off", "--seed", str(world.seed)) as twin:
        yield twin


def _introduce(output: Output, world: World) -> None:
    if output.as_json:
        return
    output.line(
        f"{several(world.people, 'person uses', 'people use')} the app; each night their day is"
        " counted and sent to a DACC on this machine,"
    )
    output.line("which is away for two requests, and once takes an indicator and does not say so.")
    if world.meters:
        homes = len({meter.person for meter in world.meters})
        have = several(homes, "home has its readings", "homes have their readings")
        output.line(f"{have} fetched, from an Enedis and a GRDF on this machine.")
    output.line("The nights come by themselves, on a clock that takes no time.")
    output.line("")


@contextmanager
def _progress(output: Output, days: int) -> Iterator[Callable[[SimulatedDay], None]]:
    """Show how far it is where that takes a while; what is given is told of each day."""
    is_shown = days > _MOST_DAYS and output.console.is_terminal
    with Progress(console=output.console, transient=True, disable=not is_shown) as progress:
        task = progress.add_task("simulating", total=days)

        def told(day: SimulatedDay) -> None:
            progress.update(task, advance=1, description=f"{day.day}")

        yield told


def _show(output: Output, report: SimulationReport, received: list[dict[str, Any]]) -> None:
    is_long = len(report.days) > _MOST_DAYS
    period, length = ("month", 7) if is_long else ("day", 10)
    headings = [period, "events", "sent again", "indicators", "delivered", "failed tries"]
    output.table(headings, _rows(report.days, length))
    for words in _passed(report):
        output.line(words)
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
    _chart(output, received, period, length)
    if report.fetching is not None:
        _show_fetching(output, report.fetching)


def _rows(days: Iterable[SimulatedDay], length: int) -> Iterator[list[object]]:
    """Add up the days whose dates begin with the same letters, so many of them."""
    for period, group in groupby(days, key=lambda item: str(item.day)[:length]):
        found = list(group)
        yield [
            period,
            sum(item.accepted for item in found),
            sum(item.known for item in found),
            sum(item.indicators for item in found),
            sum(item.delivered for item in found),
            sum(item.failed for item in found),
        ]


def _passed(report: SimulationReport) -> Iterator[str]:
    """Say which days were passed on which clocks and calendars go wrong."""
    days = [f"{day} the clock changed" for day in report.clock_changes]
    days += [f"{day} was a leap day" for day in report.leap_days]
    if days:
        yield ""
        yield f"{', '.join(sorted(days))}: {report.runs} nights, each run once"


def _values(body: str) -> str:
    """Give an indicator's value and groups in a few words."""
    found = msgspec.json.decode(body)
    groups = [value for n in (1, 2, 3) for value in found.get(f"group{n}", {}).values()]
    return " · ".join([str(found["value"]), *groups])


def _chart(output: Output, received: list[dict[str, Any]], period: str, length: int) -> None:
    """Draw the connections of each period, as the DACC can see them."""
    sums: Counter[str] = Counter()
    for record in received:
        indicator = record["indicator"]
        if indicator["measureName"] == "connection-count-daily":
            sums[indicator["startDate"][:length]] += int(indicator["value"])
    output.line(f"connections a {period}, as the DACC sees them")
    most = max(sums.values(), default=1)
    for name, count in sorted(sums.items()):
        output.line(f"{name}  {'█' * round(40 * count / most)} {count}")
    output.line("")


def _fetching(found: FetchingReport | None) -> dict[str, object] | None:
    """Give what came of the accounts, for a program: days by state, and how many are exact."""
    if found is None:
        return None
    accounts = [
        {
            "account": one.id,
            "instance": one.instance,
            "provider": one.provider,
            "state": one.state,
            "reason": one.reason,
            "days": Counter(day.state for day in found.days[one.id]),
        }
        for one in found.accounts
    ]
    sums = found.sums
    return {
        "accounts": accounts,
        "exact_days": sums.whole,
        "partial_days": sums.partial,
        "wrong": sums.wrong,
    }


def _show_fetching(output: Output, found: FetchingReport) -> None:
    """Print the accounts, the calendar of the one that has most to tell, and the sums."""
    rows = []
    for one in found.accounts:
        held = sum(day.state in _HELD for day in found.days[one.id])
        of_days = f"{held} of {len(found.days[one.id])}"
        fluid = FLUIDS_OF[one.provider]
        wrong = one.reason or ", ".join(_not_held(found.days[one.id])) or "nothing"
        rows.append((one.id, one.instance, fluid, one.state, of_days, wrong))
    headings = ["account", "person", "fluid", "state", "days held", "what is wrong"]
    output.table(headings, rows, beneath=("what is wrong",))
    output.line("")
    shown = max(found.accounts, key=lambda one: (_variety(found, one.id), one.id))
    days = found.days[shown.id]
    output.line(f"what is known of each day of account {shown.id}")
    months = sorted({day.day[:7] for day in days})
    show_calendar(output, days, [(month, int(month[:4]), int(month[5:])) for month in months])
    output.line("")
    sums = found.sums
    for words in sums.wrong:
        output.line(f"✖ {words}")
    whole = several(sums.whole + len(sums.wrong), "whole day")
    exact = "each to the Wh" if not sums.wrong else f"but for {len(sums.wrong)}"
    output.line(
        f"Σ half-hours = daily value on {whole} of electricity, {exact};"
        f" {several(sums.partial, 'day')} with a hole"
    )
    if sums.before:
        output.line(
            f"{several(sums.before, 'of these days is', 'of these days are')} before the first one"
            " above: a month of history is fetched, too"
        )
    output.line("")


def _not_held(days: list[ask.CoverageDay]) -> Iterator[str]:
    """Say how many days are in each state in which nothing is held."""
    counts = Counter(day.state for day in days if day.state not in _HELD)
    return (f"{several(count, 'day')} {state}" for state, count in counts.items())


def _variety(found: FetchingReport, account: int) -> int:
    """Tell in how many states the days of an account are."""
    return len({day.state for day in found.days[account]})


@contextmanager
def _directory(*, keep: bool) -> Iterator[Path]:
    if keep:
        yield Path(tempfile.mkdtemp(prefix="ecolyo-demo-"))
        return
    with tempfile.TemporaryDirectory(prefix="ecolyo-demo-") as directory:
        yield Path(directory)
