"""The connected row of one instance's day: whether it is made, and on which states it rests."""

import sqlite3

import msgspec

from ecolyo_worker.clock import DAY_MS, civil_text, day_of, day_text, instant_text
from ecolyo_worker.explanation import rows
from ecolyo_worker.explanation.documents import ExplainedCounting
from ecolyo_worker.explanation.rows import Place
from ecolyo_worker.explanation.view import View
from ecolyo_worker.facts import KonnectorState, acceptance, states_at
from ecolyo_worker.measures import count_connected
from ecolyo_worker.store import outbox
from ecolyo_worker.store.instances import Instance

__all__ = ["explain_connected_day"]

_NONE = "no fluid is connected at the end of the day"
_UNSAID = "no konnector state was said up to the end of the day"
_PASSED = (
    "the runs have passed this day; its row is deleted again (retention.sent_days, or with a"
    " consent), or none was made, for the states were said later, or the day was too old"
)


def explain_connected_day(
    connection: sqlite3.Connection, instance: Instance, measure: str, day: int, view: View
) -> list[ExplainedCounting]:
    """Explain the one row of a day, or why there is none; nothing if no state was ever said."""
    place = Place(instance.salt, measure, day_text(day))
    counting = _counting(connection, instance, place, day, view)
    states = states_at(instance.konnectors, (day + 1) * DAY_MS)
    if not states and not counting.rows:
        return []
    facts = [_words(state) for state in states] or [_UNSAID]
    return [msgspec.structs.replace(counting, facts=facts)]


def _counting(
    connection: sqlite3.Connection, instance: Instance, place: Place, day: int, view: View
) -> ExplainedCounting:
    made = count_connected(instance.connected((day + 1) * DAY_MS), day, view.plan.rules)
    found = outbox.of_key(connection, place.key(0))
    if found is not None:
        counting = rows.empty(rows.DONE, f"made at {instant_text(found[0].created)}")
        told, rest = rows.made_rows(connection, place, [(row, ()) for row in made], view)
        counting.rows.extend([*told, *rest])
        return counting
    if (reason := _never(instance, day, view)) is not None:
        return rows.never(0, reason)
    if instance.connected_through is not None and day <= instance.connected_through:
        counting = rows.empty(rows.DONE, _PASSED if made else "the runs have passed this day")
    else:
        counting = rows.empty(rows.TO_COME, view.next_run(), as_of=civil_text(view.plan.as_of))
        counting.rows.extend(rows.to_come(row, view.definitions) for row in made)
    if not made:
        counting.missing.append(_NONE)
    return counting


def _never(instance: Instance, day: int, view: View) -> str | None:
    """Say why no run makes the row of a day, as of the next run; None if one does or did."""
    if (lacking := view.without_consent(instance)) is not None:
        return lacking
    as_of, rules = view.plan.as_of, view.plan.rules
    consents, through = instance.consents, instance.withdrawn_through
    accepted = acceptance(consents, through, as_of, view.plan.consent_version)
    if accepted is not None and day < day_of(accepted):
        return f"the day lies before the acceptance of the terms, {civil_text(accepted)[:16]}"
    if rules.not_before is not None and day < rules.not_before:
        return f"the day lies before aggregation.not_before, {day_text(rules.not_before)}"
    if day >= day_of(as_of):
        return f"the day is not over as of {civil_text(as_of)[:16]}"
    is_passed = instance.connected_through is not None and day <= instance.connected_through
    if day_of(as_of) - day > rules.max_age_days and not is_passed:
        return (
            f"the day lies {day_of(as_of) - day} days before the run of {day_text(day_of(as_of))},"
            f" and aggregation.max_age_days is {rules.max_age_days}"
        )
    return None


def _words(state: KonnectorState) -> str:
    kind = "connected" if state.connected else "not connected"
    return f"{state.fluid}: {kind} since {civil_text(state.since)[:16]}"
