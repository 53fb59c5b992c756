"""The twin's own API: what developers and tests ask it and tell it.

================================  ============================================================
``GET /api/calls``                the calls for data, by meter, series and period, those after a
                                  consent was taken back, and the busiest second of each
                                  provider; ``?meter=`` and ``?series=`` narrow the first
``DELETE /api/calls``             counts anew, quotas too
``GET /api/tokens``               how many requests for a token there were, and of which kind
``DELETE /api/tokens``            no token is good any more; counts anew
``GET /api/fault``                the faults that are left
``PUT /api/fault``                a specification as body, an empty one is ``ok``; ``?for=`` names
                                  the place that it is for
``GET /api/today``                its local time
``PUT /api/today``                a day or a time as body; an empty one is the machine's
``GET /api/meters``               the meters, and what is odd about them
``PUT /api/meters/<id>``          a meter, new or changed; what is odd about it as body
``PUT /api/meters/<id>/consent``  ``given`` or ``revoked`` as body
``GET /api/quotas``               the quotas that hold
``PUT /api/quotas``               others as body, as in ``2026=1000/h,grdf=off``
``GET /livez``, ``GET /readyz``   says that it lives, and takes requests
================================  ============================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from ..exchange import Answer, answer_json
from ..faults import FaultSyntaxError
from .meters import MeterSyntaxError
from .plans import PlaceError
from .quotas import QuotaSyntaxError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..exchange import Request
    from .calls import Calls
    from .plans import Plans
    from .quotas import Quotas
    from .world import World

__all__ = ["Api"]

_METERS = "/api/meters/"
_CONSENT = "/consent"


class _WrongError(ValueError):
    """What is asked cannot be done; the message says why."""


class Api:
    """Answers the requests under ``/api/``, ``/livez`` and ``/readyz``."""

    def __init__(self, world: World, plans: Plans, quotas: Quotas, calls: Calls) -> None:
        self._world = world
        self._plans = plans
        self._quotas = quotas
        self._calls = calls
        self._routes: Mapping[str, Mapping[str, Callable[[Request], object]]] = {
            "/api/calls": {"GET": self._counted, "DELETE": self._count_anew},
            "/api/tokens": {"GET": self._tokens, "DELETE": self._end_tokens},
            "/api/fault": {"GET": self._fault, "PUT": self._set_fault},
            "/api/today": {"GET": self._today, "PUT": self._set_today},
            "/api/meters": {"GET": self._meters},
            "/api/quotas": {"GET": self._limits, "PUT": self._set_limits},
            "/livez": {"GET": self._well},
            "/readyz": {"GET": self._well},
        }

    def answers(self, path: str) -> bool:
        """Say whether a path belongs to the API."""
        return path.startswith("/api/") or path in self._routes

    def answer(self, request: Request) -> Answer:
        """Answer a request; everything that is wrong with it is said in the answer."""
        methods = self._routes.get(request.path)
        if methods is None and request.path.startswith(_METERS):
            methods = {"PUT": self._set_meter}
        if methods is None:
            there_is = ", ".join([*self._routes, f"{_METERS}<id>", f"{_METERS}<id>{_CONSENT}"])
            return answer_json(404, {"error": f"there is only {there_is}"})
        if request.method not in methods:
            allowed = ", ".join(methods)
            plain = answer_json(405, {"error": f"the method is not allowed here, only {allowed}"})
            return Answer(405, plain.body, plain.content_type, (("Allow", allowed),))
        try:
            return answer_json(200, methods[request.method](request))
        except (
            FaultSyntaxError,
            MeterSyntaxError,
            PlaceError,
            QuotaSyntaxError,
            _WrongError,
        ) as error:
            return answer_json(400, {"error": str(error)})

    def _counted(self, request: Request) -> object:
        given = _given(request, "meter", "series")
        found = self._calls.counted(given.get("meter"), given.get("series"))
        return {**found, "busiest_second": self._quotas.busiest_second()}

    def _count_anew(self, request: Request) -> object:
        _given(request)
        self._quotas.clear()
        return {"deleted": self._calls.clear()}

    def _tokens(self, request: Request) -> object:
        _given(request)
        return {"requests": self._world.tokens.counts()}

    def _end_tokens(self, request: Request) -> object:
        _given(request)
        self._world.tokens.clear()
        return {"requests": []}

    def _fault(self, request: Request) -> object:
        _given(request)
        return {"left": self._plans.left()}

    def _set_fault(self, request: Request) -> object:
        given = _given(request, "for")
        known = tuple(meter.ident for meter in self._world.meters)
        self._plans.replace(_text(request), given.get("for", ""), known)
        seed = {"seed": self._world.seed} if self._plans.uses_seed else {}
        return {"left": self._plans.left(), **seed}

    def _today(self, request: Request) -> object:
        _given(request)
        return {"today": self._world.now.isoformat()}

    def _set_today(self, request: Request) -> object:
        _given(request)
        return {"today": self._world.set_today(_text(request)).isoformat()}

    def _meters(self, request: Request) -> object:
        _given(request)
        return {"meters": [str(meter) for meter in self._world.meters]}

    def _set_meter(self, request: Request) -> object:
        _given(request)
        ident = unquote(request.path.removeprefix(_METERS))
        if not ident.endswith(_CONSENT):
            return {"meter": str(self._world.set_meter(ident, _text(request)))}
        ident, said = ident.removesuffix(_CONSENT), _text(request)
        if said not in ("given", "revoked"):
            raise _WrongError(f"{said[:60]!r} is no consent; allowed are given and revoked")
        meter = self._world.set_consent(ident, given=said == "given")
        if meter is None:
            known = ", ".join(one.ident for one in self._world.meters)
            raise _WrongError(f"{ident[:60]!r} is no meter; there are {known}")
        return {"meter": str(meter)}

    def _limits(self, request: Request) -> object:
        _given(request)
        return {"quotas": self._quotas.limits()}

    def _set_limits(self, request: Request) -> object:
        _given(request)
        self._quotas.change(_text(request))
        return {"quotas": self._quotas.limits()}

    def _well(self, request: Request) -> object:
        _given(request)
        return {"ok": True}


def _given(request: Request, *names: str) -> dict[str, str]:
    """Give the parameters of the query; raises _WrongError for others than these."""
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    for name in given:
        if name not in names:
            allowed = ", ".join(names) or "none"
            raise _WrongError(f"{name[:60]!r} is no parameter here; allowed are {allowed}")
    return given


def _text(request: Request) -> str:
    return request.body.decode("utf-8", "backslashreplace").strip()
