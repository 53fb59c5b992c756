"""`status` fits on a screen of 80×24, whatever there is, and costs the same however much it is."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len

from ecolyo_worker import Settings, Worker
from ecolyo_worker.cli.output import Output
from ecolyo_worker.cli.screen import show_status
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.store import destinations, instances, outbox
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.status import (
    DestinationStatus,
    Sizes,
    Snapshot,
    Status,
    make_status,
    take_snapshot,
)

NASTY = "\x1b[2J\n\r\u202e😀é\u0301名" + "x" * 300 + " words\x00 and more" * 40
AT = "2026-11-22T08:52:24Z"


def task(name: str, **more: Any) -> ActorHealth:
    base = {"state": "working", "alive": True, "restarts": 0, "error": None}
    return ActorHealth(**{**base, "name": name, "last_success": AT, "next_due": AT, **more})


def crowded(tasks: int) -> Status:
    """A status in which everything is too long, too much or hostile."""
    held = [DestinationStatus(NASTY, "open", NASTY, AT, AT) for _ in range(20)]
    restarting = {"state": "restarting", "restarts": 10**6, "error": NASTY}
    actors = [task(NASTY if n % 2 else f"task {n}", **restarting) for n in range(tasks)]
    counters = {f"outbox.{state}": 10**9 for state in outbox.STATES}
    counters |= {f"destinations.{state}": 10**6 for state in ("ready", "paused", "open")}
    counters |= {f"values.other.{NASTY}{n}": 10**6 for n in range(50)}
    counters |= {f"values.too_large.{NASTY}{n}": 10**6 for n in range(50)}
    removed = {reason: {f"events.{n}": 10**9 for n in range(30)} for reason in ("pruned", NASTY)}
    found = [[one.name, one.state, one.reason, 10**12, 10**12] for one in held]
    text = [msgspec.json.encode(one).decode() for one in (counters, removed, found)]
    snapshot = Snapshot(text[0], text[1], text[2], 10**12, 10**9)
    return make_status(snapshot, "0.1.0", "off", NASTY, Sizes(10**12, 10**12, 10**9), actors)


def printed(status: Status, capsys: pytest.CaptureFixture[str], path: str = "/state") -> list[str]:
    show_status(Output(as_json=False), status, Path(path))
    return capsys.readouterr().out.split("\n")[:-1]


@pytest.mark.parametrize("tasks", [0, 6, 7, 8, 40])
def test_it_fits_whatever_there_is(tasks: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Long, many and hostile names, errors and numbers neither scroll, wrap nor command it."""
    lines = printed(crowded(tasks), capsys, f"/{NASTY}")
    assert len(lines) <= 23
    assert max(map(cell_len, lines)) <= 80
    assert "".join(lines).isprintable()
    text = "\n".join(lines)
    for words in ("1000000000 pending (oldest since", "1000000000 dead", "maybe delivered"):
        assert words in text
    for words in ("targets   1000000 ready, 1000000 paused", "free, log 1000.00 GB"):
        assert words in text
    assert ("more; --json tells all" in lines[-1]) is (tasks > 0)
    assert ("restarts" in text) is (tasks > 0)
    assert ("  and 34 more" in text) is (tasks == 40)


def test_a_wide_screen_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are more columns, more is told of each."""
    monkeypatch.setenv("COLUMNS", "200")
    lines = printed(crowded(3), capsys)
    assert 80 < max(map(cell_len, lines)) <= 200
    assert len(lines) <= 23


def test_what_stands_in_the_way_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """A part that crashed or hangs, and a log that is not emptied, are told in words."""
    actors = [
        task("sender", state="restarting", restarts=2, error="ValueError: no"),
        task("intake", alive=False),
    ]
    snapshot = Snapshot("{}", "{}", "[]", None, 0)
    status = make_status(snapshot, "0.1.0", "on", "https://d", Sizes(5, 2**29, 0), actors)
    text = "\n".join(printed(status, capsys))
    assert "  sender     restarting        2" in text
    assert "  intake     hangs             0" in text
    assert "! sender crashed, and runs again by itself: ValueError: no" in text
    assert "! intake hangs: it gave no sign of life for long; restart the service" in text
    assert "! ecolyo.db-wal holds 512 MiB: something reads the database for long" in text


def test_what_was_deleted_is_told_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words, with things of one kind together; the sums of all reasons stay for machines."""
    removed = {
        "pruned": {"events.counted": 3, "outbox.sent": 1, "outbox.maybe_delivered": 1},
        "removed": {"accounts.removing": 2, "accounts.new": 1},
        "forgotten": {"instances": 1, "events.counted": 1},
    }
    text = msgspec.json.encode(removed).decode()
    snapshot = Snapshot("{}", text, "[]", None, 0)
    status = make_status(snapshot, "0.1.0", "on", "https://d", Sizes(5, 0, 0), [])
    assert status.removed["events.counted"] == 4
    assert status.removed["accounts.removing"] == 2
    monkeypatch.setenv("COLUMNS", "200")
    assert (
        "removed   3 events, 1 indicator for their age; 1 event, 1 person by `forget`;"
        " 3 accounts by `accounts remove`"
    ) in printed(status, capsys)


async def test_sizes_are_told(state_dir: Path, cli: Any) -> None:
    """With `--json` too: bytes of the database's file, of its log, and of what is free in it."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.database.run(churn)
        sizes = worker.status().sizes
        log, database = (state_dir / f"ecolyo.db{end}" for end in ("-wal", ""))
        assert (sizes.log, sizes.database) == (log.stat().st_size, database.stat().st_size)
        assert sizes.log > sizes.free > 1_000_000
    found = msgspec.json.decode((await cli("status", "--json")).stdout)["sizes"]
    assert (found["log"], found["free"]) == (0, sizes.free)
    assert found["database"] == (state_dir / "ecolyo.db").stat().st_size
    assert ", of it 2.0 MB free, log 0.0 MB" in (await cli("status")).stdout.decode()


def churn(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO meta VALUES ('ballast', hex(zeroblob(1000000)))")
    connection.execute("DELETE FROM meta WHERE key = 'ballast'")


MANY = """
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
    INSERT INTO {} SELECT {} FROM n
"""
ROW = (
    """outbox (key, instance, destination, measure, start_date, body, body_hmac, state, waits,
    shuffle, created)""",
    """randomblob(16), 1, 1, 'x', '2026-11-20', x'00', x'00',
    CASE i % 4 WHEN 0 THEN 'dead' WHEN 1 THEN 'local' ELSE 'pending' END, iif(i % 4 < 2, NULL, 1),
    i, 5000000 - i""",
)


def steps_of_a_snapshot(connection: sqlite3.Connection) -> tuple[int, Snapshot]:
    """Count what SQLite does for a status, in units of ten steps of its machine."""
    steps: list[None] = []
    connection.set_progress_handler(lambda: steps.append(None), 10)
    try:
        snapshot = take_snapshot(connection)
        return len(steps), snapshot
    finally:
        connection.set_progress_handler(None, 10)


def grow(connection: sqlite3.Connection, rows: int) -> None:
    instances.identify(connection, "alice.example")
    destinations.identify(connection, None)
    connection.execute(MANY.format(*ROW), {"rows": rows})
    people = "instances (name, salt)", "'p' || i || '-' || :rows, randomblob(16)"
    connection.execute(MANY.format(*people), {"rows": rows // 10})
    homes = (
        "destinations (instance, state, reason)",
        """i + (SELECT max(id) FROM instances) - :rows,
        CASE i % 3 WHEN 0 THEN 'open' WHEN 1 THEN 'paused' ELSE 'ready' END, 'no'""",
    )
    connection.execute(MANY.format(*homes), {"rows": rows // 10})


async def test_it_costs_the_same_however_much_there_is(tmp_path: Path) -> None:
    """A hundred times as many rows, people and destinations are no more work for SQLite."""
    async with Database.open(tmp_path) as database:
        costs = []
        for rows in (500, 50_000):
            await database.run(grow, rows)
            steps, snapshot = await database.read(steps_of_a_snapshot)
            costs.append(steps)
            assert snapshot.oldest_pending == 5_000_000 - rows + (rows % 4 == 0)
    assert costs[1] <= 1.2 * costs[0]
