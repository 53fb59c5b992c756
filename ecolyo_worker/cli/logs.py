"""Where log lines go and how they look: to stderr, for a person, a collector or the journal."""

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from ecolyo_worker.cli.output import one_line

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

__all__ = ["LogFormat", "LogLevel", "make_logger"]

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


def make_logger(log_format: LogFormat, level: LogLevel) -> "FilteringBoundLogger":
    """Make a logger of this program alone; nothing global is configured.

    Texts from outside cannot end a line or command a terminal: what is not printable is escaped.
    """
    import structlog  # takes a third of what a command needs to start

    logger: FilteringBoundLogger = structlog.wrap_logger(
        _Stderr(),
        processors=_processors(log_format),
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
