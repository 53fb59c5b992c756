"""On which line of a TOML text each key stands, which Python's own reader does not tell.

It only reads texts that this reader has taken already, so that it need not doubt their form.
"""

import re
import tomllib
from contextlib import suppress

__all__ = ["Positions"]

_Path = tuple[str | int, ...]

_BLANKS = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# The last three of up to five quotes are those that close.
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]*")


class Positions:
    """The lines of a text's keys, counted from 1."""

    def __init__(self, text: str) -> None:
        """`text` is valid TOML."""
        scanner = _Scanner(text)
        with suppress(RecursionError):  # it knows the lines up to there
            scanner.scan()
        self._lines = scanner.lines

    def line(self, *path: str | int) -> int | None:
        """Give the line of a key, or of the nearest table around it that has one.

        A path is the names from the outside in; the tables of an array are numbered from 0. A key
        of which nothing is known, nor of what is around it, has none.
        """
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return self._lines[path[:end]]
        return None


class _Scanner:
    """Goes through a text once, and notes where each key begins."""

    def __init__(self, text: str) -> None:
        self.lines: dict[_Path, int] = {}
        self._text = text
        self._at = 0
        self._line = 1
        self._tables: dict[_Path, int] = {}
        """How many tables each array of them has so far."""

    def scan(self) -> None:
        table: _Path = ()
        while self._skip(_BETWEEN) and self._at < len(self._text):
            if self._next() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> _Path:
        """Read `[a.b]` or `[[a.b]]`, and give the table that the keys below it are in."""
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        *around, name = self._key()
        self._at += 2 if is_array else 1
        path: _Path = ()
        for part in around:
            path = self._latest((*path, part))
        path = (*path, name)
        self._note(path)
        if not is_array:
            return self._latest(path)
        self._tables[path] = self._tables.get(path, 0) + 1
        self._note(self._latest(path))
        return self._latest(path)

    def _latest(self, path: _Path) -> _Path:
        """Give the last table of an array of tables, or the path as it is."""
        self._note(path)
        return (*path, self._tables[path] - 1) if path in self._tables else path

    def _pair(self, table: _Path) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path)
        self._at += 1  # the equals sign
        self._skip(_BLANKS)
        self._value(path)

    def _key(self) -> list[str]:
        """Read a dotted key, and the blanks behind it."""
        parts = []
        while True:
            self._skip(_BLANKS)
            is_quoted = self._next() in "\"'"
            raw = self._take(_STRING if is_quoted else _BARE)
            parts.append(tomllib.loads(f"text = {raw}")["text"] if is_quoted else raw)
            self._skip(_BLANKS)
            if self._next() != ".":
                return parts
            self._at += 1

    def _value(self, path: _Path) -> None:
        match self._next():
            case '"' | "'":
                self._take(_STRING)
            case "[":
                self._items(path, "]")
            case "{":
                self._items(path, "}")
            case _:
                self._take(_SCALAR)

    def _items(self, path: _Path, end: str) -> None:
        """Read an array or an inline table, whose keys have lines of their own."""
        self._at += 1
        count = 0
        while self._skip(_BETWEEN) and self._next() not in (end, ""):
            if end == "}":
                self._pair(path)
            else:
                self._note((*path, count))
                self._value((*path, count))
            count += 1
            self._skip(_BETWEEN)
            if self._next() == ",":
                self._at += 1
        self._at += 1

    def _note(self, path: _Path) -> None:
        self.lines.setdefault(path, self._line)

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        self._take(pattern)
        return True

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        taken = match[0] if match else ""
        self._at += len(taken)
        self._line += taken.count("\n")
        return taken
