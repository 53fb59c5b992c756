"""`doctor`: what it finds, beside a running service and without one; it changes nothing."""

import json
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import msgspec
import pytest
import structlog

from ecolyo_worker import Settings, Worker, __version__
from ecolyo_worker.checks.doctor import diagnose
from ecolyo_worker.checks.finding import Finding
from ecolyo_worker.checks.running import check_service
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.commands import Commands
from ecolyo_worker.configuration import read
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.requests import Examine
from ecolyo_worker.service.client import running_service
from ecolyo_worker.service.server import ControlSocket
from ecolyo_worker.store.examining import examine, lacking
from ecolyo_worker.testing.echo import echo_server

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

VISIT = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}
ALICE = {
    "instance": "alice.example",
    "consent": {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"},
}


@asynccontextmanager
async def service(state_dir: Path) -> AsyncIterator[Worker]:
    """A worker that answers on its control socket, and does nothing by itself."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        control = ControlSocket(worker)
        async with anyio.create_task_group() as running:
            await running.start(control.run)
            yield worker
            control.stop()


Env = dict[str, str] | None


async def findings(cli: Cli, *options: str, code: int = 0, env: Env = None) -> list[Finding]:
    done = await cli("doctor", "--json", *options, env=env)
    assert done.returncode == code, done.stdout.decode() + done.stderr.decode()
    assert done.stderr == b""
    found = [msgspec.json.decode(line, type=Finding) for line in done.stdout.splitlines()]
    assert all(one.advice for one in found if one.result == "failed")
    return found


def failures(found: list[Finding]) -> list[tuple[str, str]]:
    return [(one.check, one.found) for one in found if one.result == "failed"]


def named(found: list[Finding], check: str) -> Finding:
    (finding,) = (one for one in found if one.check == check)
    return finding


def contents(state_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in state_dir.glob("ecolyo.db*")}


async def test_where_all_is_well_it_ends_with_0(cli: Cli, state_dir: Path) -> None:
    """Each check is a line with a sign, or with a word where signs cannot be shown."""
    await cli("migrate")
    before = contents(state_dir)
    done = await cli("doctor", env={"NO_COLOR": "1"})
    assert (done.returncode, done.stderr) == (0, b"")
    lines = [line for line in done.stdout.decode().splitlines() if not line.startswith("  ")]
    assert {line[0] for line in lines} == {"✔", "·"}
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = await cli("doctor", env=plain)
    words = [line.split(" ")[0] for line in done.stdout.decode("ascii").splitlines()]
    assert {word for word in words if word} == {"ok", "note"}
    assert contents(state_dir) == before


async def test_what_fails_says_what_to_do(cli: Cli, state_dir: Path) -> None:
    """With one thing wrong it ends with 1, and the line below that says what comes next."""
    await cli("migrate")
    os.chmod(state_dir, 0o755)  # noqa: PTH101
    done = await cli("doctor")
    assert done.returncode == 1
    text = done.stdout.decode()
    wrong = f"✖ state directory: {state_dir} is open to others (mode 0755)\n"
    assert f"{wrong}  → chmod 700 {state_dir}\n" in text
    assert text.count("✖") == 1


async def test_before_the_first_start_nothing_is_made(cli: Cli, state_dir: Path) -> None:
    """Where there is no state directory it says how to get one, and makes none."""
    found = await findings(cli, code=1)
    assert failures(found) == [("state directory", f"{state_dir}: No such file or directory")]
    assert not os.path.exists(state_dir)  # noqa: ASYNC240, PTH110  a moment's look


async def test_every_wrong_setting_is_told(cli: Cli) -> None:
    """The settings are checked as `check-config` does, and all else is looked at nonetheless."""
    await cli("migrate")
    wrong = {"ECOLYO_DACC__RATE": "0", "ECOLYO_AGGREGATION__MEASURES_FILE": "/nowhere"}
    found = await findings(cli, code=1, env=wrong)
    words = [text for check, text in failures(found) if check == "settings"]
    assert len(words) == len(failures(found)) == 2
    assert all(any(f"(in ${name})" in text for text in words) for name in wrong)
    assert named(found, "database").found == "not looked at"


async def test_where_the_state_is_unknown_none_is_looked_at(tmp_path: Path) -> None:
    """A file that cannot be read might name another state: that of the defaults is left alone."""
    path = tmp_path / "config.toml"
    path.write_text("[worker\n")
    logger = structlog.get_logger()
    for reading, is_lost in [
        (read(path, {}), True),
        (read(None, {"ECOLYO_WORKER__STATE_DIR": ""}), True),
        (read(path, {}, {"worker.state_dir": tmp_path / "state"}), False),
    ]:
        found = [one async for one in diagnose(reading, SystemClock(), logger, online=True)]
        assert any(one.check == "all else" for one in found) is is_lost
        assert any(one.check == "state directory" for one in found) is not is_lost


async def test_what_is_held_back_is_told(cli: Cli, state_dir: Path) -> None:
    """A refused token is a failure, with the words of `status`."""
    await prepare(cli)
    async with echo_server("--token", "sesame") as echo:
        env = {"ECOLYO_DACC__URL": echo.url}
        await cli("send", env=env)
    ((check, words),) = failures(await findings(cli, code=1, env=env))
    assert check == "sending"
    assert words.startswith("native is paused: ")


async def test_a_token_is_looked_for_and_not_shown(cli: Cli, tmp_path: Path) -> None:
    """A DACC elsewhere needs a token; one that is there, ours alone, is enough and never shown."""
    await cli("migrate")
    env = {"ECOLYO_DACC__URL": "https://dacc.invalid", "ECOLYO_HTTP__LISTEN": "127.0.0.1:0"}
    tokens = [
        text for check, text in failures(await findings(cli, code=1, env=env)) if "to" in check
    ]
    assert tokens == [
        "none for the DACC, which answers 401 without one",
        "none for the HTTP face, whose clients must show one",
    ]
    secret = tmp_path / "token"
    secret.write_text("sesame-open-the-door")
    secret.chmod(0o600)
    env |= {"ECOLYO_DACC__TOKEN_FILE": str(secret), "ECOLYO_HTTP__TOKEN_FILE": str(secret)}
    found = [one for one in await findings(cli, env=env) if one.check == "tokens"]
    assert [one.result for one in found] == ["ok", "ok"]
    assert "sesame" not in str(found)
    secret.write_text("sesame-open-the-door\nanother-open-the-door\n")
    found = [one for one in await findings(cli, code=1, env=env) if one.check == "tokens"]
    assert [one.result for one in found] == ["failed", "ok"]
    assert "must hold one token: a line of" in found[0].found
    assert "holds 2, and others cannot read" in found[1].found
    secret.chmod(0o644)
    found = [one for one in await findings(cli, code=1, env=env) if one.check == "tokens"]
    assert ["mode 0644" in one.found for one in found] == [True, True]


async def test_systemd_passes_tokens_too(cli: Cli, tmp_path: Path) -> None:
    """A token that systemd passes as a credential is found."""
    await cli("migrate")
    (tmp_path / "dacc-token").write_text("sesame")
    (tmp_path / "dacc-token").chmod(0o400)
    env = {"ECOLYO_DACC__URL": "https://dacc.invalid", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    found = named(await findings(cli, env=env), "tokens")
    assert f"{tmp_path / 'dacc-token'} holds one" in found.found


async def test_a_running_service_is_asked(cli: Cli, state_dir: Path) -> None:
    """Beside a service the same is found over its socket, with its version and process."""
    async with service(state_dir) as worker:
        await worker.record("alice.example", VISIT)
        found = await findings(cli)
        async with running_service(state_dir) as commands:
            assert commands is not None
            asked = await commands.examine(Examine(60))
        assert asked == await Commands(worker).examine(Examine(60))
    words = f"ecolyo-worker {__version__} runs as process {os.getpid()}"
    assert named(found, "service") == Finding("service", "ok", words)
    assert named(found, "database").result == "ok"
    assert named(found, "clock").result == "ok"


async def test_a_state_that_another_process_has_is_left_alone(cli: Cli, state_dir: Path) -> None:
    """The owner that answers no commands, a host perhaps, is named, and that is no failure."""
    async with Worker(Settings(state_dir=state_dir)):
        found = await findings(cli)
    assert f"is owned by process {os.getpid()}" in named(found, "database").found


def test_a_part_that_does_not_work_is_named(state_dir: Path) -> None:
    """Of a service's parts those are told that hang or crashed."""

    def part(name: str, state: str, *, alive: bool, error: str | None = None) -> ActorHealth:
        return ActorHealth(name, state, alive, 1, error, None, None)

    parts = [
        part("janitor", "working", alive=True),
        part("sender", "working", alive=False),
        part("aggregator", "restarting", alive=False, error="OSError: no"),
    ]
    found = check_service("1.2.3", 7, parts)
    assert [one.found for one in found] == [
        "ecolyo-worker 1.2.3 runs as process 7",
        "its sender hangs",
        "its aggregator is restarting: OSError: no",
    ]
    assert [one.result for one in found] == ["ok", "failed", "failed"]


async def prepare(cli: Cli) -> None:
    """Let a person's day be counted, so that an indicator waits."""
    await cli("instances", "import", "-", stdin=json.dumps(ALICE).encode())
    visit = json.dumps(VISIT).encode()
    await cli("events", "import", "-", "--instance", "alice.example", stdin=visit)
    await cli("aggregate", "--as-of", "2026-11-21T01:00:00")


def damage(database: Path, index: str) -> None:
    """Overwrite the first page of an index."""
    with closing(sqlite3.connect(database)) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (page,) = connection.execute(query, (index,)).fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


async def test_damage_is_found(cli: Cli, state_dir: Path) -> None:
    """A page that holds rubbish is found, by its table."""
    await cli("events", "import", "-", "--instance", "a.example", stdin=json.dumps(VISIT).encode())
    damage(state_dir / "ecolyo.db", "events_by_id")
    ((check, words),) = failures(await findings(cli, code=1))
    assert check == "database"
    assert words.startswith("it is damaged: events: ")


async def test_a_database_that_cannot_be_used_is_told(cli: Cli, state_dir: Path) -> None:
    """A newer schema, and what is no database at all, are told as every command would."""
    await cli("migrate")
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other:
        other.execute("PRAGMA user_version = 99")
    ((check, words),) = failures(await findings(cli, code=1))
    assert (check, "schema 99" in words) == ("database", True)
    (state_dir / "ecolyo.db").write_bytes(b"no database" * 1000)
    ((check, _),) = failures(await findings(cli, code=1))
    assert check == "database"


async def test_a_clock_that_is_behind_is_told(cli: Cli, state_dir: Path) -> None:
    """A clock before what was written is wrong; an event to come may be anybody's mistake."""
    await cli("migrate")
    to_come = VISIT | {"eventDate": "2999-01-01T10:00"}
    sent = json.dumps(to_come).encode()
    await cli("events", "import", "-", "--instance", "a.example", stdin=sent)
    found = await findings(cli)
    words = [one.found for one in found if one.check == "clock" and one.result == "note"]
    assert words == ["the event that came last is of 2999-01-01T10:00:00.000, which is to come"]
    with closing(sqlite3.connect(state_dir / "ecolyo.db", isolation_level=None)) as other:
        run = "INSERT INTO runs (started, as_of, definitions, max_age_days, mode)"
        other.execute(f"{run} VALUES (32503680000000, 0, '', 31, 'on')")
    ((check, said),) = failures(await findings(cli, code=1))
    assert (check, said.endswith("something was written at 3000-01-01T00:00:00Z")) == (
        "clock",
        True,
    )


class Ticking(SystemClock):
    """A clock on which a second passes whenever somebody looks."""

    def __init__(self) -> None:
        self.looks = 0

    def monotonic(self) -> float:
        self.looks += 1
        return float(self.looks)


async def test_looking_through_takes_no_longer_than_it_may(state_dir: Path) -> None:
    """When the time is over the rest of the tables is left, and it is said how many."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.record("alice.example", [VISIT | {"_id": str(n)} for n in range(2000)])
        whole = await examine(worker.database, 1e9, Ticking())
        assert (whole.checked, whole.damage) == (whole.tables, [])
        some = await examine(worker.database, 5, Ticking())
        assert 0 < some.checked < some.tables
        assert (await examine(worker.database, 0, Ticking())).checked == 0
        # A look before each table would not end this: there are more within a table.
        most = await examine(worker.database, whole.tables + 0.5, Ticking())
        assert most.checked < most.tables
        assert (await worker.record("bob.example", VISIT)).accepted == 1


def test_this_machine_can_do_it() -> None:
    """The SQLite that the tests run on lacks nothing."""
    assert lacking() == []


async def online(cli: Cli, env: Env = None, *, code: int = 0) -> list[Finding]:
    found = await findings(cli, "--online", code=code, env=env)
    return [one for one in found if one.check in {"DACC", "stack", "echo server"}]


async def test_the_dacc_is_asked_and_nothing_is_sent(cli: Cli, tmp_path: Path) -> None:
    """An echo server is recognised; it gets no indicator, no token, and nothing but questions."""
    secret = tmp_path / "token"
    secret.write_text("sesame-open-the-door")
    secret.chmod(0o600)
    await prepare(cli)
    async with echo_server("--token", "sesame") as echo:
        env = {"ECOLYO_DACC__URL": echo.url, "ECOLYO_DACC__TOKEN_FILE": str(secret)}
        found = await online(cli, env)
        assert [(one.check, one.result) for one in found] == [("DACC", "ok"), ("echo server", "ok")]
        assert "the token is not checked" in found[0].found
        assert "has received 0: nothing leaves this machine" in found[1].found
        assert (await echo.count())["received"] == 0
        (request,) = await requests(echo.url)
    assert (request["method"], request["path"]) == ("GET", "/measure")
    assert "authorization" not in {name.lower() for name in headers(request)}
    rows = (await cli("outbox", "list", "--json")).stdout.splitlines()
    assert {json.loads(row)["state"] for row in rows} == {"pending"}


async def requests(url: str) -> list[dict[str, Any]]:
    """Give all that an echo server keeps of what it was asked."""
    import httpx

    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        listed = (await client.get("/api/requests")).text.splitlines()
        numbers = [json.loads(line)["seq"] for line in listed]
        return [(await client.get(f"/api/requests?seq={n}")).json() for n in numbers]


def headers(request: dict[str, Any]) -> list[str]:
    found = request["headers"]
    return list(found) if isinstance(found, dict) else [name for name, _ in found]


async def test_somebodys_stack_is_asked(cli: Cli) -> None:
    """With a Cozy target the stack of one person is; before anybody is known, none can be."""
    await cli("migrate")
    async with echo_server() as echo:
        env = {"ECOLYO_DACC__TARGET": "cozy-v2", "ECOLYO_DACC__URL": f"{echo.url}/{{instance}}"}
        (found,) = await online(cli, env)
        assert (found.check, found.result) == ("stack", "note")
        nobody = b'{"instance": "aaron.example"}\n'
        await cli("instances", "import", "-", stdin=nobody + json.dumps(ALICE).encode())
        found, _ = await online(cli, env)
        assert (found.check, found.result) == ("stack", "ok")
        assert f"{echo.url}/alice.example/remote/cc.cozycloud.dacc_v2 answers" in found.found
        assert (await echo.count())["received"] == 0


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[str]:
    """A server that says the same to everybody, and hangs up."""

    async def handle(client: Any) -> None:
        async with client:
            if await client.receive():
                await client.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, handle)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"127.0.0.1:{port}"
        serving.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"200 OK", "something else: it answers 200 to a GET, and not 405"),
        (b"404 Not Found", "something else: it answers 404"),
        (b"502 Bad Gateway", "does not work now (502)"),
        (
            b"301 Moved\r\nLocation: https://u:sesame@else.example/x?sesame",
            "leads elsewhere (301), to https://else.example/x",
        ),
        (b"\xff", "does not answer: "),
    ],
)
async def test_what_is_not_the_dacc_is_told(cli: Cli, head: bytes, words: str) -> None:
    """Other answers say what is at the address instead, and no secret of it."""
    await cli("migrate")
    async with saying(b"HTTP/1.1 " + head + b"\r\nContent-Length: 0\r\n\r\n") as address:
        found, *_ = await online(cli, {"ECOLYO_DACC__URL": f"http://{address}"}, code=1)
    assert (found.check, found.result) == ("DACC", "failed")
    assert words in found.found
    assert "sesame" not in found.found


async def test_what_does_not_speak_tls_is_told(cli: Cli) -> None:
    """An address over https where nobody speaks TLS cannot be trusted."""
    await cli("migrate")
    async with saying(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        (found,) = await online(cli, {"ECOLYO_DACC__URL": f"https://{address}"}, code=1)
    assert "cannot be trusted" in found.found


async def test_where_nobody_is_it_is_told(cli: Cli) -> None:
    """An address that refuses connections is named, with what to look at; without one, none is."""
    await cli("migrate")
    (found,) = await online(cli)
    assert found == Finding("DACC", "note", "dacc.url is not set: indicators wait until it is")
    (found,) = await online(cli, {"ECOLYO_DACC__URL": "http://127.0.0.1:9"}, code=1)
    assert "http://127.0.0.1:9/measure does not answer" in found.found
