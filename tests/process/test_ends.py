"""However the service ends, its exit code says whose turn it is: systemd goes by it."""

import json
import os
import resource
import socket
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from signal import SIGTERM
from subprocess import DEVNULL, CompletedProcess
from typing import Any

import anyio
import pytest
from anyio import to_thread

from ecolyo_worker import Settings, Worker

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Run = Any

# Runs the rest of the command line with files that cannot grow beyond so many bytes.
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-m", "ecolyo_worker", *sys.argv[2:]])
"""


# Signals itself while it still loads what a command needs.
SIGNALLED = """
import signal, sys
loading, number = sys.argv[1], signal.Signals[sys.argv[2]]
class Finder:
    def find_spec(self, name, *_):
        if name == loading:
            signal.raise_signal(number)
sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["status"]
from ecolyo_worker.cli import main
main()
"""


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("loading", ["cyclopts", "ecolyo_worker.cli.service"])
async def test_interrupted_while_it_loads(signal: str, loading: str) -> None:
    """A signal in the first moments of a command: 130 with one line, and no traceback."""
    command = [sys.executable, "-c", SIGNALLED, loading, signal]
    done = await anyio.run_process(command, check=False)
    assert (done.returncode, done.stdout) == (130, b"")
    assert done.stderr == b"interrupted: what was accepted is kept\n"


async def test_called_wrongly(cli: Cli) -> None:
    """An option that is none: 64."""
    done = await cli("run", "--every", "night")
    assert (done.returncode, b"--every" in done.stderr) == (64, True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ECOLYO_WORKER__MODE": "maybe"}, "worker.mode"),
        ({"ECOLYO_AGGREGATION__MEASURES_FILE": "/nowhere"}, "aggregation.measures_file"),
        ({"ECOLYO_HTTP__TOKEN_FILE": None}, "http.token_file"),
        ({"ECOLYO_HTTP__LISTEN": "unix:/nowhere/http.sock"}, "cannot be listened on"),
        ({"ECOLYO_HTTP__SOCKET_MODE": "rw"}, "http.socket_mode"),
        ({"ECOLYO_HTTP__SOCKET_GROUP": "no-such-group"}, "http.socket_group"),
    ],
)
async def test_wrong_settings(run: Run, settings: dict[str, str | None], said: str) -> None:
    """What only an operator can mend: 78, with the name of the setting."""
    async with run(ready=False, **settings) as service:
        assert await service.end() == 78
        assert said in await service.rest()


@pytest.mark.parametrize("setting", ["HTTP__TOKEN_FILE", "AGGREGATION__MEASURES_FILE"])
async def test_a_pipe_is_not_waited_for(run: Run, tmp_path: Path, setting: str) -> None:
    """A pipe that stands where a file should is told with 78; nobody waits for what never comes."""
    os.mkfifo(tmp_path / "pipe")
    async with run(ready=False, **{f"ECOLYO_{setting}": str(tmp_path / "pipe")}) as service:
        said = await service.rest()
        assert await service.end() == 78
    assert f"{setting.lower().replace('__', '.')}: " in said
    assert "it is no plain file" in said


@pytest.mark.parametrize(
    ("log_format", "begin"), [("journal", "<3>"), ("json", "{"), ("console", "error: ")]
)
async def test_a_collector_knows_an_error_when_it_ends(
    cli: Cli, log_format: str, begin: str
) -> None:
    """Why it ended is the last line of the log, in the form of the log, as an error."""
    env = {"ECOLYO_WORKER__MODE": "maybe"}
    done = await cli("run", "--log-format", log_format, env=env)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(begin)
    assert "worker.mode: found 'maybe'" in line


async def test_an_address_that_is_taken(run: Run) -> None:
    """A port on which another process listens: 69, so that systemd tries it again."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with run(ready=False, ECOLYO_HTTP__LISTEN=f"127.0.0.1:{port}") as service:
            assert await service.end() == 69
            assert "Address already in use" in await service.rest()


async def test_an_address_that_is_not_there_yet(run: Run) -> None:
    """An address that this machine does not have, or not yet: 69."""
    async with run(ready=False, ECOLYO_HTTP__LISTEN="192.0.2.1:8787") as service:
        assert await service.end() == 69
        assert "Cannot assign requested address" in await service.rest()


@pytest.mark.parametrize("most_bytes", [0, 4096])
async def test_a_disk_that_takes_nothing(state_dir: Path, most_bytes: int) -> None:
    """Where nothing can be written, it may be tried again later: 69."""
    done = await anyio.run_process(
        [sys.executable, "-c", LIMITED, str(most_bytes), "run", "--state-dir", str(state_dir)],
        check=False,
    )
    assert done.returncode == 69, done.stderr


@pytest.mark.parametrize("log_format", ["json", "journal", "console"])
async def test_a_bug_of_ours(cli: Cli, state_dir: Path, log_format: str) -> None:
    """What nobody expected: 70, with a traceback, each line in the form of the log."""
    await spoil(state_dir)
    done = await cli("run", "--log-format", log_format)
    assert done.returncode == 70
    lines = done.stderr.decode().splitlines()
    text = "".join(lines)
    if log_format == "json":
        found = json.loads(lines[-1])
        assert (found["event"], found["level"]) == ("ended by a bug", "critical")
        text = found["reason"] + found["exception"]
    elif log_format == "journal":
        begin = next(n for n, line in enumerate(lines) if "ended by a bug" in line)
        assert all(line.startswith("<2>") for line in lines[begin:])
    assert "this is a bug in ecolyo-worker" in text
    assert "Traceback (most recent call last)" in text


async def spoil(state_dir: Path, *statements: str, last: date = date(2026, 2, 1)) -> None:
    """Let a database be such that no slot can be taken from the day after a date on."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"ALTER TABLE slots ADD COLUMN spoiled TEXT CHECK (day <= '{last}')")


async def test_stopped_before_it_was_ready(run: Run) -> None:
    """A stop while it still reads its settings: 130, which the unit takes for a success."""
    reader, writer = os.pipe()
    async with run("--config", f"/proc/{os.getpid()}/fd/{reader}", ready=False) as service:
        # More than a pipe holds: when all of it is written, some was read.
        await to_thread.run_sync(os.write, writer, b"\n" * 100_000)
        service.process.send_signal(SIGTERM)
        os.close(writer)
        assert await service.end() == 130
    os.close(reader)


@pytest.mark.parametrize(
    "words",
    [
        "events import {}",
        "instances import {}",
        "accounts authorize 1 --id-token-file {}",
        "check-config {}",
        "status --config {}",
    ],
)
@pytest.mark.parametrize(
    ("kind", "said"), [("pipe", "it is a pipe with a name"), ("device", "it is a device")]
)
async def test_what_never_ends_is_not_read(
    cli: Cli, tmp_path: Path, words: str, kind: str, said: str
) -> None:
    """A named pipe or a device where a file should be is told at once, whatever command it is."""
    os.mkfifo(tmp_path / "pipe")
    file = tmp_path / "pipe" if kind == "pipe" else Path("/dev/zero")
    done = await cli(*words.format(file).split())
    assert done.returncode in {64, 78}
    assert said in (done.stdout + done.stderr).decode()


@pytest.fixture
def dumping() -> Iterator[None]:
    """Let processes that are started be dumped as far as this one may let them."""
    before, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (before, most))


async def test_no_command_leaves_its_memory_behind(run: Run, dumping: None) -> None:
    """It is dumped nowhere when it is killed, to no file and to no program, for it holds tokens."""
    async with run() as service:
        most, _ = resource.prlimit(service.process.pid, resource.RLIMIT_CORE)
        assert most in {0, 1}


async def test_a_log_that_nobody_reads(cli: Cli, state_dir: Path) -> None:
    """When the reader of its log goes away, it works on, and ends as it should."""
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "ecolyo_worker", "run", "--state-dir", str(state_dir)]
    async with await anyio.open_process(command, stdin=DEVNULL, stderr=writer) as process:
        os.close(writer)
        assert b"ready" in await to_thread.run_sync(os.read, reader, 4096)
        os.close(reader)
        for _ in range(2):
            done = await cli("aggregate", "--as-of", "2026-11-21T01:00:00")
            assert done.returncode == 0, done.stderr
        process.send_signal(SIGTERM)
        assert await process.wait() == 0
