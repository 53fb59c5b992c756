"""The service under a manager such as systemd: when it is ready, and how it takes new settings."""

import os
import socket
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from subprocess import DEVNULL, CompletedProcess
from typing import Any

import anyio
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.testing.echo import echo_server

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Run = Any

READ_AGAIN = "reading the settings again"


LOCAL = '[worker]\nmode = "local"\n'
OFF = '[worker]\nmode = "off"\n'
EVENTS = b"".join(
    b'{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00:00", "target": "%s"}\n' % page
    for page in (b"electricity", b"gas", b"water", b"faq")
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write(tmp_path / "config.toml", LOCAL)
    return tmp_path / "config.toml"


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_it_says_when_it_is_ready_and_when_it_stops(run: Run, manager: Any) -> None:
    """The manager hears of the start, of the whole service being there, of life, and of the end."""
    async with run(**manager.environ, WATCHDOG_USEC="300000") as service:
        starting = await manager.hear()
        assert starting == {"STATUS": "starting", "EXTEND_TIMEOUT_USEC": "30000000"}
        ready = await manager.hear("READY", "STATUS")
        assert ready["STATUS"] == "working; events waiting 0 · indicators waiting 0"
        async with service.client() as client:
            assert (await client.get("/readyz")).status_code == 200
        await manager.hear("WATCHDOG")
        service.process.send_signal(SIGTERM)
        assert await service.end() == 0
    (stopping,) = [said for said in manager.heard() if "WATCHDOG" not in said]
    assert list(stopping) == ["STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC"]


async def test_right_settings_are_taken(run: Run, manager: Any, config: Path) -> None:
    """After SIGHUP the same process goes on with the settings that the file has now."""
    async with run("--config", str(config), **manager.environ) as service:
        await manager.hear("READY")
        assert service.logged[-1]["mode"] == "local"
        write(config, OFF)
        service.process.send_signal(SIGHUP)
        reloading = await manager.hear()
        assert list(reloading) == ["RELOADING", "MONOTONIC_USEC", "STATUS", "EXTEND_TIMEOUT_USEC"]
        assert int(reloading["MONOTONIC_USEC"]) > 0
        assert (await manager.hear())["STATUS"] == "starting"
        ready = await manager.hear()
        assert "mode is off" in ready["STATUS"]
        found = await service.log("ready")
        assert (found["mode"], found["pid"]) == ("off", service.process.pid)
        service.url = f"http://{found['http']}"
        async with service.client() as client:
            assert (await client.get("/v1/status")).json()["mode"] == "off"
        service.process.send_signal(SIGTERM)
        assert await service.end() == 0


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("[worker]\nmod = 'off'\n", "did you mean 'mode'"),
        ("[worker\n", "config.toml"),
        ("[aggregation]\nmeasures_file = '/nowhere'\n", "aggregation.measures_file: /nowhere"),
        ("[http]\nlisten = 'nowhere'\n", "http.listen: found 'nowhere'"),
        ("[http]\nlisten = '127.0.0.1:0'\n", "http.token_file: found none"),
        ("[http]\nlisten = 'unix:/nowhere/http.sock'\n", "cannot be listened on"),
    ],
)
async def test_wrong_settings_change_nothing(
    run: Run, manager: Any, config: Path, wrong: str, reason: str
) -> None:
    """What cannot be read, checked or opened is said in the log; those of before hold."""
    alone = {"ECOLYO_HTTP__LISTEN": None, "ECOLYO_HTTP__TOKEN_FILE": None}
    async with run("--config", str(config), **manager.environ, **alone) as service:
        await manager.hear("READY")
        write(config, wrong)
        service.process.send_signal(SIGHUP)
        refused = await service.log("the new settings are not taken")
        assert reason in refused["reason"]
        assert (await manager.hear())["STATUS"] == READ_AGAIN
        ready = await manager.hear("READY")
        assert "the settings are wrong and were not taken" in ready["STATUS"]

        write(config, OFF)
        service.process.send_signal(SIGHUP)
        while (await service.log("ready"))["mode"] != "off":
            pass
        assert (await manager.hear("RELOADING"))["STATUS"] == READ_AGAIN
        assert "wrong" not in (await manager.hear("READY"))["STATUS"]
        service.process.send_signal(SIGTERM)
        assert await service.end() == 0


async def test_a_stop_while_it_reads_its_settings_again(run: Run, cli: Cli, manager: Any) -> None:
    """It stops and takes no new settings; told twice, it does not wait for the grace."""
    async with echo_server("--fault", "latency=1h*4") as echo:
        settings = {"ECOLYO_DACC__URL": echo.url, "ECOLYO_DACC__RATE": "1000"}
        async with run(**manager.environ, **settings, ECOLYO_WORKER__GRACE="1h") as service:
            consent = ("--version", "1.0.0", "--at", "2026-01-01T00:00:00")
            await cli("instances", "consent", "alice.example", *consent)
            await cli("events", "import", "-", "--instance", "alice.example", stdin=EVENTS)
            await cli("aggregate", "--as-of", "2026-11-21T01:00:00")
            await echo.wait(4)
            service.process.send_signal(SIGHUP)
            await service.log("reloading")
            service.process.send_signal(SIGTERM)
            service.process.send_signal(SIGINT)  # the same one twice might arrive as one
            assert await service.end() == 0
            assert '"event":"ready"' not in (await service.rest()).replace(" ", "")
    assert [next(iter(said)) for said in manager.heard()][-2:] == ["RELOADING", "STOPPING"]


async def opened(service: Any, path: Path) -> None:
    """Wait until a service has a file open."""
    files = Path(f"/proc/{service.process.pid}/fd")

    def names() -> Iterator[Path]:
        for file in files.iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                yield file.readlink()

    with anyio.fail_after(30):
        while path not in names():
            await anyio.lowlevel.checkpoint()


async def test_a_stop_ends_a_start(run: Run, state_dir: Path, manager: Any) -> None:
    """Told to stop while it starts, it says so at once, breaks off, and is never ready.

    What holds the start up here is another process that writes to the database.
    """
    async with Worker(Settings(state_dir=state_dir)):
        pass
    with closing(sqlite3.connect(state_dir / "ecolyo.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with run(ready=False, **manager.environ) as service:
            await opened(service, state_dir / "ecolyo.db-wal")
            manager.heard()
            service.process.send_signal(SIGTERM)
            assert list(await manager.hear("STOPPING")) == [
                "STOPPING", "STATUS", "EXTEND_TIMEOUT_USEC",
            ]  # fmt: skip
            assert await service.end() == 0
            assert '"event": "stopped"' in await service.rest()
    assert manager.heard() == []


HANGING = """
import sys, threading
from ecolyo_worker.cli.app import run
from ecolyo_worker.store import outbox

def hang(*_, **__):
    print("there", flush=True)
    threading.Event().wait()

outbox.rescue = hang
sys.exit(run(["run", "--state-dir", sys.argv[1]]))
"""


async def test_a_second_signal_ends_a_start_that_hangs(state_dir: Path, manager: Any) -> None:
    """Told twice, the service waits for nothing, not even for its database."""
    command = [sys.executable, "-c", HANGING, str(state_dir)]
    env = {**os.environ, **manager.environ}
    async with await anyio.open_process(command, env=env, stderr=DEVNULL) as process:
        assert process.stdout is not None
        await process.stdout.receive()
        process.send_signal(SIGTERM)
        await manager.hear("STOPPING")
        process.send_signal(SIGINT)
        assert await process.wait() == 130


async def test_the_socket_of_nobody_does_no_harm(run: Run, tmp_path: Path) -> None:
    """A manager that is gone is warned of in the log, and the service works without it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "gone"))
    async with run(NOTIFY_SOCKET=str(tmp_path / "gone"), WATCHDOG_USEC="300000") as service:
        assert [line["event"] for line in service.logged] == [
            "the service manager is not told anything", "ready",
        ]  # fmt: skip
        service.process.send_signal(SIGTERM)
        assert await service.end() == 0
