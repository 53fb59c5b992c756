"""Reads TOML files, and makes structs of their tables; what does not fit is told in words.

An error names the key, what was found and what is allowed: what a field's `Meta` describes.
"""

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.section import wrong

__all__ = ["parse", "read_text", "refuse_unknown", "to_struct"]

S = TypeVar("S", bound=Struct)


def read_text(path: Path) -> str:
    """Give a file's text; raises `ConfigurationError` naming the file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


def parse(text: str, path: Path) -> dict[str, Any]:
    """Parse a file's text; raises `ConfigurationError` naming the file, line and column."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None


def refuse_unknown(what: str, found: Iterable[str], known: list[str]) -> None:
    """Raise `ConfigurationError` for a name that is not known, with the nearest one that is."""
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ConfigurationError(f"unknown {what}: {name!r}{hint}")


def to_struct(kind: type[S], table: object, place: str, key: str = "") -> S:
    """Make a struct of a table, and of the tables in it.

    Raises `ConfigurationError`, which begins with the place and goes on with the key.
    """
    if not isinstance(table, dict):
        raise wrong(f"{place}: {key}" if key else place, table, "a table")
    fields = msgspec.structs.fields(kind)
    try:
        refuse_unknown(f"key of {key}" if key else "key", table, [field.name for field in fields])
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from None
    values = {}
    for field in fields:
        name = f"{key}.{field.name}" if key else field.name
        if field.name in table:
            values[field.name] = _read(field.type, table[field.name], place, name)
        elif field.required:
            raise ConfigurationError(f"{place}: {name} is missing; allowed: {_words(field.type)}")
    return kind(**values)


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
