"""Reads the files that are imported: NDJSON, a JSON array, or an export of Cozy's tool ACH."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import chain, islice
from pathlib import Path
from typing import IO

import msgspec

from ecolyo_worker.errors import CommandRefused, InputRefused
from ecolyo_worker.events import MAX_EVENT_BYTES
from ecolyo_worker.files import open_input
from ecolyo_worker.requests import Line

__all__ = ["EVENTS_DOCTYPE", "STDIN", "chunks", "opened", "read_lines"]

STDIN = Path("/dev/stdin")
"""What `-` on the command line means."""

EVENTS_DOCTYPE = "com.grandlyon.ecolyo.usageevents"

_BOM = b"\xef\xbb\xbf"
_CHUNK = 500
# An array or an export is read as a whole.
_LARGEST_DOCUMENT = 256 * 1024 * 1024


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, or take stdin as it is; raises `CommandRefused` if it cannot be read."""
    if path == STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = open_input(path)
    except OSError as error:
        raise CommandRefused(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield file


def read_lines(file: IO[bytes]) -> Iterator[Line]:
    """Give the objects of a file, each as its bytes with the number of the line it begins on.

    NDJSON is read line by line, whatever its lines hold. A file that begins with `[`, or whose
    first line is no whole object, is read as one document.
    """
    blanks, line = [], file.readline(MAX_EVENT_BYTES + 1).removeprefix(_BOM)
    while line.isspace():
        blanks.append(line)
        line = file.readline(MAX_EVENT_BYTES + 1)
    head, first = b"".join([*blanks, line]), line.strip()
    if first.startswith(b"[") or (first.startswith(b"{") and not _is_event(first)):
        yield from _whole(head, file)
    else:
        yield from _ndjson(chain(head.splitlines(keepends=True), _pieces(file)))


def chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Cut lines into the pieces that are imported in one transaction each."""
    while chunk := list(islice(lines, _CHUNK)):
        yield chunk


def _is_event(line: bytes) -> bool:
    """Tell whether a line is a whole object that is no export."""
    return _is_json(line) and EVENTS_DOCTYPE.encode() not in line


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Read lines, the longest ones in pieces that are no longer than one that is refused."""
    while piece := file.readline(MAX_EVENT_BYTES + 1):
        yield piece


def _ndjson(pieces: Iterator[bytes]) -> Iterator[Line]:
    number = 0
    is_whole = True
    for piece in pieces:
        if is_whole:
            number += 1
            yield Line(number, piece.removesuffix(b"\n").removesuffix(b"\r"))
        is_whole = piece.endswith(b"\n")  # else the rest of a line that is too long follows


def _whole(head: bytes, file: IO[bytes]) -> Iterator[Line]:
    rest = file.read(_LARGEST_DOCUMENT)
    if len(rest) == _LARGEST_DOCUMENT:
        raise CommandRefused(
            f"found more than {_LARGEST_DOCUMENT >> 20} MiB in one document; allowed: less than"
            " that, or NDJSON of any length"
        )
    text = head + rest
    try:
        items = _items(text)
    except InputRefused:
        # NDJSON after all, of which the first line is wrong: every line is told what is.
        if _is_json(head) or not head.lstrip().startswith(b"["):
            yield from _ndjson(_pieces(BytesIO(text)))
            return
        raise
    position, number = 0, 1
    for item in items:
        begin = text.index(bytes(item), position)
        number += text.count(b"\n", position, begin)
        yield Line(number, bytes(item))
        number += bytes(item).count(b"\n")
        position = begin + len(bytes(item))


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
