"""One event, forwards: in which counting it is, and what each measure made of it."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from ecolyo_worker.clock import civil_text, day_text, month_of, month_text
from ecolyo_worker.events import Event, event_document
from ecolyo_worker.explanation import rows
from ecolyo_worker.explanation.days import AGGREGATED, next_counting, waiting_events
from ecolyo_worker.explanation.documents import EventExplanation, EventRow, ExplainedRow, LookedAt
from ecolyo_worker.explanation.months import (
    TOO_LATE,
    ended_before,
    is_lost,
    month_then,
    next_month,
)
from ecolyo_worker.explanation.rows import Place
from ecolyo_worker.explanation.view import View
from ecolyo_worker.measures import Counted, CountedMonth, Month, count_month
from ecolyo_worker.measures.explaining import Explained, explain_day, explain_month, why_not_counted
from ecolyo_worker.store import books, events, instances, months
from ecolyo_worker.store.books import StoredCounting
from ecolyo_worker.store.instances import Instance

__all__ = ["explain_event"]

_Tell = Callable[[str, rows.Reckoned], list[ExplainedRow]]
"""Gives the rows of a measure, each with what became of it."""


def explain_event(
    connection: sqlite3.Connection, name: str, ident: str, view: View
) -> EventExplanation | None:
    """Explain what became of an instance's event, or what will; None if it is not there."""
    instance = instances.find(connection, name)
    found = None if instance is None else events.find(connection, instance.id, ident)
    if instance is None or found is None:
        return None
    story = _Story(connection, instance, found.event, view)
    why = story.of_day()
    story.of_months()
    return EventExplanation(
        instance=instance.name,
        event=event_document(found.event),
        state=found.state,
        why=why,
        rows=story.rows,
        left_out=story.left_out,
        notes=story.notes,
    )


class _Story:
    """Gathers what each measure made of one event."""

    def __init__(
        self, connection: sqlite3.Connection, instance: Instance, event: Event, view: View
    ) -> None:
        self._connection = connection
        self._instance = instance
        self._event = event
        self._view = view
        self.rows: list[EventRow] = []
        self.left_out: list[LookedAt] = []
        self.notes: list[str] = []

    def of_day(self) -> str:
        """Follow it through the counting of its day; give in words what became of it."""
        day = self._event.day
        stored = books.countings_of_day(self._connection, self._instance, day)
        for one in stored:
            if one.after_seq < self._event.seq <= one.upto_seq:
                return self._counted(one)
        if self._event.aggregated:
            return AGGREGATED
        coming = next_counting(self._connection, self._instance, day, self._view)
        if isinstance(coming, str):
            return coming
        left = waiting_events(self._connection, self._instance, day, stored)
        as_of = self._view.plan.as_of
        self._daily(coming.counted, left, as_of, self._view.next_run(), self._to_come)
        reason = why_not_counted(self._event, coming.counted, as_of, self._view.plan.rules)
        then = "it would be counted" if reason is None else reason
        return f"it waits; {self._view.next_run()}: {then}"

    def of_months(self) -> None:
        """Follow it through the months that read it: its own, or of some types all from it on."""
        own = month_of(self._event.day)
        for month in self._months_of_life(own) if self._is_kept else [own]:
            self._month(month)

    @property
    def _is_kept(self) -> bool:
        return self._event.type in events.EVER_TYPES

    def _months_of_life(self, own: int) -> list[int]:
        """Give the months from its own on that are done, or that the next run does."""
        done = months.months_done(self._connection, self._instance, own)
        night = self._view.night(self._connection, self._instance)
        coming = [] if night is None else [item.month for item in night.months]
        return [*done, *(month for month in coming if month >= own)] or [own]

    def _counted(self, stored: StoredCounting) -> str:
        view = self._view
        which = f"counting {stored.n + 1} of {day_text(stored.day)}"
        run = view.done(stored.as_of, stored.started)
        if stored.lost:
            self.notes.append(
                "other events of its counting are deleted: it cannot be reckoned again"
            )
            return f"it is in {which}, {run}"
        counted = stored.recount(view.definitions)
        reason = why_not_counted(self._event, counted, stored.as_of, view.rules_then(stored))
        tell = partial(self._stored, partial(rows.place_of_day, stored=stored))
        self._daily(counted, stored.events, stored.as_of, run, tell)
        return f"{'it was counted' if reason is None else reason}; {which}, {run}"

    def _month(self, month: int) -> None:
        stored = months.stored_month(self._connection, self._instance, month)
        if stored is None:
            self._month_to_come(month)
        elif ended_before(stored.facts.acceptance, month):
            return
        elif self._event.time < stored.facts.acceptance:
            when = civil_text(stored.facts.acceptance)
            self.notes.append(f"{month_text(month)}: it is older than the acceptance, {when}")
        elif self._event.seq > stored.upto_seq:
            self.notes.append(f"{month_text(month)}: {TOO_LATE}")
        elif is_lost(self._connection, self._instance, month):
            self.notes.append(f"{month_text(month)}: events of it are deleted, so nobody can tell")
        else:
            known = month_then(self._connection, self._instance, stored, self._view)
            run = self._view.done(stored.as_of, stored.started)
            tell = partial(self._stored, partial(rows.place_of_month, stored=stored))
            self._monthly(known, count_month(known, self._view.plan.rules), run, tell)

    def _month_to_come(self, month: int) -> None:
        found = next_month(self._connection, self._instance, month, self._view)
        if isinstance(found, str):
            self.notes.append(f"for the monthly measures, {found}")
        elif self._event.time >= found.facts.acceptance:
            zone = self._view.plan.zone
            known = months.month_of_instance(
                self._connection, self._instance, found.facts, month, zone
            )
            self._monthly(known, found.counted, self._view.next_run(), self._to_come)

    def _daily(
        self,
        counted: Counted,
        given: Sequence[Event],
        as_of: int,
        run: str,
        tell: _Tell,
    ) -> None:
        rules = self._view.plan.rules
        for measure in rules.daily:
            explained = explain_day(measure.name, counted, given, as_of, rules)
            self._add(measure.name, day_text(self._event.day), explained, run, tell)

    def _monthly(self, known: Month, counted: CountedMonth, run: str, tell: _Tell) -> None:
        for measure in self._view.plan.rules.monthly:
            explained = explain_month(measure.name, counted, known)
            self._add(measure.name, month_text(known.number), explained, run, tell)

    def _add(self, measure: str, period: str, explained: Explained, run: str, tell: _Tell) -> None:
        seq = self._event.seq
        told = tell(measure, explained.rows)
        for (row, _), found in zip(explained.rows, told, strict=True):
            if seq not in row.events:
                continue
            if found.state == rows.NOT_MADE:
                self.left_out.append(LookedAt(measure, period, str(found.note)))
            else:
                self.rows.append(_event_row(measure, period, found, run))
        self.left_out += [
            LookedAt(measure, period, item.reason)
            for item in explained.absent
            if item.event.seq == seq and item.kind == "rule"
        ]

    def _stored(
        self, place_of: Callable[..., Place], measure: str, reckoned: rows.Reckoned
    ) -> list[ExplainedRow]:
        place = place_of(self._instance.salt, measure, view=self._view)
        told, _ = rows.made_rows(self._connection, place, reckoned, self._view)
        return told

    def _to_come(self, _measure: str, reckoned: rows.Reckoned) -> list[ExplainedRow]:
        return [rows.to_come(row, self._view.definitions, events) for row, events in reckoned]


def _event_row(measure: str, period: str, told: ExplainedRow, run: str) -> EventRow:
    return EventRow(
        measure=measure,
        period=period,
        indicator=told.indicator,
        state=told.state,
        outbox=told.outbox,
        others=told.others,
        of=len(told.events),
        run=run,
        note=told.note,
    )
