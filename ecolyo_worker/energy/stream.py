"""Objects out of a stream of JSON, as GRDF sends it: one a line, or in whatever way they stand."""

import re
from typing import Any

from msgspec import Struct

from ecolyo_worker.energy.decoding import MOST_BYTES, read_json
from ecolyo_worker.errors import AnswerUnreadable

__all__ = ["MOST_BYTES_OF_ONE", "ObjectStream", "Objects", "read_objects"]

MOST_BYTES_OF_ONE = 4 * 2**20
"""The longest object that is read; a gas day has some 1,500 bytes."""

# What may stand between objects; a byte order mark is left by some.
_BETWEEN = b" \t\r\n,\xef\xbb\xbf"
_NO_OBJECT = "it holds what is no object"
_WRAPPER = "liste_acces"
_BEGIN = re.compile(rb"[{\[]")
_OUTSIDE = re.compile(rb'[{}\[\]"]')
_IN_TEXT = re.compile(rb'["\\]')


class Objects(Struct, frozen=True):
    """What a stream held."""

    found: tuple[dict[str, Any], ...]
    broken: str | None = None
    """Why a part of it could not be read, in words; None where all of it was."""


class ObjectStream:
    """Cuts a stream into objects while it comes in.

    Blank lines, CRLF, objects over several lines or glued to each other are all the same to it;
    lists, and objects with a list of records in them, are taken apart. What cannot be read is
    passed over and told. Keys lose stray blanks and colons.
    """

    def __init__(self, *, most: int = MOST_BYTES, most_of_one: int = MOST_BYTES_OF_ONE) -> None:
        """`most` is how many bytes are read at all, `most_of_one` how many an object may have."""
        self.is_full = False
        """Whether more than what is read at all came: the rest may as well be left."""
        self._most, self._most_of_one = most, most_of_one
        self._length = 0
        self._found: list[dict[str, Any]] = []
        self._broken: str | None = None
        self._rest = bytearray()
        self._at = 0
        """How far the rest has been looked through."""
        self._depth = 0
        self._is_text = False

    def feed(self, chunk: bytes) -> None:
        """Take what came next, cut anywhere; never raises."""
        if self.is_full:
            return
        self._length += len(chunk)
        if self._length > self._most:
            self._give_up(f"it is longer than {self._most} bytes")
            return
        self._rest += chunk
        self._cut()

    def end(self) -> Objects:
        """Give what was found, after the last chunk."""
        if self._depth:
            self._tell("it breaks off in the midst of an object")
        return Objects(tuple(self._found), self._broken)

    def _cut(self) -> None:
        """Take the objects off that are whole."""
        begin = 0
        while True:
            if not self._depth:
                found = _BEGIN.search(self._rest, begin)
                between = self._rest[begin : found.start() if found else len(self._rest)]
                if other := between.strip(_BETWEEN):
                    self._tell("it is HTML" if other.startswith(b"<") else _NO_OBJECT)
                if found is None:
                    begin = len(self._rest)
                    break
                begin = found.start()
                self._at = begin
            end = self._end_of_one()
            if (end or len(self._rest)) - begin > self._most_of_one:
                self._give_up(f"one object is longer than {self._most_of_one} bytes")
                return
            if end is None:
                break
            self._take(bytes(self._rest[begin:end]))
            begin = end
        del self._rest[:begin]
        self._at = max(self._at - begin, 0)

    def _end_of_one(self) -> int | None:
        """Look on for the end of the object that was begun; None where it has not come yet."""
        while match := (_IN_TEXT if self._is_text else _OUTSIDE).search(self._rest, self._at):
            mark = match[0]
            self._at = match.end()
            if mark == b"\\":
                self._at += 1
            elif mark == b'"':
                self._is_text = not self._is_text
            else:
                self._depth += 1 if mark in b"{[" else -1
                if not self._depth:
                    return self._at
        self._at = max(self._at, len(self._rest))
        return None

    def _take(self, text: bytes) -> None:
        try:
            found = read_json(text, tidy=True)
        except AnswerUnreadable as error:
            self._tell(str(error))
            return
        if isinstance(found, dict) and isinstance(found.get(_WRAPPER), list):
            wrapped = found.pop(_WRAPPER)
            found = [*wrapped, found] if found else wrapped
        records = found if isinstance(found, list) else [found]
        self._found += [record for record in records if isinstance(record, dict)]
        if not all(isinstance(record, dict) for record in records):
            self._tell(_NO_OBJECT)

    def _give_up(self, why: str) -> None:
        self._tell(why)
        self._rest.clear()
        self._depth = 0
        self.is_full = True

    def _tell(self, why: str) -> None:
        """Remember the first thing that was wrong."""
        self._broken = self._broken or why


def read_objects(body: bytes) -> Objects:
    """Cut a whole answer into objects."""
    stream = ObjectStream()
    stream.feed(body)
    return stream.end()
