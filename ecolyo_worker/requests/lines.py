"""What comes line by line, and why a line is refused."""

from msgspec import Struct

__all__ = [
    "Line",
    "LineRefusal",
]


class Line(Struct, frozen=True):
    """One line of a file: its number, from 1, and its bytes."""

    number: int
    text: bytes


class LineRefusal(Struct, frozen=True):
    """Why a line was not taken. `field` is empty where the line as a whole is wrong."""

    line: int
    field: str
    reason: str
