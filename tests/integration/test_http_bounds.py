"""The HTTP face under clients that are slow, large, many, wrong, or still there at the end."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from ecolyo_worker import ConfigurationError, Settings, Worker
from ecolyo_worker.errors import AddressUnavailable
from ecolyo_worker.service.server import HttpFace
from ecolyo_worker.service.web import Bounds
from ecolyo_worker.settings import Http

from .conftest import TOKEN, Serve, Served, code_of, everything

SHORT_S = 0.05
POST = (
    f"POST /v1/events?instance=a.example HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {TOKEN}\r\n"
).encode()
EVENT = b'{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00"}'


@pytest.mark.parametrize(
    ("bounds", "sent"),
    [
        (Bounds(head_s=SHORT_S), b""),
        (Bounds(head_s=SHORT_S), b"GET /livez HTTP/1.1\r\nHost:"),
        (Bounds(body_s=SHORT_S), POST + b"Content-Length: 99\r\n\r\n" + EVENT),
        (Bounds(body_s=SHORT_S), POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\n[{"),
    ],
)
async def test_who_is_too_slow_is_sent_away(serve: Serve, bounds: Bounds, sent: bytes) -> None:
    """A head or a body that does not arrive in time ends the connection, with 408."""
    async with serve(bounds) as served, await served.connect() as stream:
        if sent:
            await stream.send(sent)
        assert code_of(await everything(stream)) == (408, "too_slow")
        assert served.worker.status().events["waiting"] == 0


async def test_a_second_request_has_its_time_too(serve: Serve) -> None:
    """On a connection that stays open, the next head is waited for no longer than the first."""
    async with serve(Bounds(head_s=SHORT_S)) as served, await served.connect() as stream:
        await stream.send(b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 200")
        await stream.send(b"GET /li")
        assert code_of(await everything(stream)) == (408, "too_slow")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "bad_request"),
        (b"GET /livez HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000, 431, "head_too_large"),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (POST + b"Content-Length: x\r\n\r\n", 400, "bad_request"),
    ],
)
async def test_what_is_no_request_is_said_so(
    serve: Serve, sent: bytes, status: int, code: str
) -> None:
    """Bytes that are no HTTP, and heads that are too long, get an error of the same form."""
    async with serve() as served, await served.connect() as stream:
        await stream.send(sent)
        assert code_of(await everything(stream)) == (status, code)


async def test_a_large_body_is_refused_by_its_length(serve: Serve) -> None:
    """A body that says it is larger than 1 MiB is refused before any of it is read."""
    async with serve() as served, await served.connect() as stream:
        await stream.send(POST + b"Connection: close\r\nContent-Length: 1048577\r\n\r\n")
        assert code_of(await everything(stream)) == (413, "too_large")


async def test_a_large_body_is_refused_while_it_is_read(serve: Serve) -> None:
    """A body that does not say how large it is is refused when it has become too large."""

    async def pieces() -> object:
        for _ in range(17):
            yield b" " * 65_536

    async with serve() as served, served.client() as client:
        done = await client.post("/v1/events", content=pieces())  # type: ignore[arg-type]
        assert (done.status_code, done.json()["error"]["code"]) == (413, "too_large")


async def test_a_body_of_the_full_size_is_taken(serve: Serve) -> None:
    """Exactly 1 MiB is not too large."""
    async with serve() as served, served.client() as client:
        body = EVENT + b" " * (1024 * 1024 - len(EVENT))
        done = await client.post("/v1/events?instance=a.example", content=body)
        assert done.json() == {"accepted": 1, "known": 0, "refused": []}


async def test_bodies_that_are_read_are_bounded_together(serve: Serve) -> None:
    """What all bodies together may take is taken once: the next is told to try again."""
    half = 500
    padded = EVENT + b" " * half
    head = POST + b"Content-Length: %d\r\n\r\n" % len(padded)
    async with serve(Bounds(bodies_bytes=len(padded))) as served, served.client() as client:
        async with await served.connect() as first, await served.connect() as second:
            for stream in (first, second):
                await stream.send(head + padded[:half])
            answers = {}

            async def answered(stream: SocketStream, other: SocketStream) -> None:
                answers[stream] = (await stream.receive())[:12]
                if other not in answers:
                    await other.send(padded[half:])

            async with anyio.create_task_group() as both:
                both.start_soon(answered, first, second)
                both.start_soon(answered, second, first)
            assert sorted(answers.values()) == [b"HTTP/1.1 200", b"HTTP/1.1 503"]
        done = await client.post("/v1/events?instance=a.example", content=padded)
        assert done.json()["accepted"] == 1


async def test_in_a_crowd_some_are_sent_away(serve: Serve) -> None:
    """Beyond so many requests under way others get 503 and Retry-After, until some are done."""
    async with serve(Bounds(connections=1)) as served:
        async with await served.connect() as busy:
            await begin(served, busy)
            async with served.client() as client:
                done = await client.get("/livez")
            assert (done.status_code, done.headers["retry-after"]) == (503, "1")
            assert done.json()["error"]["code"] == "busy"
        async with served.client() as client:
            while (await client.get("/livez")).status_code != 200:
                await anyio.lowlevel.checkpoint()


async def test_who_asks_finds_a_place_among_who_only_holds_one(serve: Serve) -> None:
    """Who connects and asks nothing is sent away for somebody else, the one longest there first."""
    async with serve(Bounds(connections=3)) as served:
        async with served.client() as host:
            assert (await host.get("/v1/status")).status_code == 200
            strangers = [await served.connect() for _ in range(50)]
            assert (await host.get("/v1/status")).status_code == 200
            async with served.client() as other:
                assert (await other.get("/v1/status")).status_code == 200
        assert await everything(strangers[0]) == b""
        for stranger in strangers:
            await stranger.aclose()


async def test_stopping_finishes_what_is_under_way(serve: Serve) -> None:
    """At a stop a request that has begun is answered, and idle connections are closed."""
    async with serve() as served:
        async with await served.connect() as idle, await served.connect() as busy:
            await begin(served, busy)
            served.face.stop()
            assert await everything(idle) == b""
            await busy.send(EVENT)
            answer = await everything(busy)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"accepted":1' in answer


async def begin(served: Served, stream: SocketStream) -> None:
    """Begin a request, and wait until it is under way: it is asked to go on."""
    length = f"Content-Length: {len(EVENT)}\r\nExpect: 100-continue\r\n\r\n".encode()
    await stream.send(POST + length)
    assert (await stream.receive()).startswith(b"HTTP/1.1 100")


async def test_cancelled_it_breaks_off(state_dir: Path, token_file: Path) -> None:
    """A face that is cancelled leaves no request, no connection and no listener behind."""
    http = Http(listen="127.0.0.1:0", token_file=token_file)
    async with Worker(Settings(state_dir=state_dir, http=http)) as worker:
        face = HttpFace(worker)
        served = Served(worker, face)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        tasks = {task.id for task in anyio.get_running_tasks()}
        async with anyio.create_task_group() as running:
            await running.start(face.run)
            stream = await served.connect()
            await begin(served, stream)
            running.cancel_scope.cancel()
        assert await everything(stream) == b""
        await stream.aclose()
        left = {task.name for task in anyio.get_running_tasks() if task.id not in tasks}
        assert [name for name in left if "ecolyo_worker.actors." not in str(name)] == []
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
        with pytest.raises(OSError, match="All connection attempts failed"):
            await served.connect()
        face.stop()


async def test_an_address_is_one_face_s(serve: Serve, token_file: Path) -> None:
    """Where one face listens another cannot; as soon as it has stopped, another can."""
    async with serve() as served:
        listen = served.face.listen
        async with anyio.create_task_group() as other:
            with pytest.raises(AddressUnavailable, match="Address already in use"):
                await other.start(served.face.run)
    http = Http(listen=str(listen), token_file=token_file)
    async with serve(http=http) as again:
        async with again.client() as client:
            assert (await client.get("/livez")).status_code == 200
        assert again.face.listen == listen


@contextmanager
def left_behind(path: Path, *, answering: bool) -> Iterator[None]:
    with closing(socket.socket(socket.AF_UNIX)) as other:
        other.bind(str(path))
        if answering:
            other.listen()
            yield
    if not answering:
        yield


@pytest.mark.parametrize("answering", [True, False])
async def test_a_socket_left_behind_is_replaced(
    state_dir: Path, tmp_path: Path, answering: bool
) -> None:
    """A socket's file that nobody answers on is replaced; one that somebody answers on is not."""
    path = tmp_path / "s"
    settings = Settings(state_dir=state_dir, http=Http(listen=f"unix:{path}"))
    async with Worker(settings) as worker:
        face = HttpFace(worker)
        with left_behind(path, answering=answering):
            async with anyio.create_task_group() as running:
                if answering:
                    with pytest.raises(AddressUnavailable, match="another process listens there"):
                        await running.start(face.run)
                else:
                    await running.start(face.run)
                    transport = httpx.AsyncHTTPTransport(uds=str(path))
                    async with httpx.AsyncClient(transport=transport) as client:
                        assert (await client.get("http://h/livez")).status_code == 200
                face.stop()
        assert path.exists() is answering


@pytest.mark.parametrize(
    ("listen", "words"),
    [
        ("unix:{}/file", "there is something that is no socket"),
        ("unix:{}/none/s", "No such file or directory"),
    ],
)
async def test_what_cannot_be_listened_on_is_named(
    state_dir: Path, tmp_path: Path, token_file: Path, listen: str, words: str
) -> None:
    """An address that can never be listened on is an error of the settings, with the reason."""
    (tmp_path / "file").touch()
    http = Http(listen=listen.format(tmp_path), token_file=token_file)
    async with Worker(Settings(state_dir=state_dir, http=http)) as worker:
        face = HttpFace(worker)
        with pytest.raises(ConfigurationError, match=rf"^http\.listen: .*{words}"):
            await face.run()
        face.stop()


async def test_other_machines_are_warned_of(state_dir: Path, token_file: Path) -> None:
    """To listen where other machines reach it is allowed, and said to be without encryption."""
    import structlog

    http = Http(listen="0.0.0.0:0", token_file=token_file)
    with structlog.testing.capture_logs() as lines:
        # No part runs by itself: at three in the night the janitor would have something to tell.
        worker = Worker(Settings(state_dir=state_dir, http=http), logger=structlog.get_logger())
        async with worker.opened():
            face = HttpFace(worker)
            async with anyio.create_task_group() as running:
                await running.start(face.run)
                face.stop()
    assert [line["log_level"] for line in lines] == ["warning"]
    assert "nothing is encrypted" in lines[0]["reason"]
