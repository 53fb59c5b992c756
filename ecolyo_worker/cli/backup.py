"""`backup`: the whole state in one file."""

import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import IO, Annotated

from anyio import to_thread
from cyclopts import App, Parameter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from ecolyo_worker.cli.output import Output, megabytes
from ecolyo_worker.cli.session import Session
from ecolyo_worker.clock import instant_text
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.store.backups import Backup, check

__all__ = ["register"]


def register(app: App) -> None:
    """Add this command."""
    app.command(backup)


async def backup(
    file: Path,
    /,
    *,
    force: bool = False,
    session: Annotated[Session, Parameter(parse=False)],
) -> None:
    """Write the whole state into one file, while a service goes on using it.

    It holds all events, facts and rows, and `outbox.key`, but no settings and no tokens. Nothing
    that was deleted before is in it. docs/how-to/back-up-and-restore.md tells how to put it back.

    Parameters
    ----------
    file
        Where to; outside the state directory.
    force
        Replace that file if there is one.

    Examples
    --------
    ecolyo-worker backup /mnt/backups/ecolyo.db --force
    """
    directory = session.directory()
    place = _checked(file, directory, force=force)
    async with session.reading() as commands:
        part = _Part(place)
        with closing(part):
            await _fetch(commands, part.file, session.output)
            found = await to_thread.run_sync(part.finish)
            _checked(place, directory, force=force)  # somebody else may have been there
            part.publish()
    _tell(session.output, place, found)


def _checked(file: Path, directory: Path, *, force: bool) -> Path:
    """Give a place as a whole path; raises `CommandRefused` where something would be lost."""
    file = file.absolute()
    if file.parent.resolve() == directory.resolve():
        raise CommandRefused(
            f"{file} would be lost together with the state; name a file outside {directory},"
            " on another disk if there is one"
        )
    if os.path.lexists(file):
        if not file.is_file() or file.is_symlink():
            raise CommandRefused(f"{file} is no plain file; name another one")
        if not force:
            raise CommandRefused(f"{file} is there already; name another one, or say --force")
    return file


async def _fetch(commands: Commands, file: IO[bytes], output: Output) -> None:
    with _progress(output) as progress:
        copying = progress.add_task("copying the state", total=None)
        writing = progress.add_task("writing the file", total=None)
        async for piece in commands.backup():
            task = writing if piece.data else copying
            progress.update(task, completed=piece.done, total=piece.total)
            file.write(piece.data)


class _Part:
    """The file beside the one that was named, until it is known to be whole."""

    def __init__(self, target: Path) -> None:
        """Make it, for its owner's eyes alone; raises `CommandRefused` if it cannot be made."""
        try:
            number, name = tempfile.mkstemp(".part", f"{target.name}.", target.parent)
        except OSError as error:
            raise CommandRefused(f"{target}: cannot be written: {error.strerror}") from None
        self.file = os.fdopen(number, "wb")
        self._path = Path(name)
        self._target = target

    def finish(self) -> Backup:
        """Bring it onto the disk, and check it; raises `StateRefused` if it is not whole."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return check(self._path)

    def publish(self) -> None:
        """Give it its name."""
        self._path.replace(self._target)
        folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Remove it, unless it has its name."""
        self.file.close()
        self._path.unlink(missing_ok=True)


def _tell(output: Output, file: Path, found: Backup) -> None:
    made = instant_text(found.made)
    if output.as_json:
        output.document({"file": str(file), "bytes": found.bytes, "schema": found.schema,
                         "made": made})  # fmt: skip
    else:
        output.line(
            f"{file}: {megabytes(found.bytes)}, schema {found.schema}, made {made}, checked"
        )


def _progress(output: Output) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        console=output.console,
        transient=True,
        disable=not output.console.is_terminal,
    )
