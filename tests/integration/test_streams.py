"""A connection as httpcore wants it: bounded in both directions, and it sees that it was closed."""

import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import httpcore
import pytest
from anyio.lowlevel import checkpoint

from ecolyo_worker.remote.streams import Network, Stream

MIB = 1_048_576
Pair = tuple[Stream, socket.socket]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Give a connected stream, and the plain socket at its other end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await Network().connect_tcp("127.0.0.1", listener.getsockname()[1])
        other, _ = listener.accept()
        with other:
            yield stream, other
            await stream.aclose()


async def test_what_is_sent_comes_in_both_directions(pair: Pair) -> None:
    """Bytes come as they were sent; after the other side's last one nothing comes."""
    stream, other = pair
    await stream.write(b"asked")
    assert other.recv(100) == b"asked"
    other.sendall(b"answered")
    assert [await stream.read(6), await stream.read(6)] == [b"answer", b"ed"]
    other.shutdown(socket.SHUT_WR)
    assert await stream.read(6) == b""


async def test_a_flood_is_not_kept_in_memory(pair: Pair) -> None:
    """Of what comes faster than it is read, little is held."""
    stream, other = pair
    flood, got = bytes(64 * MIB), 0

    async def send() -> None:
        await anyio.to_thread.run_sync(other.sendall, flood)

    tracemalloc.start()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            while got < len(flood):
                got += len(await stream.read(65_536))
                for _ in range(20):  # more could come meanwhile
                    await checkpoint()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


async def test_who_writes_waits_until_it_is_taken(pair: Pair) -> None:
    """As long as the other side reads nothing, a large write does not end; then all is there."""
    stream, other = pair
    done = anyio.Event()

    async def write() -> None:
        await stream.write(bytes(32 * MIB))
        done.set()

    def read() -> None:
        left = 32 * MIB
        while left:
            left -= len(other.recv(MIB))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        assert not done.is_set()
        await anyio.to_thread.run_sync(read)
        await done.wait()


async def test_a_close_is_seen_before_the_event_loop_looks(pair: Pair) -> None:
    """A connection that the other side has closed is known as such at once."""
    stream, other = pair
    assert not stream.get_extra_info("is_readable")
    other.close()
    assert stream.get_extra_info("is_readable")


async def test_a_reset_is_the_error_of_httpcore(pair: Pair) -> None:
    """What the system says of a lost connection is the cause, for who reads and who writes."""
    stream, other = pair
    other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    other.close()
    with pytest.raises(httpcore.ReadError) as reading:
        await stream.read(6)
    with pytest.raises(httpcore.WriteError) as writing:
        await stream.write(b"asked")
    assert isinstance(reading.value.__cause__, ConnectionError)
    assert isinstance(writing.value.__cause__, ConnectionError)


async def test_a_name_with_a_dead_address_is_reached_by_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a name has several addresses, one that does not answer is passed over."""
    found: Callable[..., Any] = socket.getaddrinfo

    def two(host: str, port: int, *options: Any, **more: Any) -> Any:
        if host != "two.example":
            return found(host, port, *options, **more)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.2", "127.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = await Network().connect_tcp("two.example", listener.getsockname()[1])
        listener.accept()[0].close()
        assert await stream.read(1) == b""
        await stream.aclose()
