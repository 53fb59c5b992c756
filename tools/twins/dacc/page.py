"""The page at ``/``: one file, filled in with what is there already, for who has no JavaScript."""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..exchange import Answer
from .cells import THRESHOLD
from .views import row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .indicator import JsonObject
    from .received import Received

__all__ = ["Page"]

FILE = Path(__file__).parents[2] / "dacc_echo.html"
MOST_ROWS = 500
MOST_SHOWN = 300
# Such a text is not broken into lines.
SHORT = 32
_SHORT = ' class="short"'
_SLOT = re.compile(r"<!--\[(?P<name>[a-z]+)\]-->")
_INLINE = re.compile(r"<(?P<kind>script|style)>(?P<content>.*?)</(?P=kind)>", re.DOTALL)


class Page:
    """Serves the page; whatever comes from outside is escaped in it.

    Its content security policy lets it load nothing but what stands in the file itself.
    """

    def __init__(self, received: Received, label: str, state: Callable[[], JsonObject]) -> None:
        self._received = received
        self._label = label
        self._state = state
        self._template = FILE.read_text(encoding="utf-8")
        self._headers = (
            ("Content-Security-Policy", _policy(self._template)),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        )

    def answers(self, method: str, path: str) -> bool:
        """Say whether a request asks for the page; other methods at its path are the DACC's."""
        return path == "/" and method in ("GET", "HEAD")

    def answer(self) -> Answer:
        """Give the page as it is now."""
        slots = {
            "title": escape(f"{self._label} · DACC echo" if self._label else "DACC echo"),
            "label": escape(self._label),
            "counts": _counts(self._state()),
            "requests": self._requests(),
            "cells": self._cells(),
        }
        html = _SLOT.sub(lambda match: slots[match["name"]], self._template)
        body = html.encode("utf-8", "backslashreplace")
        return Answer(200, body, "text/html; charset=utf-8", self._headers)

    def _requests(self) -> str:
        latest = reversed(self._received.requests()[-MOST_ROWS:])
        return "\n".join(_line(row(record)) for record in latest)

    def _cells(self) -> str:
        return "\n".join(_cell(cell) for cell in self._received.cells()[:MOST_ROWS])


def _counts(state: JsonObject) -> str:
    counts = state["counts"]
    assert isinstance(counts, dict)
    told = ("received", "duplicates", "refused", "invalid", "leaks", "unknown", "dropped")
    return escape(" · ".join(f"{name} {counts[name]}" for name in told))


def _line(shown: JsonObject) -> str:
    groups = shown["groups"]
    assert isinstance(groups, tuple)
    time = str(shown["time"])[11:19]
    names = ("measure", "date", "value", "stack", "target", "verdict")
    said = [str(shown[name]) for name in names]
    return _table_row([str(shown["seq"]), time, *said[:3], " ".join(groups), *said[3:]])


def _cell(cell: JsonObject) -> str:
    groups = cell["groups"]
    assert isinstance(groups, list)
    shown = ", ".join(f"{key}={value}" for group in groups for key, value in group.items())
    visible = "yes" if cell["shown"] else f"no, below {THRESHOLD}"
    state = "stopped by a NaN" if cell["stopped"] else visible
    numbers = (cell["count"], cell["sum"], cell["average"])
    texts = [str(cell["measure"]), str(cell["startDate"]), shown, *map(str, numbers), state]
    return _table_row(texts)


def _table_row(texts: Iterable[str]) -> str:
    cells = (
        f"<td{'' if len(text) > SHORT else _SHORT}>{escape(text[:MOST_SHOWN])}</td>"
        for text in texts
    )
    return f"<tr>{''.join(cells)}</tr>"


def _policy(template: str) -> str:
    """Allow the scripts and styles of the file by their hashes, and nothing else."""
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for match in _INLINE.finditer(template):
        digest = hashlib.sha256(match["content"].encode()).digest()
        allowed[match["kind"]].append(f"'sha256-{base64.b64encode(digest).decode()}'")
    return (
        f"default-src 'none'; script-src {' '.join(allowed['script'])}; "
        f"style-src {' '.join(allowed['style'])}; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
