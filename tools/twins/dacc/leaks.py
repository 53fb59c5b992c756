"""The eye for leaks: what in a request might tell who a person is.

An indicator is anonymous, so nothing that names a person, a meter or a Cozy belongs in it, nor in
the headers beside it.

============================  ==================================================================
a number of 14 digits         a delivery point (PRM, PCE)
an e-mail address             a person
a UUID, 32 hex digits         an account, a document, a device, a hash of any of them
a domain name                 somebody's Cozy
============================  ==================================================================

``Host`` and ``Authorization`` are not looked at: a person's own stack has an address and tokens of
its own. Nor are media types, which look like domain names. A domain name is told by its form alone,
for to miss one is worse than to mark ``gas.analysis``; ``M.Dupont`` and ``1.0.dev`` have another.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..exchange import Request
    from .exchange import Ruling
    from .indicator import JsonObject

__all__ = ["Leak", "leaks_of"]

MOST_LEAKS = 10
LONGEST_SHOWN = 100
LONGEST_PLACE = 300
_NOT_LOOKED_AT = ("host", "authorization")

_WHAT: Mapping[str, str] = {
    "mail": "an e-mail address",
    "uuid": "a UUID",
    "hex": "32 hex digits",
    "point": "a number of 14 digits",
    "domain": "a domain name",
}
# Each begins where nothing of its own kind stands before it, or is short, so that a long text is
# read once.
_PATTERN = re.compile(
    r"""
      (?P<mail> (?<![\w.+%'-]) [\w.+%'-]++ @ [\w-]++ (?: \. [\w-]++ )+ )
    | (?P<uuid> [0-9a-f]{8} (?: -[0-9a-f]{4} ){3} -[0-9a-f]{12} )
    | (?P<hex> (?<![0-9a-f]) (?: [0-9]{32} (?![0-9a-f]) | (?= [0-9]*+ [a-f] ) [0-9a-f]{32,} ) )
    | (?P<point> (?<![0-9]) (?<!\b0\.) [0-9]{14} (?![0-9]) )
    | (?<![\w.-]) \.*+ (?P<domain>
        [\w.-]* [\w-] (?<![\w-]{64}) \.+ (?: [^\W\d_]{2,63} | xn--[\w-]{1,59} ) (?![\w-]) )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Every leak has one of these, or is escaped; an indicator's text without them, as most are, need
# not be taken apart, which takes time.
_SIGNS = ("@", ".", "\\")
_RUN = re.compile(r"[0-9a-fA-F]{8}(?:-|[0-9a-fA-F]{6})")
_MEDIA_TYPE = re.compile(r"(?<![\w.*+-])[\w.*+-]++/[\w.*+-]+")


class Leak(NamedTuple):
    """What was found, the text itself (cut if it is long), and where."""

    what: str
    found: str
    where: str

    def __str__(self) -> str:
        return f"{self.what} in {self.where} ({self.found})"


def leaks_of(request: Request, ruling: Ruling) -> tuple[Leak, ...]:
    """Give the leaks of a request, those of its indicator first, ten at most."""
    found: list[Leak] = []
    for leak in _all_leaks(request, ruling):
        if leak not in found:
            found.append(leak)
        if len(found) == MOST_LEAKS:
            break
    return tuple(found)


def _all_leaks(request: Request, ruling: Ruling) -> Iterator[Leak]:
    if ruling.indicator is None:
        yield from _leaks_in(request.body.decode("utf-8", "backslashreplace"), "the body")
    elif ruling.text is None or _is_suspicious(ruling.text):
        yield from _leaks_in_json(ruling.indicator, "")
    if ruling.beside is not None:
        yield from _leaks_in_json(ruling.beside, "the envelope's ")
    for name, value in request.headers.items():
        if name not in _NOT_LOOKED_AT:
            yield from _leaks_in_header(name, value)


def _is_suspicious(text: str) -> bool:
    return any(sign in text for sign in _SIGNS) or _RUN.search(text) is not None


def _leaks_in_header(name: str, value: str) -> tuple[Leak, ...]:
    if len(name) + len(value) <= LONGEST_SHOWN:  # These come again and again, and are few.
        return _leaks_in_short_header(name, value)
    return _leaks_in_any_header(name, value)


@lru_cache(maxsize=256)
def _leaks_in_short_header(name: str, value: str) -> tuple[Leak, ...]:
    return _leaks_in_any_header(name, value)


def _leaks_in_any_header(name: str, value: str) -> tuple[Leak, ...]:
    bare = _MEDIA_TYPE.sub("", value) if name in ("accept", "content-type") else value
    where = f"the header {_cut(name)}"
    return (*_leaks_in(name, "the name of a header"), *_leaks_in(bare, where))


def _leaks_in_json(content: JsonObject, place: str) -> Iterator[Leak]:
    """Look at all keys and values, however deep, without recursion."""
    waiting: list[tuple[str, object]] = [(place, content)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, dict):
            for key in value:
                yield from _leaks_in(key, f"the name of {_under(where, key)}")
            below = [(_under(where, key), inner) for key, inner in value.items()]
            waiting += reversed(below)
        elif isinstance(value, list):
            waiting += [(where, inner) for inner in reversed(value)]
        else:
            yield from _leaks_in(_text(value), where)


def _under(where: str, key: str) -> str:
    shown = _cut(key)
    dot = "." if where and not where.endswith(" ") else ""
    return f"{where}{dot}{shown}"[-LONGEST_PLACE:]


def _text(value: object) -> str:
    # The digits behind a number's point are no number of their own.
    if isinstance(value, float):
        return str(math.trunc(value)) if math.isfinite(value) else ""
    return str(value) if isinstance(value, int | str) else ""


def _leaks_in(text: str, where: str) -> Iterator[Leak]:
    match = _PATTERN.search(text)
    while match is not None:
        kind = match.lastgroup or ""
        if kind != "domain" or _is_domain(match[kind]):
            yield Leak(_WHAT[kind], _cut(match[kind]), where)
            match = _PATTERN.search(text, match.end())
        else:  # Within it there may be something else.
            match = _PATTERN.search(text, match.start() + 1)


def _is_domain(text: str) -> bool:
    """Tell a domain name from a version such as 1.0.dev, and from M.Dupont."""
    *labels, last = (label for label in text.split(".") if label)
    is_name = len(labels) == 1 and last.istitle()
    return not is_name and not all(label.isdigit() for label in labels)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
