"""The stand-in's own API: what developers and tests ask it and tell it.

==========================  ===================================================================
``GET /api/indicators``     what was stored; ``?measure=``, ``?startDate=`` and ``?stack=`` narrow,
                            ``?format=ndjson`` gives each on a line of its own, to be saved
``DELETE /api/indicators``  begins anew, with all counts at 0
``GET /api/latest``         the latest of them, by the same three
``GET /api/count``          what was counted, by the same three
``GET /api/cells``          what Metabase would show, by ``?measure=`` and ``?startDate=``
``GET /api/wait``           waits for ``?n=`` indicators for a ``?timeout=``, by the same three,
                            ``?value=`` (JSON), ``?group1=`` to ``?group3=``, and their keys by
                            ``?group1Key=`` to ``?group3Key=``; ``?without=stack,group1`` names
                            what they must not have
``GET /api/expect``         waits for one by the same, and gives it; ``?times=2``: for just two
``GET /api/requests``       every request, refused ones too, each on a line; of one ``?seq=`` all
``GET /api/events``         the page's live feed, as server-sent events
``GET /api/fault``          the faults that are set, and what is left of them; ``?stack=``
``PUT /api/fault``          a specification as body, an empty one is ``ok``; ``?stack=`` sets it for
                            this stack alone
``GET /api/token``          whether one is demanded; ``?stack=`` as above
``PUT /api/token``          a token as body, an empty one demands none; ``?stack=`` as above
``GET /livez``              says that it lives
``GET /readyz``             says that it takes requests
==========================  ===================================================================

A stack is named by what stands before its paths, as in ``/alice/remote/cc.cozycloud.dacc``. Its
own faults used up, or set to an empty specification, it goes by the general ones again, and to set
these takes the place of what stacks have (``ok@100%`` keeps a stack well whatever is general). Of
the counts, a stack narrows all but ``busiest_second``, a measure or a start date only ``received``,
``duplicates`` and ``unknown``. Waiting in vain is a 504 that names the indicators which came
nearest; an expected one is compared with the nearest, field by field.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..exchange import Answer, answer_json
from ..faults import FaultSyntaxError
from .expected import MOST_COMPARED, check_possible, miscounted, missed, what_came
from .nearest import nearest
from .queries import (
    FILTER,
    WANTED,
    QueryError,
    is_ndjson,
    parameters,
    timeout_s_of,
    wanted_of,
    whole_number,
)
from .record import Filter
from .stacks import TokenError
from .views import detail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..faults import FaultPlan
    from ..http import Head
    from ..pace import Pace
    from .indicator import JsonObject
    from .live import Live
    from .nearest import Wanted
    from .received import Received
    from .stacks import Stacks

__all__ = ["Api", "state_of"]

_NDJSON = "application/x-ndjson"


class Asked(NamedTuple):
    """A request to the API, beside its method and path."""

    query: str
    body: bytes
    headers: Mapping[str, str]


class Api:
    """Answers the requests under ``/api/``, ``/livez`` and ``/readyz``."""

    def __init__(self, received: Received, stacks: Stacks, pace: Pace, live: Live) -> None:
        self._received = received
        self._pace = pace
        self._stacks = stacks
        self._live = live
        self._routes: Mapping[str, Mapping[str, Callable[[Asked], Answer]]] = {
            "/api/indicators": {"GET": self._indicators, "DELETE": self._empty},
            "/api/latest": {"GET": self._latest},
            "/api/count": {"GET": self._count},
            "/api/cells": {"GET": self._cells},
            "/api/wait": {"GET": self._wait},
            "/api/expect": {"GET": self._expect},
            "/api/requests": {"GET": self._requests},
            "/api/events": {"GET": self._events},
            "/api/fault": {"GET": self._fault, "PUT": self._set_fault},
            "/api/token": {"GET": self._token, "PUT": self._set_token},
            "/livez": {"GET": self._livez},
            "/readyz": {"GET": self._readyz},
        }

    def answers(self, path: str) -> bool:
        """Say whether a path belongs to the API."""
        return path.startswith("/api/") or path in self._routes

    def answer(self, head: Head, body: bytes) -> Answer:
        """Answer a request; everything that is wrong with it is said in the answer."""
        methods = self._routes.get(head.path)
        if methods is None:
            return answer_json(404, {"error": f"there is only {', '.join(self._routes)}"})
        if head.method not in methods:
            allowed = ", ".join(methods)
            error = {"error": f"the method is not allowed here, only {allowed}"}
            plain = answer_json(405, error)
            return Answer(405, plain.body, plain.content_type, (("Allow", allowed),))
        try:
            return methods[head.method](Asked(head.query, body, head.headers))
        except (QueryError, FaultSyntaxError, TokenError) as error:
            return answer_json(400, {"error": str(error)})

    def _wanted(self, given: Mapping[str, str]) -> Wanted:
        """Give which indicators are meant; raises QueryError for such as can never be."""
        wanted = wanted_of(given)
        check_possible(wanted, self._stacks.terms(""))
        return wanted

    def _filter(self, given: Mapping[str, str]) -> Filter:
        wanted = self._wanted({name: text for name, text in given.items() if name in FILTER})
        return Filter(wanted.measure, wanted.start_date, wanted.stack)

    def _indicators(self, asked: Asked) -> Answer:
        given = parameters(asked.query, *FILTER, "format")
        records = [record.as_json() for record in self._received.records(self._filter(given))]
        if is_ndjson(given):
            return _lines(records, "indicators")
        listed = ",\n".join(records)
        return Answer(200, f"[{listed}]".encode())

    def _empty(self, asked: Asked) -> Answer:
        parameters(asked.query)
        self._pace.clear()
        return answer_json(200, {"deleted": self._received.clear()})

    def _latest(self, asked: Asked) -> Answer:
        latest = self._received.latest(self._filter(parameters(asked.query, *FILTER)))
        if latest is None:
            return answer_json(404, {"error": "no such indicator is kept"})
        return Answer(200, latest.as_json().encode())

    def _count(self, asked: Asked) -> Answer:
        counts = self._received.counts(self._filter(parameters(asked.query, *FILTER)))
        # Of all stacks together, whatever the filter, for the DACC behind them is one.
        return answer_json(200, {**counts, "busiest_second": self._pace.busiest_second})

    def _cells(self, asked: Asked) -> Answer:
        given = parameters(asked.query, "measure", "startDate")
        wanted = self._filter(given)
        return answer_json(200, self._received.cells(wanted.measure, wanted.start_date))

    def _wait(self, asked: Asked) -> Answer:
        given = parameters(asked.query, "n", *WANTED, "timeout")
        n, timeout_s, wanted = whole_number(given, "n"), timeout_s_of(given), self._wanted(given)
        reached, count = self._received.wait(n, wanted, timeout_s)
        if reached:
            return answer_json(200, {"count": count})
        records = self._received.requests()[-MOST_COMPARED:] if wanted.fields else []
        misses = nearest(wanted, records)
        many, are = "indicator" if n == 1 else "indicators", "is" if count == 1 else "are"
        error = f"waited for {n} {many}, there {are} {count} (timeout: {timeout_s:g} s); "
        if misses:
            error += "nearest: " + ", ".join(miss.sentence(wanted) for miss in misses)
        else:
            error += what_came(self._received)
        told = [miss.as_json() for miss in misses]
        return answer_json(504, {"error": error, "count": count, "nearest": told})

    def _expect(self, asked: Asked) -> Answer:
        given = parameters(asked.query, *WANTED, "times", "timeout")
        timeout_s, wanted = timeout_s_of(given), self._wanted(given)
        times = _times(given)
        if not self._came(wanted, times):
            self._received.wait(times or 1, wanted, timeout_s)
        found = self._received.first(wanted)
        if found is None:
            return answer_json(504, {"error": missed(wanted, self._received, timeout_s)})
        if times and len(self._received.all_of(wanted)) != times:
            error = miscounted(wanted, self._received, times, timeout_s)
            return answer_json(504, {"error": error})
        return Answer(200, found.as_json().encode())

    def _came(self, wanted: Wanted, times: int) -> bool:
        if not times:
            return self._received.first(wanted) is not None
        return len(self._received.all_of(wanted)) >= times

    def _requests(self, asked: Asked) -> Answer:
        given = parameters(asked.query, "seq")
        if "seq" not in given:
            told = [json.dumps(detail(record)) for record in self._received.requests()]
            return _lines(told, "requests")
        seq = whole_number(given, "seq")
        from_there = self._received.requests(after=seq - 1)
        if not from_there or from_there[0].seq != seq:
            return answer_json(404, {"error": f"request {seq} is not kept, or never came"})
        return answer_json(200, detail(from_there[0]))

    def _events(self, asked: Asked) -> Answer:
        parameters(asked.query)
        feed = self._live.feed(asked.headers.get("last-event-id", ""))
        if feed is None:
            busy = answer_json(503, {"error": "there are as many listeners as there may be"})
            return replace(busy, headers=(("Retry-After", "5"),))
        uncached = (("Cache-Control", "no-store"),)
        return Answer(200, b"retry: 1000\n\n", "text/event-stream", uncached, feed)

    def _fault(self, asked: Asked) -> Answer:
        given = parameters(asked.query, "stack")
        plan = self._stacks.plan(given.get("stack", ""))
        return answer_json(
            200, {"fault": plan.spec, "left": plan.left, **given, **self._seed(plan)}
        )

    def _set_fault(self, asked: Asked) -> Answer:
        given = parameters(asked.query, "stack")
        spec = _text(asked.body) or ("" if "stack" in given else "ok")
        plan = self._stacks.set_fault(spec, given.get("stack", ""))
        self._received.announce()
        return answer_json(200, {"fault": spec, **given, **self._seed(plan)})

    def _seed(self, plan: FaultPlan) -> JsonObject:
        """Tell the seed where it matters, so that what then happens can happen again."""
        return {"seed": self._stacks.seed} if plan.uses_seed else {}

    def _token(self, asked: Asked) -> Answer:
        given = parameters(asked.query, "stack")
        token = self._stacks.terms(given.get("stack", "")).token
        return answer_json(200, {"demanded": token is not None, **given})

    def _set_token(self, asked: Asked) -> Answer:
        given = parameters(asked.query, "stack")
        token = _text(asked.body) or None
        self._stacks.set_token(token, given.get("stack", ""))
        return answer_json(200, {"demanded": token is not None, **given})

    def _livez(self, asked: Asked) -> Answer:
        parameters(asked.query)
        return answer_json(200, {"ok": True})

    def _readyz(self, asked: Asked) -> Answer:
        parameters(asked.query)
        if self._received.closed:
            return answer_json(503, {"error": "it is about to end"})
        return answer_json(200, {"ok": True})


def state_of(received: Received, stacks: Stacks, pace: Pace) -> JsonObject:
    """Give what the page shows beside the list: the counts, and the faults still to come."""
    counts = {**received.counts(), "busiest_second": pace.busiest_second}
    return {"counts": counts, "faults": stacks.faults_left()}


def _times(given: Mapping[str, str]) -> int:
    """Give how often an indicator is to come, 0 if that is not told; raises QueryError."""
    if "times" not in given:
        return 0
    times = whole_number(given, "times")
    if not times:
        raise QueryError("times is '0'; allowed are whole numbers from 1")
    return times


def _lines(records: list[str], name: str) -> Answer:
    """Give records, each on a line of its own, as a file to be saved."""
    saved = (("Content-Disposition", f'attachment; filename="{name}.ndjson"'),)
    return Answer(200, "".join(f"{record}\n" for record in records).encode(), _NDJSON, saved)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "backslashreplace").strip()
