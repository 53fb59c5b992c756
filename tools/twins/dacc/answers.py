"""What the DACC, and the cozy-stack in front of it, answer to a request: pure functions.

A request goes in; out comes a ruling: the answer word for word, what is to be said about the
indicator, and whether the DACC's database would hold it. The two differ, for the DACC answers 201
to much that its database refuses, and stores much that spoils its statistics.
"""

from __future__ import annotations

import hmac
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, cast
from urllib.parse import unquote_to_bytes

from ..exchange import Answer, answer_json
from .exchange import Ruling, unread
from .indicator import Flaw, IndicatorRefusedError, read_object, weigh
from .leaks import leaks_of
from .stack import (
    DOCTYPES,
    INVALID_TOKEN,
    INVALID_TOKEN_AS_JSON,
    NO_TOKEN,
    NO_VALUE,
    WANTED,
    stack_error,
)

if TYPE_CHECKING:
    from ..exchange import Request
    from .exchange import Target, Terms
    from .indicator import JsonObject

__all__ = ["UNAUTHORIZED", "Endpoint", "endpoint", "rule", "stack_of", "too_fast"]

CREATED = answer_json(201, {"ok": True})
UNAUTHORIZED = Answer(
    401,
    b"Unauthorized Access",
    "text/html",
    (("WWW-Authenticate", 'Bearer realm="Authentication Required"'),),
)


class Endpoint(NamedTuple):
    """Where indicators are taken: a doctype of the stack, the DACC itself, or both in one.

    ``stack`` is what stands before that, without the slashes around it.
    """

    kind: Literal["remote", "measure", "both"]
    stack: str
    doctype: str = ""


def endpoint(path: str) -> Endpoint | None:
    """Say what is at a path; any path may stand before ``/measure``, ``/remote/…`` and ``/``."""
    *above, last = path.split("/")
    if last and above and above[-1] == "remote":
        return Endpoint("remote", _name(above[:-1]), last)
    if last == "measure":
        return Endpoint("measure", _name(above))
    if not last and {"measure", "remote", "api"}.isdisjoint(above):
        return Endpoint("both", _name(above))
    return None


def _name(folders: list[str]) -> str:
    encoded = "/".join(folders).strip("/").encode("latin-1", "replace")
    return unquote_to_bytes(encoded).decode("utf-8", "backslashreplace")


def stack_of(path: str) -> str:
    """Give the stack that a path names; empty where it names none."""
    place = endpoint(path)
    return place.stack if place else ""


def rule(request: Request, terms: Terms) -> Ruling:
    """Say what becomes of a request that the server could read."""
    place = endpoint(request.path)
    if place is None:
        return unread(404, "nothing is here; try /measure or /remote/cc.cozycloud.dacc")
    ruling = _ruled(request, place, terms)
    return replace(ruling, stack=place.stack, leaks=leaks_of(request, ruling))


def too_fast(ruling: Ruling, wait_s: float) -> Ruling:
    """Refuse a request that came too fast, whatever it is, for this many seconds."""
    answer = answer_json(429, {"error": "too many requests"})
    # In whole seconds, rounded up, so that who waits them is let in; the microseconds below are
    # what floating point adds.
    told = (("Retry-After", str(max(1, math.ceil(round(wait_s, 6))))),)
    return replace(
        ruling,
        answer=replace(answer, headers=told),
        verdict=f"refused: 429 too many requests, for {wait_s:.3f} s",
        stored=False,
        too_fast=True,
    )


def _ruled(request: Request, place: Endpoint, terms: Terms) -> Ruling:
    if place.kind == "remote":
        return _by_stack(request, place.doctype, terms)
    if request.method != "POST":
        return unread(405, "only POST is allowed here")
    if place.kind == "both":
        variables = read_object(request.body)
        if variables is not None and "data" in variables:
            target: Target = "cozy-v2" if "path" in variables else "cozy-v1"
            return _turned_away(request, target, terms) or _forwarded(variables, target, terms)
    return _by_dacc(request, terms)


def _by_stack(request: Request, doctype: str, terms: Terms) -> Ruling:
    """Rule as the stack does: the token first, then the doctype, the method, the envelope."""
    target = DOCTYPES.get(doctype)
    refused = _turned_away(request, target or "cozy-v1", terms)
    if refused is not None:
        return refused
    if target is None:
        unknown = _stopped(404, "the doctype has no request defined", "cozy-v1")
        return replace(unknown, flawed=request.method == "POST")
    if request.method != "POST":
        return _stopped(405, f"{request.method} is not allowed on this endpoint", target)
    return _forwarded(read_object(request.body), target, terms)


def _turned_away(request: Request, target: Target, terms: Terms) -> Ruling | None:
    """Check the app's token as the stack does, which lets the DACC's own token go on."""
    if _authorized(request.authorization, terms.token):
        return None
    if not _bearer(request.authorization):
        return _stopped(401, NO_TOKEN, target)
    return replace(_stopped(400, INVALID_TOKEN, target), answer=INVALID_TOKEN_AS_JSON)


def _stopped(status: int, detail: str, target: Target) -> Ruling:
    verdict = f"refused: {status} by the stack, {detail}"
    return Ruling(stack_error(status, detail), verdict, target=target)


def _forwarded(variables: JsonObject | None, target: Target, terms: Terms) -> Ruling:
    """Do with an envelope what the stack does: check it, send its data on, pass the answer on."""
    if variables is None or not all(isinstance(value, str) for value in variables.values()):
        return replace(_stopped(400, "the variables are not valid", target), flawed=True)
    if WANTED[target] - variables.keys():
        return replace(_stopped(400, NO_VALUE, target), flawed=True)
    if target == "cozy-v2" and variables["path"] != "measure":
        nowhere = unread(404, "the DACC has nothing at this path")
        return replace(nowhere, target=target, flawed=True)
    ruling = _weighed(cast("str", variables["data"]), target, terms, json_declared=True)
    unused = sorted(variables.keys() - WANTED[target])
    if not unused:
        return ruling
    beside = replace(ruling, beside={key: variables[key] for key in unused})
    return _blamed(beside, [f"the envelope has the unknown key {key}" for key in unused])


def _blamed(ruling: Ruling, sentences: list[str]) -> Ruling:
    if ruling.answer is not CREATED:
        return ruling
    earlier = [] if ruling.verdict == "ok" else [ruling.verdict.removeprefix("invalid: ")]
    return replace(ruling, verdict="invalid: " + "; ".join(earlier + sentences), flawed=True)


def _by_dacc(request: Request, terms: Terms) -> Ruling:
    """Rule as the DACC does: the token first, then the body, then its fields one by one."""
    json_declared = _declares_json(request.content_type)
    ruling = _weighed(request.body, "native", terms, json_declared=json_declared)
    if _authorized(request.authorization, terms.token):
        return ruling
    verdict = "refused: 401 Unauthorized Access"
    return replace(ruling, answer=UNAUTHORIZED, verdict=verdict, stored=False)


def _weighed(letter: bytes | str, target: Target, terms: Terms, *, json_declared: bool) -> Ruling:
    text = letter if isinstance(letter, str) else letter.decode("utf-8", "backslashreplace")
    indicator = read_object(letter)
    try:
        flaws = _examined(indicator, terms, json_declared=json_declared)
    except IndicatorRefusedError as refused:
        answer = answer_json(refused.status, {"error": refused.sentence})
        verdict = f"invalid: {refused.sentence}"
        return Ruling(answer, verdict, False, target, text, indicator, flawed=True)
    verdict = "invalid: " + "; ".join(flaw.sentence for flaw in flaws) if flaws else "ok"
    counts = all(flaw.kept for flaw in flaws)
    stored = counts or not terms.strict
    return Ruling(
        CREATED, verdict, stored, target, text, indicator, counts=counts, flawed=bool(flaws)
    )


def _authorized(authorization: str, token: str | None) -> bool:
    given = _bearer(authorization).encode("latin-1", "replace")
    return token is None or hmac.compare_digest(given, token.encode())


def _bearer(authorization: str) -> str:
    scheme, _, given = authorization.partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _declares_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _examined(indicator: JsonObject | None, terms: Terms, *, json_declared: bool) -> list[Flaw]:
    """Give what the DACC does not notice; raises IndicatorRefusedError for what it does."""
    try:
        return weigh(indicator, json_declared=json_declared, group_keys=terms.group_keys)
    except IndicatorRefusedError as refused:
        if terms.strict:
            raise
        return [Flaw(refused.sentence, kept=False)]
