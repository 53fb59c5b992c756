"""How soon the echo server's first line is there, beside the second that it may take."""

import subprocess
import sys
import time
from pathlib import Path

from bench.measure import ROUNDS, demand, tell

SCRIPT = Path(__file__).parents[1] / "tools" / "dacc_echo.py"
ALLOWED_S = 1


def measured() -> float:
    """Give how many times in a second it could be started, with a bare interpreter."""
    command = [sys.executable, "-S", "-E", str(SCRIPT), "--port", "0"]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took_s = time.perf_counter() - begin
        process.terminate()
    assert line.startswith(b"url = ")
    return 1 / took_s


def main() -> None:
    """Measure, and print what came of it."""
    found = [measured() for _ in range(ROUNDS)]
    demand(tell("echo_start", found, [1 / ALLOWED_S] * ROUNDS, "starts/s"))


if __name__ == "__main__":
    main()
