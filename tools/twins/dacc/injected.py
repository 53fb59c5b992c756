"""The answers that a fault puts in the place of the real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .answers import UNAUTHORIZED
from .exchange import Answer, answer_json
from .stack import BAD_GATEWAY

if TYPE_CHECKING:
    from ..faults import Fault
    from .exchange import Ruling

__all__ = ["with_fault"]


def with_fault(ruling: Ruling, fault: Fault) -> Ruling:
    """Put a fault in the place of an answer; faults that only delay or withhold it change nothing.

    The DACC's own 401 comes through the stack as the stack makes it; a status is sent as it is.
    """
    if fault.name == "html-401":
        through_stack = ruling.target != "native"
        answer: Answer | None = BAD_GATEWAY if through_stack else UNAUTHORIZED
    elif fault.name == "cozy-502":
        answer = BAD_GATEWAY
    elif fault.name == "retry-after":
        told = (("Retry-After", f"{fault.value:.0f}"),)
        answer = replace(answer_json(503, {"error": "fault injected"}), headers=told)
    elif fault.name == "status":
        answer = _bare_status(int(fault.value))
    elif fault.name in ("drop", "reset", "garbage"):
        answer = None
    else:
        return ruling
    return replace(ruling, answer=answer, verdict=f"fault: {fault}", stored=False)


def _bare_status(status: int) -> Answer:
    if status >= 400:
        return answer_json(status, {"error": "fault injected"})
    # Below 400 it must not look like the DACC's yes, for nothing is stored.
    elsewhere = (("Location", "http://elsewhere.invalid/measure"),) if status // 100 == 3 else ()
    return Answer(status, b"<p>fault injected</p>", "text/html", elsewhere)
