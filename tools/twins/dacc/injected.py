"""The answers that a fault puts in the place of the real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..exchange import Answer, answer_json
from ..http import http_date
from . import stack
from .answers import UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..faults import Fault
    from .exchange import Ruling

__all__ = ["with_fault"]

_SAID: Mapping[str, Answer] = {
    "cozy-502": stack.BAD_GATEWAY,
    "expired-token": stack.EXPIRED_TOKEN,
    "invalid-jwt": stack.INVALID_TOKEN_AS_TEXT,
    "forbidden": stack.FORBIDDEN,
    "bad-doctype": stack.INVALID_REQUEST,
    "no-token-at-stack": stack.NO_DACC_TOKEN,
    "cant-connect": stack.CANT_CONNECT,
}
_UNSAID = ("drop", "reset", "garbage")
_NORMAL = ("ok", "latency", "slow-body")


def with_fault(ruling: Ruling, fault: Fault, now_s: float) -> Ruling:
    """Put a fault in the place of an answer; faults that only delay it change nothing.

    The DACC's own 401 comes through the stack as the stack makes it; a status is sent as it is.
    ``now_s``, in seconds of the epoch, is what a date is counted from.
    """
    if fault.name in _NORMAL:
        return ruling
    if fault.name == "accept-then-drop":
        return replace(ruling, answer=None)
    if fault.name == "accept-then-cant-connect":
        return replace(ruling, answer=stack.CANT_CONNECT)
    answer = None if fault.name in _UNSAID else _instead(ruling, fault, now_s)
    return replace(ruling, answer=answer, verdict=f"fault: {fault}", stored=False)


def _instead(ruling: Ruling, fault: Fault, now_s: float) -> Answer:
    if fault.name in _SAID:
        return _SAID[fault.name]
    if fault.name == "html-401":
        return UNAUTHORIZED if ruling.target == "native" else stack.BAD_GATEWAY
    if fault.name == "status":
        return _bare_status(int(fault.value or 0))
    told = _retry_after(fault, now_s)
    answer = answer_json(429 if fault.name == "throttle" else 503, {"error": "fault injected"})
    return answer if told is None else replace(answer, headers=(("Retry-After", told),))


def _retry_after(fault: Fault, now_s: float) -> str | None:
    if fault.name == "retry-after-garbage":
        return "soon"
    if fault.value is None:
        return None
    if fault.name == "retry-after-date":
        return http_date(now_s + fault.value)
    return f"{fault.value:.0f}"


def _bare_status(status: int) -> Answer:
    if status >= 400:
        return answer_json(status, {"error": "fault injected"})
    # Below 400 it must not look like the DACC's yes, for nothing is stored.
    elsewhere = (("Location", "http://elsewhere.invalid/measure"),) if status // 100 == 3 else ()
    return Answer(status, b"<p>fault injected</p>", "text/html", elsewhere)
