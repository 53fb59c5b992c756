"""The faults that are set: for all calls for data, and for one place alone.

A place is a meter's number, a series (``daily``, ``curve``, ``services``, ``informative``,
``published``, ``rights``, ``right``, ``token``, ``revoke``, ``authorize``), a generation (``v4``,
``v5``, ``2026``) or a provider (``enedis``, ``grdf``). The first of these that has faults left
decides, in this order; then those for all. Requests for tokens and pages of consent meet what is
set for ``token``, ``revoke`` and ``authorize``, and the errors that only they can meet.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from ..faults import Fault, FaultPlan, FaultSyntaxError
from .errors import ENERGY_FORMS, applies
from .routes import DATA

if TYPE_CHECKING:
    from .routes import Call

__all__ = ["PlaceError", "Plans", "parse_bound"]

_OF_DATA = ("v4", "v5", "2026", "enedis", "grdf")
_OF_TOKENS = ("token", "revoke", "authorize")
PLACES = (*DATA, *_OF_TOKENS, *_OF_DATA)
_ONLY_THEIRS = ("invalid-grant", "invalid-client", "access-denied")


class PlaceError(ValueError):
    """Faults are set for what is no place; the message says which there are."""


class Plans:
    """Faults by place; safe between threads. The same ``seed`` draws the same."""

    def __init__(self, spec: str, seed: int) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._general = FaultPlan(spec, seed, ENERGY_FORMS)
        self._own: dict[str, FaultPlan] = {}

    def __repr__(self) -> str:
        return f"<Plans {self.left()}>"

    @property
    def uses_seed(self) -> bool:
        """Whether anything is left that a draw decides."""
        return any(plan.uses_seed for plan in (self._general, *self._own.values()))

    def left(self) -> dict[str, str]:
        """Give what is still to come, by place; ``all`` is what holds for all."""
        with self._lock:
            own = {place: plan.left for place, plan in self._own.items() if not plan.is_over}
        return {"all": self._general.left, **own}

    def replace(self, spec: str, place: str = "", meters: tuple[str, ...] = ()) -> None:
        """Set faults for all, or for a place alone; without any, it goes by what is for others.

        Raises FaultSyntaxError and PlaceError, and changes nothing then.
        """
        if not place:
            self._general.replace(spec or "ok")
            return
        if place not in PLACES and place not in meters:
            allowed = ", ".join(PLACES)
            raise PlaceError(f"{place[:60]!r} is no place; allowed are {allowed}, and meters")
        plan = FaultPlan(spec, f"{self._seed} {place}", ENERGY_FORMS) if spec else None
        with self._lock:
            self._own.pop(place, None)
            if plan is not None:
                self._own[place] = plan

    def draw(self, call: Call) -> Fault:
        """Give the fault of a call, ``ok`` if it is well."""
        with self._lock:
            own = [
                (place, self._own[place])
                for place in (call.meter, call.kind, call.generation, call.provider)
                if place in self._own
            ]
        for place, plan in (*own, ("", self._general)):
            fault = plan.draw_if(partial(_may_meet, call=call, named=place == call.kind))
            if fault is not None:
                return fault
        return Fault("ok")


def _may_meet(fault: Fault, *, call: Call, named: bool) -> bool:
    theirs = call.series in DATA or named or fault.name in _ONLY_THEIRS
    return theirs and applies(fault.name, call.family)


def parse_bound(text: str) -> tuple[str, str]:
    """Read a place and its faults, as in ``curve=no-data*2``; raises FaultSyntaxError."""
    place, equals, spec = text.partition("=")
    if not equals:
        raise FaultSyntaxError(f"{text[:60]!r} names no place; allowed is as in curve=no-data*2")
    return place, spec
