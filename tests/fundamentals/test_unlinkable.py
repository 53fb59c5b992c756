"""Neither the order of sending nor headers nor the connection tell whose an indicator is.

The order is tested as a statistic over 200 seeds, which are fixed: what holds once holds always.
"""

import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from itertools import combinations, pairwise
from math import sqrt
from pathlib import Path
from statistics import fmean, pvariance
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from ecolyo_worker import Settings, Worker, __version__

Agree = Callable[..., Awaitable[None]]
Event = Callable[..., dict[str, Any]]
Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Order = str
"""Whose row came in which place: `a` is Alice's, `b` is Bob's."""

NIGHT = datetime(2026, 11, 21, 1, 0)
PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")
NAMES = {"a": "alice.example", "b": "bob.example"}
CONSENT = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00:00"}
SEEDS = 200


def neighbours(order: Order) -> int:
    """Count the rows that follow another one of the same person."""
    return sum(one == other for one, other in pairwise(order))


def places(order: Order) -> int:
    """Add up Alice's places."""
    return sum(place for place, person in enumerate(order) if person == "a")


def begins(order: Order) -> int:
    """Tell whether Alice comes first."""
    return int(order[0] == "a")


def halves(order: Order) -> int:
    """Count the first half's rows of the person who comes first."""
    return order[: len(order) // 2].count(order[0])


STATISTICS = (neighbours, places, begins, halves)
# Every order in which six rows of each may come: by chance, each is as likely as any other.
ALL = [
    "".join("a" if place in alices else "b" for place in range(2 * len(PAGES)))
    for alices in combinations(range(2 * len(PAGES)), len(PAGES))
]


def deviation(statistic: Callable[[Order], int], orders: list[Order]) -> float:
    """Give how many standard deviations a statistic's sum is away from what chance gives."""
    by_chance = [statistic(order) for order in ALL]
    found = sum(map(statistic, orders))
    expected = len(orders) * fmean(by_chance)
    return (found - expected) / sqrt(len(orders) * pvariance(by_chance))


@pytest.mark.parametrize("target", ["native", "cozy-v2"])
async def test_the_order_of_a_run_tells_nothing_of_whose_row_it_is(
    agree: Agree, event: Event, quick: Quick, wire: Any, target: str
) -> None:
    """Over 200 seeds two people's rows come in an order as chance alone would have it."""
    source, orders = random.Random(), []
    settings = quick(wire.url, target=target, concurrency=1)
    async with Worker(settings, random=source).opened() as worker:
        await agree(worker, *({"instance": name, "consent": CONSENT} for name in NAMES.values()))
        for seed in range(SEEDS):
            source.seed(seed)
            # Bob looks at each page twice, by which his rows are known.
            for name, times in (("alice.example", 1), ("bob.example", 2)):
                visits = [(page, f"{seed}-{n}-{page}") for page in PAGES for n in range(times)]
                await worker.record(name, [visit(event, *one) for one in visits])
            await worker.run_once(NIGHT)
            wire.requests.clear()
            await worker.send()
            orders.append("".join(person(request.body) for request in wire.requests))
    assert {(len(order), order.count("a")) for order in orders} == {(12, 6)}
    assert max(abs(deviation(one, orders)) for one in STATISTICS) < 3.5


def visit(event: Event, page: str, ident: str) -> dict[str, Any]:
    return event("NavigationEvent", "2026-11-20T10:00", ident, target=page)


def person(body: bytes) -> str:
    """Tell whose row it is."""
    content = json.loads(body)
    indicator = json.loads(content["data"]) if "data" in content else content
    return "a" if indicator["value"] == 1 else "b"


async def test_nothing_leaves_before_a_run_has_made_all_of_its_rows(
    agree: Agree, event: Event, quick: Quick, wire: Any
) -> None:
    """People who are counted first are not sent first, even if the sender looks all the time."""
    names = [f"p{n}.example" for n in range(300)]
    made: list[int] = []

    def answer(_: Any) -> bytes:
        made.append(sum(worker.status().outbox.values()))
        return b'HTTP/1.1 201 CREATED\r\nContent-Length: 12\r\n\r\n{"ok": true}'

    wire.answer = answer
    async with Worker(quick(wire.url), random=random.Random(1)) as worker:
        await agree(worker, *({"instance": name, "consent": CONSENT} for name in names))
        for name in names:
            await worker.record(name, visit(event, "gas", "visit"))
        async with anyio.create_task_group() as looking:

            async def look() -> None:
                while True:
                    worker.sender.wake()
                    await anyio.lowlevel.checkpoint()

            looking.start_soon(look)
            await worker.run_once(NIGHT)
            looking.cancel_scope.cancel()
        await worker.send(until_empty=True)
    assert made == [300] * 300


DRAW = random.Random(0)
AT_WILL = [DRAW.choice(ALL) for _ in range(SEEDS)]


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param(["a" * 6 + "b" * 6] * SEEDS, id="one-after-the-other"),
        pytest.param(["a" * 6 + "b" * 6, "b" * 6 + "a" * 6] * (SEEDS // 2), id="in-blocks"),
        pytest.param(["ab" * 6, "ba" * 6] * (SEEDS // 2), id="in-turns"),
        pytest.param(["a" + one.replace("a", "b", 1)[1:] for one in AT_WILL], id="one-first"),
        pytest.param(
            [a if places(a) < places(b) else b for a, b in pairwise(AT_WILL)],
            id="one-rather-earlier",
        ),
    ],
)
def test_an_order_that_tells_something_is_seen(orders: list[Order]) -> None:
    """The statistic shows by far what a wrong order would be, and not what chance gives."""
    assert max(abs(deviation(one, orders)) for one in STATISTICS) > 7
    assert max(abs(deviation(one, AT_WILL)) for one in STATISTICS) < 3.5


class Heard:
    """What came on each connection: the head of each request, and its body."""

    def __init__(self) -> None:
        self.connections: list[list[tuple[list[bytes], bytes]]] = []

    async def handle(self, stream: SocketStream) -> None:
        came: list[tuple[list[bytes], bytes]] = []
        self.connections.append(came)
        async with stream:
            buffered = BufferedByteReceiveStream(stream)
            with contextlib.suppress(anyio.IncompleteRead):
                while True:
                    head = (await buffered.receive_until(b"\r\n\r\n", 9999)).split(b"\r\n")
                    (length,) = (line for line in head if line.startswith(b"Content-Length: "))
                    body = await buffered.receive_exactly(int(length.split()[1]))
                    head[head.index(length)] = b"Content-Length: *"
                    came.append((head, body))
                    # A cookie, to be brought back by whoever does such a thing.
                    await stream.send(
                        b"HTTP/1.1 201 CREATED\r\nSet-Cookie: person=1; Path=/\r\n"
                        b'Content-Length: 12\r\n\r\n{"ok": true}'
                    )


@pytest.fixture
async def heard() -> AsyncIterator[tuple[Heard, str]]:
    """A server that keeps heads as they came, line by line, and its address."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as serving:
        kept = Heard()
        serving.start_soon(listener.serve, kept.handle)
        yield kept, f"http://127.0.0.1:{port}"
        serving.cancel_scope.cancel()


async def test_neither_headers_nor_connections_tell_who_it_is(
    fill: Filled, quick: Quick, heard: tuple[Heard, str], tmp_path: Path
) -> None:
    """Every head of two runs is the same, line by line, and a connection carries several people's.

    A cookie is never brought back: it would tie requests together.
    """
    kept, url = heard
    (tmp_path / "token").write_text("secret")
    settings = quick(url, concurrency=1, token_file=tmp_path / "token")
    for people in (("alice.example", "bob.example"), ("carol.example", "dave.example")):
        await fill(people[0], PAGES[:3])
        await fill(people[1], PAGES[3:])
        async with Worker(settings).opened() as worker:
            assert (await worker.send()).outcomes == {"delivered": 6}
    first, second = kept.connections
    for came in (first, second):
        assert {json.loads(body)["group1"]["page"] for _, body in came} == {*PAGES}
    ((lines, _), *_) = first
    assert [head for head, _ in first + second] == [lines] * 12
    assert lines == [
        b"POST /measure HTTP/1.1",
        f"Host: {url.removeprefix('http://')}".encode(),
        b"Accept: application/json",
        b"Accept-Encoding: identity",
        b"Connection: keep-alive",
        b"Content-Type: application/json",
        f"User-Agent: ecolyo-worker/{__version__}".encode(),
        b"Authorization: Bearer secret",
        b"Content-Length: *",
    ]
