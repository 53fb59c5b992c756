"""The answer to any series as points, by its own decoder."""

from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.enedis import read_curve, read_daily
from ecolyo_worker.energy.grdf import read_gas_days, read_gas_periods
from ecolyo_worker.energy.points import Decoded
from ecolyo_worker.energy.windows import PolledSeries

__all__ = ["read_points"]


def read_points(
    series: PolledSeries, content: Content, meter: str, days: range, wanted: range | None = None
) -> Decoded:
    """Read what was asked of a meter over some civil days; raises `AnswerUnreadable`.

    Of published periods only those are kept that touch the `wanted` days; default: all.
    """
    if series == "daily":
        return read_daily(content.json, meter, days)
    if series == "curve":
        return read_curve(content.json, meter, days)
    if series == "gas_days":
        return read_gas_days(content.objects, meter, days)
    return read_gas_periods(content.objects, meter, days, wanted)
