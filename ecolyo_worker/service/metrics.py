"""What `/metrics` tells, in Prometheus' text format: a table, of which the reference page is made.

It is for anybody: no label and no value is a person's. Labels are states, outcomes, parts of the
worker, and the measures and group keys of the definitions, so there are few of each.
"""

import platform
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from ecolyo_worker.actors.intake import IntakeStatistics
from ecolyo_worker.energy.meanings import Kind as AnswerKind
from ecolyo_worker.energy.meters import PROVIDERS
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.remote.outcome import Kind
from ecolyo_worker.store import outbox
from ecolyo_worker.store.migrations import latest_version
from ecolyo_worker.store.status import Status, free_bytes
from ecolyo_worker.worker import Worker

__all__ = ["CONTENT_TYPE", "METRICS", "Metric", "Observed", "exposition", "observe"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[tuple[str, ...], float | None]
"""The values of the labels, and the number; None where there is nothing to tell."""


class Observed(Struct, frozen=True, kw_only=True):
    """What the metrics are made of, as of one moment."""

    now: float
    """Seconds since 1970 in UTC."""
    status: Status
    totals: dict[str, int]
    """Counters of the database, by name."""
    intake: IntakeStatistics
    definitions: Definitions
    is_writable: bool
    free_bytes: int | None
    """Of the disk; None where it cannot be asked."""


_Samples = Callable[[Observed], Iterable[Sample]]


class Metric(Struct, frozen=True):
    """One metric: what it is called, what it tells, and how its samples are found."""

    name: str
    kind: Literal["counter", "gauge"]
    meaning: str
    samples: _Samples
    labels: tuple[str, ...] = ()


def observe(worker: Worker) -> Observed:
    """Look at a worker; raises `StoreUnavailable` if it was never entered."""
    status = worker.status()
    return Observed(
        now=worker.clock.now().timestamp(),
        status=status,
        totals=msgspec.json.decode(worker.database.snapshot.totals, type=dict[str, int]),
        intake=worker.intake.statistics(),
        definitions=worker.definitions,
        is_writable=worker.database.trouble is None,
        free_bytes=free_bytes(worker.settings.directory),
    )


def exposition(observed: Observed) -> bytes:
    """Give all metrics in the text format, in the order of the table."""
    return "".join(line for metric in METRICS for line in _lines(metric, observed)).encode()


def _lines(metric: Metric, observed: Observed) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.meaning}\n"
    yield f"# TYPE {metric.name} {metric.kind}\n"
    for values, number in metric.samples(observed):
        if number is not None:
            yield f"{metric.name}{_labelled(metric.labels, values)} {number}\n"


def _labelled(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = [f'{name}="{_escaped(text)}"' for name, text in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _one(number: Callable[[Observed], float | None]) -> _Samples:
    return lambda observed: [((), number(observed))]


def _each(counts: Callable[[Observed], dict[str, int]]) -> _Samples:
    return lambda observed: [((name,), count) for name, count in counts(observed).items()]


def _actors(number: Callable[[ActorHealth], float | None]) -> _Samples:
    return lambda observed: [((one.name,), number(one)) for one in observed.status.tasks]


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


def _build(observed: Observed) -> Iterator[Sample]:
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    yield (observed.status.version, str(latest_version()), python, sqlite), 1


def _mode(observed: Observed) -> dict[str, int]:
    return {mode: int(mode == observed.status.mode) for mode in ("off", "local", "on")}


def _made(observed: Observed) -> int:
    """Add up all rows: what is removed is counted, so that it never goes down."""
    status = observed.status
    gone = sum(status.removed.get(f"outbox.{state}", 0) for state in outbox.STATES)
    return sum(status.outbox.values()) + gone


def _unknown_ends(observed: Observed) -> int:
    status = observed.status
    return status.maybe_delivered + status.removed.get("outbox.maybe_delivered", 0)


def _oldest(observed: Observed) -> float:
    since = _seconds(observed.status.oldest_pending)
    return 0.0 if since is None else max(0.0, observed.now - since)


def _outcomes(observed: Observed) -> dict[str, int]:
    return {kind: observed.totals.get(f"outcomes.{kind}", 0) for kind in get_args(Kind)}


def _energy_calls(observed: Observed) -> Iterator[Sample]:
    for provider in PROVIDERS:
        for kind in get_args(AnswerKind):
            count = observed.totals.get(f"energy.{provider}.calls.{kind}", 0)
            yield (provider, kind), count


def _held_through(observed: Observed) -> Iterator[Sample]:
    for provider, held in observed.status.held_through.items():
        yield (provider,), _seconds(f"{held.least}T00:00:00Z")


def _others(observed: Observed) -> Iterator[Sample]:
    for definition in observed.definitions:
        for rule in definition.groups:
            count = observed.status.other_values.get(f"{definition.name}.{rule.key}", 0)
            yield (definition.name, rule.key), count


def _too_large(observed: Observed) -> dict[str, int]:
    found = observed.status.too_large
    return {definition.name: found.get(definition.name, 0) for definition in observed.definitions}


METRICS = (
    Metric(
        "ecolyo_build_info",
        "gauge",
        "Always 1; the versions of the program, of its database schema, of Python and of SQLite.",
        _build,
        ("version", "schema", "python", "sqlite"),
    ),
    Metric("ecolyo_mode", "gauge", "1 for the mode in force.", _each(_mode), ("mode",)),
    Metric(
        "ecolyo_actor_alive",
        "gauge",
        "1 while a part of the worker gives signs of life, else 0.",
        _actors(lambda one: int(one.alive)),
        ("actor",),
    ),
    Metric(
        "ecolyo_actor_restarts_total",
        "counter",
        "How often a part crashed and was run again, since the start.",
        _actors(lambda one: one.restarts),
        ("actor",),
    ),
    Metric(
        "ecolyo_actor_last_success_timestamp_seconds",
        "gauge",
        "When a part last did what it is for, since the start.",
        _actors(lambda one: _seconds(one.last_success)),
        ("actor",),
    ),
    Metric(
        "ecolyo_actor_next_due_timestamp_seconds",
        "gauge",
        "When a part will next have something to do by itself; of `aggregator`, the next run.",
        _actors(lambda one: _seconds(one.next_due)),
        ("actor",),
    ),
    Metric("ecolyo_instances", "gauge", "People known.", _one(lambda o: o.status.instances)),
    Metric(
        "ecolyo_events",
        "gauge",
        "Usage events in the database, by state.",
        _each(lambda o: o.status.events),
        ("state",),
    ),
    Metric(
        "ecolyo_events_accepted_total",
        "counter",
        "Usage events ever stored; it survives a restart.",
        _one(lambda o: o.totals.get("events.accepted", 0)),
    ),
    Metric(
        "ecolyo_intake_waiting_events",
        "gauge",
        "Events that wait for their commit; beyond `intake.max_waiting` callers are refused.",
        _one(lambda o: o.intake.waiting),
    ),
    Metric(
        "ecolyo_intake_commits_total",
        "counter",
        "Transactions that stored events, since the start.",
        _one(lambda o: o.intake.commits),
    ),
    Metric(
        "ecolyo_intake_full_total",
        "counter",
        "Calls refused because too many events waited, since the start.",
        _one(lambda o: o.intake.full),
    ),
    Metric(
        "ecolyo_intake_failures_total",
        "counter",
        "Transactions of events that came to nothing, since the start.",
        _one(lambda o: o.intake.failed),
    ),
    Metric(
        "ecolyo_indicators_made_total",
        "counter",
        "Indicators ever put into the outbox; it survives a restart.",
        _one(_made),
    ),
    Metric(
        "ecolyo_outbox_rows",
        "gauge",
        "Indicators in the outbox, by state.",
        _each(lambda o: o.status.outbox),
        ("state",),
    ),
    Metric(
        "ecolyo_outbox_oldest_pending_seconds",
        "gauge",
        "How long the oldest indicator that waits has waited; 0 if none does.",
        _one(_oldest),
    ),
    Metric(
        "ecolyo_attempts_total",
        "counter",
        "Attempts to send that have ended, by outcome; it survives a restart.",
        _each(_outcomes),
        ("outcome",),
    ),
    Metric(
        "ecolyo_attempts_unknown_end_total",
        "counter",
        "Attempts of which nobody knows the end: as many doubles there may be at most; it survives"
        " a restart.",
        _one(_unknown_ends),
    ),
    Metric(
        "ecolyo_destinations",
        "gauge",
        "Destinations by state: `ready`, `paused`, or `open`, which is the breaker.",
        _each(lambda o: o.status.destination_states),
        ("state",),
    ),
    Metric(
        "ecolyo_accounts",
        "gauge",
        "Energy accounts, by state.",
        _each(lambda o: o.status.accounts),
        ("state",),
    ),
    Metric(
        "ecolyo_energy_calls_total",
        "counter",
        "Requests for readings that have ended, by provider and by what the answer means; it"
        " survives a restart.",
        _energy_calls,
        ("provider", "outcome"),
    ),
    Metric(
        "ecolyo_energy_points_refused_total",
        "counter",
        "Points of answers that are none, by provider; it survives a restart.",
        _each(lambda o: {one: o.totals.get(f"energy.{one}.refused", 0) for one in PROVIDERS}),
        ("provider",),
    ),
    Metric(
        "ecolyo_energy_broken_visits_total",
        "counter",
        "Visits to accounts that a bug of the worker ended, by provider; it survives a restart.",
        _each(lambda o: {one: o.totals.get(f"energy.{one}.broken", 0) for one in PROVIDERS}),
        ("provider",),
    ),
    Metric(
        "ecolyo_energy_suspect_days",
        "gauge",
        "Days of accounts of which the parts do not come to the whole, also those that are not"
        " asked for any more and stay so: what tells of something new is that it grows.",
        _one(lambda o: o.status.suspect_days),
    ),
    Metric(
        "ecolyo_energy_unread_days",
        "gauge",
        "Days of accounts of which what came cannot be read; they are asked for again.",
        _one(lambda o: o.status.unread_days),
    ),
    Metric(
        "ecolyo_energy_held_through_timestamp_seconds",
        "gauge",
        "The begin, in UTC, of the last day held of the account that is furthest behind, by"
        " provider.",
        _held_through,
        ("provider",),
    ),
    Metric(
        "ecolyo_values_other_total",
        "counter",
        "Group values sent as `other`; it survives a restart.",
        _others,
        ("measure", "group"),
    ),
    Metric(
        "ecolyo_values_too_large_total",
        "counter",
        "Values of 1e10 or more, which made no indicator; it survives a restart.",
        _each(_too_large),
        ("measure",),
    ),
    Metric(
        "ecolyo_removed_total",
        "counter",
        "Rows deleted by age, with a consent or with their person, by what they were; it survives a"
        " restart.",
        _each(lambda o: o.status.removed),
        ("what",),
    ),
    Metric(
        "ecolyo_database_writable",
        "gauge",
        "1 if the last transaction could be written, else 0.",
        _one(lambda o: int(o.is_writable)),
    ),
    Metric(
        "ecolyo_database_bytes",
        "gauge",
        "Size of the database.",
        _one(lambda o: o.status.sizes.database),
    ),
    Metric(
        "ecolyo_database_log_bytes",
        "gauge",
        "Size of the database's write-ahead log.",
        _one(lambda o: o.status.sizes.log),
    ),
    Metric(
        "ecolyo_database_free_bytes",
        "gauge",
        "What of the database holds nothing: it is used again, or given back.",
        _one(lambda o: o.status.sizes.free),
    ),
    Metric(
        "ecolyo_disk_free_bytes",
        "gauge",
        "What the disk of the state directory has left.",
        _one(lambda o: o.free_bytes),
    ),
)
