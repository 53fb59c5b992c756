"""The twin as a server: what it does with each request that comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, cast

from ..connections import Connection, StandIn
from ..exchange import Request, answer_json
from ..faults import Fault
from ..http import BadHeadError, read_head
from ..injected import MADE, injected
from .api import Api
from .calls import Calls
from .errors import SHAPES, shaped
from .history import READY
from .lines import Handled
from .plans import Plans
from .quotas import Quotas
from .routes import DATA, GRDF_BASE, Call, call_of
from .tokens import Tokens
from .world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import time as time_of_day

    from ..exchange import Answer
    from ..http import Head

__all__ = ["EnergyTwin"]

_DELAYS = ("ok", "latency", "slow-body")
_OK = Fault("ok")
_UNKNOWN = Call("-", "authorize", "nothing")


class EnergyTwin(StandIn):
    """Enedis and GRDF on a thread of this process: they listen when entered, are gone when left.

    Data are computed from the ``seed``; ``meters``, ``today``, ``redirect_uri`` and ``ready`` are
    as in ``World``, ``secret`` and ``expires_in_s`` as in ``Tokens``, ``quotas`` as on the command
    line; ``fault`` is what all calls for data meet, ``faults_for`` what is met at a place alone.
    ``show`` gets every request that was dealt with, on the thread that did; ``clock`` gives the
    seconds, of the epoch, that quotas and tokens go by.
    Raises FaultSyntaxError, MeterSyntaxError, PlaceError and QuotaSyntaxError; entering raises
    OSError when the port is not free.
    """

    name = "energy-twin"

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        meters: Sequence[str] = (),
        today: str = "",
        fault: str = "ok",
        faults_for: Mapping[str, str] | None = None,
        quotas: Sequence[str] = (),
        secret: str | None = None,
        expires_in_s: int | None = None,
        redirect_uri: str | None = None,
        ready: time_of_day = READY,
        clock: Callable[[], float] = time.time,
        show: Callable[[Handled], None] | None = None,
    ) -> None:
        super().__init__(_Handler, host, port)
        self.tokens = Tokens(clock, secret, expires_in_s)
        self.world = World(seed, self.tokens, meters, today, redirect_uri, ready)
        self.plans = Plans(fault, seed)
        known = tuple(meter.ident for meter in self.world.meters)
        for place, spec in (faults_for or {}).items():
            self.plans.replace(spec, place, known)
        self.quotas = Quotas(clock, lambda: self.world.now, tuple(quotas))
        self.calls = Calls()
        self.api = Api(self.world, self.plans, self.quotas, self.calls)
        self.show = show

    @property
    def grdf_url(self) -> str:
        """The address of GRDF for the worker's configuration."""
        return f"{self.url}{GRDF_BASE}"


class _Dealt(NamedTuple):
    """What becomes of a request; no answer: the connection just ends."""

    answer: Answer | None
    verdict: str
    fault: Fault


class _Handler(Connection):
    """Deals with the requests of one connection."""

    def setup(self) -> None:
        super().setup()
        self._twin = cast("EnergyTwin", self.stand_in)

    def handle(self) -> None:
        """Deal with one request after the other."""
        try:
            while not self._closing and (head := read_head(self.rfile)) is not None:
                self._closing = head.closes
                self._serve(head)
        except BadHeadError as bad:
            self.turn_away(answer_json(bad.status, {"error": str(bad)}))

    def _serve(self, head: Head) -> None:
        body = self.read_body(head)
        if body is None:
            self._closing = True
            return
        request = Request(head.method, head.path, head.headers, body, head.raw, head.query)
        if self._twin.api.answers(head.path):
            if self.sent_away(head):
                return
            self.send(self._twin.api.answer(request), to_head=head.method == "HEAD")
            return
        call = call_of(request)
        if call is None:
            answer = answer_json(404, {"error": "nothing is here; --help tells what there is"})
            self._show(_UNKNOWN, "404")
            self.send(answer, to_head=head.method == "HEAD")
            return
        self._deal(call, request)

    def _deal(self, call: Call, request: Request) -> None:
        meter = self._twin.world.meter(call.meter)
        revoked = meter is not None and meter.revoked
        dealt = self._dealt(call, request)
        status = 0 if dealt.answer is None else dealt.answer.status
        if call.series in DATA:
            self._twin.calls.note(call, status, revoked=revoked)
        elif call.family == "token":
            self._twin.tokens.note(call, status)
        self._show(call, dealt.verdict)
        self.send_by(dealt.fault, dealt.answer, to_head=False)

    def _dealt(self, call: Call, request: Request) -> _Dealt:
        """Deal with a request: one that is too many draws no fault."""
        world = self._twin.world
        too_many = self._twin.quotas.arrive(call) if call.series in DATA else None
        if too_many is not None:
            return _Dealt(world.error(too_many, call), f"429 {too_many}", _OK)
        fault = self._twin.plans.draw(call)
        if fault.name in MADE:
            return _Dealt(injected(fault, time.time()), f"fault: {fault}", fault)
        if fault.name not in (*_DELAYS, *SHAPES, "accept-then-drop"):
            return _Dealt(world.error(fault.name, call), f"fault: {fault}", fault)
        answer = world.answer(call, request, self._twin.url)
        if fault.name == "ok":
            return _Dealt(answer, str(answer.status), fault)
        if fault.name == "accept-then-drop":
            return _Dealt(None, f"{answer.status} fault: {fault}", fault)
        return _Dealt(shaped(fault.name, answer), f"{answer.status} fault: {fault}", fault)

    def _show(self, call: Call, verdict: str) -> None:
        if self._twin.show is not None:
            self._twin.show(Handled(time.time(), call, verdict))
