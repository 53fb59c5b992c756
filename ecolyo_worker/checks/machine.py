"""What must be around the program: SQLite, the zones, the optional packages, a service manager."""

import importlib.metadata
import sqlite3
import sys
import zoneinfo
from collections.abc import Iterator
from pathlib import Path

from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.store.examining import lacking
from ecolyo_worker.version import __version__

__all__ = ["check_machine"]

# What each extra brings, and what cannot be done without it.
_EXTRAS = {
    "service": (("cyclopts", "rich", "starlette", "uvicorn"), "the service cannot run"),
}


def check_machine(zone: str) -> Iterator[Finding]:
    """Look at what this process runs on and with; `zone` is that of civil time."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield ok("program", f"ecolyo-worker {__version__} on Python {python}")
    yield _sqlite()
    yield _zone(zone)
    yield from (_extra(name, *_EXTRAS[name]) for name in _EXTRAS)
    yield _manager()


def _sqlite() -> Finding:
    found = lacking()
    if found:
        advice = "use a Python that was built with another SQLite"
        return failed("SQLite", "; ".join(found), advice)
    return ok("SQLite", f"{sqlite3.sqlite_version}, with all that is needed")


def _zone(zone: str) -> Finding:
    for folder in zoneinfo.TZPATH:
        if Path(folder, zone).is_file():
            return ok("zone", f"{zone}, by the data of this machine in {folder}")
    return ok("zone", f"{zone}, by the package tzdata {_version('tzdata') or ''}".rstrip())


def _extra(name: str, packages: tuple[str, ...], without: str) -> Finding:
    missing = [package for package in packages if _version(package) is None]
    if missing:
        found = f"without {', '.join(missing)} {without}"
        return failed(f"extra {name}", found, f'pip install "ecolyo-worker[{name}]"')
    return ok(f"extra {name}", "all of its packages are there")


def _manager() -> Finding:
    if Path("/run/systemd/system").is_dir():
        return ok("service manager", "systemd runs here")
    return note(
        "service manager",
        "systemd does not run here",
        "let something else start `ecolyo-worker run` again whenever it ends, but with 0, 64 or 78",
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
