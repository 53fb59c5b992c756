"""Where log lines go and how they look: to stderr, for a person, a collector or the journal."""

import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

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
    """Make a logger of this program alone; nothing global is configured."""
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

    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if log_format == "json":
        return [structlog.processors.add_log_level, stamp, structlog.processors.JSONRenderer()]
    if log_format == "journal":
        return [structlog.processors.add_log_level, _journal]
    colors = sys.stderr.isatty()
    return [
        structlog.processors.add_log_level,
        stamp,
        structlog.dev.ConsoleRenderer(colors=colors),
    ]


def _journal(_: "WrappedLogger", __: str, event: "EventDict") -> str:
    import structlog

    priority = _PRIORITIES[event.pop("level")]
    words = structlog.processors.KeyValueRenderer(key_order=["event"])(None, "", event)
    return "\n".join(f"<{priority}>{line}" for line in str(words).splitlines())
