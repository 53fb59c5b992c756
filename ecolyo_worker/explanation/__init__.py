"""From an indicator to its rule and its events, and from an event to its indicators.

All of it is reckoned by the functions that count: what a counting of the past saw is put together
again, and what waits is given to them as the next run would do it. Nothing is stored.
"""

from ecolyo_worker.explanation.documents import (
    AbsentEvent,
    EventExplanation,
    EventRow,
    ExplainedCounting,
    ExplainedRow,
    Explanation,
    LookedAt,
    MeasureRule,
    OtherValue,
)
from ecolyo_worker.explanation.event import explain_event
from ecolyo_worker.explanation.period import Question, explain_period, measure_rule
from ecolyo_worker.explanation.view import View

__all__ = [
    "AbsentEvent",
    "EventExplanation",
    "EventRow",
    "ExplainedCounting",
    "ExplainedRow",
    "Explanation",
    "LookedAt",
    "MeasureRule",
    "OtherValue",
    "Question",
    "View",
    "explain_event",
    "explain_period",
    "measure_rule",
]
