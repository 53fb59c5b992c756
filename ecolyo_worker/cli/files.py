"""Reads the files that are imported: NDJSON, a JSON array, or an export of Cozy's tool ACH."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec

from ecolyo_worker.errors import CommandRefused, InputRefused
from ecolyo_worker.events import MAX_EVENT_BYTES
from ecolyo_worker.requests import Line

__all__ = ["EVENTS_DOCTYPE", "chunks", "opened", "read_lines"]

EVENTS_DOCTYPE = "com.grandlyon.ecolyo.usageevents"

_BOM = b"\xef\xbb\xbf"
_CHUNK = 500
# An array or an export is read as a whole.
_LARGEST_DOCUMENT = 256 * 1024 * 1024


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, or stdin for `-`; raises `CommandRefused` if it cannot be read."""
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise CommandRefused(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield file


def read_lines(file: IO[bytes]) -> Iterator[Line]:
    """Give the objects of a file, each as its bytes with the number of the line it begins on.

    NDJSON is read line by line, whatever its lines hold. A file that begins with `[`, or whose
    first line is no whole object, is read as one document.
    """
    first = file.readline(MAX_EVENT_BYTES + 1).removeprefix(_BOM)
    stripped = first.strip()
    if stripped.startswith(b"[") or (
        stripped.startswith(b"{")
        and (EVENTS_DOCTYPE.encode() in stripped or not _is_json(stripped))
    ):
        yield from _whole(first, file)
    else:
        yield from _ndjson(first, file)


def chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Cut lines into the pieces that are imported in one transaction each."""
    while chunk := list(islice(lines, _CHUNK)):
        yield chunk


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _ndjson(line: bytes, file: IO[bytes]) -> Iterator[Line]:
    number = 1
    while line:
        yield Line(number, line.removesuffix(b"\n").removesuffix(b"\r"))
        while line and not line.endswith(b"\n"):  # the rest of one that is too long
            line = file.readline(MAX_EVENT_BYTES + 1)
        line = file.readline(MAX_EVENT_BYTES + 1)
        number += 1


def _whole(first: bytes, file: IO[bytes]) -> Iterator[Line]:
    rest = file.read(_LARGEST_DOCUMENT)
    if len(rest) == _LARGEST_DOCUMENT:
        raise CommandRefused(
            f"found more than {_LARGEST_DOCUMENT >> 20} MiB in one document; allowed: less than"
            " that, or NDJSON of any length"
        )
    text = first + rest
    try:
        items = _items(text)
    except InputRefused:
        # NDJSON after all, of which the first line is wrong: every line is told what is.
        if _is_json(first) or not first.lstrip().startswith(b"["):
            yield from _ndjson(first, BytesIO(rest))
            return
        raise
    position, number = 0, 1
    for item in items:
        begin = text.index(bytes(item), position)
        number += text.count(b"\n", position, begin)
        yield Line(number, bytes(item))
        position = begin


def _items(text: bytes) -> list[msgspec.Raw]:
    try:
        if text.lstrip().startswith(b"["):
            return msgspec.json.decode(text, type=list[msgspec.Raw])
        found = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        if EVENTS_DOCTYPE in found:
            return msgspec.json.decode(found[EVENTS_DOCTYPE], type=list[msgspec.Raw])
    except RecursionError:
        raise InputRefused("", "found JSON nested too deep") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputRefused("", f"the file is no valid JSON document: {error}") from None
    return [msgspec.Raw(text.strip())]
