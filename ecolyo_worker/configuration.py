"""Reads the settings: a TOML file, and the environment over it (`ECOLYO_DACC__RATE=3`).

Durations are text with a unit in the file (`"15min"`) and `timedelta` in Python.
"""

import contextlib
import difflib
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.section import Section, wrong
from ecolyo_worker.settings import Settings
from ecolyo_worker.tables import parse, read_text, refuse_unknown

__all__ = ["load", "parse_duration"]

# Variables of ours that are no settings.
_OTHER_VARIABLES = {"ECOLYO_CONFIG", "ECOLYO_CRASH_AT"}
_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)", re.ASCII)
S = TypeVar("S", bound=Section)

_SECTIONS = {
    field.name: field.type
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.type, type) and issubclass(field.type, Section)
}

# The file's tables: `worker` is what `Settings` holds beside its sections.
_TABLES: dict[str, type[Section]] = {"worker": Settings, **_SECTIONS}


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from a TOML file, if one is named, and the environment over it.

    Raises `ConfigurationError` naming the key, what was found and what is allowed.
    """
    tables = _read_file(path) if path is not None else {}
    try:
        _settings(tables)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (in {path})") from None
    for name, text in (os.environ if environ is None else environ).items():
        if name.startswith("ECOLYO_") and name not in _OTHER_VARIABLES:
            section, marked, key = name.removeprefix("ECOLYO_").lower().partition("__")
            if not marked:
                raise ConfigurationError(f"{name}: {_hint(section)}")
            tables.setdefault(section, {})[key] = text
    try:
        return _settings(tables)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (in the environment, as ECOLYO_…)") from None


def _hint(name: str) -> str:
    """Say how a variable is written whose name has no double underscore."""
    known = {
        f"{section}_{key}": f"ECOLYO_{section}__{key}".upper()
        for section, kind in _TABLES.items()
        for key in _fields(kind)
    }
    near = difflib.get_close_matches(name, known, n=1)
    example = known[near[0]] if near else "ECOLYO_DACC__RATE"
    return f"is no setting; two underscores stand behind the section, as in {example}"


def _settings(tables: Mapping[str, Mapping[str, Any]]) -> Settings:
    refuse_unknown("section", tables, list(_TABLES))
    sections = {name: _section(_SECTIONS[name], tables.get(name, {})) for name in _SECTIONS}
    return _section(Settings, tables.get("worker", {}), sections)


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `"0.2s"`, `"15min"` or `"1h"`; raises `ValueError`."""
    match = _DURATION.fullmatch(text.strip())
    if match is not None:
        with contextlib.suppress(OverflowError):
            return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    message = 'a number and a unit of ms, s, min, h or d, such as "15min"'
    raise ValueError(message)


def _read_file(path: Path) -> dict[str, dict[str, Any]]:
    tables = parse(read_text(path), path)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise _no_table(name, table, path)
    return tables


def _no_table(name: str, found: object, path: Path) -> ConfigurationError:
    """Say what is wrong with a key that stands outside of every section, or is one."""
    if name in _TABLES:
        return wrong(name, found, f"a table: write [{name}] and its keys below (in {path})")
    places = [section for section, kind in _TABLES.items() if name in _fields(kind)]
    words = f"write it below [{places[0]}]" if places else f"known: {', '.join(_TABLES)}"
    return ConfigurationError(f"{name}: found a key outside of every section; {words} (in {path})")


def _fields(section: type[Section]) -> dict[str, Any]:
    """Give the types of a section's own keys; the sections that `Settings` holds are none."""
    fields = msgspec.structs.fields(section)
    return {field.name: field.type for field in fields if field.name not in _SECTIONS}


def _section(
    section: type[S], table: Mapping[str, Any], given: Mapping[str, Section] | None = None
) -> S:
    fields = _fields(section)
    refuse_unknown(f"key of [{section.section or 'worker'}]", table, list(fields))
    values = {key: _read(section, key, value, fields[key]) for key, value in table.items()}
    return section(**values, **(given or {}))


def _read(section: type[Section], key: str, value: object, kind: Any) -> object:  # noqa: ANN401
    """Turn what TOML or the environment can say into what the field holds."""
    types = [get_args(kind)[0], *get_args(get_args(kind)[0])]
    if timedelta in types:
        if not isinstance(value, str):
            raise wrong(section.key(key), value, 'text with a unit, such as "15min"')
        try:
            return parse_duration(value)
        except ValueError as error:
            raise wrong(section.key(key), value, str(error)) from None
    if Path in types and isinstance(value, str):
        if not value:
            raise wrong(section.key(key), value, "a path")
        return Path(value).expanduser()
    if isinstance(value, str) and not {str, Literal} & {getattr(t, "__origin__", t) for t in types}:
        # The environment has text only: "3" is a number where a number is wanted.
        return _number_or_switch(value)
    return value


def _number_or_switch(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
