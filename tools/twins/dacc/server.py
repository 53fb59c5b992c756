"""The stand-in as a server: what it does with each request that comes."""

from __future__ import annotations

import random
import socket
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from ..connections import SLOW_S, Connection, StandIn
from ..exchange import NO_REQUEST, Request
from ..faults import FORMS, MEANINGS, Fault, FaultPlan
from ..http import BadHeadError, read_head
from ..pace import Pace, parse_rate
from .answers import endpoint, rule, stack_of, too_fast
from .api import Api, state_of
from .cells import THRESHOLD
from .definitions import read_group_keys, shipped_group_keys
from .exchange import Ruling, Terms, unread
from .injected import with_fault
from .lines import Handled
from .live import Live
from .page import Page
from .received import MOST_RECORDS, Received
from .stacks import Stacks, check_token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..http import Head
    from .indicator import JsonObject

__all__ = ["EchoServer"]

_OK = Fault("ok")


class EchoServer(StandIn):
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

    name = "dacc-echo"

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
        super().__init__(_Handler, host, port, slow_s)
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

    def __repr__(self) -> str:
        return f"<EchoServer {self.url if self._server else 'not started'} {self.received!r}>"

    def stop(self) -> None:
        """Listen no more, and end what is still open: waiting requests, slow answers, all."""
        self.received.close()
        super().stop()


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


class _Handler(Connection):
    """Deals with the requests of one connection."""

    def setup(self) -> None:
        super().setup()
        self._echo = cast("EchoServer", self.stand_in)
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
                self.see_out()
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
            self.turn_away(ruling.answer)

    def _serve(self, head: Head) -> None:
        self._closing = head.closes
        to_api = self._echo.api.answers(head.path)
        try:
            body = self.read_body(head)
        except BadHeadError as bad:
            ruling = replace(unread(bad.status, str(bad)), stack=stack_of(head.path))
            if not to_api:
                self._note(ruling, _request(head), _OK)
            self.turn_away(ruling.answer)
            return
        if body is None:
            self._closing = True
            stack = stack_of(head.path)
            cut_short = Ruling(None, "refused: the body was cut short", stack=stack)
            self._note(cut_short, _request(head), _OK)
        elif (to_api or self._echo.page.answers(head.method, head.path)) and self.sent_away(head):
            return
        elif to_api:
            self.send(self._echo.api.answer(head, body), to_head=head.method == "HEAD")
        elif self._echo.page.answers(head.method, head.path):
            self.send(self._echo.page.answer(), to_head=head.method == "HEAD")
        else:
            self._deal(head, body)

    def _deal(self, head: Head, body: bytes) -> None:
        """Rule about a request to the DACC or the stack, and answer it."""
        request = _request(head, body)
        ruling, fault = self._ruling(request)
        self._note(ruling, request, fault)
        answered = self.send_by(fault, ruling.answer, to_head=head.method == "HEAD")
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


def _request(head: Head, body: bytes = b"") -> Request:
    return Request(head.method, head.path, head.headers, body, head.raw)
