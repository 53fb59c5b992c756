"""The ledger tells a lost or doubled thing from a good state; each equation can go red."""

import gzip
import re
import socket
import sqlite3
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from anyio.abc import ByteStream

from ecolyo_worker import CommandRefused, Settings, StateRefused, StoreUnavailable, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.remote.echo import counted, received
from ecolyo_worker.requests import ConsumptionImport, EventsImport, InstancesImport, Line
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.ledger import assert_balanced, check
from tests.machine_time import MachineTime
from tests.machine_time import machine_time as machine_time
from tests.raw_server import Handler, served

NIGHT = datetime(2026, 11, 21, 1, 0)


def lines(path: Path) -> list[Line]:
    return [Line(n, text) for n, text in enumerate(path.read_bytes().splitlines(), 1)]


@pytest.fixture
async def books(examples: Path, state_dir: Path, dacc_echo: Echo) -> Path:
    """A state directory that balances: the worked example, counted and sent."""
    settings = Settings(state_dir=state_dir, dacc=Dacc(url=dacc_echo.url, rate=1000.0))
    async with Worker(settings).opened() as worker:
        commands = Commands(worker)
        await commands.instances_import(InstancesImport(lines(examples / "instances.ndjson")))
        await commands.events_import(EventsImport(lines(examples / "events.ndjson")))
        await commands.consumption_import(ConsumptionImport(lines(examples / "consumption.ndjson")))
        await worker.run_once(NIGHT)
        await worker.send()
    return state_dir


def falsify(state_dir: Path, statement: str) -> None:
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
        assert other.execute(statement).rowcount > 0


async def test_a_good_state_balances(books: Path, dacc_echo: Echo, examples: Path) -> None:
    """The worked example balances on both sides, with every acknowledged event there."""
    acknowledged = [("alice.example", "alice-08"), ("dave.example", "dave-01")]
    ledger = await assert_balanced(books, dacc_echo.url, acknowledged)
    assert ledger.line == (
        "events 87 · indicators 112 · attempts 112 · received 112 · duplicates 0 · missing 0"
        " · maybe delivered 0"
    )


async def test_checking_changes_nothing(books: Path) -> None:
    """The ledger reads: the database's bytes are the same afterwards."""
    before = (books / "ecolyo.db").read_bytes()
    await assert_balanced(books)
    assert (books / "ecolyo.db").read_bytes() == before


LOST_EVENT = "DELETE FROM events WHERE id = 'alice-20'"
TWICE = (
    "INSERT INTO countings SELECT instance, day, n + 1, after_seq, upto_seq, run, fate,"
    " acceptance, first_connection, events, rows FROM countings"
)
UNCOUNTED = "DELETE FROM countings WHERE day = 20775"
OTHER_TYPE = "UPDATE events SET type = 'DuelLaunchEvent' WHERE id = 'alice-20'"
OTHER_PAGE = "UPDATE events SET target = 'faq' WHERE id = 'bob-11'"
LOST_ROW = "DELETE FROM outbox WHERE id = 5"
DEAD_ROW = (
    "UPDATE outbox SET state = 'dead', waits = NULL, body = x'00', destination = 1 WHERE id = 5"
)
DOUBLED_ROW = (
    "INSERT INTO outbox (key, destination, measure, start_date, body_hmac, state, waits, shuffle,"
    " created) SELECT randomblob(16), destination, measure, start_date, body_hmac, state, waits,"
    " shuffle, created FROM outbox WHERE id = 5"
)
LOST_ATTEMPT = "DELETE FROM attempts WHERE row = 5"
FALSE_ATTEMPT = "UPDATE attempts SET outcome = 'failed' WHERE row = 5"
ONE_MORE = "INSERT INTO attempts SELECT row, 2, ended, outcome, status, answer FROM attempts"
DOUBTFUL_ATTEMPT = "UPDATE attempts SET n = 2 WHERE row = 5"
MISCOUNTED = "UPDATE totals SET count = 9 WHERE name = 'events.waiting'"

FALSE_STATES = [
    ("1:", LOST_EVENT, "87 events were accepted; 86 are there"),
    ("1:", TWICE, "two countings of 2026-11-18"),
    ("1:", UNCOUNTED, "2026-11-18 waits and is not noted so"),
    ("2:", OTHER_TYPE, "indicators, counted again"),
    ("2:", OTHER_PAGE, "is another one in the outbox"),
    ("2:", DOUBLED_ROW, "112 indicators were counted, 113 were made"),
    ("3:", LOST_ROW, "112 indicators were made; 111 are there"),
    ("6:", DEAD_ROW, "the counter outbox.sent says 112, there are 111"),
    ("6:", MISCOUNTED, "the counter events.waiting says 9"),
    ("6:", LOST_ATTEMPT, "the attempts of row 5 do not say what became of it"),
    ("6:", LOST_ATTEMPT, "the counter attempts says 112, there are 111"),
    ("6:", FALSE_ATTEMPT, "the attempts of row 5 do not say what became of it"),
    ("6:", DOUBTFUL_ATTEMPT, "the attempts of row 5 do not say what became of it"),
    ("6:", LOST_ROW, "the attempts of row 5 do not say what became of it"),
    ("6:", ONE_MORE, "the counter attempts says 112, there are 224"),
]


@pytest.mark.parametrize(("equation", "statement", "words"), FALSE_STATES)
async def test_a_false_state_does_not_balance(
    books: Path, equation: str, statement: str, words: str
) -> None:
    """Whatever is lost or changed behind the worker's back breaks an equation, in words."""
    falsify(books, statement)
    ledger = await check(books)
    assert not ledger.balanced
    assert any(p.startswith(equation) and words in p for p in ledger.problems), ledger.problems
    with pytest.raises(AssertionError, match="does not balance"):
        await assert_balanced(books)


def damage(database: Path) -> None:
    """Overwrite the page at which the index of events begins."""
    with closing(sqlite3.connect(database)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE name = 'events_by_day'"
        (page,) = connection.execute(query).fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def replace(database: Path) -> None:
    database.unlink()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (damage, "the database is damaged (*** in database main ***"),
        (replace, "belongs to another program"),
        (Path.unlink, "is missing, and what it held with it"),
    ],
)
async def test_a_file_that_is_spoilt_is_no_lost_row(
    books: Path,
    cli: Callable[..., Awaitable[CompletedProcess[bytes]]],
    spoil: Callable[[Path], None],
    words: str,
) -> None:
    """A file that is damaged, another one or gone is said to be, with 78; no equation is told."""
    spoil(books / "ecolyo.db")
    with pytest.raises(StateRefused, match=re.escape(words)):
        await check(books)
    done = await cli("reconcile")
    assert (done.returncode, done.stdout) == (78, b"")
    assert words in done.stderr.decode()


async def test_somebody_elses_leaving_hides_nothing(books: Path) -> None:
    """A row that is lost is noticed also after another person withdrew."""
    withdrawn = InstancesImport([Line(1, b'{"instance": "bob.example", "consent": null}')], True)
    async with Worker(Settings(state_dir=books)).opened() as worker:
        await Commands(worker).instances_import(withdrawn)
    await assert_balanced(books)
    falsify(books, "UPDATE outbox SET key = randomblob(16) WHERE measure = 'quiz-stars'")
    ledger = await check(books)
    assert any("quiz-stars is not in the outbox" in problem for problem in ledger.problems)


async def test_an_acknowledged_event_that_is_gone_is_named(books: Path) -> None:
    """An event that was acknowledged and is not there breaks the first equation."""
    ledger = await check(books, accepted=[("alice.example", "never-stored")])
    assert ledger.problems == [
        "1: 1 acknowledged events are gone, such as ('alice.example', 'never-stored')"
    ]


async def test_what_did_not_arrive_is_missing(books: Path) -> None:
    """Rows that are sent here and unknown there are missing."""
    async with echo_server() as another:
        ledger = await check(books, another.url)
    assert (ledger.missing, ledger.received) == (112, 0)
    assert ledger.problems == ["4: 112 indicators are sent here and not received there"]


async def test_what_nobody_made_is_strange(books: Path, dacc_echo: Echo) -> None:
    """An indicator that was received and never made here breaks the fourth equation."""
    import httpx

    body = {"createdBy": "ecolyo", "measureName": "connection-count-monthly",
            "startDate": "2026-10-01", "value": 31}  # fmt: skip
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.post(f"{dacc_echo.url}/measure", json=body)).status_code == 201
    ledger = await check(books, dacc_echo.url)
    assert ledger.problems == ["4: 1 indicators were received there that were not made here"]


async def test_an_unexplained_double_breaks_the_fifth(books: Path, dacc_echo: Echo) -> None:
    """A body received twice without an unknown attempt is a double that nobody admitted."""
    import httpx

    body = (await dacc_echo.bodies())[0]
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Content-Type": "application/json"}
        await client.post(f"{dacc_echo.url}/measure", content=body, headers=headers)
    ledger = await check(books, dacc_echo.url)
    assert ledger.duplicates == 1
    assert ledger.problems == ["5: 1 indicators were received more often than may be"]


async def test_no_echo_server_is_one_sentence(
    books: Path, cli: Callable[..., Awaitable[CompletedProcess[bytes]]]
) -> None:
    """`reconcile` with a wrong address says so and is no verdict on the books."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"http://127.0.0.1:{other.getsockname()[1]}"
    done = await cli("reconcile", "--echo", address)
    assert done.returncode == 69
    assert b"/api/indicators does not answer: " in done.stderr
    done = await cli("reconcile", "--echo", "http://[::")
    assert done.returncode == 64
    assert b"does not answer as an echo server" in done.stderr


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BOMB = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"


def answering(*pieces: bytes, then: Callable[[], object] | None = None) -> Handler:
    """Answer with pieces; `then` comes before the last one, which is said again for ever."""

    async def handle(stream: ByteStream) -> None:
        await stream.receive()
        for piece in pieces:
            await stream.send(piece)
        while then is not None:
            then()
            await stream.send(pieces[-1])

    return handle


@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(answering(CHUNKED, b"1000\r\n%4096s\r\n" % b"", then=bool), id="endless"),
        pytest.param(answering(BOMB, gzip.compress(bytes(50_000_000))), id="bomb"),
    ],
)
async def test_a_false_echo_server_fills_no_memory(handler: Handler) -> None:
    """An answer that is too long, or unpacks to what is, is read in part and refused in words."""
    async with served(handler) as place:
        tracemalloc.start()
        try:
            with pytest.raises(CommandRefused, match="it gives more than 1,000,000 bytes"):
                await received(f"http://{place}", longest=1_000_000)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert await counted(f"http://{place}") is None
    assert peak < 10_000_000


async def test_a_false_echo_server_holds_nobody_up(machine_time: MachineTime) -> None:
    """One that goes on with a byte now and then is left at one deadline over all of its answer."""
    drip = answering(CHUNKED, b"1\r\n \r\n", then=partial(machine_time.skip, 4))
    async with served(drip) as place:
        with pytest.raises(StoreUnavailable, match="/api/indicators did not answer in time"):
            await received(f"http://{place}")
        assert await counted(f"http://{place}") is None


async def test_a_false_state_ends_with_one(
    books: Path, cli: Callable[..., Awaitable[object]]
) -> None:
    """`reconcile` names what does not hold and ends with 1."""
    falsify(books, LOST_EVENT)
    done = await cli("reconcile")
    assert done.returncode == 1  # type: ignore[attr-defined]
    assert "✖ equation 1: 87 events were accepted".encode() in done.stdout  # type: ignore[attr-defined]
