"""Meters: the usage points of Enedis, the PCE of GRDF; their ids are always text.

An id points to a person's home: no error, log or list shows more of it than its end.
"""

import re
from typing import Final

from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.errors import InputRefused, kind_of

__all__ = ["FLUIDS_OF", "PROVIDERS", "check_meter", "shortened"]

PROVIDERS: Final[tuple[Provider, ...]] = ("enedis", "grdf")
"""Who gives readings, always in this order."""
FLUIDS_OF: Final = {"enedis": "electricity", "grdf": "gas"}
"""What each provider's meters measure."""

_DIGITS = 14
_GAS = re.compile(r"GI\d{6}", re.ASCII)
_ALLOWED: Final = {
    "enedis": "14 digits, as text",
    "grdf": "14 digits, or GI and 6 digits, as text",
}
_SHOWN = 3


def check_meter(found: object, provider: Provider, field: str = "meter") -> str:
    """Check a meter's id; blanks in it are left out.

    Raises `InputRefused`, which does not show it.
    """
    if not isinstance(found, str):
        reason = f"found {kind_of(found).split()[0]} that is no text"
        raise InputRefused(field, f"{reason}; allowed: {_ALLOWED[provider]}")
    text = "".join(found.split()).upper()
    if _is_digits(text) and len(text) == _DIGITS:
        return text
    if provider == "grdf" and _GAS.fullmatch(text):
        return text
    raise InputRefused(field, f"found {_words(text)}; allowed: {_ALLOWED[provider]}")


def shortened(meter: str) -> str:
    """Give as much of a meter's id as may be shown: its last digits."""
    return f"…{meter[-_SHOWN:]}"


def _words(text: str) -> str:
    """Say what is wrong with an id, and how that comes about mostly."""
    if not _is_digits(text):
        return f"{len(text)} characters that are not all digits"
    words = f"{len(text)} digits"
    if len(text) == _DIGITS - 1:
        words += " (a zero at the front may be lost, as in a spreadsheet)"
    return words


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
