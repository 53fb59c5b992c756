"""Runs the benches, and keeps what they print: `make bench`.

    python -m bench.run [BENCH …]

Without a name it runs all. Each line is kept in `bench/results/latest.ndjson`, with how many rounds
and which part of the work it is of, below one about the machine; a bench that is run alone replaces
its own lines there. It ends with 1 if a bench breaks.
"""

import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec

from bench.measure import ROUNDS, SIZE
from bench.wanted import BENCHES, WANTED
from ecolyo_worker import __version__

RESULTS = Path(__file__).with_name("results") / "latest.ndjson"
ROOT = Path(__file__).parents[1]
DISK = Path("/var/tmp")

Line = dict[str, Any]


def machine() -> Line:
    """Tell of the machine what its figures depend on."""
    cpu = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    disk = max((one for one in mounts if DISK.is_relative_to(one[0])), key=lambda one: len(one[0]))
    return {
        "name": "machine",
        "cores": os.cpu_count(),
        "cpu": cpu[0].strip() if cpu else platform.machine(),
        "memory_gib": round(pages / 2**30),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "disk": disk[1],
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "version": __version__,
        "day": f"{datetime.now(UTC):%Y-%m-%d}",
        "load": round(os.getloadavg()[0], 1),
    }


def kept() -> list[Line]:
    """Give the lines of before."""
    if not RESULTS.exists():
        return []
    return [msgspec.json.decode(line) for line in RESULTS.read_bytes().splitlines()]


def keep(lines: list[Line]) -> None:
    """Keep lines in place of those of the same names, in the order of the report."""
    by_name = {line["name"]: line for line in [*kept(), *lines]}
    places = {name: place for place, name in enumerate(["machine", *(one.name for one in WANTED)])}
    found = sorted(by_name.values(), key=lambda line: places.get(line["name"], len(places)))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("".join(json.dumps(line) + "\n" for line in found))


def run(bench: str) -> Iterator[Line]:
    """Run a bench in a process of its own, and give what it prints, as it comes."""
    command = [sys.executable, "-m", f"bench.{bench}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            yield msgspec.json.decode(line)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def verdict(line: Line) -> str:
    """Give what a line comes to, in one for whoever waits."""
    figure = next((one for one in WANTED if one.name == line["name"]), None)
    if figure is None:
        return f"{line['name']}: kept"
    met = {True: "met", False: "MISSED", None: ""}[figure.is_met(line["ratio"])]
    return f"{figure.name}: {line['ratio']} (wanted {figure.wanted}) {met}".rstrip()


def main(names: list[str]) -> int:
    """Run benches, print and keep what they tell; give the exit code."""
    keep([machine()])
    broken = 0
    for bench in names or [*BENCHES, "where"]:
        begin = perf_counter()
        try:
            for line in run(bench):
                print(verdict(line), flush=True)
                keep([{**line, "rounds": ROUNDS, "size": SIZE}])
        except subprocess.CalledProcessError as error:
            broken += 1
            print(f"{bench} ended with {error.returncode}", file=sys.stderr)
        print(f"  {bench} took {perf_counter() - begin:.0f} s", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
