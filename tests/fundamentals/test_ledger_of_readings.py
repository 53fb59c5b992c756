"""The ledger of readings, accounts and facts: each equation goes red by one false row."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ecolyo_worker import Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.ledger import balance
from ecolyo_worker.requests import AccountRemove, ConsumptionImport, Line, Poll, Reconcile
from ecolyo_worker.store.database import DATABASE
from tests.energy_accounts import PCE, PRM, add
from tests.energy_polling import Polling

FACTS = [
    {"type": "ConnectionEvent", "result": "firstConnection"},
    {"type": "ChallengeLaunchEvent", "target": "CHALLENGE0001", "startDate": "2026-11-19T08:00"},
    {"type": "ChallengeEndEvent", "target": "CHALLENGE0001", "startDate": "2026-11-19T08:00"},
    {"type": "ProfileSetEvent", "target": "HousingType"},
]
DAILY = "series = (SELECT id FROM series WHERE step = 'day' AND fluid = 'electricity')"
LAST = f"SELECT max(start) FROM points WHERE {DAILY}"
FALSE_STATES = [
    ("1:", "DELETE FROM instances WHERE name = 'carol.example'", "2 people were made; 1 are there"),
    ("6:", "DELETE FROM accounts WHERE provider = 'grdf'", "accounts.active says 2, there are 1"),
    ("6:", "DELETE FROM accounts WHERE provider = 'grdf'", "rows of cursors point to rows of"),
    ("6:", "UPDATE accounts SET state = 'new'", "the counter accounts.active says 2"),
    ("7:", f"UPDATE points SET minutes = 1500 WHERE {DAILY}", "begin before the one before them"),
    ("7:", "DELETE FROM points WHERE start IN (SELECT start FROM gas_details)", "are of no point"),
    ("7:", f"UPDATE points SET amount = amount + 1 WHERE start = ({LAST})", "by the day are not"),
    ("7:", "DELETE FROM points WHERE minutes = 30", "sums of electricity by the hour"),
    ("7:", "DELETE FROM rollups WHERE step = 'day' AND start = 20775", "that of 2026-11-18"),
    (
        "7:",
        "UPDATE rollups SET is_whole = 0 WHERE step = 'hour'",
        "sums of electricity by the hour",
    ),
    ("7:", "UPDATE rollups SET amount = 7 WHERE step = 'month'", "that of 2026-09"),
    ("7:", "DELETE FROM rollups WHERE step = 'year'", "by the year are not"),
    ("7:", f"DELETE FROM points WHERE start >= ({LAST})", "held through 2026-11-20; the last is"),
    (
        "7:",
        "INSERT INTO asked_days SELECT account, series, stop, stop + 1 FROM asked_days",
        "ranges of answered days",
    ),
    ("7:", "DELETE FROM asked_days", "are open and were never answered"),
    ("8:", "DELETE FROM ends", "1 events are there that say an end"),
    ("8:", "DELETE FROM ever", "1 events are there that say what counts ever"),
    ("8:", "UPDATE instances SET first_launch_time = NULL", "say a first launch"),
    ("8:", "UPDATE instances SET first_connection_seen = NULL", "say a first connection"),
]


async def fetched(worker: Worker) -> int:
    """Let a person's meters be fetched, some of her days be odd, and her events come in."""
    gas = await add(worker, "grdf", PCE)
    await add(worker, "enedis", PRM)
    [step async for step in Commands(worker).poll(Poll())]
    await worker.record(
        "alice.example",
        [{"_id": str(n), "eventDate": "2026-11-20T10:00", **fact} for n, fact in enumerate(FACTS)],
    )
    line = b'{"instance": "carol.example", "fluid": "gas", "step": "day", "start": "2026-11-01",'
    readings = ConsumptionImport([Line(1, line + b' "value": 3.5}')])
    await Commands(worker).consumption_import(readings)
    return gas.id


async def test_each_equation_can_go_red(polling: Polling, state_dir: Path) -> None:
    """What was fetched balances; a row that is lost or changed breaks its equation, in words."""
    async with polling.worker() as worker:
        await fetched(worker)
        assert (await Commands(worker).reconcile(Reconcile())).problems == []
        with closing(sqlite3.connect(state_dir / DATABASE, isolation_level=None)) as other:
            for equation, statement, words in FALSE_STATES:
                other.execute("BEGIN")
                assert other.execute(statement).rowcount > 0, statement
                found = balance(other, worker.definitions, worker.hmac_key).problems
                other.execute("ROLLBACK")
                told = [one for one in found if one.startswith(equation) and words in one]
                assert told, (statement, found)


async def test_what_was_removed_balances(polling: Polling) -> None:
    """An account that went without its readings, and a person who was forgotten, leave no hole."""
    async with polling.worker() as worker:
        commands, gas = Commands(worker), await fetched(worker)
        await commands.accounts_remove(AccountRemove(gas, keeps_data=True, revoking=False))
        assert (await commands.reconcile(Reconcile())).problems == []
        await commands.instances_forget("alice.example")
        ledger = await commands.reconcile(Reconcile())
        assert (ledger.problems, ledger.events) == ([], len(FACTS))
