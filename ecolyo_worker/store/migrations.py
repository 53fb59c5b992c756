"""Numbered SQL files that bring a database to this version's schema, one transaction each."""

import re
import sqlite3
from pathlib import Path

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.errors import StateRefused

__all__ = ["MIGRATIONS", "latest_version", "migrate", "version_of"]

MIGRATIONS = Path(__file__).parent.parent / "migrations"
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


def latest_version(directory: Path = MIGRATIONS) -> int:
    """Give the schema version that the files lead to."""
    return len(_files(directory))


def version_of(connection: sqlite3.Connection, directory: Path = MIGRATIONS) -> int:
    """Give the schema version of a database, 0 for an empty one; writes nothing.

    Raises `StateRefused` for a database of another program, or of a newer version of this one.
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
    return version


def migrate(connection: sqlite3.Connection, copy_to: Path, directory: Path = MIGRATIONS) -> None:
    """Bring a database up to date.

    A database that holds something is copied first, to `<copy_to>.before-<next version>`. Each
    file is one transaction: after a crash the schema is the one before it, or the one after.
    """
    before = version_of(connection, directory)
    pending = list(enumerate(_files(directory), 1))[before:]
    if before and pending:
        _copy(connection, copy_to.with_name(f"{copy_to.name}.before-{before + 1:04}"))
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
