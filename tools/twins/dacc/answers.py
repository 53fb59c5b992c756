"""What the DACC, and the cozy-stack in front of it, answer to a request: pure functions.

A request goes in; out comes a ruling: the answer word for word, what is to be said about the
indicator, and whether the DACC's database would hold it. The two differ, for the DACC answers 201
to much that its database refuses, and stores much that spoils its statistics.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, cast

from .indicator import Flaw, IndicatorRefusedError, read_object, weigh

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..faults import Fault
    from .indicator import JsonObject

__all__ = [
    "Answer",
    "Endpoint",
    "Request",
    "Ruling",
    "Terms",
    "answer_json",
    "endpoint",
    "rule",
    "unread",
    "with_fault",
]

Target: TypeAlias = Literal["native", "cozy-v1", "cozy-v2"]

DOCTYPES: Mapping[str, Target] = {
    "cc.cozycloud.dacc": "cozy-v1",
    "cc.cozycloud.dacc.dev": "cozy-v1",
    "cc.cozycloud.dacc_v2": "cozy-v2",
    "cc.cozycloud.dacc.dev_v2": "cozy-v2",
}
# The variables that a doctype's request template uses.
_WANTED: Mapping[Target, frozenset[str]] = {
    "cozy-v1": frozenset({"data"}),
    "cozy-v2": frozenset({"data", "path"}),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What is read of an HTTP request; absent headers are empty."""

    method: str
    path: str
    content_type: str
    authorization: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """What the stand-in insists on.

    Without a ``token`` any or none will do; not ``strict``, every readable indicator is stored and
    answered 201, and what is wrong with it only said.
    """

    token: str | None = None
    strict: bool = True


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a request.

    ``verdict`` is ``ok``, ``invalid: …`` (the indicator), ``refused: …`` (the request) or
    ``fault: …``; ``text`` is the indicator as received. No answer: the connection just ends.
    """

    answer: Answer | None
    verdict: str
    stored: bool = False
    target: Target = "native"
    text: str | None = None
    indicator: JsonObject | None = None


class Endpoint(NamedTuple):
    """Where indicators are taken: a doctype of the stack, the DACC itself, or both in one."""

    kind: Literal["remote", "measure", "both"]
    doctype: str = ""


def answer_json(status: int, content: object) -> Answer:
    """Give an answer whose body is this content."""
    return Answer(status, json.dumps(content).encode())


CREATED = answer_json(201, {"ok": True})
UNAUTHORIZED = Answer(
    401,
    b"Unauthorized Access",
    "text/html",
    (("WWW-Authenticate", 'Bearer realm="Authentication Required"'),),
)


def endpoint(path: str) -> Endpoint | None:
    """Say what is at a path; any path may stand before ``/measure``, ``/remote/…`` and ``/``."""
    *above, last = path.split("/")
    if last and above and above[-1] == "remote":
        return Endpoint("remote", last)
    if last == "measure":
        return Endpoint("measure")
    if not last and {"measure", "remote", "api"}.isdisjoint(above):
        return Endpoint("both")
    return None


def rule(request: Request, terms: Terms) -> Ruling:
    """Say what becomes of a request that the server could read."""
    place = endpoint(request.path)
    if place is None:
        return unread(404, "nothing is here; try /measure or /remote/cc.cozycloud.dacc")
    if place.kind == "remote":
        return _by_stack(request, place.doctype, terms)
    if request.method != "POST":
        return unread(405, "only POST is allowed here")
    if place.kind == "both":
        variables = read_object(request.body)
        if variables is not None and "data" in variables:
            target: Target = "cozy-v2" if "path" in variables else "cozy-v1"
            return _forwarded(request, variables, target, terms)
    return _by_dacc(request, request.body, "native", terms)


def unread(status: int, sentence: str) -> Ruling:
    """Rule about a request that is refused before its body matters."""
    return Ruling(answer_json(status, {"error": sentence}), f"refused: {status} {sentence}")


def with_fault(ruling: Ruling, fault: Fault) -> Ruling:
    """Put a fault in the place of an answer; faults that only delay or withhold it change nothing.

    The DACC's own 401 comes through the stack as the stack makes it; a status is sent as it is.
    """
    if fault.name == "html-401":
        through_stack = ruling.target != "native"
        answer: Answer | None = BAD_GATEWAY if through_stack else UNAUTHORIZED
    elif fault.name == "cozy-502":
        answer = BAD_GATEWAY
    elif fault.name == "retry-after":
        told = (("Retry-After", f"{fault.value:.0f}"),)
        answer = replace(answer_json(503, {"error": "fault injected"}), headers=told)
    elif fault.name == "status":
        answer = _bare_status(int(fault.value))
    elif fault.name in ("drop", "reset", "garbage"):
        answer = None
    else:
        return ruling
    return replace(ruling, answer=answer, verdict=f"fault: {fault}", stored=False)


def _bare_status(status: int) -> Answer:
    if status >= 400:
        return answer_json(status, {"error": "fault injected"})
    # Below 400 it must not look like the DACC's yes, for nothing is stored.
    elsewhere = (("Location", "http://elsewhere.invalid/measure"),) if status // 100 == 3 else ()
    return Answer(status, b"<p>fault injected</p>", "text/html", elsewhere)


def _stack_error(status: int, detail: str) -> Answer:
    title = HTTPStatus(status).phrase
    error = {"status": str(status), "title": title, "detail": detail, "source": {}}
    return answer_json(status, {"errors": [error]})


BAD_GATEWAY = _stack_error(502, "the content-type for the response is not authorized")


def _by_stack(request: Request, doctype: str, terms: Terms) -> Ruling:
    target = DOCTYPES.get(doctype)
    if target is None:
        return _stopped(404, "the doctype has no request defined", "cozy-v1")
    if request.method != "POST":
        return _stopped(405, "only POST is allowed here", target)
    return _forwarded(request, read_object(request.body), target, terms)


def _stopped(status: int, detail: str, target: Target) -> Ruling:
    verdict = f"refused: {status} by the stack, {detail}"
    return Ruling(_stack_error(status, detail), verdict, target=target)


def _forwarded(
    request: Request, variables: JsonObject | None, target: Target, terms: Terms
) -> Ruling:
    """Do with an envelope what the stack does: check it, send its data on, filter the answer."""
    if variables is None or not all(isinstance(value, str) for value in variables.values()):
        return _stopped(400, "the variables are not valid", target)
    if _WANTED[target] - variables.keys():
        detail = "a variable is used in the template, but no value was given"
        return _stopped(400, detail, target)
    if target == "cozy-v2" and variables["path"] != "measure":
        return replace(unread(404, "the DACC has nothing at this path"), target=target)
    ruling = _by_dacc(request, cast("str", variables["data"]), target, terms)
    if ruling.answer is UNAUTHORIZED:
        verdict = "refused: 502 by the stack, as the DACC says 401 Unauthorized Access"
        return replace(ruling, answer=BAD_GATEWAY, verdict=verdict)
    unused = sorted(variables.keys() - _WANTED[target])
    return _blamed(ruling, [f"the envelope has the unknown key {key}" for key in unused])


def _blamed(ruling: Ruling, sentences: list[str]) -> Ruling:
    if not sentences or ruling.answer is not CREATED:
        return ruling
    earlier = [] if ruling.verdict == "ok" else [ruling.verdict.removeprefix("invalid: ")]
    return replace(ruling, verdict="invalid: " + "; ".join(earlier + sentences))


def _by_dacc(request: Request, letter: bytes | str, target: Target, terms: Terms) -> Ruling:
    """Rule as the DACC does: the token first, then the body, then its fields one by one."""
    text = letter if isinstance(letter, str) else letter.decode("utf-8", "backslashreplace")
    indicator = read_object(letter)
    if not _authorized(request.authorization, terms.token):
        verdict = "refused: 401 Unauthorized Access"
        return Ruling(UNAUTHORIZED, verdict, False, target, text, indicator)
    json_declared = target != "native" or _declares_json(request.content_type)
    try:
        flaws = _examined(indicator, terms, json_declared=json_declared)
    except IndicatorRefusedError as refused:
        answer = answer_json(refused.status, {"error": refused.sentence})
        return Ruling(answer, f"invalid: {refused.sentence}", False, target, text, indicator)
    verdict = "invalid: " + "; ".join(flaw.sentence for flaw in flaws) if flaws else "ok"
    stored = not terms.strict or all(flaw.kept for flaw in flaws)
    return Ruling(CREATED, verdict, stored, target, text, indicator)


def _authorized(authorization: str, token: str | None) -> bool:
    if token is None:
        return True
    scheme, _, given = authorization.partition(" ")
    same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
    return scheme.lower() == "bearer" and same


def _declares_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )


def _examined(indicator: JsonObject | None, terms: Terms, *, json_declared: bool) -> list[Flaw]:
    """Give what the DACC does not notice; raises IndicatorRefusedError for what it does."""
    if indicator is None:
        raise IndicatorRefusedError(500, "the body is no JSON object")
    try:
        return weigh(indicator, json_declared=json_declared)
    except IndicatorRefusedError as refused:
        if terms.strict:
            raise
        return [Flaw(refused.sentence, kept=True)]
