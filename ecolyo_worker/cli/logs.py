"""Where log lines go and how they look: to stderr, for a person, a collector or the journal."""

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal

from ecolyo_worker.cli.output import one_line
from ecolyo_worker.clock import Clock, SystemClock
from ecolyo_worker.vocabulary import EVENTS

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

__all__ = ["LogFormat", "LogLevel", "make_logger"]

_QUIET_S: Final = 60.0
_MOST_KEPT: Final = 256

LogFormat = Literal["console", "json", "journal"]
LogLevel = Literal["debug", "info", "warning", "error"]

# The numbers of syslog, which the journal reads from the begin of each line.
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


class _Stderr:
    """Prints lines to stderr. If its reader left, or has no space, they are lost; work goes on."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            sys.stderr.write(f"{message}\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = msg


class _Repeats:
    """Lets the first of several like lines through at once, then one a minute with their count.

    What makes lines alike, the vocabulary says. It remembers a bounded number of them.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}
        self._fields = {one.name: one.repeats_by for one in EVENTS if one.repeats_by}

    def __call__(self, _: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
        import structlog

        fields = self._fields.get(event["event"])
        if fields is None:
            return event
        key = (event["event"], *(str(event.get(field)) for field in fields))
        now = self._clock.monotonic()
        since, left_out = self._seen.get(key, (now - _QUIET_S, 0))
        if now - since < _QUIET_S:
            self._seen[key] = (since, left_out + 1)
            raise structlog.DropEvent
        self._seen.pop(key, None)
        self._seen[key] = (now, 0)  # the last one now
        if len(self._seen) > _MOST_KEPT:
            del self._seen[next(iter(self._seen))]
        return {**event, "left_out": left_out} if left_out else event


def make_logger(
    log_format: LogFormat, level: LogLevel, clock: Clock | None = None
) -> "FilteringBoundLogger":
    """Make a logger of this program alone; nothing global is configured.

    `clock` is what repeated lines go by. Texts from outside cannot end a line or command a
    terminal: what is not printable is escaped.
    """
    import structlog  # takes a third of what a command needs to start

    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Stderr(),
        processors=[_Repeats(clock or SystemClock()), *_processors(log_format)],
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
