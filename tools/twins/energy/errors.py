"""What goes wrong at Enedis and GRDF, by name, beside the wire faults of ``twins/faults.py``.

An error waits for a request that it can meet: ``invalid-grant`` for one of a token,
``partial-error`` for one to GRDF. Those that are of no one provider meet any call for data.

==========================  =====================================================================
``no-data``                 nothing is found for this period
``hole``                    Enedis: STM-ERR-0000014, the meter does not answer
``unknown-meter``           no such meter
``consent-revoked``         ADAM-DC-0008; GRDF 1000014
``not-holder``              ADAM-DC-0007; GRDF 1000003
``not-holder-400``          Enedis: ADAM-DC-0007 by status 400
``not-entitled``            Enedis: ADAM-ERR0061; GRDF 1000002
``before-consent``          Enedis: ADAM-DC-0009
``before-activation``       Enedis: ADAM-ERR0123
``too-long``                Enedis: ADAM-DC-0015, in 2026 ADAM-ERR0126: more than 7 days of a curve
``too-early``               Enedis: ADAM-DC-0016, in 2026 ADAM-ERR0125; GRDF 400: beyond the depth
``wrong-direction``         Enedis: ADAM-ERR0069
``curve-off``               Enedis: ADAM-ERR0075
``invalid-request``         400
``holder-moved``            GRDF 1000000
``right-expired``           GRDF 1000001
``no-published``            GRDF 1000009
``no-informative``          GRDF 1000010
``proof-invalid``           GRDF 1000011
``partial-error``           GRDF 2000100 for the first record; the others come
``token-expired``           401; Enedis: 900901
``reduced-scope``           403: this token is for no data
``not-subscribed``          Enedis: 900908
``quota-second``            429, until the next second
``quota-hour``              429, until the next full hour
``quota-nested``            Enedis: 429, 900807 within a ``fault``
``quota-nonsense``          Enedis: 429, ``allowed on 0:-30:-40``
``technical-error``         500 technical_error; GRDF 2000000007
``unavailable``             503
``empty-403``               403 without a body, as for a dead token
``empty-200``               200 without a body
``empty-json``              200 with ``{}``
``html-503``                503 with a page
``html-200``                200 with a login page
``text-200``                200 with a sentence
``cut-json``                the true answer, cut in the midst of its last record
``cut-line``                GRDF: the true answer, the record in its middle cut
``octet-stream``            the true answer, said to be bytes of any kind
``crlf``                    GRDF: the true answer, its lines ended by CRLF
``glued``                   GRDF: the true answer, its objects in many lines and glued
``doubled``                 GRDF: the true answer, each line twice
``no-services``             of 2026: the list of services is empty yet
``two-meters``              of 2026: the services are those of another meter, too
``invalid-grant``           400 to a request for a token
``invalid-client``          401 to a request for a token
``access-denied``           the holder says no on the page of consent
==========================  =====================================================================

Of ``twins/faults.py`` there are ``ok``, ``status``, ``throttle``, ``retry-after``,
``retry-after-date``, ``retry-after-garbage``, ``drop``, ``reset``, ``garbage``, ``latency``,
``slow-body`` and ``accept-then-drop``, which does what was asked but does not say so.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from ..exchange import Answer, answer_json
from ..faults import FORMS, Form

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENERGY_FORMS",
    "SHAPES",
    "WIRE",
    "Family",
    "applies",
    "error",
    "shaped",
    "text_of",
    "treated",
]

Family: TypeAlias = Literal["v4", "v5", "2026", "grdf", "token", "authorize", "services"]

WIRE = (
    "ok",
    "status",
    "throttle",
    "retry-after",
    "retry-after-date",
    "retry-after-garbage",
    "drop",
    "reset",
    "garbage",
    "latency",
    "slow-body",
    "accept-then-drop",
)
# These change the true answer; without a family any may have them.
SHAPES: Mapping[str, frozenset[Family]] = {
    "cut-json": frozenset(),
    "cut-line": frozenset({"grdf"}),
    "octet-stream": frozenset(),
    "crlf": frozenset({"grdf"}),
    "glued": frozenset({"grdf"}),
    "doubled": frozenset({"grdf"}),
    "partial-error": frozenset({"grdf"}),
    "no-services": frozenset({"services"}),
    "two-meters": frozenset({"services"}),
}
_TOKENS = ("invalid-grant", "invalid-client")
_ANOTHER_METER = "19999999999999"
_DOC = "https://example.invalid/doc"


class _Said(NamedTuple):
    """What Enedis says: a status, its code of old and that of 2026, and the words."""

    status: int
    code: str
    words: str
    code_2026: str = ""


_BY_ENEDIS: Mapping[str, _Said] = {
    "no-data": _Said(404, "no_data_found", "no measure found for this usage point"),
    "hole": _Said(404, "STM-ERR-0000014", "no measure for this point: the meter does not answer"),
    "unknown-meter": _Said(404, "STM-ERR-0000019", "no site is known for this usage point"),
    "consent-revoked": _Said(
        403, "ADAM-DC-0008", "No consent can be found for this customer and this usage point."
    ),
    "not-holder": _Said(403, "ADAM-DC-0007", "The customer no longer holds this usage point."),
    "not-holder-400": _Said(400, "ADAM-DC-0007", "The customer no longer holds this usage point."),
    "not-entitled": _Said(400, "ADAM-ERR0061", "The requester is not entitled to this point."),
    "before-consent": _Said(403, "ADAM-DC-0009", "The start is earlier than the consent's."),
    "before-activation": _Said(
        400, "ADAM-ERR0123", "The period starts before the last activation of the contract."
    ),
    "too-long": _Said(400, "ADAM-DC-0015", "(range above 7 days)", "ADAM-ERR0126"),
    "too-early": _Said(400, "ADAM-DC-0016", "(start beyond the history)", "ADAM-ERR0125"),
    "wrong-direction": _Said(400, "ADAM-ERR0069", "The direction does not fit this point."),
    "curve-off": _Said(400, "ADAM-ERR0075", "The curve is not collected for this point."),
    "invalid-request": _Said(400, "Invalid_request", "A parameter is missing or malformed."),
    "technical-error": _Said(500, "technical_error", "Technical error. Please try later."),
}
_BY_GRDF: Mapping[str, tuple[str, str]] = {
    "no-data": ("1000008", "(aucune donnée sur la période)"),
    "consent-revoked": ("1000014", "(consentement révoqué par le titulaire)"),
    "not-holder": ("1000003", "(droit d'accès supprimé par GRDF)"),
    "not-entitled": ("1000002", "(aucun droit d'accès)"),
    "holder-moved": ("1000000", "(le titulaire a quitté le logement)"),
    "right-expired": ("1000001", "(droit d'accès expiré)"),
    "no-published": ("1000009", "(périmètre sans données publiées)"),
    "no-informative": ("1000010", "(périmètre sans données informatives)"),
    "proof-invalid": ("1000011", "(preuve de consentement invalide)"),
    "partial-error": ("2000100", "(erreur technique sur un bloc)"),
}
_EMPTY: Mapping[str, Answer] = {
    "empty-403": Answer(403, b""),
    "empty-200": Answer(200, b""),
    "empty-json": Answer(200, b"{}"),
    "html-503": Answer(503, b"<!doctype html><h1>Service indisponible</h1>", "text/html"),
    "html-200": Answer(200, b"<!doctype html><form>Identifiant</form>", "text/html"),
    "text-200": Answer(200, b"Service indisponible", "text/plain"),
}
_QUOTAS = {"quota-second": "(quota, per second)", "quota-hour": "(quota)"}
_OF_ALL = ("token-expired", "reduced-scope", "quota-second", "quota-hour", "unavailable")
_OF_ENEDIS = ("not-subscribed", "quota-nested", "quota-nonsense")
_OF_GRDF = ("unknown-meter", "too-early", "invalid-request", "technical-error")
_NAMES = re.findall(r"^``([a-z0-9-]+)`` {2,}", __doc__ or "", re.MULTILINE)

ENERGY_FORMS: Mapping[str, Form] = {
    **{name: FORMS[name] for name in WIRE},
    **{name: Form() for name in _NAMES},
}


def applies(name: str, family: Family) -> bool:
    """Say whether a request of a family can meet a fault; the wire's faults, any can."""
    if name in WIRE or name in _EMPTY:
        return True
    if name in SHAPES:
        return not SHAPES[name] or family in SHAPES[name]
    if family in ("token", "authorize"):
        wanted = _TOKENS if family == "token" else ("access-denied",)
        return name in wanted or name in ("technical-error", "unavailable")
    if family == "grdf":
        return name in _BY_GRDF or name in _OF_ALL or name in _OF_GRDF
    return name in _BY_ENEDIS or name in _OF_ALL or name in _OF_ENEDIS


def error(name: str, family: Family, now: datetime, about: Mapping[str, object]) -> Answer:
    """Give an answer that is an error, as this family has it.

    ``about`` is what a record of GRDF tells of the request besides.
    """
    if name in _EMPTY:
        return _EMPTY[name]
    if family == "services":
        family = "2026"
    if name in _TOKENS:
        status = 400 if name == "invalid-grant" else 401
        code = name.replace("-", "_")
        return answer_json(status, {"error": code, "error_description": "(refused)"})
    if name == "unavailable":
        return answer_json(503, {"error": "unavailable"})
    if family == "grdf":
        return _by_grdf(name, about)
    return _gateway(name, family, now) or _by_enedis(name, family)


def shaped(name: str, answer: Answer) -> Answer:
    """Give the true answer in an odd shape; other answers, and by other faults, are as they are."""
    if answer.status != 200 or name not in SHAPES:
        return answer
    if name == "octet-stream":
        return replace(answer, content_type="application/octet-stream")
    if name == "no-services":
        return replace(answer, body=b'{"nbTotalServices":0,"serviceSouscrit":[]}')
    if name == "two-meters":
        return replace(answer, body=_of_two_meters(answer.body))
    if name == "cut-json":
        return replace(answer, body=_cut(answer.body))
    return replace(answer, body=_in_lines(name, answer.body.decode().splitlines()).encode())


def _of_two_meters(body: bytes) -> bytes:
    """Let the services be those of another meter, too."""
    found = json.loads(body)
    services = found["serviceSouscrit"]
    services += [{**one, "pointId": _ANOTHER_METER} for one in services]
    return text_of({**found, "nbTotalServices": len(services)}).encode()


def _cut(body: bytes) -> bytes:
    """Leave the end out: of a small body a quarter, of others 40 bytes."""
    whole = body.rstrip()
    return whole[: -max(2, min(40, len(whole) // 4))]


def _in_lines(name: str, lines: list[str]) -> str:
    if name == "crlf":
        return "".join(f"{line}\r\n" for line in lines)
    if name == "glued":
        objects = (json.loads(line) for line in lines)
        return "".join(json.dumps(one, indent=2, ensure_ascii=False) for one in objects)
    if name == "doubled":
        return "".join(f"{line}\n{line}\n" for line in lines)
    if name == "cut-line":
        middle = len(lines) // 2
        lines[middle] = lines[middle][: len(lines[middle]) // 2]
        return "".join(f"{line}\n" for line in lines)
    failed = {**json.loads(lines[0]), "consommation": None, **_status("partial-error")}
    return "".join(f"{line}\n" for line in [text_of(failed), *lines[1:]])


def _by_enedis(name: str, family: Family) -> Answer:
    said = _BY_ENEDIS[name]
    if family == "2026" and name != "before-activation":
        code = said.code_2026 or said.code
        return _json(said.status, {"code": code, "message": said.words})
    told = {"error": said.code, "error_description": said.words}
    return _json(said.status, told if family == "2026" else {**told, "error_uri": _DOC})


def _gateway(name: str, family: Family, now: datetime) -> Answer | None:
    """Give what the gateway before Enedis says, if it is one of its errors."""
    if name == "token-expired":
        return _json(401, {"code": "900901", "message": "Invalid Credentials"})
    if name == "reduced-scope":
        words = "The access token does not allow you to access the requested resource"
        return _json(403, {"code": "900910", "message": words})
    if name == "not-subscribed":
        return _json(403, {"code": "900908", "message": "API Subscription validation failed"})
    if name == "quota-nested":
        told = {"code": 900807, "message": "Message throttled out", "description": "(quota)"}
        return _json(429, {"fault": told})
    if name == "quota-nonsense":
        words = "Quota Q4 reached Call threshold allowed on 0:-30:-40"
        return _json(429, {"error": "429", "error_description": words})
    if name in _QUOTAS:
        return _quota(name, family, now)
    return None


def _quota(name: str, family: Family, now: datetime) -> Answer:
    if family != "2026":
        which = "Q3" if name == "quota-second" else "Q4"
        words = f"Quota {which} reached"
        return _json(429, {"error": "429", "error_description": words})
    utc = now.astimezone(UTC).replace(microsecond=0)
    full_hour = utc.replace(minute=0, second=0) + timedelta(hours=1)
    next_at = utc + timedelta(seconds=1) if name == "quota-second" else full_hour
    told = {
        "code": "900804",
        "message": "Message throttled out",
        "description": _QUOTAS[name],
        "nextAccessTime": f"{next_at:%Y-%b-%d %H:%M:%S}+0000 UTC",
    }
    return _json(429, told)


def _by_grdf(name: str, about: Mapping[str, object]) -> Answer:
    if name == "token-expired":
        return _json(401, {"error": "invalid_token"})
    if name == "reduced-scope":
        return _json(403, {"error": "insufficient_scope"})
    if name in _QUOTAS:
        told = {"error": "too_many_requests", "error_description": _QUOTAS[name]}
        return _json(429, told)
    if name == "unknown-meter":
        return treated(404, "1000000006", "(PCE inconnu)")
    if name == "technical-error":
        return treated(500, "2000000007", "(erreur technique)")
    if name in ("too-early", "invalid-request"):
        words = (
            "(profondeur d'historique dépassée)" if name == "too-early" else "(requête invalide)"
        )
        told = {"code": "(400)", "message": words}
        return _json(400, {"statut_restitution": told})
    record = {**about, "consommation": None, **_status(name)}
    return Answer(200, f"{text_of(record)}\n".encode(), "application/nd-json")


def _status(name: str) -> dict[str, object]:
    code, words = _BY_GRDF[name]
    return {"statut_restitution": {"code": code, "message": words}}


def treated(status: int, code: str, words: str) -> Answer:
    """Give what GRDF says of a right, or of what it cannot treat."""
    told = {"code_statut_traitement": code, "message_retour_traitement": words}
    return _json(status, told)


def _json(status: int, content: object) -> Answer:
    return Answer(status, text_of(content).encode())


def text_of(content: object) -> str:
    """Write JSON as the services do: without blanks, and accents as they are."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
