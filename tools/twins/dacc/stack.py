"""What the cozy-stack knows, and what it says for itself before or after it asks the DACC."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from ..exchange import Answer, answer_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .exchange import Target

__all__ = [
    "BAD_GATEWAY",
    "CANT_CONNECT",
    "DOCTYPES",
    "EXPIRED_TOKEN",
    "FORBIDDEN",
    "INVALID_REQUEST",
    "INVALID_TOKEN",
    "INVALID_TOKEN_AS_JSON",
    "INVALID_TOKEN_AS_TEXT",
    "NO_DACC_TOKEN",
    "NO_TOKEN",
    "NO_VALUE",
    "WANTED",
    "stack_error",
]

DOCTYPES: Mapping[str, Target] = {
    "cc.cozycloud.dacc": "cozy-v1",
    "cc.cozycloud.dacc.dev": "cozy-v1",
    "cc.cozycloud.dacc_v2": "cozy-v2",
    "cc.cozycloud.dacc.dev_v2": "cozy-v2",
}
# The variables that a doctype's request template uses.
WANTED: Mapping[Target, frozenset[str]] = {
    "cozy-v1": frozenset({"data"}),
    "cozy-v2": frozenset({"data", "path"}),
}
NO_TOKEN = "No token in request"
INVALID_TOKEN = "Invalid JWT token"
NO_VALUE = "a variable is used in the template, but no value was given"


def stack_error(status: int, detail: str) -> Answer:
    """Give an answer in the form in which the stack puts its own errors."""
    # The stack writes this one title, of all its titles, with one capital.
    title = "Bad request" if status == 400 else HTTPStatus(status).phrase
    error = {"status": str(status), "title": title, "detail": detail, "source": {}}
    return answer_json(status, {"errors": [error]})


FORBIDDEN = stack_error(403, "Forbidden")
INVALID_REQUEST = stack_error(400, "the request is not valid")
NO_DACC_TOKEN = stack_error(400, NO_VALUE)
BAD_GATEWAY = stack_error(502, "the content-type for the response is not authorized")
CANT_CONNECT = stack_error(502, "can't connect to the remote host")
# What it says of a token that it does not take comes in two other forms.
EXPIRED_TOKEN = answer_json(400, {"error": "Expired token"})
INVALID_TOKEN_AS_JSON = answer_json(400, {"error": INVALID_TOKEN})
INVALID_TOKEN_AS_TEXT = Answer(400, INVALID_TOKEN.encode(), "text/plain; charset=UTF-8")
