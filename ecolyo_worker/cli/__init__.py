"""The command line `ecolyo-worker`; needs the extra `service`."""

import signal
import sys
from collections.abc import Callable, Sequence

from ecolyo_worker import exits

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code.

    Signals are answered from here on, before the rest is loaded, which takes most of a second.
    """
    # To end politely by either signal, a command need only know one.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        code = _loaded()(sys.argv[1:])
    except KeyboardInterrupt as error:
        sys.stderr.write(f"interrupted: {str(error) or 'what was accepted is kept'}\n")
        code = exits.INTERRUPTED
    sys.exit(code)


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
