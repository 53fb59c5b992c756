"""The sockets of a stand-in: it listens, reads requests, and answers well or by a fault."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import sys
import threading
from typing import TYPE_CHECKING, ClassVar, cast

from .browsers import turned_away
from .http import BadHeadError, Head, answer_bytes

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, TypeAlias

    from .exchange import Answer, Stream
    from .faults import Fault

    # As the base class has it, which serves datagrams too.
    _Socket: TypeAlias = socket.socket | tuple[bytes, socket.socket]

__all__ = ["Connection", "StandIn"]

LONGEST_BODY = 1024 * 1024
# How much of a refused body is still read, so that the sender gets to see the refusal.
LONGEST_REFUSED_BODY = 16 * LONGEST_BODY
DISCARDING_S = 2.0
ENDING_S = 2.0
SLOW_S = 10.0

# Where it listens on all addresses, clients of this machine reach it by these.
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_NO_HTTP = b"\x15\x03\x01\x00\x02\x02\x16 this is no HTTP answer\r\n\r\n"


class StandIn:
    """A stand-in on a thread of this process: it listens when entered, is gone when left.

    Each connection has a thread and a ``connection_type`` of its own; threads are called by
    ``name``. A stream that takes nothing for ``slow_s`` is let go. Entering raises OSError when the
    port is not free.
    """

    name: ClassVar[str] = "stand-in"

    def __init__(
        self,
        connection_type: type[Connection],
        host: str = "127.0.0.1",
        port: int = 0,
        slow_s: float = SLOW_S,
    ) -> None:
        self.connection_type = connection_type
        self._address = (host, port)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
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
        return f"<{type(self).__name__} {self.url if self._server else 'not started'}>"

    @property
    def host(self) -> str:
        """What it was told to listen on."""
        return self._address[0]

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None, "it is not started"
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
            target=self._server.serve_forever, args=(0.05,), name=self.name, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, and end what is still open: waiting requests, slow answers, all."""
        self.stopping.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server.end_connections()


class _Server(socketserver.ThreadingTCPServer):
    """Knows its open connections, so that it can end them."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], stand_in: StandIn) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.stand_in = stand_in
        self._open: dict[socket.socket, threading.Thread] = {}
        super().__init__(address, stand_in.connection_type)

    def process_request(self, request: _Socket, client_address: object) -> None:
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name=f"{self.stand_in.name}-connection",
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


class Connection(socketserver.StreamRequestHandler):
    """One connection: what it takes to read requests, and to send each answer in one piece."""

    server: _Server
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Begin; nothing was read yet."""
        super().setup()
        self.stand_in = self.server.stand_in
        self._closing = False

    def read_body(self, head: Head) -> bytes | None:
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

    def sent_away(self, head: Head) -> bool:
        """Refuse what a page of somebody else had a browser ask; give whether it was one."""
        answer = turned_away(head.headers, self.stand_in.host)
        if answer is not None:
            self.send(answer, to_head=head.method == "HEAD")
        return answer is not None

    def turn_away(self, answer: Answer | None) -> None:
        """Answer before the request was read to its end, and end the connection."""
        self._closing = True
        if answer is not None and self.send(answer):
            self.see_out()

    def see_out(self) -> None:
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

    def send_by(self, fault: Fault, answer: Answer | None, *, to_head: bool) -> bool:
        """Answer, in the manner of the fault; give whether the whole answer was written.

        No answer: the connection just ends.
        """
        pause_s = fault.value or 0
        if fault.name == "latency":
            self.stand_in.stopping.wait(pause_s)
        elif fault.name == "reset":
            self._reset()
        elif fault.name == "garbage":
            self._write(_NO_HTTP)
        if answer is None:
            self._closing = True
            return False
        between_s = pause_s if fault.name == "slow-body" else 0
        return self.send(answer, to_head=to_head, pause_s=between_s)

    def send(self, answer: Answer, *, to_head: bool = False, pause_s: float = 0) -> bool:
        """Send an answer in one piece, or its body byte by byte; give whether all was written."""
        self._closing |= answer.stream is not None
        head, body = answer_bytes(answer, to_head=to_head, closes=self._closing)
        if answer.stream is not None:
            return self._send_stream(head + body, answer.stream)
        if not pause_s:
            return self._write(head + body)
        return self._write(head) and all(
            not self.stand_in.stopping.wait(pause_s) and self._write(body[place : place + 1])
            for place in range(len(body))
        )

    def _reset(self) -> None:
        # To linger for no time is to reset; the reader shares the socket and must let go first.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.connection.close()

    def _send_stream(self, beginning: bytes, stream: Stream) -> bool:
        """Send what comes for as long as it is read; who reads nothing any more is let go."""
        self.connection.settimeout(self.stand_in.slow_s)
        with contextlib.closing(stream):
            return self._write(beginning) and all(self._write(piece) for piece in stream)

    def _write(self, content: bytes) -> bool:
        try:
            self.connection.sendall(content)
        except OSError:
            self._closing = True
            return False
        return True
