"""Reads TOML files, and makes structs of their tables; what does not fit is told in words.

An error names the key, what was found and what is allowed: what a field's `Meta` describes.
"""

import errno
import re
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct

from ecolyo_worker.errors import ConfigurationError, Problem
from ecolyo_worker.files import open_input, read_plain
from ecolyo_worker.section import nearest, wrong

__all__ = ["parse", "read_text", "refuse_unknown", "to_struct", "unknown"]

MOST_BYTES = 256 * 1024
"""The longest file that is read; the definitions of this package have some 10,000 bytes."""

S = TypeVar("S", bound=Struct)

# Below that, names share letters by chance: `generation` and `consent_duration` come to 0.62.
_NEAR = 0.7
_BOM = "\ufeff"
# The time that Python's reader takes for a dotted key grows with the square of its length.
_LONGEST_LINE = 4096
# What Python's reader says, and where; the place is not said where the text just ends.
_SAID = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
_STANDS_ABOVE = "the same name stands above already, as a key or as a section"
_NO_QUOTE = "a text has no quote at its end"
# How that begins, and what we say for it.
_WORDS = {
    "Invalid statement": "found what is neither a key nor a [section]",
    "Expected newline or end of document": "found more behind a value; text stands in quotes",
    "Expected '='": "a key has no = behind it",
    "Expected ']' at": "the name of a section has no ] behind it",
    "Expected ']]'": "a name behind [[ has no ]] behind it",
    "Expected": _NO_QUOTE,
    "Cannot": _STANDS_ABOVE,
    "Duplicate inline table key": _STANDS_ABOVE,
    "Invalid initial character for a key": "found no key, which is of letters, digits, - and _",
    "Unclosed array": "a list has no ] at its end",
    "Unclosed inline table": "a table { has no } at its end",
    "Unescaped": "found a single backslash in a text; write two, or quote the text by '",
    "Invalid hex value": "a backslash and u or U begin no character",
    "Escaped character": "a backslash and u or U begin no character",
    "Unterminated string": _NO_QUOTE,
    "Illegal character '\\n'": _NO_QUOTE,
    "Illegal character": "found a character that must not stand there",
    "Found invalid character": "found a character that must not stand there",
    "Invalid date": "found a date or a time that there is not",
    "Invalid value": 'found no value; text stands in quotes, as in "15min"',
}


def read_text(path: Path, *, is_plain: bool = False) -> str:
    """Give a file's text; raises `ConfigurationError` naming the file.

    With `is_plain` it must be a plain file; else what a shell gives is read, too.
    """
    try:
        content = _content(path, is_plain=is_plain)
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigurationError(Problem(message=message, file=str(path))) from None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "is not TOML: found bytes that are no UTF-8"
        raise ConfigurationError(Problem(message=message, file=str(path), line=line)) from None


def _content(path: Path, *, is_plain: bool) -> bytes:
    if is_plain:
        content = read_plain(path, MOST_BYTES + 1)
    else:
        with open_input(path) as file:
            content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise OSError(errno.EFBIG, f"it is longer than {MOST_BYTES} bytes, which is the most")
    return content


def parse(text: str, path: Path) -> dict[str, Any]:
    """Parse a file's text; raises `ConfigurationError` naming the file, line and column."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > _LONGEST_LINE:
            message = f"holds a line of {len(line)} characters; allowed: {_LONGEST_LINE}"
            raise ConfigurationError(Problem(message=message, file=str(path), line=number))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(_syntax_problem(str(error), text, path)) from None
    except RecursionError:
        message = "is not TOML: it is nested too deep"
        raise ConfigurationError(Problem(message=message, file=str(path))) from None


def _syntax_problem(said: str, text: str, path: Path) -> Problem:
    match = _SAID.fullmatch(said)
    reason = said if match is None else match[1]
    words = next((ours for theirs, ours in _WORDS.items() if reason.startswith(theirs)), reason)
    if text.startswith(_BOM):
        words = "it begins with a byte order mark; save it as UTF-8 without one"
    if match is not None and match[2]:
        line, column = int(match[2]), int(match[3])
    else:
        words = words if reason != "Invalid value" else "it ends where a value should stand"
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    return Problem(message=f"is not TOML: {words}", file=str(path), line=line, column=column)


def unknown(what: str, name: str, known: list[str], key: str | None = None) -> Problem:
    """Say that a name is not known, with the nearest one that is, or all of them."""
    near = nearest(name, known, _NEAR)
    hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
    return Problem(
        message=f"unknown {what}: {name!r}; {hint}",
        key=key,
        found=repr(name),
        allowed=", ".join(known),
        did_you_mean=near,
    )


def refuse_unknown(what: str, found: Iterable[str], known: list[str]) -> None:
    """Raise `ConfigurationError` for names that are not known, with the nearest ones that are."""
    problems = [unknown(what, name, known) for name in found if name not in known]
    if problems:
        raise ConfigurationError(*problems)


def to_struct(kind: type[S], table: object, place: str, key: str = "") -> S:
    """Make a struct of a table, and of the tables in it.

    Raises `ConfigurationError`, which begins with the place and goes on with the key.
    """
    if not isinstance(table, dict):
        raise wrong(f"{place}: {key}" if key else place, table, "a table")
    fields = _fields(kind)
    try:
        refuse_unknown(f"key of {key}" if key else "key", table, [field.name for field in fields])
    except ConfigurationError as error:
        raise error.within(place) from None
    values = {}
    for field in fields:
        name = f"{key}.{field.name}" if key else field.name
        if field.name in table:
            values[field.name] = _read(field.type, table[field.name], place, name)
        elif field.required:
            raise ConfigurationError(f"{place}: {name} is missing; allowed: {_words(field.type)}")
    return kind(**values)


_fields = lru_cache(msgspec.structs.fields)  # a file has many tables of the same few kinds


def _read(kind: Any, value: object, place: str, key: str) -> object:  # noqa: ANN401  a type
    inner = next((one for one in get_args(kind) if _is_struct(one)), None)
    if inner is not None:
        return to_struct(inner, value, place, key)
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        raise wrong(f"{place}: {key}", value, _words(kind)) from None


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _words(kind: Any) -> str:  # noqa: ANN401  a type
    """Say what a field takes: what its type describes."""
    metas = [m for one in (kind, *get_args(kind)) for m in getattr(one, "__metadata__", ())]
    return next((meta.description for meta in metas if meta.description), "a table")
