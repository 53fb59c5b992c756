"""The service while a crowd that shows no token takes all the connections it can get."""

import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio

from ecolyo_worker.testing import echo_server
from tests.faults.test_stopping import FAST, Cli, Run, aggregate, drain, fill

FILES = 200
"""So many may be open in the service at once."""

SPEAKING = """
import asyncio, logging
from ecolyo_worker.cli.libraries import log_libraries
from ecolyo_worker.cli.logs import make_logger

async def speak():
    log_libraries(make_logger("journal", "info"))
    for _ in range(9):
        logging.getLogger("asyncio").warning("lost %s", "alice.example")
        asyncio.get_running_loop().call_exception_handler(
            {"message": "never told", "exception": OSError("alice.example")}
        )

asyncio.run(speak())
"""


@contextmanager
def crowd(service: Any, many: int) -> Iterator[list[socket.socket]]:
    """Open connections and ask nothing on them."""
    host, _, port = service.url.removeprefix("http://").rpartition(":")
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(many)
        ]


async def test_a_crowd_keeps_nobody_from_work(run: Run, cli: Cli, state_dir: Path) -> None:
    """With few files to open, hosts are answered, rows are sent, and the log stays calm."""
    async with echo_server() as echo:
        async with run(**FAST, ECOLYO_DACC__URL=echo.url) as service:
            resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
            with crowd(service, 3 * FILES):
                async with service.client() as client:
                    await fill(client)
                await aggregate(cli)
                await echo.wait(20)
                assert len(os.listdir(f"/proc/{service.process.pid}/fd")) < FILES  # noqa: PTH208
            service.process.terminate()
            assert await service.end() == 0
            said = await service.rest()
        assert [line for line in said.splitlines() if "warning" in line or "error" in line] == []
        await drain(state_dir, echo)


async def test_without_any_file_left_it_says_so_once(run: Run) -> None:
    """Where nothing more can be opened the log tells it once, as a line of its own form."""
    async with run() as service:
        own = len(os.listdir(f"/proc/{service.process.pid}/fd"))  # noqa: PTH208
        resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE, (own, own))
        with crowd(service, 20):
            said = await service.log("no connection can be accepted")
            assert (said["level"], said["reason"]) == ("warning", "Too many open files")
        service.process.terminate()
        assert await service.end() == 0
        rest = [json.loads(line) for line in (await service.rest()).splitlines()]
    # Of those that were left out, one line tells.
    assert sum(line["event"] == said["event"] for line in rest) <= 1


async def test_libraries_speak_in_the_form_of_the_log() -> None:
    """What a library or the event loop reports is a line of the log, once, and without values."""
    done = await anyio.run_process([sys.executable, "-c", SPEAKING])
    assert done.stdout == b""
    assert done.stderr.decode().splitlines() == [
        "<4>event='a library reports' library='asyncio' reason='lost %s' error=None",
        "<3>event='the event loop reports' reason='never told' error='OSError'",
    ]
    assert b"alice" not in done.stderr


async def test_it_lets_itself_open_what_it_may(run: Run) -> None:
    """At its start the service raises how many files it may have open, as far as it is let."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        async with run() as service:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            soft, _ = resource.prlimit(service.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft == min(4096, hard)
