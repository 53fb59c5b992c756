"""The settings: frozen structs with a unit, a default, a range and a doc line for every field.

A TOML file, then the environment (`ECOLYO_DACC__RATE=3`), then what the code passes. Durations are
text with a unit in the file (`"15min"`) and `timedelta` in Python. Every value is checked when a
struct is made, by whichever way; what is wrong raises `ConfigurationError`.
"""

import contextlib
import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from ecolyo_worker.clock import parse_day
from ecolyo_worker.errors import ConfigurationError

__all__ = [
    "INSTANCE",
    "Aggregation",
    "Dacc",
    "Http",
    "Intake",
    "Retention",
    "Settings",
    "is_loopback",
    "load",
    "parse_duration",
]

_NIGHTLY = "0 1 * * *"
_DOCTYPE = re.compile(r"[a-z][a-z0-9_.]{0,99}", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)", re.ASCII)
# What stands in an address for a person's instance while it is checked without one.
_EXAMPLE = "instance.invalid"
INSTANCE = "{instance}"
"""What stands in an address or a path for each person's instance."""

S = TypeVar("S", bound="_Section")


def _seconds(doc: str, least: float, most: float) -> Meta:
    return Meta(description=doc, extra={"least": least, "most": most})


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; checks each of its values whenever one is made."""

    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if not _fits(value, field.type):
                raise _wrong(self.key(field.name), value, _allowed(field.type))
            _check_duration(self.key(field.name), value, field.type)
        self._check()

    def _check(self) -> None:
        """Check what one field's type cannot say."""

    @classmethod
    def key(cls, name: str) -> str:
        """Name a field as the file and errors do."""
        return f"{cls.section}.{name}" if cls.section else f"worker.{name}"


class Intake(_Section, frozen=True):
    """How usage events come in."""

    section = "intake"

    event_clock: Annotated[
        Literal["wall", "utc"],
        Meta(description="Whether a `Z` behind an event's date is the wall clock's or true UTC."),
    ] = "wall"
    max_waiting: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Events that may wait for their commit; beyond it callers are refused.",
        ),
    ] = 10_000


class Aggregation(_Section, frozen=True):
    """How events become indicators."""

    section = "aggregation"

    schedule: Annotated[
        str,
        Meta(
            max_length=200,
            description="When the nightly run begins: a cron expression, in the zone. It runs once"
            " a civil day.",
        ),
    ] = _NIGHTLY
    max_age_days: Annotated[
        int, Meta(ge=1, le=366, description="Days after which an uncounted day is expired.")
    ] = 31
    not_before: Annotated[
        str | None, Meta(description="Days before this one (YYYY-MM-DD) count as done.")
    ] = None
    consent_version: Annotated[
        str,
        Meta(
            pattern=r"^[0-9]+(\.[0-9]+)*\Z",
            max_length=100,
            description="The least version of the terms that suffices.",
        ),
    ] = "1.0.0"
    measures_file: Annotated[
        Path | None, Meta(description="Definitions to use instead of the package's own.")
    ] = None

    def _check(self) -> None:
        if self.schedule != _NIGHTLY and not _is_cron(self.schedule):
            raise _wrong(
                "aggregation.schedule",
                self.schedule,
                "a cron expression of five fields (minute hour day month weekday), as 0 1 * * *",
            )
        if self.not_before is not None:
            try:
                parse_day(self.not_before)
            except ValueError as error:
                raise _wrong("aggregation.not_before", self.not_before, str(error)) from None


class Dacc(_Section, frozen=True):
    """Where indicators are sent, and how."""

    section = "dacc"

    target: Annotated[
        Literal["native", "cozy-v1", "cozy-v2"],
        Meta(description="The wire form: the DACC itself, or each person's stack in front of it."),
    ] = "native"
    url: Annotated[
        str | None,
        Meta(
            description="The DACC's address, or with a Cozy target a stack's, in which {instance}"
            " stands for each person's; without one, indicators wait."
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Meta(
            description="A file that holds the token, read anew when it changes; with a Cozy target"
            " {instance} may stand in it."
        ),
    ] = None
    doctype: Annotated[
        str | None,
        Meta(description="The doctype that a Cozy target posts to; default: the target's own."),
    ] = None
    spread: Annotated[
        timedelta,
        _seconds("The rows of a nightly run are due after a random delay up to this.", 0, 86400),
    ] = timedelta(minutes=30)
    allow_http: Annotated[
        bool, Meta(description="Allow plain http to a host that is not this machine.")
    ] = False
    rate: Annotated[
        float, Meta(gt=0, le=10_000, description="Attempts started per second, evenly spaced.")
    ] = 5.0
    concurrency: Annotated[
        int, Meta(ge=1, le=64, description="Attempts under way at once (lanes).")
    ] = 4
    attempt_timeout: Annotated[
        timedelta, _seconds("Longest attempt: connecting, writing and reading together.", 0.05, 600)
    ] = timedelta(seconds=30)
    max_attempts: Annotated[
        int, Meta(ge=1, le=1000, description="Counted attempts after which a row may be dead.")
    ] = 12
    backoff_base: Annotated[
        timedelta,
        _seconds("Upper end of the first random backoff; doubled each time.", 0.001, 3600),
    ] = timedelta(seconds=30)
    backoff_cap: Annotated[
        timedelta, _seconds("Upper end that the backoff is never doubled beyond.", 0.001, 86400)
    ] = timedelta(hours=1)
    auth_retry: Annotated[
        timedelta, _seconds("Pause after a refused token, unless the token changes.", 0.001, 86400)
    ] = timedelta(minutes=15)
    unknown_retry: Annotated[
        timedelta, _seconds("Least wait after an attempt whose end is unknown.", 0.001, 86400)
    ] = timedelta(minutes=15)
    on_unknown: Annotated[
        Literal["retry", "drop"],
        Meta(description="After an unknown end: send again (at least once) or not (at most once)."),
    ] = "retry"

    def _check(self) -> None:
        if self.doctype is not None and not _DOCTYPE.fullmatch(self.doctype):
            raise _wrong("dacc.doctype", self.doctype, "a name such as cc.cozycloud.dacc_v2")
        for key, text in (("url", self.url), ("token_file", str(self.token_file or ""))):
            if self.target == "native" and INSTANCE in (text or ""):
                raise ConfigurationError(
                    f"dacc.{key}: found {INSTANCE} in it; allowed with the targets cozy-v1 and"
                    " cozy-v2 only: the native target has one address for all"
                )
        if self.url is not None:
            self.check_address(self.url.replace(INSTANCE, _EXAMPLE), "dacc.url")

    def check_address(self, url: str, what: str) -> None:
        """Check an address that could be sent to; raises `ConfigurationError` about `what`."""
        scheme = _scheme(url)
        if scheme is None:
            allowed = "an http or https address without query, fragment or blanks"
            raise _wrong(what, _without_secrets(url).replace(_EXAMPLE, INSTANCE), allowed)
        if "@" in urlsplit(url).netloc:
            raise ConfigurationError(
                f"{what}: found a user name or password in it; put the token into dacc.token_file"
            )
        if scheme == "http" and not is_loopback(url) and not self.allow_http:
            allowed = "https, or http to this machine; or set dacc.allow_http"
            raise _wrong(what, url.replace(_EXAMPLE, INSTANCE), allowed)

    @property
    def is_cozy(self) -> bool:
        """Whether each person's stack stands in front of the DACC."""
        return self.target != "native"

    @property
    def is_loopback(self) -> bool:
        """Whether the address is this machine's, so that nothing sent there leaves it."""
        return is_loopback((self.url or "").replace(INSTANCE, _EXAMPLE))


class Http(_Section, frozen=True):
    """The HTTP face of the service."""

    section = "http"

    listen: Annotated[
        str,
        Meta(
            max_length=300,
            description='An address as "127.0.0.1:8787" or "unix:/run/ecolyo-worker/http.sock";'
            " empty: no HTTP face.",
        ),
    ] = ""
    token_file: Annotated[
        Path | None,
        Meta(description="A file that holds the token that TCP clients must show."),
    ] = None


class Retention(_Section, frozen=True):
    """What is kept, and for how long."""

    section = "retention"

    sent_days: Annotated[
        int,
        Meta(ge=1, le=3650, description="Days for which sent rows are kept, without their text."),
    ] = 90


class Settings(_Section, frozen=True):
    """All settings. The fields of its own are the section `worker` of the file."""

    state_dir: Annotated[
        Path | None, Meta(description="Where everything is kept; default: the user's state folder.")
    ] = None
    zone: Annotated[str, Meta(description="The zone of civil time.")] = "Europe/Paris"
    mode: Annotated[
        Literal["off", "local", "on"],
        Meta(description="off: events are refused; local: counted, never sent; on: sent."),
    ] = "on"
    grace: Annotated[
        timedelta,
        _seconds("How long a stop waits for what has begun; then it is interrupted.", 0, 3600),
    ] = timedelta(seconds=20)
    intake: Intake = msgspec.field(default_factory=Intake)
    aggregation: Aggregation = msgspec.field(default_factory=Aggregation)
    dacc: Dacc = msgspec.field(default_factory=Dacc)
    http: Http = msgspec.field(default_factory=Http)
    retention: Retention = msgspec.field(default_factory=Retention)

    def _check(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise _wrong("worker.zone", self.zone, "a zone such as Europe/Paris") from None

    @property
    def civil_zone(self) -> ZoneInfo:
        """The zone of civil time, as an object."""
        return ZoneInfo(self.zone)

    @property
    def directory(self) -> Path:
        """The state directory: the setting, else systemd's, else the user's state folder."""
        if self.state_dir is not None:
            return self.state_dir.expanduser()
        if named := os.environ.get("STATE_DIRECTORY"):
            return Path(named)
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(base) / "ecolyo-worker"

    def replace(self, **changes: Any) -> Self:  # noqa: ANN401  any field's value
        """Give a copy with some fields changed, checked anew."""
        return msgspec.structs.replace(self, **changes)


_SECTIONS = {
    field.name: field.type
    for field in msgspec.structs.fields(Settings)
    if isinstance(field.type, type) and issubclass(field.type, _Section)
}


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
        if name.startswith("ECOLYO_") and "__" in name:
            section, _, key = name.removeprefix("ECOLYO_").lower().partition("__")
            tables.setdefault(section, {})[key] = text
    try:
        return _settings(tables)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (in the environment, as ECOLYO_…)") from None


def _settings(tables: Mapping[str, Mapping[str, Any]]) -> Settings:
    _refuse_unknown("section", tables, ["worker", *_SECTIONS])
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
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: is not TOML: {error}") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise _wrong(name, table, f"a table: write [{name}] and its keys below")
    return tables


def _section(
    section: type[S], table: Mapping[str, Any], given: Mapping[str, _Section] | None = None
) -> S:
    fields = {f.name: f.type for f in msgspec.structs.fields(section) if f.type not in _sections()}
    _refuse_unknown(f"key of [{section.section or 'worker'}]", table, list(fields))
    values = {key: _read(section, key, value, fields[key]) for key, value in table.items()}
    return section(**values, **(given or {}))


def _sections() -> list[Any]:
    return list(_SECTIONS.values())


def _read(section: type[_Section], key: str, value: object, kind: Any) -> object:  # noqa: ANN401
    """Turn what TOML or the environment can say into what the field holds."""
    types = [get_args(kind)[0], *get_args(get_args(kind)[0])]
    if timedelta in types:
        if not isinstance(value, str):
            raise _wrong(section.key(key), value, 'text with a unit, such as "15min"')
        try:
            return parse_duration(value)
        except ValueError as error:
            raise _wrong(section.key(key), value, str(error)) from None
    if Path in types and isinstance(value, str):
        if not value:
            raise _wrong(section.key(key), value, "a path")
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


def _check_duration(key: str, value: object, kind: Any) -> None:  # noqa: ANN401  a type
    extra = next((m.extra for m in getattr(kind, "__metadata__", ()) if m.extra), None)
    if extra is not None and isinstance(value, timedelta):
        least, most = extra["least"], extra["most"]
        if not least <= value.total_seconds() <= most:
            raise _wrong(key, f"{value.total_seconds():g} s", f"{least:g} s to {most:g} s")


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401  a type
    """Tell whether a field of this type takes the value as it is, and not only converted."""
    try:
        return bool(msgspec.convert(value, kind) == value)
    except msgspec.ValidationError:
        return False


def _is_cron(text: str) -> bool:
    from croniter import croniter  # takes a while to load: nobody pays who keeps to the default

    return len(text.split()) == 5 and bool(croniter.is_valid(text))


def _scheme(url: str) -> str | None:
    """Give the scheme of an address that can be sent to; None for what is no such address."""
    try:
        parts = urlsplit(url)
        names_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    is_plain = not re.search(r"[\s?#{}]", url)
    return parts.scheme if parts.scheme in {"http", "https"} and names_host and is_plain else None


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine's."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _without_secrets(url: str) -> str:
    """Give an address as an error may show it: without user, password and query."""
    return re.sub(r"\?.*", "?…", re.sub(r".*@", "…@", url, flags=re.DOTALL), flags=re.DOTALL)


def _allowed(kind: Any) -> str:  # noqa: ANN401  a type
    """Say in words what a field of this type takes."""
    base, *metas = get_args(kind) if hasattr(kind, "__metadata__") else (kind,)
    if getattr(base, "__origin__", None) is Literal:
        return "one of " + ", ".join(repr(value) for value in get_args(base))
    named = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        timedelta: "a timedelta",
        Path | None: "a path, or left out",
    }
    words = named.get(base, f"{base.__name__}(…)" if base in _sections() else "text, or left out")
    for meta in metas:
        least = [f" from {meta.ge:g}" if meta.ge is not None else "", _above(meta.gt)]
        most = f" to {meta.le:g}" if meta.le is not None else ""
        words += "".join(least) + most + (f" like {meta.pattern}" if meta.pattern else "")
    return words


def _above(bound: float | None) -> str:
    return f" above {bound:g}" if bound is not None else ""


def _refuse_unknown(what: str, found: Mapping[str, Any], known: list[str]) -> None:
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ConfigurationError(f"unknown {what}: {name!r}{hint}")


def _wrong(key: str, found: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{key}: found {found!r}; allowed: {allowed}")
