"""The documents of `com.grandlyon.*`, as the konnectors wrote them into people's Cozys.

All doctypes have the same numbers: `load` in kWh with three decimals, and where the interval
begins, on the wall clock; `day` and `month` are 1 where the step has none.
"""

from collections.abc import Iterable
from datetime import datetime

__all__ = ["DOCTYPES", "grandlyon_documents", "may_shrink"]

DOCTYPES = {
    "electricity": {
        "half-hour": "com.grandlyon.enedis.minute",
        "hour": "com.grandlyon.enedis.hour",
        "day": "com.grandlyon.enedis.day",
        "month": "com.grandlyon.enedis.month",
        "year": "com.grandlyon.enedis.year",
    },
    "gas": {
        "day": "com.grandlyon.grdf.day",
        "month": "com.grandlyon.grdf.month",
        "year": "com.grandlyon.grdf.year",
    },
}
"""The doctype of a fluid's step; what has none was never written."""


def may_shrink(step: str, *, is_whole: bool, is_first: bool) -> bool:
    """Tell whether a document may take the place of a fuller one: it does not say what it lacks.

    That is a part of a day, or of the first month or year, before which older history may be; a
    later one is the sum so far, and is replaced as days come, as it was by the konnectors.
    """
    return not is_whole and (step == "day" or (is_first and step in {"month", "year"}))


def grandlyon_documents(
    intervals: Iterable[tuple[datetime, int]],
) -> list[dict[str, int | float]]:
    """Make documents of intervals: where each begins on the wall clock, and its Wh.

    What begins at the same time on the wall clock, as the hour that comes twice in autumn does, is
    summed into one document.
    """
    sums: dict[datetime, int] = {}
    for begin, amount in intervals:
        civil = begin.replace(tzinfo=None, second=0, microsecond=0)
        sums[civil] = sums.get(civil, 0) + amount
    return [
        {
            "load": amount / 1000,
            "minute": begin.minute,
            "hour": begin.hour,
            "day": begin.day,
            "month": begin.month,
            "year": begin.year,
        }
        for begin, amount in sums.items()
    ]
