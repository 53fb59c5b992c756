"""Numbered SQL files that bring a database to this version's schema, one transaction each."""

import re
import sqlite3
from pathlib import Path

from msgspec import Struct

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StateRefused
from ecolyo_worker.store.restoring import mark_of
from ecolyo_worker.store.tampering import refuse_code

__all__ = [
    "MIGRATIONS",
    "MigrationPlan",
    "copies",
    "copy_size",
    "latest_version",
    "migrate",
    "plan",
    "version_of",
]

MIGRATIONS = Path(__file__).parent.parent / "migrations"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class MigrationPlan(Struct, frozen=True):
    """What bringing a database up to date would do."""

    database: str
    before: int
    """The schema's version as it is; 0 for a database that is made then."""
    after: int
    scripts: list[str]
    """The names of the files that would be applied, in order."""
    copy: str | None
    """Where the database would be copied to first; None if it would not be."""
    copy_bytes: int
    """How large that copy would be; the scripts may need as much again while they run."""
    free_bytes: int
    """How much is free on the disk."""
    restores: bool
    """Whether it is a backup that was put here, which is made the state to go on from."""


def latest_version(directory: Path = MIGRATIONS) -> int:
    """Give the schema version that the files lead to."""
    return len(_files(directory))


def version_of(connection: sqlite3.Connection, directory: Path = MIGRATIONS) -> int:
    """Give the schema version of a database, 0 for an empty one; writes nothing.

    Raises `StateRefused` for a database of another program, of a newer version of this one, or
    with something in it that runs by itself.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    latest = latest_version(directory)
    if version > latest:
        raise StateRefused(
            f"the database has schema {version}, this program knows schemas up to {latest}: "
            "install the version that wrote it, or a newer one"
        )
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    if ("meta" not in tables) if version else tables:
        raise StateRefused("the database belongs to another program: name another state directory")
    refuse_code(connection)
    return version


def copy_size(connection: sqlite3.Connection) -> int:
    """Give the size in bytes that a copy of all that a database holds has, about."""
    size: int = connection.execute(
        "SELECT (page_count - freelist_count) * page_size"
        " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    ).fetchone()[0]
    return size


def plan(
    connection: sqlite3.Connection | None, path: Path, directory: Path = MIGRATIONS
) -> MigrationPlan:
    """Tell what `migrate` would do to a database, or to none; writes nothing."""
    import shutil  # it brings along what reads archives

    before = 0 if connection is None else version_of(connection, directory)
    scripts = [file.name for file in _files(directory)[before:]]
    copy = _copy_of(path, before) if before and scripts else None
    folder = next(one for one in path.absolute().parents if one.exists())
    return MigrationPlan(
        database=str(path),
        before=before,
        after=before + len(scripts),
        scripts=scripts,
        copy=None if copy is None else str(copy),
        copy_bytes=0 if connection is None or copy is None else copy_size(connection),
        free_bytes=shutil.disk_usage(folder).free,
        restores=connection is not None and before > 0 and mark_of(connection) is not None,
    )


def migrate(connection: sqlite3.Connection, copy_to: Path, directory: Path = MIGRATIONS) -> None:
    """Bring a database up to date.

    A database that holds something is copied first, to `<copy_to>.before-<next version>`. Each
    file is one transaction: after a crash the schema is the one before it, or the one after.
    """
    before = version_of(connection, directory)
    pending = list(enumerate(_files(directory), 1))[before:]
    if before and pending:
        _copy(connection, _copy_of(copy_to, before))
    for version, path in pending:
        script = path.read_text(encoding="utf-8")
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version = {version};"
            )
            reach("migration.applied")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _copy_of(path: Path, version: int) -> Path:
    return path.with_name(f"{path.name}.before-{version + 1:04}")


def _files(directory: Path) -> list[Path]:
    files = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1))
    return files


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.part")
    unfinished.unlink(missing_ok=True)
    connection.execute("VACUUM INTO ?", (str(unfinished),))
    unfinished.chmod(0o600)
    unfinished.rename(target)


def copies(path: Path) -> list[Path]:
    """Give the copies of a database that migrations made, of which no program deletes any."""
    return sorted(path.parent.glob(f"{path.name}.before-*"))
