"""The measures: pure functions from one instance's period to what is observed in it."""

from ecolyo_worker.measures.counting import (
    Counted,
    CountedMonth,
    Fate,
    Other,
    Row,
    Rules,
    count,
    count_connected,
    count_month,
)
from ecolyo_worker.measures.daily import DAILY
from ecolyo_worker.measures.monthly import MONTHLY
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
    "Other",
    "Row",
    "Rules",
    "count",
    "count_connected",
    "count_month",
    "end_key",
    "measure",
]
