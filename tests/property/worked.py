"""A worker that counts when it is told to, and what tests ask it: through its public faces."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import EventsList, InstancesImport, Line, OutboxList, Reconcile
from ecolyo_worker.settings import Aggregation, Dacc
from tests.property.model import Person, line

__all__ = ["agree", "assert_as_modelled", "bodies", "opened", "say"]

NOT_SENT = Dacc(url="http://127.0.0.1:9")  # it lets a run be made as of a time to come


@asynccontextmanager
async def opened(directory: Path, **aggregation: Any) -> AsyncIterator[Worker]:
    """Open a worker on a state directory, which sends nothing."""
    chosen = Settings(state_dir=directory, dacc=NOT_SENT, aggregation=Aggregation(**aggregation))
    async with Worker(chosen).opened() as worker:
        yield worker


async def say(worker: Worker, *facts: dict[str, Any]) -> None:
    """Import what a host says about people."""
    lines = [Line(n, msgspec.json.encode(fact)) for n, fact in enumerate(facts, 1)]
    report = await Commands(worker).instances_import(InstancesImport(lines, withdrawing=True))
    assert not report.refused, report.refused


async def agree(worker: Worker, people: dict[str, Person], accepted: datetime) -> None:
    """Let people accept the terms; the host says all else that their models know."""
    for person in people.values():
        person.consents[accepted] = "1.0.0"
    consent = {"version": "1.0.0", "accepted_at": accepted.isoformat()}
    said = [
        {"instance": name, "consent": consent, **facts_of(person)}
        for name, person in people.items()
    ]
    await say(worker, *said)


def facts_of(person: Person) -> dict[str, Any]:
    """Give what a model knows beside the consents, in the form it is imported in."""
    first = person.first_said
    return {
        "konnectors": [
            {"fluid": fluid, "since": since.isoformat(), "connected": connected}
            for (fluid, since), connected in person.konnectors.items()
        ],
        "monthly_summary": [
            {"since": since.isoformat(), "subscribed": subscribed}
            for since, subscribed in person.subscriptions.items()
        ],
        "profile": person.profile,
        "first_connection_at": None if first is None else first.isoformat(),
    }


async def bodies(worker: Worker) -> list[bytes]:
    """Give the body of each row that has one still."""
    rows = Commands(worker).outbox_list(OutboxList())
    return [bytes(row.indicator) async for row in rows if bytes(row.indicator) != b"null"]


async def states(worker: Worker, name: str) -> list[tuple[str, str]]:
    """Give the type and the state of each event of a person, by arrival."""
    found = Commands(worker).events_list(EventsList(name))
    return [(event["type"], event["state"]) async for event in found]


async def assert_as_modelled(worker: Worker, people: dict[str, Person]) -> list[bytes]:
    """Compare rows, states of events and books with what the models say; give the bodies."""
    made = await bodies(worker)
    found = Counter(map(line, made))
    expected = sum_up(person.rows for person in people.values())
    assert not found - expected, f"rows that should not be: {found - expected}"
    assert not expected - found, f"rows that are not there: {expected - found}"
    for name, person in people.items():
        if person.things:
            known = [(thing.kind, thing.state) for thing in person.things]
            assert await states(worker, name) == known
    ledger = await Commands(worker).reconcile(Reconcile())
    assert not ledger.problems, ledger.problems
    for body in made:
        person = next(iter(people.values()))
        person.judge.refuse(body)
        assert not any(name.encode() in body for name in people)
    return made


def sum_up(counters: Iterable[Counter[str]]) -> Counter[str]:
    """Add counters up."""
    return sum(counters, Counter())
