"""Whether two series tell the same: the load curve and the days, gas days and published periods."""

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct

from ecolyo_worker.clock import MINUTE_MS
from ecolyo_worker.energy.points import Point

__all__ = ["Disagreement", "disagreements"]


class Disagreement(Struct, frozen=True):
    """An interval of which the parts do not add up to the whole."""

    whole: Point
    parts: int
    """The sum of its parts, in Wh."""


def disagreements(wholes: Sequence[Point], parts: Sequence[Point]) -> tuple[Disagreement, ...]:
    """Compare each whole that is covered by parts without a hole, to the Wh.

    Both are in the order of time and do not overlap. A whole with a hole in it says nothing, and
    neither does one of which a part reaches beyond it. Enedis' days and load curve agree exactly;
    published periods of gas may differ from their days by what was rounded.
    """
    starts = [part.start for part in parts]
    found = []
    for whole in wholes:
        end = whole.start + whole.minutes * MINUTE_MS
        inner = parts[bisect_left(starts, whole.start) : bisect_left(starts, end)]
        total = sum(part.amount for part in inner)
        is_covered = sum(part.minutes for part in inner) == whole.minutes
        if is_covered and _end(inner[-1]) == end and total != whole.amount:
            found.append(Disagreement(whole, total))
    return tuple(found)


def _end(point: Point) -> int:
    return point.start + point.minutes * MINUTE_MS
