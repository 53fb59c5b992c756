"""What the twin knows: its meters, its today, the data of its seed; and its rules for a call."""

from __future__ import annotations

import re
import threading
from datetime import datetime, time
from typing import TYPE_CHECKING

from ..exchange import Answer
from . import consents, enedis, grdf
from .errors import error, text_of, treated
from .history import READY, View
from .meters import DEFAULTS, MeterSyntaxError, parse_meter, traits_of
from .paris import PARIS
from .refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..exchange import Request
    from .meters import Meter
    from .routes import Call
    from .tokens import Tokens

__all__ = ["World"]

_TODAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2})?")
_NOON = time(12)


class World:
    """Meters and their data, at an instant; safe between threads.

    ``meters`` are as on the command line, ``today`` is a day, at noon, or a local time as in
    2026-02-10T07:30; without it, the machine's. A new day is there at the time ``ready``.
    Raises MeterSyntaxError.
    """

    def __init__(
        self,
        seed: int,
        tokens: Tokens,
        meters: Sequence[str] = (),
        today: str = "",
        redirect_uri: str | None = None,
        ready: time = READY,
    ) -> None:
        self._lock = threading.Lock()
        found = [parse_meter(text) for text in meters or DEFAULTS]
        self._meters = {meter.ident: meter for meter in found}
        self._today = _today(today)
        self._redirect_uri = redirect_uri
        self._ready = ready
        self.seed = seed
        self.tokens = tokens

    def __repr__(self) -> str:
        return f"<World seed={self.seed} of {len(self._meters)} meters, {self.now}>"

    @property
    def now(self) -> datetime:
        """Its local time, which stands still if it was set."""
        return self._today or datetime.now(PARIS)

    @property
    def meters(self) -> list[Meter]:
        """All meters, in the order in which they came."""
        with self._lock:
            return list(self._meters.values())

    def meter(self, ident: str) -> Meter | None:
        """Give a meter, if it is known."""
        with self._lock:
            return self._meters.get(ident)

    def set_today(self, text: str) -> datetime:
        """Let another day or time be its own, by an empty text the machine's; give it.

        Raises MeterSyntaxError.
        """
        self._today = _today(text)
        return self.now

    def set_meter(self, ident: str, traits: str) -> Meter:
        """Let there be a meter, new or changed; raises MeterSyntaxError."""
        parse_meter(ident)
        meter = traits_of(ident, traits)
        with self._lock:
            self._meters[ident] = meter
        return meter

    def set_consent(self, ident: str, *, given: bool) -> Meter | None:
        """Give a meter's consent or take it back; None where there is no such meter."""
        with self._lock:
            if ident not in self._meters:
                return None
            self._meters[ident] = self._meters[ident].with_consent(given=given)
            return self._meters[ident]

    def answer(self, call: Call, request: Request, issuer: str) -> Answer:
        """Answer a request as the services do."""
        try:
            if call.family == "token":
                return self._token(call, issuer)
            if call.family == "authorize":
                return self._consent(call, issuer)
            self.tokens.check(request.headers.get("authorization", ""), call)
            return self._data(call, request)
        except RefusedError as refused:
            return self.error(refused.name, call)

    def error(self, name: str, call: Call) -> Answer:
        """Give an answer that is an error, as the service of a call has it."""
        if name == "access-denied":
            return consents.denied(call, self._redirect_uri)
        about = grdf.about(call) if call.family == "grdf" else {}
        return error(name, call.family, self.now, about)

    def _data(self, call: Call, request: Request) -> Answer:
        meter = self.meter(call.meter)
        view = None if meter is None else View(self.seed, meter, self.now, self._ready)
        if call.series in ("daily", "curve"):
            return enedis.answer(call, view)
        if call.series in ("informative", "published"):
            return grdf.answer(call, view)
        if call.series == "services":
            return self._services(request.body)
        if call.series == "right":
            return self._revoke_right(call.given["id"])
        return grdf.rights(self.meters, request.body, filtered=request.method == "POST")

    def _services(self, body: bytes) -> Answer:
        number = enedis.consent_asked(body)
        found = [one for one in self.meters if consents.consent_number(one.ident) == number]
        return enedis.services(found[0] if found else None, number)

    def _revoke_right(self, ident: str) -> Answer:
        found = [one for one in self.meters if one.is_gas and grdf.right_id(one.ident) == ident]
        if not found:
            return treated(404, "1000000006", "(droit d'accès inconnu)")
        if found[0].revoked:
            return treated(409, "1000000004", "(droit d'accès déjà révoqué)")
        self.set_consent(found[0].ident, given=False)
        return treated(200, "0000000000", "OK")

    def _token(self, call: Call, issuer: str) -> Answer:
        if call.series == "revoke":
            self.tokens.revoke(call)
            return Answer(200, b"")
        return Answer(200, text_of(self.tokens.grant(call, issuer, self.now)).encode())

    def _consent(self, call: Call, issuer: str) -> Answer:
        wrong = consents.wrong(call)
        if wrong is not None:
            return wrong
        meter = consents.asked_meter(call, self.meters)
        self.set_consent(meter.ident, given=True)
        return consents.redirected(call, meter, self.tokens, self._redirect_uri, issuer)


def _today(text: str) -> datetime | None:
    if not text:
        return None
    try:
        if _TODAY.fullmatch(text):
            at = datetime.fromisoformat(text).replace(tzinfo=PARIS)
            return at if "T" in text else datetime.combine(at, _NOON, tzinfo=PARIS)
    except ValueError:
        pass
    raise MeterSyntaxError(
        f"{text[:60]!r} is no day; allowed are days, at noon, as in 2026-02-10, and local times as "
        "in 2026-02-10T07:30"
    )
