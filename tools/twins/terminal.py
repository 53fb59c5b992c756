"""What stand-ins print: one line for each request, safe to look at in a terminal."""

from __future__ import annotations

import os
import queue
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Terminal", "shown"]

MOST_WAITING = 50_000
CLOSING_S = 1.0
_Shown = TypeVar("_Shown")


class Terminal(Generic[_Shown]):
    """Writes lines to a file descriptor, from a thread of its own.

    So a reader that is slow, or has stopped reading, never holds up an answer: beyond
    ``MOST_WAITING`` lines the new ones are left out, and their number is printed.
    """

    def __init__(self, fd: int, form: Callable[[_Shown], str]) -> None:
        self._fd = fd
        self._form = form
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out = 0
        self._unread = False
        self._thread = threading.Thread(target=self._write_all, name="terminal", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Terminal waiting={self._waiting.qsize()} left_out={self._left_out}>"

    def show(self, handled: _Shown) -> None:
        """Have a line written, soon; nothing is kept once the reader is gone."""
        if self._unread:
            return
        if self._waiting.qsize() < MOST_WAITING:
            # As text already, for a body that is held here would not be let go.
            self.say(self._form(handled))
        else:
            self._left_out += 1

    def say(self, text: str) -> None:
        """Have a text written in the same manner, whatever is waiting."""
        self._waiting.put(text + "\n")

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


def shown(text: str, longest: int) -> str:
    """Cut a text from outside, and escape what would not print, line ends and colours first."""
    rest = len(text) - longest
    cut = text[:longest] + f"…(+{rest})" if rest > 0 else text
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else _escaped(char) for char in cut)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
