"""The codes by which the providers tell what is the matter, in one spelling."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

__all__ = ["UNKNOWN", "Said", "normal_code", "said_in"]

UNKNOWN = "UNKNOWN"
"""What stands for a code that is none, so that nothing else is shown in its place."""

_LONGEST_MESSAGE = 500
# No name of a meter, and no token, is a code.
_PART = r"(?:[A-Z]{1,16}|[A-Z]{0,6}\d{1,10})"
_CODE = re.compile(rf"(?!GI-?\d){_PART}(?:-{_PART}){{0,4}}", re.ASCII)
_SHORT = re.compile(r"(?:DC-|ERR)\d+", re.ASCII)
_ZEROS = re.compile(r"0+", re.ASCII)


class Said(Struct, frozen=True):
    """What an answer, or a part of one, says of itself."""

    code: str
    """In one spelling; empty where it gave none."""
    message: str
    """As it came, cut to 500 characters: it is searched, and never shown."""
    field: str = ""
    """Which field told it."""


def normal_code(found: object) -> str:
    """Give a code in capitals with hyphens, its prefix once; empty where there is none."""
    if isinstance(found, Decimal):
        found = f"{found:f}" if abs(found.adjusted()) < 20 else UNKNOWN
    if not isinstance(found, str):
        return "" if found is None else UNKNOWN
    code = "-".join(found.strip(" ()").upper().replace("_", " ").split())
    while code.startswith("ADAM-ADAM-"):
        code = code.removeprefix("ADAM-")
    if _SHORT.fullmatch(code):
        code = f"ADAM-{code}"
    if not code:
        return ""
    return code if _CODE.fullmatch(code) else UNKNOWN


def said_in(found: Mapping[str, Any]) -> Said | None:
    """Find what an object says of itself, in any of the shapes in use; None if it says nothing.

    That all is well is nothing: it has a code of zeros.
    """
    for field, code_key, message_keys in (
        ("statut_restitution", "code", ("message",)),
        ("fault", "code", ("message", "description")),
        ("", "code_statut_traitement", ("message_retour_traitement",)),
        ("", "error", ("error_description",)),
        ("", "code", ("message", "description")),
    ):
        inner = found.get(field) if field else found
        if isinstance(inner, str | Decimal):
            inner = {code_key: inner}
        if not isinstance(inner, Mapping):
            continue
        code = normal_code(inner.get(code_key))
        message = " ".join(text for key in message_keys if isinstance(text := inner.get(key), str))
        if _ZEROS.fullmatch(code) or not (code or (field and message)):
            continue
        return Said(code, message[:_LONGEST_MESSAGE], field or code_key)
    return None
