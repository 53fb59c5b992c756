"""The measures: pure functions from one instance's period to what is observed in it."""

from ecolyo_worker.measures.counting import (
    Counted,
    CountedMonth,
    Fate,
    Row,
    Rules,
    count,
    count_connected,
    count_month,
)
from ecolyo_worker.measures.known import ALL, CONNECTED, DAILY, MONTHLY, unknown
from ecolyo_worker.measures.period import (
    Consumption,
    Day,
    End,
    EndKey,
    Facts,
    LeftOut,
    Measure,
    Month,
    Observation,
    end_key,
    measure,
)

__all__ = [
    "ALL",
    "CONNECTED",
    "DAILY",
    "MONTHLY",
    "Consumption",
    "Counted",
    "CountedMonth",
    "Day",
    "End",
    "EndKey",
    "Facts",
    "Fate",
    "LeftOut",
    "Measure",
    "Month",
    "Observation",
    "Row",
    "Rules",
    "count",
    "count_connected",
    "count_month",
    "end_key",
    "measure",
    "unknown",
]
