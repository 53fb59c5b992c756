"""The settings: frozen structs with a unit, a default, a range and a doc line for every field.

Every value is checked when a struct is made, whether a host makes it or `configuration` reads it
from a file; what is wrong raises `ConfigurationError`.
"""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from ecolyo_worker.clock import parse_day
from ecolyo_worker.errors import ConfigurationError, Problem
from ecolyo_worker.forms import cron_problem, is_loopback, scheme_of, without_secrets
from ecolyo_worker.providers import Enedis, Energy, Grdf
from ecolyo_worker.section import Section, misfit, said, seconds

__all__ = [
    "INSTANCE",
    "Aggregation",
    "Dacc",
    "Http",
    "Intake",
    "Log",
    "LogFormat",
    "LogLevel",
    "Retention",
    "Settings",
    "is_token_itself",
]

_NIGHTLY = "0 1 * * *"
# A token with slashes in it, unlike any path that somebody would write.
_TOKEN = re.compile(r"(?![/~.])[A-Za-z0-9+/=_.-]{20,}", re.ASCII)
_WORDS = r"[a-z]{2,20}(?:[._-][a-z]{2,20})"
# What people call a file: words with signs between them, folders before it, or a known ending.
_FILE = re.compile(
    rf"(?:{_WORDS}*/)+{_WORDS}*|{_WORDS}+"
    rf"|(?:{_WORDS}*/)*[A-Za-z0-9_-]{{1,20}}\.(?:key|pem|secret|token|txt)",
    re.ASCII,
)
_DOCTYPE = re.compile(r"[a-z][a-z0-9_.]{0,99}", re.ASCII)

# What stands in an address for a person's instance while it is checked without one.
_EXAMPLE = "instance.invalid"
INSTANCE = "{instance}"
"""What stands in an address or a path for each person's instance."""

LogFormat = Literal["console", "json", "journal"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Intake(Section, frozen=True):
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


class Aggregation(Section, frozen=True):
    """How events become indicators."""

    section = "aggregation"

    schedule: Annotated[
        str,
        Meta(
            max_length=200,
            description="When the nightly run begins: a cron expression such as 30 2 * * *, in the"
            " zone. It runs once a civil day.",
        ),
    ] = _NIGHTLY
    monthly_day: Annotated[
        int,
        Meta(ge=1, le=28, description="From which day of the next month on a month is counted."),
    ] = 6
    max_age_days: Annotated[
        int, Meta(ge=1, le=366, description="Days after which an uncounted day is expired.")
    ] = 31
    not_before: Annotated[
        str | None,
        Meta(description="Days before this one (YYYY-MM-DD) count as done; default: none do."),
    ] = None
    consent_version: Annotated[
        str,
        Meta(
            pattern=r"^[0-9]+(\.[0-9]+)*\Z",
            title='digits and dots, such as "1.0.0"',
            max_length=100,
            description="The least version of the terms that suffices.",
        ),
    ] = "1.0.0"
    measures_file: Annotated[
        Path | None, Meta(description="A file of definitions; default: the package's own.")
    ] = None

    def _problems(self) -> Iterator[Problem]:
        problem = cron_problem("aggregation.schedule", self.schedule, _NIGHTLY)
        yield from () if problem is None else (problem,)
        if self.not_before is not None:
            try:
                parse_day(self.not_before)
            except ValueError as error:
                yield misfit("aggregation.not_before", self.not_before, str(error))


class Dacc(Section, frozen=True):
    """Where indicators are sent, and how."""

    section = "dacc"

    target: Annotated[
        Literal["native", "cozy-v1", "cozy-v2"],
        Meta(description="The wire form: the DACC itself, or each person's stack in front of it."),
    ] = "native"
    url: Annotated[
        str | None,
        Meta(
            description="The DACC's address, such as https://dacc.example, or with a Cozy target a"
            " stack's, in which {instance} stands for each person's; without one, indicators wait."
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Meta(
            description="A file that holds the token, read anew when it changes; with a Cozy target"
            " {instance} may stand in its path; default: systemd's credential dacc-token."
        ),
    ] = None
    doctype: Annotated[
        str | None,
        Meta(
            description="The doctype that a Cozy target posts to, such as cc.cozycloud.dacc_v2;"
            " default: the target's own."
        ),
    ] = None
    spread: Annotated[
        timedelta,
        seconds("The rows of a nightly run are due after a random delay up to this.", 0, 86400),
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
        timedelta, seconds("Longest attempt: connecting, writing and reading together.", 0.05, 90)
    ] = timedelta(seconds=30)
    max_attempts: Annotated[
        int, Meta(ge=1, le=1000, description="Counted attempts after which a row may be dead.")
    ] = 12
    backoff_base: Annotated[
        timedelta,
        seconds("Upper end of the first random backoff; doubled each time.", 0.001, 3600),
    ] = timedelta(seconds=30)
    backoff_cap: Annotated[
        timedelta, seconds("Upper end that the backoff is never doubled beyond.", 0.001, 86400)
    ] = timedelta(hours=1)
    auth_retry: Annotated[
        timedelta, seconds("Pause after a refused token, unless the token changes.", 0.001, 86400)
    ] = timedelta(minutes=15)
    unknown_retry: Annotated[
        timedelta, seconds("Least wait after an attempt whose end is unknown.", 0.001, 86400)
    ] = timedelta(minutes=15)
    on_unknown: Annotated[
        Literal["retry", "drop"],
        Meta(description="After an unknown end: send again (at least once) or not (at most once)."),
    ] = "retry"

    def _problems(self) -> Iterator[Problem]:
        if self.doctype is not None and not _DOCTYPE.fullmatch(self.doctype):
            yield misfit("dacc.doctype", self.doctype, "a name such as cc.cozycloud.dacc_v2")
        for key, text in (("url", self.url), ("token_file", str(self.token_file or ""))):
            if self.target == "native" and INSTANCE in (text or ""):
                yield said(
                    f"dacc.{key}",
                    f"{INSTANCE} in it",
                    "with the targets cozy-v1 and cozy-v2 only: the native target has one address"
                    " for all",
                    "dacc.target",
                )
        if self.url is not None:
            problem = self._address_problem(self.url.replace(INSTANCE, _EXAMPLE), "dacc.url")
            yield from () if problem is None else (problem,)

    def check_address(self, url: str, what: str) -> None:
        """Check an address that could be sent to; raises `ConfigurationError` about `what`."""
        problem = self._address_problem(url, what)
        if problem is not None:
            raise ConfigurationError(problem)

    def _address_problem(self, url: str, what: str) -> Problem | None:
        scheme = scheme_of(url)
        if scheme is None:
            allowed = "an http or https address without query, fragment or blanks"
            return misfit(what, without_secrets(url).replace(_EXAMPLE, INSTANCE), allowed)
        if "@" in urlsplit(url).netloc:
            allowed = (
                "an address alone; put the token into a file, and name that by dacc.token_file"
            )
            return said(what, "a user name or password in it", allowed)
        if scheme == "http" and not is_loopback(url) and not self.allow_http:
            allowed = "https, or http to this machine; or set dacc.allow_http"
            return misfit(what, url.replace(_EXAMPLE, INSTANCE), allowed, "dacc.allow_http")
        return None

    @property
    def retries_unknown(self) -> bool:
        """Whether a row is sent again of which nobody knows whether it was delivered."""
        return self.on_unknown == "retry"

    @property
    def is_cozy(self) -> bool:
        """Whether each person's stack stands in front of the DACC."""
        return self.target != "native"

    @property
    def is_loopback(self) -> bool:
        """Whether the address is this machine's, so that nothing sent there leaves it."""
        return is_loopback((self.url or "").replace(INSTANCE, _EXAMPLE))


class Http(Section, frozen=True):
    """The HTTP face of the service."""

    section = "http"

    listen: Annotated[
        str,
        Meta(
            max_length=300,
            description='An address such as "127.0.0.1:8787" or'
            ' "unix:/run/ecolyo-worker/http.sock"; empty: no HTTP face.',
        ),
    ] = ""
    token_file: Annotated[
        Path | None,
        Meta(
            description="A file that holds the token that TCP clients must show, read anew when it"
            " changes; up to 8 are good at once, with a line for each; default: systemd's"
            " credential http-token."
        ),
    ] = None
    socket_mode: Annotated[
        str,
        Meta(
            pattern=r"^0?[0-7]{3}\Z",
            title='a mode of three octal digits, such as "0660"',
            description="Who may use a Unix socket: its mode, as of chmod. Who asks must be allowed"
            " to write.",
        ),
    ] = "0600"
    socket_group: Annotated[
        str | None,
        Meta(
            description="The group that a Unix socket is given to, such as cozy, which the service"
            " must be in; default: the service's own."
        ),
    ] = None


class Retention(Section, frozen=True):
    """What is kept, and for how long."""

    section = "retention"

    events_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3650,
            description="Days for which events are kept, at least; no fewer than"
            " aggregation.max_age_days.",
        ),
    ] = 90
    sent_days: Annotated[
        int,
        Meta(ge=1, le=3650, description="Days for which sent rows are kept, without their text."),
    ] = 90


class Log(Section, frozen=True):
    """What is logged, and how."""

    section = "log"

    level: Annotated[
        LogLevel | None,
        Meta(
            description="The least level that is logged; default: warning, and for the service"
            " info. The option --log-level wins."
        ),
    ] = None
    format: Annotated[
        LogFormat,
        Meta(description="How lines look on stderr. The option --log-format wins."),
    ] = "console"
    instances: Annotated[
        bool,
        Meta(
            description="Let lines that are about one person say whom, in the field instance. Else"
            " her name is also taken out of what others said of her."
        ),
    ] = False


class Settings(Section, frozen=True):
    """All settings. The fields of its own are the section `worker` of the file."""

    state_dir: Annotated[
        Path | None, Meta(description="Where everything is kept; default: the user's state folder.")
    ] = None
    zone: Annotated[str, Meta(description="The zone of civil time, such as Europe/Paris.")] = (
        "Europe/Paris"
    )
    mode: Annotated[
        Literal["off", "local", "on"],
        Meta(description="off: events are refused; local: counted, never sent; on: sent."),
    ] = "on"
    grace: Annotated[
        timedelta,
        seconds("How long a stop waits for what has begun; then it is interrupted.", 0, 3600),
    ] = timedelta(seconds=20)
    intake: Intake = msgspec.field(default_factory=Intake)
    aggregation: Aggregation = msgspec.field(default_factory=Aggregation)
    dacc: Dacc = msgspec.field(default_factory=Dacc)
    energy: Energy = msgspec.field(default_factory=Energy)
    enedis: Enedis = msgspec.field(default_factory=Enedis)
    grdf: Grdf = msgspec.field(default_factory=Grdf)
    http: Http = msgspec.field(default_factory=Http)
    retention: Retention = msgspec.field(default_factory=Retention)
    log: Log = msgspec.field(default_factory=Log)

    def _problems(self) -> Iterator[Problem]:
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield misfit("worker.zone", self.zone, "a zone such as Europe/Paris")
        kept, needed = self.retention.events_days, self.aggregation.max_age_days
        if kept < needed:  # else an event that is sent again could be counted again
            allowed = f"at least aggregation.max_age_days, which is {needed}"
            yield misfit("retention.events_days", kept, allowed, "aggregation.max_age_days")

    @property
    def civil_zone(self) -> ZoneInfo:
        """The zone of civil time, as an object."""
        return ZoneInfo(self.zone)

    @property
    def providers(self) -> dict[Literal["enedis", "grdf"], Enedis | Grdf]:
        """The sections of those who give readings, by name."""
        return {"enedis": self.enedis, "grdf": self.grdf}

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


def is_token_itself(path: Path) -> bool:
    """Tell whether a token seems to stand where the path of its file should; it is never shown.

    It names no folder, or is long and of one piece; it is unlike what people call a file, and there
    is none of that name.
    """
    text = str(path)
    if _FILE.fullmatch(text):
        return False
    return ("/" not in text or bool(_TOKEN.fullmatch(text))) and not os.path.lexists(path)
