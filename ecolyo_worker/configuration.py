"""Reads the settings: a TOML file, the environment over it (`ECOLYO_DACC__RATE=3`), and options.

Durations are text with a unit in the file (`"15min"`) and `timedelta` in Python. All that is wrong
is found at once, and each of it is told with the place where it stands.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct

from ecolyo_worker.errors import ConfigurationError, Problem
from ecolyo_worker.positions import Positions
from ecolyo_worker.section import Section, misfit, nearest, said, wrong
from ecolyo_worker.settings import Settings
from ecolyo_worker.tables import parse, read_text, unknown

__all__ = [
    "DEFAULT",
    "SECTIONS",
    "Origin",
    "Reading",
    "duration_text",
    "in_order",
    "load",
    "parse_duration",
    "read",
]

# Variables of ours that are no settings.
_OTHER_VARIABLES = {"ECOLYO_CONFIG", "ECOLYO_CRASH_AT"}
_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)", re.ASCII)
# Names under which people write a secret itself.
_SECRET = re.compile(r"(?:.*_)?(?:token|secret|password|passwd|bearer|api_?key)", re.IGNORECASE)

_HELD = {
    field.name: field.type
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.type, type) and issubclass(field.type, Section)
}

SECTIONS: dict[str, type[Section]] = {"worker": Settings, **_HELD}
"""The file's tables: `worker` is what `Settings` holds beside its sections."""


class Origin(Struct, frozen=True):
    """Where the value of a setting comes from; without any of these it is the default."""

    file: str | None = None
    line: int | None = None
    variable: str | None = None
    option: str | None = None
    """The option of the command line."""

    def __str__(self) -> str:
        """Name it as a person would look for it."""
        if self.file is not None:
            return self.file if self.line is None else f"{self.file}:{self.line}"
        if self.variable is not None:
            return f"${self.variable}"
        return self.option or "default"


DEFAULT = Origin()


class Reading(Struct, frozen=True):
    """What was read: the settings, what is wrong, and where each value in force comes from."""

    settings: Settings
    """What is wrong is at its default in them."""
    problems: tuple[Problem, ...]
    origins: dict[str, Origin]
    """By key, as `dacc.rate`, of those that are given."""
    wrong: frozenset[str]
    """The keys whose value in force is wrong."""

    def origin(self, key: str) -> Origin:
        """Give where the value of a key comes from."""
        return self.origins.get(key, DEFAULT)

    @property
    def is_lost(self) -> bool:
        """Whether the state directory that is meant is unknown, for all that is wrong."""
        is_unread = any(problem.key is None and problem.file for problem in self.problems)
        key = "worker.state_dir"
        return key in self.wrong or (is_unread and key not in self.origins)

    def placed(self, problem: Problem) -> Problem:
        """Give a problem with the place of its key, or of one that it rests on."""
        return _placed(problem, self.origins)


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Settings:
    """Read the settings from a TOML file, if one is named, and the environment over it.

    `options` are keys with values that win over both. Raises `ConfigurationError` with all that is
    wrong: each key, where it stands, what was found and what is allowed.
    """
    reading = read(path, environ, options)
    if reading.problems:
        raise ConfigurationError(*reading.problems)
    return reading.settings


def read(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Reading:
    """Read the settings as `load` does, and tell what is wrong instead of raising it."""
    reader = _Reader()
    if path is not None:
        reader.take_file(path)
    reader.take_environment(os.environ if environ is None else environ)
    for key, value in (options or {}).items():
        section, _, name = key.partition(".")
        words = name if section == "worker" else f"{section}-{name}"
        reader.take(section, name, value, Origin(option=f"--{words.replace('_', '-')}"))
    return reader.finish()


class _Reader:
    """Gathers values, the later ones over the earlier, and what is wrong with any of them."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._values: dict[str, object] = {}
        self._origins: dict[str, Origin] = {}
        self._wrong: set[str] = set()
        """The keys whose value in force is wrong, so that nothing more is said of them."""

    def take_file(self, path: Path) -> None:
        try:
            text = read_text(path)
            tables = parse(text, path)
        except ConfigurationError as error:
            self._problems += error.problems
            return
        positions = Positions(text)
        for name, table in tables.items():
            place = Origin(str(path), positions.line(name))
            if not isinstance(table, dict):
                self._refuse(_no_table(name, table), place)
            elif self._knows_section(name, place):
                for key, value in table.items():
                    self.take(name, key, value, Origin(str(path), positions.line(name, key)))

    def take_environment(self, environ: Mapping[str, str]) -> None:
        for name, text in environ.items():
            if not name.startswith("ECOLYO_") or name in _OTHER_VARIABLES:
                continue
            section, marked, key = name.removeprefix("ECOLYO_").lower().partition("__")
            place = Origin(variable=name)
            if not marked:
                self._problems.append(_no_setting(name, section))
            elif self._knows_section(section, place):
                self.take(section, key, text, place)

    def take(self, section: str, key: str, value: object, origin: Origin) -> None:
        """Take a value of a known section."""
        name, fields = f"{section}.{key}", _fields(SECTIONS[section])
        if key not in fields:
            self._refuse(_unknown_key(section, key, value, list(fields)), origin)
            return
        self._origins[name] = origin
        self._wrong.discard(name)
        self._values.pop(name, None)
        try:
            self._values[name] = _checked(SECTIONS[section], key, value, fields[key])
        except ConfigurationError as error:
            self._wrong.add(name)
            self._refuse(error.problems[0], origin)

    def finish(self) -> Reading:
        """Check what no value says alone, and give the settings without what is wrong."""
        settings = self._settled()
        problems = in_order(self._problems)
        return Reading(settings, problems, self._origins, frozenset(self._wrong))

    def _settled(self) -> Settings:
        while True:
            try:
                return _made(self._values)
            except ConfigurationError as error:
                self._set_aside(error.problems)

    def _set_aside(self, problems: tuple[Problem, ...]) -> None:
        """Note problems, and take the values away that they are of.

        A problem that rests on a value that is wrong itself may be none once that is put right.
        """
        involved: set[str] = set()
        for problem in problems:
            keys = {problem.key or "", *problem.rests_on}
            involved |= keys
            if not keys & self._wrong:
                self._problems.append(_placed(problem, self._origins))
        self._wrong |= involved
        self._values = {key: kept for key, kept in self._values.items() if key not in involved}

    def _knows_section(self, name: str, place: Origin) -> bool:
        if name not in SECTIONS:
            self._refuse(unknown("section", name, list(SECTIONS), name), place)
        return name in SECTIONS

    def _refuse(self, problem: Problem, place: Origin) -> None:
        self._problems.append(_at(problem, place))


def _at(problem: Problem, origin: Origin) -> Problem:
    return msgspec.structs.replace(
        problem, file=origin.file, line=origin.line, variable=origin.variable
    )


def _placed(problem: Problem, origins: Mapping[str, Origin]) -> Problem:
    keys = [key for key in (problem.key or "", *problem.rests_on) if key in origins]
    return _at(problem, origins[keys[0]]) if keys else problem


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Give a file's problems in the order of its lines, and the others behind them."""
    return tuple(sorted(problems, key=lambda one: (one.file is None, one.line or 0)))


def _made(values: Mapping[str, object]) -> Settings:
    """Make the settings of values by key; raises `ConfigurationError`."""
    own: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, value in values.items():
        section, _, name = key.partition(".")
        own[section][name] = value
    sections: dict[str, Any] = {name: kind(**own[name]) for name, kind in _HELD.items()}
    return Settings(**own["worker"], **sections)


def _no_setting(variable: str, name: str) -> Problem:
    """Say how a variable is written whose name has no double underscore."""
    known = {
        f"{section}_{key}": f"ECOLYO_{section}__{key}".upper()
        for section, kind in SECTIONS.items()
        for key in _fields(kind)
    }
    near = nearest(name, known)
    example = known[near] if near else "ECOLYO_DACC__RATE"
    return Problem(
        message="is no setting; two underscores stand behind the section, as in " + example,
        allowed="two underscores behind the section",
        did_you_mean=example if near else None,
        variable=variable,
    )


def _no_table(name: str, found: object) -> Problem:
    """Say what is wrong with a key that stands outside of every section, or is one."""
    if name in SECTIONS:
        what = "a list" if isinstance(found, list) else repr(found)
        return said(name, what, f"a table: write [{name}] and its keys below")
    places = [section for section, kind in SECTIONS.items() if name in _fields(kind)]
    known = ", ".join(SECTIONS)
    words = f"write it below [{places[0]}]" if places else f"known: {known}"
    return Problem(
        message=f"{name}: found a key outside of every section; {words}",
        key=name,
        found="a key outside of every section",
        allowed=known,
        did_you_mean=f"{places[0]}.{name}" if places else None,
    )


def _unknown_key(section: str, key: str, value: object, known: list[str]) -> Problem:
    if isinstance(value, str) and _SECRET.fullmatch(key):
        files = [name for name in (f"{key}_file", "token_file") if name in known]
        file = f"{section}.{files[0]}" if files else "dacc.token_file"
        allowed = f"a file of its own that holds it, named by {file}"
        problem = said(f"{section}.{key}", "what seems to be a secret itself", allowed)
        return msgspec.structs.replace(problem, did_you_mean=file)
    return unknown(f"key of [{section}]", key, known, f"{section}.{key}")


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `"0.2s"`, `"15min"` or `"1h"`; raises `ValueError`."""
    match = _DURATION.fullmatch(text.strip())
    if match is not None:
        with contextlib.suppress(OverflowError):
            return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    message = 'a number and a unit of ms, s, min, h or d, such as "15min"'
    raise ValueError(message)


def duration_text(duration: timedelta) -> str:
    """Write a duration as `parse_duration` reads it: a whole number of the largest unit it has."""
    micros = duration // timedelta(microseconds=1)
    for unit in ("d", "h", "min", "s"):
        length = round(_UNITS[unit] * 1_000_000)
        if micros and micros % length == 0:
            return f"{micros // length}{unit}"
    millis, rest = divmod(micros, 1000)
    return f"{millis}.{rest:03}ms" if rest else f"{millis}ms" if millis else "0s"


def _fields(section: type[Section]) -> dict[str, Any]:
    """Give the types of a section's own keys; the sections that `Settings` holds are none."""
    fields = msgspec.structs.fields(section)
    return {field.name: field.type for field in fields if field.name not in _HELD}


def _checked(section: type[Section], key: str, value: object, kind: Any) -> object:  # noqa: ANN401
    """Give what the field holds for what TOML, the environment or an option said."""
    found = _converted(section, key, value, kind)
    problem = section.problem_of(key, found)
    if problem is not None and isinstance(found, timedelta):  # it is told as it was written
        problem = misfit(section.key(key), value, problem.allowed or "")
    if problem is not None:
        raise ConfigurationError(problem)
    return found


def _converted(section: type[Section], key: str, value: object, kind: Any) -> object:  # noqa: ANN401
    types = [get_args(kind)[0], *get_args(get_args(kind)[0])]
    if timedelta in types:
        if not isinstance(value, str):
            raise wrong(section.key(key), value, 'text with a unit, such as "15min"')
        try:
            return parse_duration(value)
        except ValueError as error:
            raise wrong(section.key(key), value, str(error)) from None
    if Path in types and isinstance(value, str):
        if not value or "\0" in value:
            raise wrong(section.key(key), value, "a path")
        try:
            return Path(value).expanduser()
        except RuntimeError:
            raise wrong(section.key(key), value, "a path; there is no such user behind ~") from None
    if isinstance(value, str) and not {str, Literal} & {getattr(t, "__origin__", t) for t in types}:
        # The environment has text only: "3" is a number where a number is wanted.
        return _number_or_switch(value)
    return value


def _number_or_switch(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
