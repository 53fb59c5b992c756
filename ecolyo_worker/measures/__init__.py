"""The measures: pure functions from one instance's period to what is observed in it."""

from ecolyo_worker.measures.counting import Counted, Fate, Row, Rules, count, count_connected
from ecolyo_worker.measures.daily import DAILY
from ecolyo_worker.measures.period import (
    Day,
    End,
    EndKey,
    Facts,
    Measure,
    Observation,
    end_key,
    measure,
)

__all__ = [
    "DAILY",
    "Counted",
    "Day",
    "End",
    "EndKey",
    "Facts",
    "Fate",
    "Measure",
    "Observation",
    "Row",
    "Rules",
    "count",
    "count_connected",
    "end_key",
    "measure",
]
