"""`coverage`: a calendar of what is known of a year."""

import calendar
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Annotated, Final

from cyclopts import App, Parameter

from ecolyo_worker import requests as ask
from ecolyo_worker.cli.options import Account
from ecolyo_worker.cli.output import Output, fitted
from ecolyo_worker.cli.session import Session
from ecolyo_worker.energy.meters import FLUIDS_OF

__all__ = ["register", "show_calendar"]

# Beside the states: a day that is measured, and lacks half-hours.
_LACKING: Final = "half-hours missing"
# A letter says what a colour says; capitals are what somebody may want to look into.
_CELLS: Final = {
    "measured": ("m", "green"),
    _LACKING: ("M", "yellow"),
    "estimated": ("e", "cyan"),
    "late": ("L", "yellow"),
    "missing": ("X", "red"),
    "no consent": ("N", "magenta"),
    "error": ("E", "bold red"),
}
_NOTHING: Final = ("·", "dim")
_TENS: Final = (1, 5, 10, 15, 20, 25, 30)
_MOST_LINES = 12
# So many hold the longest reason, which says at its end what to do.
_LINES_OF_ONE = 4


def register(app: App) -> None:
    """Add this command."""
    app.command(coverage)


async def coverage(
    *,
    account: Account = None,
    year: Annotated[int | None, Parameter(metavar="YYYY")] = None,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Show what is known of each day of a year: a calendar, and why days are missing.

    Parameters
    ----------
    account
        Only this account's, by its number, as `accounts list` tells it.
    year
        Which year; default: this one.

    Examples
    --------
    ecolyo-worker coverage --account 3 --year 2026
    """
    output = session.output
    is_found = False
    async with session.reading() as commands:
        async for found in commands.coverage(ask.Coverage(account, year)):
            if output.as_json:
                _documents(output, found)
                continue
            if is_found:
                output.line("")
            is_found = True
            _draw(output, found)
    if not (is_found or output.as_json):
        output.talk("there is no account; add one by `accounts add`")


def _documents(output: Output, found: ask.CoverageYear) -> None:
    whose = {"account": found.account, "instance": found.instance, "provider": found.provider}
    for day in found.days:
        told = {name: getattr(day, name) for name in day.__struct_fields__}
        output.document({**whose, **told})


def _draw(output: Output, found: ask.CoverageYear) -> None:
    fluid = FLUIDS_OF[found.provider]
    output.line(f"account {found.account} · {found.instance} · {fluid} · {found.year}")
    months = [(calendar.month_abbr[month], found.year, month) for month in range(1, 13)]
    show_calendar(output, found.days, months)


def show_calendar(
    output: Output, days: Sequence[ask.CoverageDay], months: Iterable[tuple[str, int, int]]
) -> None:
    """Draw a row for each of some months, with a letter for each day, what they mean, and reasons.

    A month comes with its name, its year and its number; `days` are in order.
    """
    states = {day.day: _cell(day) for day in days}
    named = list(months)
    width = max(len(name) for name, _, _ in named) + 2
    marks = [" "] * 61
    for day in _TENS:
        marks[2 * (day - 1) : 2 * (day - 1) + len(str(day))] = str(day)
    output.line(f"{'':{width}}{''.join(marks)}".rstrip())
    for name, year, month in named:
        output.painted([(f"{name:{width - 1}}", ""), *_row(year, month, states)])
    counts = Counter(states.values())
    for line in _legend(counts, output.width):
        output.painted(line)
    _reasons(output, days)


def _cell(day: ask.CoverageDay) -> str:
    """Give what is shown of a day: its state, but for a measured one that lacks half-hours."""
    is_lacking = day.state == "measured" and day.half_hours is not None
    return _LACKING if is_lacking else day.state


def _legend(counts: Counter[str], width: int) -> list[list[tuple[str, str]]]:
    """Say what the letters mean, and how often each is there, in lines that fit."""
    lines: list[list[tuple[str, str]]] = [[]]
    for state, (letter, colour) in _CELLS.items():
        if not counts[state]:
            continue
        parts = [("  ", ""), (letter, colour), (f" {state} {counts[state]}", "")]
        if sum(len(text) for text, _ in [*lines[-1], *parts]) > width:
            lines.append([])
        lines[-1] += parts
    return lines if lines[0] else [[("  nothing is known of this time", "")]]


def _row(year: int, month: int, states: dict[str, str]) -> Iterator[tuple[str, str]]:
    for day in range(1, calendar.monthrange(year, month)[1] + 1):
        letter, colour = _CELLS.get(states.get(f"{year}-{month:02}-{day:02}", ""), _NOTHING)
        yield " ", ""
        yield letter, colour


def _reasons(output: Output, days: Sequence[ask.CoverageDay]) -> None:
    """Say why days are not as they should be, the latest first; days in a row on one line."""
    lines = list(_runs(days))
    lines.reverse()
    for line in lines[:_MOST_LINES]:
        for text in fitted(line, output.width, lines=_LINES_OF_ONE):
            output.line(text)
    if len(lines) > _MOST_LINES:
        output.line(f"and {len(lines) - _MOST_LINES} more; --json tells all")


def _runs(found: Sequence[ask.CoverageDay]) -> Iterator[str]:
    odd = [day for day in found if _words(day) is not None]
    # Days in a row have the same difference to their places.
    placed = [
        (day, date.fromisoformat(day.day).toordinal() - place) for place, day in enumerate(odd)
    ]
    for _, group in groupby(placed, lambda one: (one[1], one[0].state, _words(one[0]))):
        days = [day for day, _ in group]
        one, last = days[0], days[-1]
        span = one.day if len(days) == 1 else f"{one.day} to {last.day}"
        tries = {text for day in days for text in (day.next_try, day.half_hours_next_try) if text}
        again = f"; next try on {min(tries)}" if tries else ""
        yield f"{span} {one.state}{(_words(one) or '').removesuffix('.')}{again}"


def _words(day: ask.CoverageDay) -> str | None:
    """Say why a day, or its half-hours, are not as they should be; None: they are."""
    reason = "" if day.reason is None else f": {day.reason}"
    lack = "" if day.half_hours is None else f", half-hours: {day.half_hours}"
    return reason + lack or None
