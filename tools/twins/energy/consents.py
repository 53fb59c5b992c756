"""The pages on which a holder consents: they say yes at once, and lead back to the application.

The page gives the meter whose number stands in ``usage_point_id`` or ``pce``, else the one that the
last digit of ``state`` counts to, as in Enedis' sandbox, else the first. Where ``redirect_uri`` is
not in the address, the one of the command line is led back to.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ..exchange import Answer, answer_json
from .refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .meters import Meter
    from .routes import Call
    from .tokens import Tokens

__all__ = ["asked_meter", "consent_number", "denied", "redirected", "wrong"]

LONGEST_STATE = 100
MOST_DAYS = 3 * 366
_DURATION = re.compile(r"P(?P<number>[0-9]{1,4})(?P<unit>[DWMY])")
_DAYS = {"D": 1, "W": 7, "M": 30, "Y": 365}


def consent_number(ident: str) -> int:
    """Give the number of a meter's consent of 2026, always the same."""
    return zlib.crc32(ident.encode())


def asked_meter(call: Call, meters: Sequence[Meter]) -> Meter:
    """Give the meter whose holder is asked; raises RefusedError if there is none."""
    own = [meter for meter in meters if meter.is_gas == (call.provider == "grdf")]
    named = call.given.get("usage_point_id", call.given.get("pce", ""))
    chosen = [meter for meter in own if meter.ident == named] if named else own
    if not chosen:
        raise RefusedError("unknown-meter")
    last = call.given.get("state", "")[-1:]
    place = int(last) if last.isascii() and last.isdigit() else 0
    return chosen[place] if place < len(chosen) else chosen[0]


def wrong(call: Call) -> Answer | None:
    """Give the answer to what is no right question to the page; None if it is one."""
    given = call.given
    for name in ("client_id", "response_type", "state"):
        if not given.get(name):
            return _invalid("missing_parameter", name)
    if len(given["state"]) > LONGEST_STATE:
        return _invalid("invalid_state", f"more than {LONGEST_STATE} characters")
    return _wrong_duration(given) if call.provider == "enedis" else None


def redirected(call: Call, meter: Meter, tokens: Tokens, to: str | None, issuer: str) -> Answer:
    """Lead back with what the page gives; ``to`` is where to if the address does not say."""
    given: dict[str, str] = {}
    if call.series == "authorize-v2":
        given["autorisation_id"] = str(consent_number(meter.ident))
    elif call.series == "authorize-grdf":
        given = {"code": tokens.code("grdf", meter.ident), "iss": issuer}
        given["client_id"] = call.given["client_id"]
    else:
        given["code"] = tokens.code("v4", meter.ident)
    given["state"] = call.given["state"]
    if call.series == "authorize-v1":
        given["usage_point_id"] = meter.ident
    return _back(call, to, given)


def denied(call: Call, to: str | None) -> Answer:
    """Lead back with the holder's no."""
    given = {"error": "access_denied", "error_description": "(refused by the holder)"}
    return _back(call, to, {**given, "state": call.given.get("state", "")})


def _back(call: Call, to: str | None, given: Mapping[str, str]) -> Answer:
    target = call.given.get("redirect_uri") or to
    if not target:
        return _invalid("missing_parameter", "redirect_uri; --redirect-uri gives it for all")
    joined = f"{target}{'&' if '?' in target else '?'}{urlencode(given)}"
    return Answer(302, b"", "text/html", (("Location", joined),))


def _wrong_duration(given: Mapping[str, str]) -> Answer | None:
    text = given.get("duration", "")
    if not text:
        return _invalid("missing_parameter", "duration")
    match = _DURATION.fullmatch(text)
    if match is None:
        return _invalid("invalid_duration_format", "allowed is as in P6M")
    if int(match["number"]) * _DAYS[match["unit"]] > MOST_DAYS:
        return _invalid("maximum_duration_exceeded", "at most 3 years")
    return None


def _invalid(what: str, words: str) -> Answer:
    told = {"error": "invalid_request", "error_description": f"{what}: {words}"}
    return answer_json(400, told)
