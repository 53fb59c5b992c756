"""Accepted means on disk."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import IntakeRefused, Settings, UsageEvent, Worker
from ecolyo_worker.errors import StoreUnavailable

Event = Callable[..., dict[str, Any]]


def stored_ids(state_dir: Path) -> list[str]:
    """Read the ids with another connection, as whoever opens the file next would."""
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        found = [row[0] for row in other.execute("SELECT id FROM events ORDER BY seq")]
    other.close()
    return found


async def test_a_recorded_event_is_on_disk(worker: Worker, event: Event, state_dir: Path) -> None:
    """When `record` returns, any other process that opens the file sees the event."""
    receipt = await worker.record(
        "alice.example", event("NavigationEvent", "2026-11-20T18:00:00", "a")
    )
    assert (receipt.accepted, receipt.known, receipt.refused) == (1, 0, ())
    assert stored_ids(state_dir) == ["a"]


async def test_the_same_id_is_stored_once(worker: Worker, event: Event, state_dir: Path) -> None:
    """The first of two events with one `_id` stays, also within one batch."""
    first = event("NavigationEvent", "2026-11-20T18:00:00", "a", target="gas")
    second = event("NavigationEvent", "2026-11-20T19:00:00", "a", target="water")
    assert (await worker.record("alice.example", [first, second])).known == 1
    assert (await worker.record("alice.example", second)).known == 1
    assert stored_ids(state_dir) == ["a"]


async def test_two_people_may_have_the_same_id(
    worker: Worker, event: Event, state_dir: Path
) -> None:
    """An `_id` is known within its instance only."""
    for name in ("alice.example", "bob.example:8080"):
        receipt = await worker.record(name, event("NavigationEvent", "2026-11-20T18:00", "a"))
        assert receipt.accepted == 1
    assert stored_ids(state_dir) == ["a", "a"]


async def test_events_without_id_are_never_the_same(worker: Worker, event: Event) -> None:
    """An event without `_id` gets a random one, so that it is stored each time."""
    for absent in (None, ""):
        made = event("NavigationEvent", "2026-11-20T18:00:00") | {"_id": absent}
        assert (await worker.record("alice.example", [made, made])).accepted == 2


async def test_good_events_of_a_batch_are_taken(worker: Worker, event: Event) -> None:
    """A bad event of a batch is named with its place, field and reason; the others are taken."""
    batch = [
        event("NavigationEvent", "2026-11-20T18:00:00"),
        event("NavigationEvent", "2026-11-20"),
    ]
    receipt = await worker.record("alice.example", batch)
    assert receipt.accepted == 1
    (refusal,) = receipt.refused
    assert (refusal.index, refusal.field) == (1, "eventDate")
    assert "found '2026-11-20'" in refusal.reason


async def test_nothing_good_is_an_error(worker: Worker, event: Event) -> None:
    """`record` raises when no event is taken, and says which field of it was wrong."""
    with pytest.raises(IntakeRefused, match="type: found 'LoginEvent'; allowed: one of Connection"):
        await worker.record("alice.example", event("LoginEvent", "2026-11-20T18:00:00"))


@pytest.mark.parametrize("name", ["Alice.example", "alice..example", "a/b", "", "alice.example:0"])
async def test_a_bad_instance_name_is_refused(worker: Worker, event: Event, name: str) -> None:
    """An instance is a lower-case host name with an optional port; anything else is refused."""
    with pytest.raises(IntakeRefused, match="instance: found "):
        await worker.record(name, event("NavigationEvent", "2026-11-20T18:00:00"))


async def test_mode_off_refuses_events(state_dir: Path, event: Event) -> None:
    """In mode `off` nothing is stored, and the error names the setting."""
    async with Worker(Settings(state_dir=state_dir, mode="off")).opened() as worker:
        with pytest.raises(IntakeRefused, match=r"worker\.mode"):
            await worker.record("alice.example", event("NavigationEvent", "2026-11-20T18:00:00"))
        assert worker.status().events["waiting"] == 0


async def test_a_struct_is_as_good_as_a_mapping(worker: Worker, state_dir: Path) -> None:
    """A `UsageEvent` is taken like the app's own form."""
    made = UsageEvent(id="s", type="ConnectionEvent", event_date="2026-11-20T18:00:00Z")
    assert (await worker.record("alice.example", made)).accepted == 1
    assert stored_ids(state_dir) == ["s"]


async def test_who_did_not_enter_is_told(state_dir: Path) -> None:
    """Before the block is entered there is nothing to record into, and no status; it says so."""
    worker = Worker(Settings(state_dir=state_dir))
    with pytest.raises(StoreUnavailable, match="not entered"):
        await worker.record("alice.example", {})
    with pytest.raises(StoreUnavailable, match="not entered"):
        worker.status()
