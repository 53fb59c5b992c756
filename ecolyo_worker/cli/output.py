"""Printing: data to stdout, as tables for a person or as JSON for a program; talk to stderr."""

import json
import os
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

__all__ = ["Output", "PipeConsole", "cell", "fitted", "megabytes", "one_line", "several"]

_SCREEN = 80
# A table is made whole before it is printed.
_MOST_ROWS = 1000
_NOTHING = "–"
_INDENT = 4


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
        try:
            text = msgspec.json.encode(found).decode()
        except UnicodeEncodeError:  # the name of a file may be any bytes
            text = json.dumps(msgspec.to_builtins(found))
        sys.stdout.write(f"{text}\n")

    async def stream(
        self,
        items: AsyncIterator[Any],
        columns: Mapping[str, str],
        empty: str,
        beneath: Sequence[str] = (),
    ) -> int:
        """Print items as they come: JSON lines, or a table of some of their fields.

        `columns` maps headings to fields; `beneath` is as in `table`. Gives how many there were.
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
            self.table(list(columns), rows, beneath=beneath) if rows else self.talk(empty)
            if count > _MOST_ROWS:
                self.talk(f"and {count - _MOST_ROWS} more; --json gives them all, as they come")
        return count

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[object]],
        title: str | None = None,
        beneath: Sequence[str] = (),
    ) -> None:
        """Print a table; numbers stand to the right.

        Where it is too wide for the screen, `beneath` names columns that go under their row, as
        many as need be, in this order; those that stay are not folded then.
        """
        rows = [list(row) for row in rows]
        widths = {
            heading: max(cell_len(one_line(text)) for text in (heading, *(row[n] for row in rows)))
            for n, heading in enumerate(headings)
        }
        lower: list[str] = []
        for heading in beneath:
            if _width(widths) > self._out.width:
                lower.append(heading)
                del widths[heading]
        stay = [n for n, heading in enumerate(headings) if heading in widths]
        table = Table(
            title=title, title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        for n in stay:
            numbers = bool(rows) and all(isinstance(row[n], int | float) for row in rows)
            table.add_column(
                headings[n],
                justify="right" if numbers else "left",
                overflow="fold",
                no_wrap=bool(lower),
            )
        for row in rows:
            table.add_row(*(Text(one_line(row[n])) for n in stay))
        if lower:
            under = [[(h, row[headings.index(h)]) for h in headings if h in lower] for row in rows]
            self._interleave(table, _width(widths), under)
        else:
            self._out.print(table)

    def _interleave(
        self, table: Table, width: int, under: Sequence[Sequence[tuple[str, object]]]
    ) -> None:
        """Print a table whose rows are lines, with some named cells under each of them."""
        lines = self._out.render_lines(table, self._out.options.update(width=width))
        head = len(lines) - len(under)
        for n, line in enumerate(lines):
            self._out.print(Segments([*line, Segment.line()]), end="")
            named = [] if n < head else under[n - head]
            words = [f"{name}: {one_line(one)}" for name, one in named if one not in {_NOTHING, ""}]
            wrapped = Text(" · ".join(words)).wrap(self._out, self._out.width - _INDENT)
            for part in wrapped if words else ():
                part.rstrip()
                self._out.print(Text(" " * _INDENT) + part)

    def line(self, text: str) -> None:
        """Print one line of data."""
        self._out.print(Text(_shown(text)))

    def paragraph(self, text: str, indent: int = 0) -> None:
        """Print a text as data; a screen shows it folded between words, a pipe as one line."""
        is_screen = sys.stdout.isatty() or "COLUMNS" in os.environ
        width = self._out.width - indent if is_screen else sys.maxsize
        for part in Text(_shown(text)).wrap(self._out, width):
            part.rstrip()
            self._out.print(Text(" " * indent) + part)

    def painted(self, parts: Iterable[tuple[str, str]]) -> None:
        """Print one line of data, each part in a colour, which a pipe and `NO_COLOR` leave out."""
        self._out.print(Text.assemble(*((_shown(text), colour) for text, colour in parts)))

    def talk(self, text: str) -> None:
        """Say something that is not data."""
        self._talk.print(Text(_shown(text)))

    def error(self, text: str) -> None:
        """Say what went wrong; a screen shows it folded between words."""
        words = Text.assemble(("error: ", "bold red"), _shown(text))
        self._talk.print(words, soft_wrap=not self._talk.is_terminal)

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
            return _NOTHING
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


def _width(widths: Mapping[str, int]) -> int:
    """Give how wide a table of such columns is."""
    return sum(widths.values()) + 2 * (len(widths) - 1)


def one_line(cell: object) -> str:
    """Give a cell as one line that a terminal can be shown."""
    return _shown(str(cell)).replace("\n", "\\n")


def _shown(text: str) -> str:
    """Escape what a terminal would obey: texts of events and errors come from outside."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
