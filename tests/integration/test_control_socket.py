"""The control socket: errors, other versions, clients and services that go away."""

import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from ecolyo_worker import Settings, Worker, errors
from ecolyo_worker.catalogue import protocol
from ecolyo_worker.errors import (
    CommandRefused,
    EcolyoError,
    InputRefused,
    IntakeRefused,
    Refusal,
    StoreUnavailable,
)
from ecolyo_worker.requests import EventsImport, EventsList, InstancesImport, Line, Send
from ecolyo_worker.service.client import running_service
from ecolyo_worker.service.server import ControlSocket
from ecolyo_worker.service.wire import PROTOCOL_HEADER, ErrorDocument, describe, recreate
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import echo_server

from .conftest import commands_of, service

Cli = Any

EVENT = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}
# More than fits between a service and who does not read.
LINES = [
    Line(n, json.dumps({**EVENT, "_id": str(n), "target": "x" * 200}).encode()) for n in range(5000)
]
LIMIT_S = 30
ALICE = {
    "instance": "alice.example",
    "consent": {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"},
}


@asynccontextmanager
async def asking(state_dir: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client that knows nothing of commands."""
    folder = os.open(state_dir, os.O_RDONLY)
    path = f"/proc/self/fd/{folder}/control.sock"
    transport = httpx.AsyncHTTPTransport(uds=path)
    headers = {PROTOCOL_HEADER: protocol()}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://c", headers=headers, timeout=30
    ) as client:
        yield client
    os.close(folder)


ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, EcolyoError)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_arrives_as_what_it_was(kind: type[EcolyoError]) -> None:
    """Each error of ours goes over the socket with its class, its words and all it carries."""
    if issubclass(kind, InputRefused):
        error: EcolyoError = kind("a field", "a reason")
    elif issubclass(kind, IntakeRefused):
        error = kind([Refusal(3, "type", "unknown"), Refusal(4, "", "x")])
    else:
        error = kind("some words")
    text = msgspec.json.encode(describe(error))
    again = recreate(msgspec.json.decode(text, type=ErrorDocument))
    assert type(again) is kind
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_an_unknown_error_is_ours() -> None:
    """An error that this version does not know is still said, as ours."""
    error = recreate(ErrorDocument("ArithmeticError", "some words"))
    assert (type(error), str(error)) == (EcolyoError, "some words")


async def test_a_second_owner_is_told_if_nobody_answers(cli: Cli, state_dir: Path) -> None:
    """A process that owns the state and answers no commands is named, with 73, as before."""
    async with service(Settings(state_dir=state_dir)):
        assert (await cli("status")).returncode == 0
    async with Worker(Settings(state_dir=state_dir)).opened():
        done = await cli("status")
    assert done.returncode == 73
    assert f"is owned by process {os.getpid()}" in done.stderr.decode()


async def test_a_socket_left_behind_harms_nobody(cli: Cli, state_dir: Path) -> None:
    """A socket's file without a service is passed over by commands and replaced by a service."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        pass
    leave(state_dir / "control.sock")
    assert (await cli("status")).returncode == 0
    async with service(Settings(state_dir=state_dir)), commands_of(state_dir) as commands:
        assert (await commands.status()).instances == 0
    assert not await anyio.Path(state_dir / "control.sock").exists()


async def test_a_crowd_before_the_socket_keeps_nobody_waiting(state_dir: Path, cli: Cli) -> None:
    """Where more wait than the socket has room for, a command ends with 69, and not never."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        with crowd(state_dir / "control.sock"):
            done = await cli("status")
    assert done.returncode == 69
    assert "very many wait for the service already" in done.stderr.decode()


@contextmanager
def crowd(path: Path) -> Iterator[None]:
    """Let as many wait before a socket as there is room for, and nobody hear them."""
    import socket

    with ExitStack() as stack:
        deaf = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
        deaf.bind(str(path))
        deaf.listen(0)
        while True:
            one = stack.enter_context(closing(socket.socket(socket.AF_UNIX)))
            one.setblocking(False)
            try:
                one.connect(str(path))
            except BlockingIOError:
                break
        yield


async def test_a_command_may_take_long(state_dir: Path) -> None:
    """As long as the service lives its answer is waited for, and an error stays what it is."""
    async with echo_server("--fault", "latency=300ms") as echo:
        settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
        async with service(settings) as worker:
            async with commands_of(state_dir) as commands:
                await commands.instances_import(
                    InstancesImport([Line(1, json.dumps(ALICE).encode())])
                )
            await worker.record("alice.example", EVENT)
            await worker.run_once(datetime(2026, 11, 21, 1))
            async with running_service(state_dir, look_s=0.01, patience_s=30) as impatient:
                assert impatient is not None
                assert (await impatient.send(Send())).outcomes["delivered"] > 0
                with pytest.raises(CommandRefused, match="the outbox has no row 999"):
                    await impatient.outbox_show(999)


def leave(path: Path) -> None:
    import socket

    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(str(path))


async def test_a_long_directory_does_no_harm(tmp_path: Path) -> None:
    """The socket works in a directory whose name is far longer than an address may be."""
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    async with service(Settings(state_dir=deep)), commands_of(deep) as commands:
        assert (await commands.status()).instances == 0
        assert (await anyio.Path(deep / "control.sock").stat()).st_mode & 0o777 == 0o600


async def test_another_version_is_refused(state_dir: Path, cli: Cli) -> None:
    """A service whose commands differ is not asked for anything, by either side's decision."""
    async with service(Settings(state_dir=state_dir)):
        async with asking(state_dir) as client:
            headers = {PROTOCOL_HEADER: "older", "ecolyo-version": "0.0.9"}
            done = await client.post("/control/v1/status", headers=headers)
        error = done.json()["error"]
        assert (done.status_code, error["code"]) == (409, "StoreUnavailable")
        assert "is asked by 0.0.9: their commands differ" in error["message"]
    async with older_service(state_dir):
        done = await cli("status")
    assert done.returncode == 69
    assert "the service that runs is ecolyo-worker 0.0.9" in done.stderr.decode()


@asynccontextmanager
async def older_service(state_dir: Path) -> AsyncIterator[None]:
    """What answers on the socket as a service of another version would."""

    async def answer(stream: anyio.abc.ByteStream) -> None:
        async with stream:
            if await stream.receive():
                await stream.send(
                    b"HTTP/1.1 200 OK\r\necolyo-control: older\r\necolyo-version: 0.0.9\r\n"
                    b"content-length: 2\r\nconnection: close\r\n\r\n{}"
                )

    async def probed(stream: anyio.abc.ByteStream) -> None:
        try:
            await answer(stream)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return  # it only looked whether anybody is there

    async with (
        await anyio.create_unix_listener(state_dir / "control.sock", mode=0o600) as listener,
        anyio.create_task_group() as serving,
    ):
        serving.start_soon(listener.serve, probed)
        yield
        serving.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/control/v1/nonsense", b"", "there is no command 'nonsense'"),
        ("/control/v1/_known", b'"a"', "there is no command '_known'"),
        ("/control/v1/events_list", b"{", "the request cannot be read"),
        ("/control/v1/events_list", b'{"day": 5}', "Expected `str | null`, got `int`"),
        ("/control/v1/outbox_show", b'"x"', "Expected `int`, got `str`"),
        ("/control/v1/events_list", b"[" * 100_000, "the request cannot be read"),
        ("/control/v1/events_import", b" " * 70_000_000, "found a body of more than"),
    ],
)
async def test_a_request_that_is_wrong_is_said_so(
    state_dir: Path, path: str, body: bytes, words: str
) -> None:
    """An unknown command and a body that cannot be read are errors of the caller, in words."""
    async with service(Settings(state_dir=state_dir)), asking(state_dir) as client:
        done = await client.post(path, content=body)
        assert (done.status_code, done.json()["error"]["code"]) == (409, "CommandRefused")
        assert words in done.json()["error"]["message"]
        assert (await client.get("/control/v1/status")).status_code == 405


async def test_a_stream_that_fails_says_why_at_its_end(state_dir: Path, examples: Path) -> None:
    """What a stream gave before an error arrives, and then the error, as what it was."""
    async with service(Settings(state_dir=state_dir)), commands_of(state_dir) as commands:
        lines = [Line(n, json.dumps({**EVENT, "_id": str(n)}).encode()) for n in range(600)]
        await commands.events_import(EventsImport(lines, "alice.example"))
        damage(state_dir)
        found: list[object] = []
        with pytest.raises(EcolyoError, match="this is a bug; its log says where"):
            await gather(commands.events_list(EventsList()), found)
    assert len(found) == 500


async def gather(items: AsyncIterator[object], into: list[object]) -> None:
    async for item in items:
        into.append(item)  # noqa: PERF401  what came before an error counts


def damage(state_dir: Path) -> None:
    """Let the last event hold a time that cannot be told."""
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
        other.execute("UPDATE events SET time = 9000000000000000000 WHERE seq > 500")


async def test_a_bug_is_said_without_its_words(state_dir: Path) -> None:
    """A command that breaks in the service ends with 70 at the client, and says where to look."""
    async with service(Settings(state_dir=state_dir)), commands_of(state_dir) as commands:
        await commands.instances_import(InstancesImport([Line(1, json.dumps(ALICE).encode())]))
        with closing(sqlite3.connect(state_dir / "ecolyo.db")) as other, other:
            other.execute("UPDATE consents SET accepted_at = 9000000000000000000")
        with pytest.raises(EcolyoError, match="this is a bug") as caught:
            await commands.instances_show("alice.example")
    assert (type(caught.value), caught.value.exit_code) == (EcolyoError, 70)


async def test_a_client_that_leaves_ends_its_drain(state_dir: Path) -> None:
    """When the client of a drain goes away the drain ends, and the service goes on."""
    async with echo_server("--fault", "latency=1min*9") as echo:
        settings = Settings(state_dir=state_dir, dacc=Dacc(url=echo.url))
        async with service(settings) as worker, commands_of(state_dir) as commands:
            await commands.instances_import(InstancesImport([Line(1, json.dumps(ALICE).encode())]))
            await commands.events_import(
                EventsImport([Line(1, json.dumps(EVENT).encode())], "alice.example")
            )
            await worker.run_once()
            async with anyio.create_task_group() as asked:
                asked.start_soon(commands.send, Send(until_empty=True))
                while not (await echo.count())["requests"]:
                    await anyio.lowlevel.checkpoint()
                asked.cancel_scope.cancel()
            while worker.status().outbox["in_flight"]:
                await anyio.lowlevel.checkpoint()
            assert (await commands.status()).outbox["pending"] >= 1


async def test_a_client_that_stops_reading_harms_nobody(state_dir: Path) -> None:
    """A reader that leaves in the middle of a stream is no error, and others are answered."""
    async with service(Settings(state_dir=state_dir)), commands_of(state_dir) as commands:
        await commands.events_import(EventsImport(LINES, "alice.example"))
        async with asking(state_dir) as client:
            async with client.stream("POST", "/control/v1/events_list", content=b"{}") as response:
                assert response.status_code == 200
        found = [item async for item in commands.events_list(EventsList())]
        assert len(found) == 5000


async def test_a_stream_keeps_no_stop_waiting(state_dir: Path) -> None:
    """Who reads a list slowly loses it when the service stops, and is told so, with 69."""
    async with Worker(Settings(state_dir=state_dir)) as worker:
        control = ControlSocket(worker)
        async with anyio.create_task_group() as running:
            await running.start(control.run)
            async with commands_of(state_dir) as commands:
                await commands.events_import(EventsImport(LINES, "alice.example"))
                events = commands.events_list(EventsList())
                assert await anext(aiter(events))
                control.stop()
                with anyio.fail_after(LIMIT_S):
                    while await anyio.Path(state_dir / "control.sock").exists():
                        await anyio.lowlevel.checkpoint()
                with pytest.raises(StoreUnavailable, match="the service went away") as caught:
                    _ = [event async for event in events]
                assert caught.value.exit_code == 69


async def test_a_service_that_goes_away_is_said_so(state_dir: Path, examples: Path) -> None:
    """If the service is gone in the middle of a command, the client says that it is, with 69."""
    async with Worker(Settings(state_dir=state_dir)) as worker:
        control = ControlSocket(worker)
        async with anyio.create_task_group() as running:
            await running.start(control.run)
            async with commands_of(state_dir) as commands:
                running.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    while await anyio.Path(state_dir / "control.sock").exists():
                        await anyio.lowlevel.checkpoint()
                    with pytest.raises(StoreUnavailable, match="the service went away"):
                        await commands.status()
        control.stop()


async def test_no_command_is_answered_on_tcp(serve: Callable[..., Any]) -> None:
    """The HTTP face knows no command."""
    async with serve() as served, served.client() as client:
        headers = {PROTOCOL_HEADER: protocol()}
        done = await client.post("/control/v1/status", headers=headers)
        assert (done.status_code, done.json()["error"]["code"]) == (404, "not_found")


def test_the_protocol_is_the_same_in_every_process() -> None:
    """Two processes of one version speak the same protocol, whatever their hash seeds are."""
    import subprocess

    code = "from ecolyo_worker.catalogue import protocol; print(protocol())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {protocol()}
