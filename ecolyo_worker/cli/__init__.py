"""The command line `ecolyo-worker`; needs the extra `service`."""

import resource
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from ecolyo_worker import exits

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code.

    Signals are answered from here on, before the rest is loaded, which takes most of a second.
    """
    _dump_nothing()
    # To end politely by either signal, a command need only know one.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        code = _loaded()(sys.argv[1:])
    except KeyboardInterrupt as error:
        sys.stderr.write(f"interrupted: {str(error) or 'what was accepted is kept'}\n")
        code = exits.INTERRUPTED
    sys.exit(code)


def _dump_nothing() -> None:
    """Let a crash leave no copy of the memory behind, which holds tokens and people's events.

    0 keeps it from files alone; of 1 byte nothing is given to a program that collects dumps either.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    # A sandbox may forbid it; the unit has set its limit before.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0 if most == 0 else 1, most))


def _loaded() -> Callable[[Sequence[str]], int]:
    try:
        from ecolyo_worker.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
            raise
        sys.stderr.write(
            f"error: the command line needs {error.name}, which the extra `service` brings:\n"
            '       pip install "ecolyo-worker[service]"\n'
        )
        sys.exit(exits.UNAVAILABLE)
    return run
