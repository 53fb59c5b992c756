"""The stand-in as a server: sockets, HTTP, and the faults that happen there."""

from __future__ import annotations

import contextlib
import random
import socket
import socketserver
import struct
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from ..faults import FORMS, MEANINGS, Fault, FaultPlan
from .answers import endpoint, rule, stack_of, too_fast
from .api import Api, state_of
from .cells import THRESHOLD
from .definitions import read_group_keys, shipped_group_keys
from .exchange import NO_REQUEST, Request, Ruling, Terms, unread
from .http import BadHeadError, answer_bytes, read_head
from .injected import with_fault
from .lines import Handled
from .live import SLOW_S, Live
from .pace import Pace, parse_rate
from .page import Page
from .received import MOST_RECORDS, Received
from .stacks import Stacks, check_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self, TypeAlias

    from .exchange import Answer, Stream
    from .http import Head
    from .indicator import JsonObject

    # As the base class has it, which serves datagrams too.
    _Socket: TypeAlias = socket.socket | tuple[bytes, socket.socket]

__all__ = ["EchoServer"]

LONGEST_BODY = 1024 * 1024
# How much of a refused body is still read, so that the sender gets to see the refusal.
LONGEST_REFUSED_BODY = 16 * LONGEST_BODY
DISCARDING_S = 2.0
ENDING_S = 2.0

_OK = Fault("ok")
# Where it listens on all addresses, clients of this machine reach it by these.
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_NO_HTTP = b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP answer\r\n\r\n"


class EchoServer:
    """The stand-in on a thread of this process: it listens when entered, is gone when left.

    ``token`` and ``strict`` are as in ``Terms``, ``fault`` is a specification of the fault
    language, ``show`` gets every request that was dealt with, on the thread that did. The same
    ``seed`` lets faults with a probability happen in the same order; without one it is random.
    ``measures`` is a definitions file to go by instead of the package's own. More requests than a
    ``rate`` such as ``5/s`` allows, by the seconds of ``clock``, are refused.
    What is set here and in ``faults`` is general; ``stacks`` sets it for one stack alone. The page
    has the ``label`` in its title, and is let go when it takes nothing for ``slow_s``;
    ``most_records`` is how many indicators are kept.
    Raises FaultSyntaxError, RateSyntaxError, TokenError and DefinitionsError; entering raises
    OSError when the port is not free.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        strict: bool = True,
        fault: str = "ok",
        seed: int | None = None,
        rate: str | None = None,
        measures: Path | None = None,
        label: str = "",
        most_records: int = MOST_RECORDS,
        slow_s: float = SLOW_S,
        clock: Callable[[], float] = time.monotonic,
        show: Callable[[Handled], None] | None = None,
    ) -> None:
        self._address = (host, port)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.seed = random.getrandbits(32) if seed is None else seed
        self.faults = FaultPlan(fault, self.seed)
        self.received = Received(most_records=most_records)
        terms = Terms(
            None if token is None else check_token(token),
            strict,
            shipped_group_keys() if measures is None else read_group_keys(measures),
        )
        self.stacks = Stacks(terms, self.faults, self.seed)
        self.pace = Pace(None if rate is None else parse_rate(rate), clock)
        state = partial(state_of, self.received, self.stacks, self.pace)
        live = Live(self.received, _about(label, strict=strict, rate=rate), state)
        self.api = Api(self.received, self.stacks, self.pace, live)
        self.page = Page(self.received, label, state)
        self.show = show
        self.slow_s = slow_s
        self.stopping = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<EchoServer {self.url if self._server else 'not started'} {self.received!r}>"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None, "the echo server is not started"
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The address for the worker's configuration; on all addresses, the one of loopback."""
        host = _ANY.get(self._address[0], self._address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def start(self) -> None:
        """Listen; from here on connections are taken."""
        self._server = _Server(self._address, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="dacc-echo", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and end what is still open: waiting requests, slow answers, all."""
        self.stopping.set()
        self.received.close()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.end_connections()


def _about(label: str, *, strict: bool, rate: str | None) -> JsonObject:
    """Give what the page needs to know once."""
    faults = {form.written(name): MEANINGS.get(name, "") for name, form in FORMS.items()}
    return {
        "label": label,
        "strict": strict,
        "rate": rate,
        "threshold": THRESHOLD,
        "faults": faults,
    }


class _Server(socketserver.ThreadingTCPServer):
    """Knows its open connections, so that it can end them."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], echo: EchoServer) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.echo = echo
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: _Socket, client_address: object) -> None:
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="dacc-echo-connection",
            daemon=True,
        )
        thread.start()
        still_open = {key: other for key, other in self._open.items() if other.is_alive()}
        self._open = {**still_open, cast("socket.socket", request): thread}

    def handle_error(self, request: _Socket, client_address: object) -> None:
        # That a client goes away is none of our errors.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def end_connections(self) -> None:
        """Close what is open, and see each connection's thread end; call it after the server."""
        for connection in self._open:
            with contextlib.suppress(OSError):  # It may have ended by itself.
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._open.values():
            thread.join(ENDING_S)


class _Handler(socketserver.StreamRequestHandler):
    """Reads the requests of one connection, and sends each answer in one piece."""

    server: _Server
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._echo = self.server.echo
        self._closing = False
        # What was stored and answered, but may yet turn out not to have been read.
        self._last: Ruling | None = None

    def handle(self) -> None:
        """Deal with one request after the other, and take note of how the client leaves.

        One that was gone before the last answer came, or leaves with it unread, makes the
        connection break.
        """
        broken = False
        try:
            self._serve_all()
            if self._closing and self._last is not None:
                self._see_out()
        except ConnectionError:
            broken = True
        if self._last is not None:
            broken |= self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
            if broken:
                self._echo.received.add_unknown(self._last)

    def _serve_all(self) -> None:
        try:
            while not self._closing and (head := read_head(self.rfile)) is not None:
                self._last = None
                self._serve(head)
        except BadHeadError as bad:
            self._last = None
            ruling = unread(bad.status, str(bad))
            self._note(ruling, NO_REQUEST, _OK)
            self._turn_away(ruling)

    def _serve(self, head: Head) -> None:
        self._closing = head.closes
        to_api = self._echo.api.answers(head.path)
        try:
            body = self._read_body(head)
        except BadHeadError as bad:
            ruling = replace(unread(bad.status, str(bad)), stack=stack_of(head.path))
            if not to_api:
                self._note(ruling, _request(head), _OK)
            self._turn_away(ruling)
            return
        if body is None:
            self._closing = True
            stack = stack_of(head.path)
            cut_short = Ruling(None, "refused: the body was cut short", stack=stack)
            self._note(cut_short, _request(head), _OK)
        elif to_api:
            self._send(self._echo.api.answer(head, body), to_head=head.method == "HEAD")
        elif self._echo.page.answers(head.method, head.path):
            self._send(self._echo.page.answer(), to_head=head.method == "HEAD")
        else:
            self._deal(head, body)

    def _read_body(self, head: Head) -> bytes | None:
        """Give the body, or None if it ends too soon; raises BadHeadError."""
        length = head.body_length
        if length > LONGEST_BODY:
            raise BadHeadError(413, f"the body is longer than {LONGEST_BODY} bytes")
        if length and head.expects_continue:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            body = self.rfile.read(length)
        except ConnectionError:
            return None
        return body if len(body) == length else None

    def _turn_away(self, ruling: Ruling) -> None:
        """Answer before the request was read to its end, and end the connection."""
        self._closing = True
        if ruling.answer is not None and self._send(ruling.answer):
            self._see_out()

    def _see_out(self) -> None:
        """Say that nothing more will come, and read what still comes until the client leaves.

        To close with unread bytes would reset the connection, and the answer be lost with it.
        """
        rest = LONGEST_REFUSED_BODY
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(DISCARDING_S)
            while rest > 0 and (chunk := self.rfile.read1(65536)):
                rest -= len(chunk)
        except ConnectionError:
            raise
        except OSError:
            return  # It takes too long, or is gone already.

    def _deal(self, head: Head, body: bytes) -> None:
        """Rule about a request to the DACC or the stack, and answer it."""
        request = _request(head, body)
        ruling, fault = self._ruling(request)
        self._note(ruling, request, fault)
        answered = self._answered(ruling, fault, to_head=head.method == "HEAD")
        if ruling.acknowledged and answered:
            self._last = ruling
        elif ruling.stored:
            self._echo.received.add_unknown(ruling)

    def _ruling(self, request: Request) -> tuple[Ruling, Fault]:
        """Rule about a request, and give the fault it meets: one that is too fast draws none."""
        to_measure = request.method == "POST" and endpoint(request.path) is not None
        wait_s = self._echo.pace.arrive() if to_measure else 0
        stack = stack_of(request.path)
        ruling = rule(request, self._echo.stacks.terms(stack))
        if wait_s > 0:
            return too_fast(ruling, wait_s), _OK
        fault = self._echo.stacks.draw(stack) if to_measure else _OK
        return with_fault(ruling, fault, time.time()), fault

    def _note(self, ruling: Ruling, request: Request, fault: Fault) -> None:
        name = None if fault.name == "ok" else fault.name
        record = self._echo.received.add(ruling, request, name and str(fault))
        if self._echo.show is not None:
            self._echo.show(Handled(time.time(), ruling, record.verdict, name))

    def _answered(self, ruling: Ruling, fault: Fault, *, to_head: bool) -> bool:
        """Answer, in the manner of the fault; give whether the whole answer was written."""
        pause_s = fault.value or 0
        if fault.name == "latency":
            self._echo.stopping.wait(pause_s)
        elif fault.name == "reset":
            self._reset()
        elif fault.name == "garbage":
            self._write(_NO_HTTP)
        if ruling.answer is None:
            self._closing = True
            return False
        between_s = pause_s if fault.name == "slow-body" else 0
        return self._send(ruling.answer, to_head=to_head, pause_s=between_s)

    def _reset(self) -> None:
        # To linger for no time is to reset; the reader shares the socket and must let go first.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def _send(self, answer: Answer, *, to_head: bool = False, pause_s: float = 0) -> bool:
        """Send an answer in one piece, or its body byte by byte; give whether all was written."""
        self._closing |= answer.stream is not None
        head, body = answer_bytes(answer, to_head=to_head, closes=self._closing)
        if answer.stream is not None:
            return self._send_stream(head + body, answer.stream)
        if not pause_s:
            return self._write(head + body)
        return self._write(head) and all(
            not self._echo.stopping.wait(pause_s) and self._write(body[place : place + 1])
            for place in range(len(body))
        )

    def _send_stream(self, beginning: bytes, stream: Stream) -> bool:
        """Send what comes for as long as it is read; who reads nothing any more is let go."""
        self.connection.settimeout(self._echo.slow_s)
        with contextlib.closing(stream):
            return self._write(beginning) and all(self._write(piece) for piece in stream)

    def _write(self, content: bytes) -> bool:
        try:
            self.connection.sendall(content)
        except OSError:
            self._closing = True
            return False
        return True


def _request(head: Head, body: bytes = b"") -> Request:
    return Request(head.method, head.path, head.headers, body, head.raw)
