"""An indicator that a test expects: whether it can come at all, and why it is not there."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ..terminal import shown
from .definitions import GROUPS, shipped_group_keys
from .indicator import is_day
from .nearest import found_in, nearest
from .queries import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .definitions import GroupKeys
    from .exchange import Terms
    from .nearest import Miss, Wanted
    from .received import Received
    from .record import Record

__all__ = ["MOST_COMPARED", "check_possible", "miscounted", "missed", "what_came"]

LONGEST_FIELD = 60
LONGEST_VERDICT = 120
MOST_KINDS = 20
# Among how many of the latest requests the nearest to a wanted indicator is looked for.
MOST_COMPARED = 5_000
_ROWS = ("measure", "startDate", "stack", "value", *GROUPS, *(f"{name}Key" for name in GROUPS))


def check_possible(wanted: Wanted, terms: Terms) -> None:
    """Raise QueryError for what is never stored.

    That is a measure that is not defined, a group or key that it has not, and a start date that is
    no day. Without strictness anything may be.
    """
    if not terms.strict:
        return
    _check_names(wanted, terms.group_keys or shipped_group_keys())
    if wanted.start_date and not is_day(wanted.start_date):
        day = shown(wanted.start_date, LONGEST_FIELD)
        raise QueryError(f"startDate is {day!r}; allowed are days, as in 2026-03-02")


def _check_names(wanted: Wanted, group_keys: GroupKeys) -> None:
    if not wanted.measure:
        return
    if wanted.measure not in group_keys:
        near = get_close_matches(wanted.measure, group_keys, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(group_keys)}"
        raise QueryError(f"no measure is called {shown(wanted.measure, LONGEST_FIELD)!r}; {hint}")
    keys = dict(zip(GROUPS, group_keys[wanted.measure], strict=False))
    for name in GROUPS:
        key = wanted.fields.get(f"{name}Key", "")
        is_wanted = name in wanted.fields and name not in wanted.without
        if name not in keys and (key or is_wanted):
            has = ", ".join(f"{group} ({own})" for group, own in keys.items()) or "none"
            raise QueryError(f"{wanted.measure} has no {name}; the groups it has: {has}")
        if key and key != keys[name]:
            wrong = shown(key, LONGEST_FIELD)
            raise QueryError(f"{name} of {wanted.measure} is {keys[name]!r}, not {wrong!r}")


def missed(wanted: Wanted, received: Received, timeout_s: float = 0) -> str:
    """Tell how the nearest of the latest requests differs from what is wanted, and what came."""
    within = f" within {timeout_s:g} s" if timeout_s else ""
    records = received.requests()[-MOST_COMPARED:]
    misses = nearest(wanted, records)
    stored = received.by_measure()
    if misses and misses[0].is_near(wanted):
        near = misses[0]
        stored[near.record.subject.measure] -= near.record.stored
        told = [_headline(near, within), "", *_table(wanted, near), ""]
        told += _counted("received besides", stored) or ["received besides: none"]
    else:
        what = f"nor one that is near: {_listed(wanted)}"
        told = [f"no such indicator was received{within}, {what}"]
        told += _counted("received", stored) or ["the echo server received nothing"]
    told += _amiss(received, records)
    return "\n".join(line.rstrip() for line in told)


def what_came(received: Received) -> str:
    """Tell in one line what was received and refused, and which faults were played."""
    told = _counted("received", received.by_measure()) or ["received: nothing"]
    return "; ".join(told + _amiss(received, received.requests()[-MOST_COMPARED:]))


def _amiss(received: Received, records: list[Record]) -> list[str]:
    refused = Counter(one.verdict for one in records if not one.stored)
    return [*_counted("refused", refused), *_counted("faults played", received.faults_played())]


def miscounted(wanted: Wanted, received: Received, times: int, timeout_s: float = 0) -> str:
    """Tell how often what is wanted came, where it was expected so many times, and what came."""
    came = received.all_of(wanted)
    within = f" within {timeout_s:g} s" if timeout_s else ""
    told = [f"expected {times} times, received {len(came)} times{within}: {_listed(wanted)}"]
    verdicts = (shown(record.verdict, LONGEST_VERDICT) for record in came)
    told += [f"  n {record.n}: {verdict}" for record, verdict in zip(came, verdicts, strict=True)]
    del told[MOST_KINDS:]
    told += _counted("received", received.by_measure())
    return "\n".join(told + _amiss(received, received.requests()[-MOST_COMPARED:]))


def _listed(wanted: Wanted) -> str:
    fields = wanted.fields.items()
    return ", ".join(f"{name} {shown(text, LONGEST_FIELD)}" for name, text in fields)


def _headline(near: Miss, within: str) -> str:
    verdict = f" ({shown(near.record.verdict, LONGEST_VERDICT)})"
    if not near.differences:
        return f"such an indicator came{within}, but it was not stored{verdict}:"
    refused = "" if near.record.stored else f", which was not stored{verdict}"
    return f"no such indicator was received{within}; the nearest{refused}:"


def _table(wanted: Wanted, near: Miss) -> list[str]:
    """Give a line for each field that is wanted or there, marked where it differs."""
    rows = [(" ", "", "expected", "found"), *_rows(wanted.fields, near)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, (*widths, 0), strict=True))
        for row in rows
    ]


def _rows(fields: Mapping[str, str], near: Miss) -> Iterator[tuple[str, str, str, str]]:
    found = found_in(near.record)
    for name in _ROWS:
        is_key = name.endswith("Key")
        if name in near.differences or (not is_key and (name in fields or found[name])):
            key = found.get(f"{name}Key")
            yield (
                "≠" if name in near.differences else "",
                f"{name} ({shown(key, LONGEST_FIELD)})" if key else name,
                shown(fields.get(name, "any"), LONGEST_FIELD),
                shown(found[name], LONGEST_FIELD) or "absent",
            )


def _counted(what: str, counts: Counter[str]) -> list[str]:
    """Give a line that tells how often each came, the most frequent first; none if none did."""
    if not counts.total():
        return []
    listed = ", ".join(
        f"{count} × {shown(name, LONGEST_VERDICT)}"
        for name, count in counts.most_common(MOST_KINDS)
        if count
    )
    return [f"{what}: {counts.total()} ({listed})"]
