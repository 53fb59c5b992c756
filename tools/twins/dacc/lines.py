"""What the stand-in prints: one line for each request, safe to look at in a terminal."""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .indicator import written

if TYPE_CHECKING:
    from collections.abc import Callable

    from .exchange import Ruling
    from .indicator import JsonObject

__all__ = ["Columns", "Handled", "Terminal", "columns_of", "line", "raw_line", "shown"]

MOST_WAITING = 50_000
CLOSING_S = 1.0
_GROUPS = ("group1", "group2", "group3")


@dataclass(frozen=True, slots=True)
class Handled:
    """A request that was dealt with: when (seconds of the epoch), and what became of it."""

    at_s: float
    ruling: Ruling
    verdict: str
    fault: str | None


class Columns(NamedTuple):
    """An indicator as it is shown on one line."""

    measure: str
    start_date: str
    value: str
    groups: tuple[str, ...]


def line(handled: Handled) -> str:
    """Give time, measure, start date, value, groups and verdict, and the stack if one is named."""
    columns = columns_of(handled.ruling.indicator or {})
    return "  ".join(
        (
            time.strftime("%H:%M:%S", time.localtime(handled.at_s)),
            columns.measure.ljust(30),
            columns.start_date.ljust(10),
            columns.value.rjust(8),
            " ".join(columns.groups) or "-",
            shown(handled.verdict, 300) + _marks(handled),
        )
    )


def columns_of(indicator: JsonObject) -> Columns:
    """Give the fields of an indicator, cut where they are long; ``-`` is what it has not."""
    return Columns(
        _field(indicator, "measureName", 40),
        _field(indicator, "startDate", 40),
        _field(indicator, "value", 40),
        tuple(_group(indicator[name]) for name in _GROUPS if name in indicator),
    )


def _marks(handled: Handled) -> str:
    """Say whose stack it came through, and which fault a stored indicator met."""
    marks = [f"stack {shown(handled.ruling.stack, 60)}"] if handled.ruling.stack else []
    if handled.fault and handled.ruling.stored:
        marks.append(f"fault {handled.fault}")
    return f" ({', '.join(marks)})" if marks else ""


def raw_line(handled: Handled) -> str:
    """Give the line that the original echo script printed; without a body, the usual line."""
    if handled.ruling.text is None:
        return line(handled)
    return f"data: '{shown(handled.ruling.text, 4000)}'"


class Terminal:
    """Writes lines to a file descriptor, from a thread of its own.

    So a reader that is slow, or has stopped reading, never holds up an answer: beyond
    ``MOST_WAITING`` lines the new ones are left out, and their number is printed.
    """

    def __init__(self, fd: int, form: Callable[[Handled], str] = line) -> None:
        self._fd = fd
        self._form = form
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out = 0
        self._unread = False
        self._thread = threading.Thread(target=self._write_all, name="terminal", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Terminal waiting={self._waiting.qsize()} left_out={self._left_out}>"

    def show(self, handled: Handled) -> None:
        """Have a line written, soon; nothing is kept once the reader is gone."""
        if self._unread:
            return
        if self._waiting.qsize() < MOST_WAITING:
            # As text already, for a body that is held here would not be let go.
            self._waiting.put(self._form(handled) + "\n")
        else:
            self._left_out += 1

    def close(self) -> None:
        """Write what is waiting, for as long as the reader takes it within a second."""
        self._waiting.put(None)
        self._thread.join(CLOSING_S)

    def _write_all(self) -> None:
        try:
            while (first := self._waiting.get()) is not None:
                _write(self._fd, first)
                if self._left_out and self._waiting.empty():
                    _write(self._fd, f"({self._left_out} lines left out)\n")
                    self._left_out = 0
        except OSError:
            self._unread = True  # The answers go on.


def _write(fd: int, text: str) -> None:
    # Not through sys.stdout: its lock, held by a thread that waits for a reader, would keep the
    # interpreter from ending.
    rest = text.encode("utf-8", "backslashreplace")
    while rest:
        rest = rest[os.write(fd, rest) :]


def _field(indicator: JsonObject, name: str, longest: int) -> str:
    if name not in indicator:
        return "-"
    value = indicator[name]
    if isinstance(value, str) and name != "value":
        return shown(value, longest)
    return shown(_brief(value), longest)


def _group(group: object) -> str:
    if not isinstance(group, dict):
        return shown(_brief(group), 60)
    pairs = (
        f"{shown(key, 40)}={shown(value if isinstance(value, str) else _brief(value), 60)}"
        for key, value in list(group.items())[:3]
    )
    return ",".join(pairs) or "{}"


def _brief(value: object) -> str:
    if isinstance(value, dict):
        return "{…}" if value else "{}"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    return written(value)


def shown(text: str, longest: int) -> str:
    """Cut a text from outside, and escape what would not print, line ends and colours first."""
    rest = len(text) - longest
    cut = text[:longest] + f"…(+{rest})" if rest > 0 else text
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else _escaped(char) for char in cut)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
