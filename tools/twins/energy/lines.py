"""What the twin prints of a request: never a token, and of a meter's number only its end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..terminal import shown

if TYPE_CHECKING:
    from .routes import Call

__all__ = ["Handled", "line"]

_SHOWN_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Handled:
    """A request that was dealt with: when (seconds of the epoch), which, and what became of it."""

    at_s: float
    call: Call
    verdict: str


def line(handled: Handled) -> str:
    """Give time, provider, generation, series, meter, period and verdict."""
    call = handled.call
    period = f"{call.start}…{call.end}" if call.start or call.end else "-"
    return "  ".join(
        (
            time.strftime("%H:%M:%S", time.localtime(handled.at_s)),
            call.provider.ljust(6),
            call.generation.ljust(4),
            call.series.ljust(14),
            f"…{shown(call.meter[-_SHOWN_DIGITS:], 12)}" if call.meter else "-".ljust(5),
            shown(period, 40).ljust(21),
            shown(handled.verdict, 200),
        )
    )
