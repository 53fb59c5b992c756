"""Many rows by few statements: the ladder.

`executemany` gives Python's lock away at every row, and takes up to a switch interval to have it
back while the event loop is busy. One statement for many rows gives it away once.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["Ladder"]

# A statement for any number of rows would be prepared again each time; these stay prepared.
_RUNGS: Final = (500, 100, 20, 4, 1)


class Ladder:
    """An `INSERT` of any number of rows, by statements for 500, 100, 20, 4 and 1 of them."""

    def __init__(self, table: str, columns: Sequence[str], conflict: str = "") -> None:
        """`conflict` is what follows `ON CONFLICT`; without it a conflict is an error."""
        self._width = len(columns)
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608  names of ours
        row = f"({', '.join('?' * len(columns))})"
        tail = f" ON CONFLICT {conflict}" if conflict else ""
        self._statements = [(rows, f"{head}{', '.join([row] * rows)}{tail}") for rows in _RUNGS]

    def insert(self, connection: sqlite3.Connection, values: list[Any]) -> tuple[int, int]:
        """Insert rows, whose values follow each other in one list, in this order.

        Gives how many were inserted or updated, and the last row's id if all of them are new.
        """
        changed = last = begin = 0
        for rows, statement in self._statements:
            step = rows * self._width
            while begin + step <= len(values):
                cursor = connection.execute(statement, values[begin : begin + step])
                changed += cursor.rowcount
                last = cursor.lastrowid or 0
                begin += step
        return changed, last
