"""A measure's day or month of one instance, from its rule to the events."""

import contextlib
import sqlite3
from typing import Any

from msgspec import Struct

from ecolyo_worker.clock import (
    day_text,
    month_days,
    month_of,
    month_text,
    parse_day,
    parse_month,
)
from ecolyo_worker.errors import CommandRefused, quote
from ecolyo_worker.explanation.connected import explain_connected_day
from ecolyo_worker.explanation.days import explain_event_day
from ecolyo_worker.explanation.documents import ExplainedCounting, Explanation, MeasureRule
from ecolyo_worker.explanation.months import explain_event_month
from ecolyo_worker.explanation.view import View
from ecolyo_worker.measures import CONNECTED, Measure, Rules
from ecolyo_worker.section import nearest
from ecolyo_worker.store import instances
from ecolyo_worker.store.instances import Instance

__all__ = ["Question", "explain_period", "measure_rule"]


class Question(Struct, frozen=True):
    """Which measure is to be explained, of which civil day or month."""

    rule: MeasureRule
    day: int
    """The day, or the first one of the month."""
    month: int | None = None

    @classmethod
    def read(cls, rule: MeasureRule, text: str) -> "Question":
        """Read a day (YYYY-MM-DD); of a monthly measure a month (YYYY-MM) or any day of it.

        Raises `CommandRefused` for anything else.
        """
        allowed = "a day as YYYY-MM-DD"
        with contextlib.suppress(ValueError):
            if rule.period == "day":
                return cls(rule, parse_day(text))
            allowed = "a month as YYYY-MM, or any day of it as YYYY-MM-DD"
            month = parse_month(text) if len(text) == len("YYYY-MM") else month_of(parse_day(text))
            return cls(rule, month_days(month).start, month)
        raise CommandRefused(f"DAY: found {quote(text)}; allowed for {rule.measure}: {allowed}")

    @property
    def period(self) -> str:
        """The day or month as text."""
        return day_text(self.day) if self.month is None else month_text(self.month)

    def last_day(self, monthly_day: int) -> int:
        """Give the last day that must be over before it is counted."""
        if self.month is None:
            return self.day
        return month_days(self.month).stop + monthly_day - 2


def measure_rule(name: str, rules: Rules) -> MeasureRule:
    """Give a measure in words; raises `CommandRefused` for an unknown one, naming those there are.

    A measure that the definitions file does not have makes no rows, and is told so.
    """
    of_day: list[Measure[Any]] = [*rules.daily, CONNECTED]
    known = {one.name: one for one in (*of_day, *rules.monthly)}
    if name not in known:
        near = nearest(name, known, 0.4)
        hint = f"; did you mean {near!r}?" if near else ""
        raise CommandRefused(
            f"no measure is called {quote(name)}{hint}; there are {', '.join(known)}"
        )
    period = "day" if any(one.name == name for one in of_day) else "month"
    if name not in rules.definitions:
        purpose = "It is not in the definitions file, so nothing of it is made or sent."
        return MeasureRule(
            measure=name, purpose=purpose, unit="", period=period, rule=known[name].rule, groups={}
        )
    definition = rules.definitions[name]
    return MeasureRule(
        measure=name,
        purpose=definition.purpose,
        unit=definition.unit,
        period=period,
        rule=known[name].rule,
        groups={group.key: group.allowed for group in definition.groups},
    )


def explain_period(
    connection: sqlite3.Connection, name: str, question: Question, view: View
) -> Explanation | None:
    """Explain a measure's day or month of an instance; None if the instance is not known."""
    instance = instances.find(connection, name)
    if instance is None:
        return None
    found = _countings(connection, instance, question, view)
    if isinstance(found, str):
        return Explanation(name, question.rule, question.period, [], why=found)
    why = None if found else _why_nothing(instance, question, view)
    return Explanation(name, question.rule, question.period, found, why)


def _countings(
    connection: sqlite3.Connection, instance: Instance, question: Question, view: View
) -> list[ExplainedCounting] | str:
    measure = question.rule.measure
    if question.month is not None:
        return explain_event_month(connection, instance, measure, question.month, view)
    if measure == CONNECTED.name:
        return explain_connected_day(connection, instance, measure, question.day, view)
    return explain_event_day(connection, instance, measure, question.day, view)


def _why_nothing(instance: Instance, question: Question, view: View) -> str:
    what = "no event of this day is there"
    if instance.pruned_through is not None and question.day <= instance.pruned_through:
        what += f"; up to {day_text(instance.pruned_through)} what is old was deleted (retention)"
    if question.rule.measure == CONNECTED.name:
        what = "no state of a konnector was said up to the end of this day"
    lacking = view.without_consent(instance)
    over = "the day is not over yet" if question.day >= view.today else None
    return "; ".join(reason for reason in (what, lacking, over) if reason is not None)
