"""What each stack demands and suffers: a token and a fault plan of its own, or those of all."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from ..faults import FaultPlan

if TYPE_CHECKING:
    from ..faults import Fault
    from .exchange import Terms

__all__ = ["Stacks", "TokenError", "check_token"]


class TokenError(ValueError):
    """A text cannot be a bearer token; the message says what one is."""


def check_token(text: str) -> str:
    """Give a text back if it can be a bearer token; raises TokenError."""
    if text and text.isascii() and text.isprintable() and " " not in text:
        return text
    raise TokenError("a token is printable ASCII without blanks")


class Stacks:
    """Terms and faults by the name of a stack; safe between threads.

    A stack without something of its own has what is general, and so has the empty name. Each
    plan of its own draws by itself, so that others' requests never change its sequence. Once it is
    used up, or a general one is set, the stack goes by the general one.
    """

    def __init__(self, terms: Terms, faults: FaultPlan, seed: int) -> None:
        self.seed = seed
        self._lock = threading.Lock()
        self._terms = terms
        self._faults = faults
        self._tokens: dict[str, str | None] = {}
        self._plans: dict[str, FaultPlan] = {}

    def __repr__(self) -> str:
        with self._lock:
            return f"<Stacks tokens={sorted(self._tokens)} plans={self._plans}>"

    def terms(self, stack: str) -> Terms:
        """Give what is demanded of a request."""
        with self._lock:
            return replace(self._terms, token=self._tokens.get(stack, self._terms.token))

    def draw(self, stack: str) -> Fault:
        """Give the fault of a stack's next request."""
        return self.plan(stack).draw()

    def plan(self, stack: str = "") -> FaultPlan:
        """Give the plan that a stack goes by."""
        with self._lock:
            self._drop_what_is_over()
            return self._plans.get(stack, self._faults)

    def faults_left(self) -> dict[str, str]:
        """Give the faults still to come: the general ones by ``""``, a stack's own by its name."""
        with self._lock:
            self._drop_what_is_over()
            return {
                "": self._faults.left,
                **{name: plan.left for name, plan in self._plans.items()},
            }

    def _drop_what_is_over(self) -> None:
        self._plans = {name: plan for name, plan in self._plans.items() if not plan.is_over}

    def set_token(self, token: str | None, stack: str = "") -> None:
        """Demand another token from now on, or none; raises TokenError."""
        if token is not None:
            check_token(token)
        with self._lock:
            if stack:
                self._tokens[stack] = token
            else:
                self._terms = replace(self._terms, token=token)

    def set_fault(self, spec: str, stack: str = "") -> FaultPlan:
        """Begin a new sequence; by an empty one a stack goes by the general one, which is ``ok``.

        A general one takes the place of those of all stacks. Gives the plan that the stack then
        goes by. Raises FaultSyntaxError; what was set before stays then.
        """
        if not stack:
            with self._lock:
                self._faults.replace(spec or "ok")
                self._plans.clear()
                return self._faults
        plan = FaultPlan(spec, f"{self.seed}/{stack}") if spec else None
        with self._lock:
            if plan is None:
                self._plans.pop(stack, None)
                return self._faults
            self._plans[stack] = plan
            return plan
