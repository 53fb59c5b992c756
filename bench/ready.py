"""From the start of a process to the moment when it is ready, on a state that exists.

`ready` is a host that enters a worker, `ready_service` is `ecolyo-worker run`. Both are beside a
process that imports anyio, msgspec and aiosqlite and opens a database with a write-ahead log. The
ratio is of times.
"""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from time import perf_counter

from bench.measure import ROUNDS, tell
from bench.processes import HOST, LIBRARIES, service, started


def measured(process: Callable[[Path], AbstractContextManager[int]], directory: Path) -> float:
    """Give the ms until a process is ready."""
    begin = perf_counter()
    with process(directory):
        return (perf_counter() - begin) * 1000


def main() -> None:
    """Measure and print."""
    host, libraries = partial(started, HOST), partial(started, LIBRARIES)
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as name:
        directory = Path(name)
        for one in (host, service, libraries):
            measured(one, directory)  # what is read or made once is not counted
        for title, ours in (("ready", host), ("ready_service", service)):
            found = [
                (measured(ours, directory), measured(libraries, directory)) for _ in range(ROUNDS)
            ]
            tell(title, [one for one, _ in found], [other for _, other in found], "ms")


if __name__ == "__main__":
    main()
