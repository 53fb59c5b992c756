"""The answers that a fault puts in the place of the real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..injected import MADE, injected
from . import stack
from .answers import UNAUTHORIZED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..exchange import Answer
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
    answer = injected(fault, now_s) if fault.name in MADE else _instead(ruling, fault)
    return replace(ruling, answer=answer, verdict=f"fault: {fault}", stored=False)


def _instead(ruling: Ruling, fault: Fault) -> Answer:
    if fault.name == "html-401":
        return UNAUTHORIZED if ruling.target == "native" else stack.BAD_GATEWAY
    return _SAID[fault.name]
