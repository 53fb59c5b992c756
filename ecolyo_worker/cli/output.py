"""Printing: data to stdout, as tables for a person or as JSON for a program; talk to stderr."""

import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Output", "PipeConsole", "cell", "fitted", "megabytes", "several"]

_SCREEN = 80
# A table is made whole before it is printed.
_MOST_ROWS = 1000


class PipeConsole(Console):
    """A console whose reader may leave; rich would end the process from within."""

    def on_broken_pipe(self) -> None:
        """Let the edge of the program decide."""
        raise BrokenPipeError


class Output:
    """Knows whether JSON was asked for; everything a command prints goes through it."""

    def __init__(self, *, as_json: bool) -> None:
        """`as_json`: one JSON object per line instead of tables."""
        self.as_json = as_json
        # Into a pipe or a file, nothing is folded to a screen's width.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
        self._out = PipeConsole(highlight=False, soft_wrap=True, width=width)
        self._talk = PipeConsole(stderr=True, highlight=False, soft_wrap=True)

    def document(self, found: object) -> None:
        """Print one object as a line of JSON."""
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")

    async def stream(
        self, items: AsyncIterator[Any], columns: Mapping[str, str], empty: str
    ) -> int:
        """Print items as they come: JSON lines, or a table of some of their fields.

        `columns` maps headings to fields. Gives how many there were.
        """
        count = 0
        rows: list[Sequence[object]] = []
        async for item in items:
            count += 1
            if self.as_json:
                self.document(item)
            elif count > _MOST_ROWS:
                continue
            else:
                fields = item if isinstance(item, dict) else msgspec.structs.asdict(item)
                rows.append([cell(fields.get(field)) for field in columns.values()])
        if not self.as_json:
            self.table(list(columns), rows) if rows else self.talk(empty)
            if count > _MOST_ROWS:
                self.talk(f"and {count - _MOST_ROWS} more; --json gives them all, as they come")
        return count

    def table(
        self, headings: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None
    ) -> None:
        """Print a table; numbers stand to the right."""
        rows = list(rows)
        table = Table(
            title=title, title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        for n, heading in enumerate(headings):
            numbers = bool(rows) and all(isinstance(row[n], int | float) for row in rows)
            table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_shown(str(cell)).replace("\n", "\\n")) for cell in row))
        self._out.print(table)

    def line(self, text: str) -> None:
        """Print one line of data."""
        self._out.print(Text(_shown(text)))

    def talk(self, text: str) -> None:
        """Say something that is not data."""
        self._talk.print(Text(_shown(text)))

    def error(self, text: str) -> None:
        """Say what went wrong."""
        self._talk.print(Text.assemble(("error: ", "bold red"), _shown(text)))

    @property
    def width(self) -> int:
        """How many columns a screen has, for what must fit on it; 80 where nobody knows."""
        is_known = sys.stdout.isatty() or "COLUMNS" in os.environ
        return self._out.width if is_known else _SCREEN

    @property
    def console(self) -> Console:
        """The console of talk, for progress bars."""
        return self._talk


def cell(value: object) -> str | int | float:
    """Give a value as a table shows it: a number stays one."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return value
        case _:
            return str(value)


def fitted(text: str, width: int, lines: int = 1) -> list[str]:
    """Give text as a terminal may show it, folded to some lines of so many columns at most.

    What does not fit is cut off, with an ellipsis.
    """
    shown = Text(_shown(text).replace("\n", "\\n"))
    folded = [line.plain.rstrip() for line in shown.wrap(Console(width=width), width)] or [""]
    if len(folded) <= lines:
        return folded
    rest = Text(" ".join(folded[lines - 1 :]))
    rest.truncate(width, overflow="ellipsis")
    return [*folded[: lines - 1], rest.plain]


def megabytes(size: int) -> str:
    """Give a number of bytes in MB, or in GB where there are very many."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"


def several(count: int, one: str, more: str | None = None) -> str:
    """Give a number with its noun, such as `1 day` or `2 days`; `more` where an s does not do."""
    return f"{count} {one if count == 1 else more or f'{one}s'}"


def _shown(text: str) -> str:
    """Escape what a terminal would obey: texts of events and errors come from outside."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
