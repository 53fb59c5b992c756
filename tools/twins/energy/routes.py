"""Which service a request asks, and for what.

==============================================  ================================================
``/v4/metering_data/daily_consumption``         Enedis until 2023; also ``consumption_load_curve``
``/v1/oauth2/token``                            its tokens
``/dataconnect/v1/oauth2/authorize``            its page of consent
``/metering_data_dc/v5/daily_consumption``      Enedis until 2026
``/metering_data_clc/v5/…_load_curve``          its curve
``/oauth2/v3/token``, ``/oauth2/v3/revoke``     tokens, since v5
``/mesure_synchrone_auto/v2/…``                 Enedis since 2026: ``consommation_quotidienne``,
                                                ``courbe_de_charge_consommation``
``/subscribed_services/v1``                     its services of a consent
``/dataconnect/v2/oauth2/authorize``            its page of consent
``/adict/v2/pce/<id>/donnees_consos_…``         GRDF: ``informatives``, ``publiees``
``/adict/v2/droits_acces``                      its rights; ``PATCH /adict/v2/droit_acces/<id>``
``/openam/oauth2/realms/externeGrdf/…``         its ``authorize`` and ``access_token``
``/oauth2/aus5y2ta2uEHjCWIR417/v1/token``       its other address for tokens
``/proxy/enedis/token``, ``/proxy/grdf/token``  Grand Lyon's proxy: a refresh gives a data token
==============================================  ================================================
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..exchange import Request
    from .errors import Family

__all__ = ["DATA", "ENEDIS_TOKEN", "GRDF_AUTHORIZE", "GRDF_BASE", "GRDF_TOKEN", "Call", "call_of"]

GRDF_BASE = "/adict/v2"
ENEDIS_TOKEN = "/oauth2/v3/token"
GRDF_TOKEN = "/oauth2/aus5y2ta2uEHjCWIR417/v1/token"
GRDF_AUTHORIZE = "/openam/oauth2/realms/externeGrdf/authorize"
# What data are called for by, with a token.
DATA = ("daily", "curve", "services", "informative", "published", "rights", "right")


class _Place(NamedTuple):
    """What is at a path: whose, in which form, what; and how the meter and the period are named."""

    method: str
    provider: str
    family: Family
    series: str
    meter: str = ""
    start: str = ""
    end: str = ""


_OLD = ("usage_point_id", "start", "end")
_NEW = ("pointId", "dateDebut", "dateFin")
_MEASURES_2026 = "/mesure_synchrone_auto/v2/"
_PLACES: Mapping[str, _Place] = {
    "/v4/metering_data/daily_consumption": _Place("GET", "enedis", "v4", "daily", *_OLD),
    "/v4/metering_data/consumption_load_curve": _Place("GET", "enedis", "v4", "curve", *_OLD),
    "/metering_data_dc/v5/daily_consumption": _Place("GET", "enedis", "v5", "daily", *_OLD),
    "/metering_data_clc/v5/consumption_load_curve": _Place("GET", "enedis", "v5", "curve", *_OLD),
    f"{_MEASURES_2026}consommation_quotidienne": _Place("GET", "enedis", "2026", "daily", *_NEW),
    f"{_MEASURES_2026}courbe_de_charge_consommation": _Place(
        "GET", "enedis", "2026", "curve", *_NEW
    ),
    "/subscribed_services/v1": _Place("POST", "enedis", "services", "services"),
    "/dataconnect/v1/oauth2/authorize": _Place("GET", "enedis", "authorize", "authorize-v1"),
    "/dataconnect/v2/oauth2/authorize": _Place("GET", "enedis", "authorize", "authorize-v2"),
    "/v1/oauth2/token": _Place("POST", "enedis", "token", "token-v4"),
    ENEDIS_TOKEN: _Place("POST", "enedis", "token", "token"),
    "/oauth2/v3/revoke": _Place("POST", "enedis", "token", "revoke"),
    "/proxy/enedis/token": _Place("POST", "enedis", "token", "token-proxy"),
    GRDF_AUTHORIZE: _Place("GET", "grdf", "authorize", "authorize-grdf"),
    "/openam/oauth2/realms/externeGrdf/access_token": _Place("POST", "grdf", "token", "token"),
    GRDF_TOKEN: _Place("POST", "grdf", "token", "token"),
    "/proxy/grdf/token": _Place("POST", "grdf", "token", "token-proxy"),
}
_PCE = re.compile(rf"{GRDF_BASE}/pce/([^/]+)/donnees_consos_(informatives|publiees)")
_RIGHT = re.compile(rf"{GRDF_BASE}/droit_acces/([^/]+)")
_RIGHTS = f"{GRDF_BASE}/droits_acces"


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for, as it says; ``given`` are its parameters, or its form."""

    provider: str
    family: Family
    series: str
    meter: str = ""
    start: str = ""
    end: str = ""
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What faults can be bound to: its series, without its form."""
        return self.series.partition("-")[0]

    @property
    def generation(self) -> str:
        """Which Enedis is asked for data; empty for all else."""
        if self.family == "services":
            return "2026"
        return self.family if self.family in ("v4", "v5", "2026") else ""


def call_of(request: Request) -> Call | None:
    """Give what a request asks for; None if there is no such place."""
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    if request.path in _PLACES:
        return _known(_PLACES[request.path], request, query)
    if request.path == _RIGHTS and request.method in ("GET", "POST"):
        pces = _listed(request.body, "id_pce")
        return Call("grdf", "grdf", "rights", pces[0] if len(pces) == 1 else "", given=query)
    if request.method == "GET" and (match := _PCE.fullmatch(request.path)):
        series = "published" if match[2] == "publiees" else "informative"
        start = query.get("date_debut", query.get("periode", ""))
        end = query.get("date_fin", "")
        return Call("grdf", "grdf", series, unquote(match[1]), start, end, query)
    if request.method == "PATCH" and (match := _RIGHT.fullmatch(request.path)):
        return Call("grdf", "grdf", "right", given={"id": unquote(match[1])})
    return None


def _known(place: _Place, request: Request, query: Mapping[str, str]) -> Call | None:
    if request.method != place.method:
        return None
    given = dict(query)
    if place.family == "token":
        text = request.body.decode("utf-8", "replace")
        given |= dict(parse_qsl(text, keep_blank_values=True))
        given["authorization"] = request.headers.get("authorization", "")
    meter, start, end = (query.get(name, "") for name in (place.meter, place.start, place.end))
    return Call(place.provider, place.family, place.series, meter, start, end, given)


def _listed(body: bytes, name: str) -> list[str]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return []
    listed = found.get(name) if isinstance(found, dict) else None
    return [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
