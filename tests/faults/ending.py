"""Runs loads that end at their armed places, each in a process forked from one that is ready.

    python -m tests.faults.ending

Each line of its input is what a load is run with; it answers with its exit code. What the load says
is in the file that is named. To begin Python and to import all anew for each would take most of the
time.
"""

import os
import sys

import msgspec
from msgspec import Struct

from ecolyo_worker.crashpoints import VARIABLE
from ecolyo_worker.testing import crash

__all__ = ["Run"]


class Run(Struct, frozen=True):
    """A load to run: where it is armed, where its output goes, and its arguments."""

    armed: str
    output: str
    arguments: list[str]


def main() -> None:
    """Run the loads one after the other, until there is no more input."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(msgspec.json.decode(line, type=Run))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(run: Run) -> None:
    """Be a process of its own from here on, with nothing of this one's but the modules."""
    os.environ[VARIABLE] = run.armed
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(run.output, os.O_WRONLY | os.O_CREAT), 1)
    code = 70
    try:
        code = crash.main(run.arguments)
    except BaseException:  # noqa: BLE001  it must never go on as the other one
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
