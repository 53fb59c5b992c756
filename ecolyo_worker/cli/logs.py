"""Where log lines go and how they look: to stderr, for a person, a collector or the journal."""

import logging
import sys
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from ecolyo_worker.cli.output import one_line
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.settings import Log, LogFormat, LogLevel
from ecolyo_worker.vocabulary import EVENTS

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

__all__ = ["Logging", "Repeats", "make_logger"]

_QUIET_S: Final = 60.0
_MOST_KEPT: Final = 256

# The numbers of syslog, which the journal reads from the begin of each line.
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


class _Stderr:
    """Prints lines to stderr. If its reader left, or has no space, they are lost; work goes on."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            sys.stderr.write(f"{message}\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = msg


class _Held(Struct):
    """Lines alike: when one was told last, and of those left out since, the last one."""

    told: float
    left_out: int = 0
    last: float = 0.0
    tell: Callable[..., None] | None = None
    """Logs that last one, with further fields."""


class Repeats:
    """Lets the first of several like lines through at once, then one a minute with their count.

    Where no more come, the last one of them is told late: with the next line of any kind after that
    minute, or by `tell_rest`. What makes lines alike, the vocabulary says. It remembers a bounded
    number of them; several loggers may share it.
    """

    def __init__(self, monotonic: Callable[[], float] | None = None) -> None:
        """`monotonic` gives seconds; by default, the system's."""
        self._monotonic = monotonic or SystemClock().monotonic
        self._seen: dict[tuple[str, ...], _Held] = {}
        self._fields = {one.name: one.repeats_by for one in EVENTS if one.repeats_by}

    def passed(self, event: "EventDict", tell: Callable[..., None]) -> "EventDict":
        """Give a line with how many like it were left out; raises `DropEvent` to leave it out.

        `tell` logs the same line again, with further fields.
        """
        import structlog

        if "late_s" in event:
            return event
        now = self._monotonic()
        fields = self._fields.get(event["event"], ())
        key = (event["event"], *(str(event.get(field)) for field in fields))
        held = self._seen.get(key) if fields else None
        if held is not None and now - held.told < _QUIET_S:
            held.left_out, held.last, held.tell = held.left_out + 1, now, tell
            raise structlog.DropEvent
        if fields:
            self._seen.pop(key, None)
            self._seen[key] = _Held(now)  # the last one now
        self._tell_late(now)
        return {**event, "left_out": held.left_out} if held and held.left_out else event

    def tell_rest(self) -> None:
        """Tell of all that was left out; no line comes any more."""
        seen, self._seen = self._seen, {}
        for held in seen.values():
            self._tell(held)

    def _tell_late(self, now: float) -> None:
        """Tell of those whose minute is over, and of those that are too many to be remembered."""
        over = [key for key, held in self._seen.items() if held.told + _QUIET_S <= now]
        many = list(self._seen)[: max(0, len(self._seen) - _MOST_KEPT)]
        for held in [self._seen.pop(key) for key in dict.fromkeys((*over, *many))]:
            self._tell(held)

    def _tell(self, held: _Held) -> None:
        if held.tell is not None:
            more = {"left_out": held.left_out - 1} if held.left_out > 1 else {}
            held.tell(**more, late_s=round(self._monotonic() - held.last, 1))


class Logging:
    """What a command's loggers share."""

    def __init__(self) -> None:
        """Nothing was read yet, and nothing left out."""
        self.settings: Log | None = None
        """As they were last read; they may come from a pipe, that can be read once."""
        self.repeats = Repeats()


def make_logger(
    log_format: LogFormat,
    level: LogLevel,
    repeats: Repeats | None = None,
    silent: Collection[str] = (),
) -> "FilteringBoundLogger":
    """Make a logger of this program alone; nothing global is configured.

    `repeats` leaves like lines out, and events of `silent` are not told at all. Texts from outside
    cannot end a line or command a terminal: what is not printable is escaped.
    """
    import structlog  # takes a third of what a command needs to start

    repeated = repeats or Repeats()

    def few(_: "WrappedLogger", method: str, event: "EventDict") -> "EventDict":
        if event["event"] in silent:
            raise structlog.DropEvent
        return repeated.passed(event, lambda **more: getattr(logger, method)(**event, **more))

    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Stderr(),
        processors=[few, *_processors(log_format)],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        cache_logger_on_first_use=False,
    )
    return logger


def _processors(log_format: LogFormat) -> "list[Processor]":
    import structlog

    level = structlog.processors.add_log_level
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    trace = structlog.processors.format_exc_info
    if log_format == "json":
        return [level, stamp, trace, structlog.processors.JSONRenderer()]
    if log_format == "journal":
        return [level, trace, _journal]
    # The prettier traceback shows the values around it, which may be a person's, or the token.
    plain = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return [level, stamp, _escape, renderer]


def _escape(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    """Make one line of each text; what is no text is shown by its `repr`."""
    return {
        key: value
        if key == "exc_info"
        else one_line(value if isinstance(value, str) else repr(value))
        for key, value in event.items()
    }


def _journal(_: "WrappedLogger", __: str, event: "EventDict") -> str:
    import structlog

    priority = _PRIORITIES[event.pop("level")]
    trace = str(event.pop("exception", ""))
    words = structlog.processors.KeyValueRenderer(key_order=["event"])(None, "", event)
    lines = [str(words), *trace.splitlines()]
    return "\n".join(f"<{priority}>{one_line(line)}" for line in lines)
