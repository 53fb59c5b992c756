"""The stand-in's own API: what developers and tests ask it and tell it.

==========================  ===================================================================
``GET /api/indicators``     what was stored; ``?measure=``, ``?startDate=`` and ``?stack=`` narrow
``GET /api/count``          what was counted, by the same three
``GET /api/wait``           waits for ``?n=`` indicators, of a ``?measure=``, for a ``?timeout=``
``DELETE /api/indicators``  begins anew, with all counts at 0
``PUT /api/fault``          a specification as body; ``?stack=`` sets it for this stack alone
``PUT /api/token``          a token as body, an empty one demands none; ``?stack=`` as above
``GET /livez``              says that it lives
==========================  ===================================================================

A stack is named by what stands before its paths, as in ``/alice/remote/cc.cozycloud.dacc``. Set
to an empty specification it goes by the general one again. Of the counts, a stack narrows all but
``busiest_second``, a measure or a start date only ``received``, ``duplicates`` and ``unknown``.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from ..faults import FaultSyntaxError
from .exchange import Answer, answer_json
from .received import Filter
from .stacks import TokenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .pace import Pace
    from .received import Received
    from .stacks import Stacks

__all__ = ["Api"]

WAIT_S = 30.0
LONGEST_WAIT_S = 3600.0


class QueryError(ValueError):
    """A query cannot be understood; the message says what was found and what may be."""


class Api:
    """Answers the requests under ``/api/`` and ``/livez``."""

    def __init__(self, received: Received, stacks: Stacks, pace: Pace) -> None:
        self._received = received
        self._pace = pace
        self._stacks = stacks
        self._routes: Mapping[str, Mapping[str, Callable[[str, bytes], Answer]]] = {
            "/api/indicators": {"GET": self._indicators, "DELETE": self._empty},
            "/api/count": {"GET": self._count},
            "/api/wait": {"GET": self._wait},
            "/api/fault": {"PUT": self._set_fault},
            "/api/token": {"PUT": self._set_token},
            "/livez": {"GET": self._live},
        }

    def answers(self, path: str) -> bool:
        """Say whether a path belongs to the API."""
        return path.startswith("/api/") or path in self._routes

    def answer(self, method: str, path: str, query: str, body: bytes) -> Answer:
        """Answer a request; everything that is wrong with it is said in the answer."""
        methods = self._routes.get(path)
        if methods is None:
            return answer_json(404, {"error": f"there is only {', '.join(self._routes)}"})
        if method not in methods:
            allowed = ", ".join(methods)
            error = {"error": f"the method is not allowed here, only {allowed}"}
            plain = answer_json(405, error)
            return Answer(405, plain.body, plain.content_type, (("Allow", allowed),))
        try:
            return methods[method](query, body)
        except (QueryError, FaultSyntaxError, TokenError) as error:
            return answer_json(400, {"error": str(error)})

    def _indicators(self, query: str, _body: bytes) -> Answer:
        records = self._received.records(_filter(query))
        listed = ",\n".join(record.as_json() for record in records)
        return Answer(200, f"[{listed}]".encode())

    def _empty(self, query: str, _body: bytes) -> Answer:
        _parameters(query)
        self._pace.clear()
        return answer_json(200, {"deleted": self._received.clear()})

    def _count(self, query: str, _body: bytes) -> Answer:
        counts = self._received.counts(_filter(query))
        # Of all stacks together, whatever the filter, for the DACC behind them is one.
        return answer_json(200, {**counts, "busiest_second": self._pace.busiest_second})

    def _wait(self, query: str, _body: bytes) -> Answer:
        given = _parameters(query, "n", "measure", "timeout")
        n, timeout_s = _whole_number(given, "n"), _timeout_s(given)
        reached, count = self._received.wait(n, given.get("measure", ""), timeout_s)
        if reached:
            return answer_json(200, {"count": count})
        error = f"waited for {n} indicators, there are {count} (timeout: {timeout_s:g} s)"
        return answer_json(504, {"error": error, "count": count})

    def _set_fault(self, query: str, body: bytes) -> Answer:
        given = _parameters(query, "stack")
        spec = _text(body)
        plan = self._stacks.set_fault(spec, given.get("stack", ""))
        # The seed is told where it matters, so that what then happens can happen again.
        seed = {"seed": self._stacks.seed} if plan.uses_seed else {}
        return answer_json(200, {"fault": spec, **given, **seed})

    def _set_token(self, query: str, body: bytes) -> Answer:
        given = _parameters(query, "stack")
        token = _text(body) or None
        self._stacks.set_token(token, given.get("stack", ""))
        return answer_json(200, {"demanded": token is not None, **given})

    def _live(self, query: str, _body: bytes) -> Answer:
        _parameters(query)
        return answer_json(200, {"ok": True})


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace").strip()


def _parameters(query: str, *names: str) -> dict[str, str]:
    """Read a query; a parameter of another name, or given twice, is refused."""
    pairs = parse_qsl(query, keep_blank_values=True, errors="backslashreplace")
    given = dict(pairs)
    if len(given) < len(pairs) or not given.keys() <= set(names):
        found = ", ".join(sorted({name for name, _ in pairs}))
        allowed = ", ".join(names) or "none"
        raise QueryError(f"the parameters are {found[:200]}; allowed, once each, are: {allowed}")
    return {name: value for name, value in given.items() if value}


def _filter(query: str) -> Filter:
    given = _parameters(query, "measure", "startDate", "stack")
    return Filter(given.get("measure", ""), given.get("startDate", ""), given.get("stack", ""))


def _whole_number(given: dict[str, str], name: str) -> int:
    text = given.get(name, "1")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise QueryError(f"{name} is {text[:60]!r}; allowed are whole numbers")
    return int(text)


def _timeout_s(given: dict[str, str]) -> float:
    text = given.get("timeout", str(WAIT_S))
    try:
        timeout_s = float(text)
    except ValueError:
        timeout_s = math.nan
    if not 0 <= timeout_s <= LONGEST_WAIT_S:
        raise QueryError(f"timeout is {text[:60]!r}; allowed are seconds up to {LONGEST_WAIT_S:g}")
    return timeout_s
