"""Keys in files of their own: of the outbox, by which bodies are known, and of sealed tokens.

They stand beside the database, unless the settings name another place.
"""

import os
import secrets
from pathlib import Path

from ecolyo_worker.errors import StateRefused
from ecolyo_worker.files import read_plain

__all__ = ["KEY_FORM", "load_key", "make_key", "put_back_key", "read_key"]

_BYTES = 32
_MOST = 1024
KEY_FORM = f"{2 * _BYTES} hexadecimal digits"
"""What a file of a key holds."""


def load_key(directory: Path, *, may_make: bool) -> bytes:
    """Read `outbox.key`, or make it; `may_make` is False once rows rest on it.

    Raises `StateRefused` if it is missing then, or damaged.
    """
    path = directory / "outbox.key"
    key = read_key(path)
    if key is None:
        if not may_make:
            raise StateRefused(
                f"{path} is missing, and the outbox cannot be checked without it: restore it "
                "from the backup that the database is from"
            )
        key = make_key(path)
    return key


def put_back_key(directory: Path, key: bytes) -> None:
    """Write the `outbox.key` that a backup holds; raises `StateRefused` if there is another one."""
    path = directory / "outbox.key"
    known = read_key(path)
    if known is None:
        _write(path, key)
    elif known != key:
        raise StateRefused(
            f"{path} is another one than the backup's: it is of the state that was here before;"
            " move it away"
        )


def make_key(path: Path) -> bytes:
    """Write a new key, for its owner's eyes alone; raises `StateRefused`."""
    key = secrets.token_bytes(_BYTES)
    try:
        _write(path, key)
    except OSError as error:
        raise StateRefused(f"{path}: cannot be written: {error.strerror}") from None
    return key


def read_key(path: Path) -> bytes | None:
    """Read a key, as hexadecimal digits; None if there is no file. Raises `StateRefused`."""
    try:
        key = bytes.fromhex(read_plain(path, _MOST).decode("ascii"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateRefused(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise StateRefused(f"{path} holds no key: {KEY_FORM}")
    return key


def _write(path: Path, key: bytes) -> None:
    unfinished = path.with_suffix(".part")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, key.hex().encode())
        os.fsync(file)
    finally:
        os.close(file)
    unfinished.rename(path)
