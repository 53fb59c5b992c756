"""What Metabase would show: the DACC's rows summed up by measure, start date and groups.

The DACC shows an aggregate from ``THRESHOLD`` rows on. It rounds values to two decimals, looks at
the first key of a group alone, and takes ``1`` and ``"1"`` for two different values. One NaN stops
the aggregation of its measure for good.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from .exchange import Ruling
    from .indicator import JsonObject

__all__ = ["THRESHOLD", "Cell", "Cells", "Share"]

THRESHOLD = 5
_GROUPS = ("group1", "group2", "group3")


class Key(NamedTuple):
    """What the rows of a cell have in common; of each group its key and its value as JSON."""

    measure: str
    start_date: str
    groups: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Cell:
    """The sums of one cell; values in hundredths, so that what is taken away again leaves none."""

    key: Key
    count: int = 0
    hundredths: int = 0

    @property
    def shown(self) -> bool:
        """Whether there are enough rows for it to be seen."""
        return self.count >= THRESHOLD


class Share(NamedTuple):
    """What one row adds to its cell; a NaN has no ``hundredths``."""

    cell: Cell
    hundredths: int | None


class Cells:
    """All cells that have rows; not safe between threads."""

    def __init__(self) -> None:
        self._cells: dict[Key, Cell] = {}
        self._stopped: set[str] = set()

    def __len__(self) -> int:
        return len(self._cells)

    def add(self, ruling: Ruling) -> Share | None:
        """Count a stored indicator in, if the DACC's statistics would; give what it added."""
        if not ruling.counts or ruling.indicator is None:
            return None
        key = _key(ruling.indicator)
        value = float(cast("float", ruling.indicator["value"]))
        cell = self._cells.setdefault(key, Cell(key))
        cell.count += 1
        if math.isnan(value):
            self._stopped.add(key.measure)
            return Share(cell, None)
        share = Share(cell, round(value * 100))
        cell.hundredths += share.hundredths or 0
        return share

    def remove(self, share: Share) -> None:
        """Take away again what a row added; a measure that is stopped stays so."""
        share.cell.count -= 1
        share.cell.hundredths -= share.hundredths or 0
        if not share.cell.count:
            del self._cells[share.cell.key]

    def as_json(self, measure: str = "", start_date: str = "") -> list[JsonObject]:
        """Give the cells, of a measure and a start date if these are not empty, in their order."""
        wanted = [
            cell
            for key, cell in self._cells.items()
            if measure in ("", key.measure) and start_date in ("", key.start_date)
        ]
        return [self._shown(cell) for cell in sorted(wanted, key=lambda cell: cell.key)]

    def _shown(self, cell: Cell) -> JsonObject:
        return {
            "measure": cell.key.measure,
            "startDate": cell.key.start_date,
            "groups": [{key: json.loads(value)} for key, value in cell.key.groups],
            "count": cell.count,
            "sum": cell.hundredths / 100,
            "average": round(cell.hundredths / cell.count / 100, 4),
            "shown": cell.shown,
            "stopped": cell.key.measure in self._stopped,
        }


def _key(indicator: JsonObject) -> Key:
    groups = (cast("JsonObject", indicator[name]) for name in _GROUPS if name in indicator)
    firsts = (next(iter(group.items())) for group in groups)
    return Key(
        cast("str", indicator["measureName"]),
        cast("str", indicator["startDate"]),
        tuple((key, json.dumps(value)) for key, value in firsts),
    )
