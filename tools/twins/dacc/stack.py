"""What the cozy-stack knows, and what it says for itself before or after it asks the DACC."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from .exchange import answer_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .exchange import Answer, Target

__all__ = [
    "BAD_GATEWAY",
    "DOCTYPES",
    "INVALID_TOKEN",
    "INVALID_TOKEN_AS_JSON",
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


BAD_GATEWAY = stack_error(502, "the content-type for the response is not authorized")
# What it says of a token that it does not take comes in another form.
INVALID_TOKEN_AS_JSON = answer_json(400, {"error": INVALID_TOKEN})
