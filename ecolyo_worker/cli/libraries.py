"""What libraries and the event loop report goes into the log of the service, not beside it.

The process is the service's own; in a host nothing of this is done.
"""

import asyncio
import logging
from typing import Any

from ecolyo_worker.log import Logger

__all__ = ["log_libraries"]


def log_libraries(logger: Logger) -> None:
    """Let a logger tell what this process's libraries and its event loop have to say.

    Warnings and worse. Their words are told as they stand in the program: what is filled in may be
    somebody's.
    """
    logging.root.addHandler(_Forward(logger))
    asyncio.get_running_loop().set_exception_handler(_Report(logger))


class _Forward(logging.Handler):
    """Hands the records of libraries on."""

    def __init__(self, logger: Logger) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        self._logger.warning(
            "a library reports",
            library=record.name,
            reason=str(record.msg),
            error=error.__name__ if error is not None else None,
        )


class _Report:
    """Tells what went wrong where nobody could be told."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._logger.error(
            "the event loop reports",
            reason=str(context.get("message", "")),
            error=type(error).__name__ if error is not None else None,
        )
