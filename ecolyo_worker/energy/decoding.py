"""JSON as the providers write it: numbers are exact, and little of it is ever shown."""

import json
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from ecolyo_worker.errors import AnswerUnreadable, kind_of
from ecolyo_worker.readings import LARGEST

__all__ = ["MOST_BYTES", "amount", "described", "read_json", "whole"]

MOST_BYTES = 32 * 2**20
"""The longest answer that is read; three years of half-hours have a sixth of it."""

_MOST_WH = LARGEST * 1000
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
# Units and words of an enumeration; numbers, times and lengths. No token is as plain.
_WORD = re.compile(r"[^\W\d_]{0,12}")
_FIGURES = re.compile(r"[-+\d.,:/TZPWhkMH ]{1,26}", re.ASCII)
# As a meter is named.
_NAME = re.compile(r"\d{9}|GI ?\d", re.ASCII)


def _exact(text: str) -> Decimal:
    """Read any number that JSON may hold; no number where it is beyond all bounds."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _tidy(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Take off what slips in around a key: one of GRDF's ends with a second colon."""
    return {key.strip(" :\t"): value for key, value in pairs}


_PLAIN = json.JSONDecoder(parse_float=_exact, parse_int=_exact, parse_constant=_exact)
_TIDY = json.JSONDecoder(
    parse_float=_exact, parse_int=_exact, parse_constant=_exact, object_pairs_hook=_tidy
)


def read_json(body: bytes, *, tidy: bool = False) -> object:
    """Read JSON, whatever its header says it is: each number as a `Decimal`.

    With `tidy` the keys lose stray blanks and colons. Raises `AnswerUnreadable`.
    """
    if len(body) > MOST_BYTES:
        raise AnswerUnreadable(f"found more than {MOST_BYTES} bytes, which is the most")
    text = body.decode("utf-8-sig", "replace").strip()
    if not text:
        raise AnswerUnreadable("found nothing; allowed: JSON")
    try:
        found: object = (_TIDY if tidy else _PLAIN).decode(text)
    except RecursionError:
        raise AnswerUnreadable("found JSON that is nested too deep") from None
    except json.JSONDecodeError as error:
        what = "HTML" if text.startswith("<") else "no valid JSON"
        place = f"({error.msg}, at character {error.pos + 1} of {len(text)})"
        raise AnswerUnreadable(f"found {what} {place}; allowed: JSON") from None
    return found


def described(found: object) -> str:
    """Say in words what was found, without anything that may name a meter or be a token."""
    if isinstance(found, Decimal):
        text = str(found)
        return f"the number {text}" if _is_showable(text) else "a number of many digits"
    if isinstance(found, str) and not _is_showable(found):
        return f"a text of {len(found)} characters"
    return kind_of(found)


def whole(found: object) -> int:
    """Read a whole number that is not negative, also from text; raises `ValueError` in words."""
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 10:
        return int(found)
    value = amount(found, _MOST_WH)
    if value != value.to_integral_value():
        raise ValueError(f"found {described(found)}; allowed: a whole number")
    return int(value)


def amount(found: object, most: int = LARGEST) -> Decimal:
    """Read a number from 0 to a highest one, also from text; raises `ValueError` in words."""
    value = found
    if isinstance(found, str):
        text = found.strip()
        value = Decimal(text) if _NUMBER.fullmatch(text) else None
    if not isinstance(value, Decimal) or not value.is_finite() or not 0 <= value <= most:
        raise ValueError(f"found {described(found)}; allowed: a number from 0 to {most}")
    return value


def _is_showable(text: str) -> bool:
    if _WORD.fullmatch(text):
        return True
    return _FIGURES.fullmatch(text) is not None and _NAME.search(text) is None
