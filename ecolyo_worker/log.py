"""What the parts log by, and the logger of a worker that was given none.

That one is small on purpose: structlog would bring along what is loaded for the first line, which
a host's event loop would wait for.
"""

import logging
from typing import Any, Protocol, Self

__all__ = ["HostLogger", "Logger"]


class Logger(Protocol):
    """A logger as structlog has it: each line is an event with its fields."""

    def bind(self, **values: object) -> Self:
        """Give one that writes these fields on each line."""
        ...

    def debug(self, event: str, **values: object) -> object:
        """Log what helps who looks for a fault."""
        ...

    def info(self, event: str, **values: object) -> object:
        """Log what happens when all is well."""
        ...

    def warning(self, event: str, **values: object) -> object:
        """Log what somebody should look at."""
        ...

    def error(self, event: str, **values: object) -> object:
        """Log what does not work."""
        ...


class HostLogger:
    """Logs through the standard library, so that a host sees it where it sees everything else.

    A line is `event='…'` and its fields as Python writes them. With `exc_info`, an error, the host
    is given that to show where it came from.
    """

    def __init__(self, **bound: object) -> None:
        """`bound` are the fields that each line has."""
        self._logger = logging.getLogger("ecolyo_worker")
        self._bound = bound

    def bind(self, **values: object) -> Self:
        """Give one that writes these fields on each line."""
        return type(self)(**{**self._bound, **values})

    def debug(self, event: str, **values: object) -> None:
        """Log what helps who looks for a fault."""
        self._log(logging.DEBUG, event, values)

    def info(self, event: str, **values: object) -> None:
        """Log what happens when all is well."""
        self._log(logging.INFO, event, values)

    def warning(self, event: str, **values: object) -> None:
        """Log what somebody should look at."""
        self._log(logging.WARNING, event, values)

    def error(self, event: str, **values: object) -> None:
        """Log what does not work."""
        self._log(logging.ERROR, event, values)

    def _log(self, level: int, event: str, values: dict[str, Any]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        error = values.pop("exc_info", None)
        fields = {"event": event, **self._bound, **values}
        line = " ".join(f"{key}={value!r}" for key, value in fields.items())
        self._logger.log(level, "%s", line, exc_info=error, stacklevel=3)
