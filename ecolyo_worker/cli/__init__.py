"""The command line `ecolyo-worker`; needs the extra `service`."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from ecolyo_worker.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"cyclopts", "rich"}:
            raise
        sys.stderr.write(
            f"error: the command line needs {error.name}, which the extra `service` brings:\n"
            '       pip install "ecolyo-worker[service]"\n'
        )
        sys.exit(69)
    sys.exit(run(sys.argv[1:]))
