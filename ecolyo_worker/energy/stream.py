"""Objects out of a stream of JSON, as GRDF sends it: one a line, or in whatever way they stand."""

import re
from itertools import pairwise
from typing import Any, Final, Literal

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
_BEGIN = re.compile(rb"(?=[{\[])")
# A line that begins with an object, or with the brace that ends one and another one glued to it;
# what is within an object is indented.
_LINE = re.compile(rb"\n}?(?=\{)")
_OUTSIDE = re.compile(rb'[{}\[\]"]')
_IN_TEXT = re.compile(rb'["\\\n]')

_State = Literal["whole", "torn", "open"]
_TORN: Final = "a text in it goes on beyond its line"
_BREAKS_OFF: Final = "an object in it breaks off"


class Objects(Struct, frozen=True):
    """What a stream held."""

    found: tuple[dict[str, Any], ...]
    broken: str | None = None
    """Why a part of it could not be read, in words; None where all of it was."""


class ObjectStream:
    """Cuts a stream into objects while it comes in.

    Blank lines, CRLF, objects over several lines or glued to each other are all the same to it;
    lists, and objects with a list of records in them, are taken apart. What cannot be read is
    passed over and told: behind an object that is broken it goes on with the next line that begins
    with one. The time it takes grows with the length alone. Keys lose stray blanks and colons.
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
        self._begin = 0
        """Of the object that is looked through, or of what is before it."""
        self._at = 0
        """How far the rest has been looked through."""
        self._depth = 0
        self._is_text = False
        self._is_lost = False
        """Whether all is passed over up to the next line that begins with an object."""

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
        self._cut(is_end=True)
        return Objects(tuple(self._found), self._broken)

    def _cut(self, *, is_end: bool = False) -> None:
        """Take the objects off that are whole; at the end also those behind one that is not."""
        while not self.is_full and self._begins() and self._goes_on(is_end=is_end):
            pass
        del self._rest[: self._begin]
        self._at = max(self._at - self._begin, 0)
        self._begin = 0

    def _begins(self) -> bool:
        """Look for where an object begins, unless one is under way."""
        if self._depth:
            return True
        length = len(self._rest)
        found = (_LINE if self._is_lost else _BEGIN).search(self._rest, self._begin)
        if not self._is_lost:
            begin = found.end() if found else length
            if other := self._rest[self._begin : begin].strip(_BETWEEN):
                self._tell("it is HTML" if other.startswith(b"<") else _NO_OBJECT)
        else:
            # The last two bytes may be how such a line begins.
            begin = found.end() if found else max(self._begin, length - 2)
            self._is_lost = found is None
        self._begin = self._at = begin
        return found is not None

    def _goes_on(self, *, is_end: bool) -> bool:
        """Do about an object what there is to do; False where more of it must come."""
        most = self._begin + self._most_of_one
        state = self._look_on(most)
        if state == "whole":
            if self._take(bytes(self._rest[self._begin : self._at])):
                self._begin = self._at
            else:
                self._resume(self._at)
        elif state == "torn":
            self._tell(_TORN)
            self._is_lost = not self._resume(self._at)
        elif len(self._rest) > most:
            if not self._resume(most):
                self._give_up(f"one object is longer than {self._most_of_one} bytes")
        elif is_end:
            if not self._resume(len(self._rest)):
                self._tell("it breaks off in the midst of an object")
        else:
            return False
        return True

    def _look_on(self, most: int) -> _State:
        """Look on for the end of the object that was begun, not beyond where it may be."""
        while match := (_IN_TEXT if self._is_text else _OUTSIDE).search(self._rest, self._at, most):
            mark = match[0]
            if mark == b"\n":
                self._at = match.start()
                return "torn"
            self._at = match.end()
            if mark == b"\\":
                self._at += 1
            elif mark == b'"':
                self._is_text = not self._is_text
            else:
                self._depth += 1 if mark in b"{[" else -1
                if not self._depth:
                    return "whole"
        self._at = max(self._at, min(len(self._rest), most))
        return "open"

    def _resume(self, end: int) -> bool:
        """Leave an object that is broken up to there for the lines in it that begin with one.

        All but the last are a stream each, so that nothing is looked through time and again. False
        where there is none: it goes on behind.
        """
        self._depth, self._is_text = 0, False
        lines = [line.end() for line in _LINE.finditer(self._rest, self._begin, end)]
        self._begin = self._at = lines[-1] if lines else end
        if lines:
            self._tell(_BREAKS_OFF)
        for begin, behind in pairwise(lines):
            self._found += read_objects(bytes(self._rest[begin:behind])).found
        return bool(lines)

    def _take(self, text: bytes) -> bool:
        """Take an object, or what is in a list; False where it cannot be read."""
        try:
            found = read_json(text, tidy=True)
        except AnswerUnreadable as error:
            self._tell(str(error))
            return False
        if isinstance(found, dict) and isinstance(found.get(_WRAPPER), list):
            wrapped = found.pop(_WRAPPER)
            found = [*wrapped, found] if found else wrapped
        records = found if isinstance(found, list) else [found]
        self._found += [record for record in records if isinstance(record, dict)]
        if not all(isinstance(record, dict) for record in records):
            self._tell(_NO_OBJECT)
        return True

    def _give_up(self, why: str) -> None:
        self._tell(why)
        self._rest.clear()
        self._begin = self._depth = 0
        self.is_full = True

    def _tell(self, why: str) -> None:
        """Remember the first thing that was wrong."""
        self._broken = self._broken or why


def read_objects(body: bytes) -> Objects:
    """Cut a whole answer into objects."""
    stream = ObjectStream()
    stream.feed(body)
    return stream.end()
