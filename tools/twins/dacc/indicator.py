"""An indicator as the DACC looks at it: what it refuses, and what it fails to notice."""

from __future__ import annotations

import json
import math
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from .definitions import GROUPS, shipped_group_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from .definitions import GroupKeys

__all__ = [
    "Flaw",
    "IndicatorRefusedError",
    "JsonObject",
    "Written",
    "is_day",
    "read_object",
    "weigh",
    "written",
]

JsonObject: TypeAlias = dict[str, object]

FIELDS = frozenset({"createdBy", "measureName", "startDate", "value", *GROUPS})
# What the columns of the DACC's database hold.
LONGEST_TEXT = 100
VALUE_LIMIT = 1e10
# Spellings that the DACC takes for a date and its database does not.
DATE_SPELLINGS = (
    "%Y-%m",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%d.%m.%Y",
    "%Y-%m-%d",
    "%Y%m%d",
    "%Y",
)

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<time_of_day>[T ].+)?")


class Written(float):
    """A number that is no integer, and knows how it was written."""

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Self:
        """Read it from a text."""
        number = super().__new__(cls, text)
        number.text = text
        return number


def written(value: object) -> str:
    """Give a value as JSON, a number as it was written."""
    return value.text if isinstance(value, Written) else json.dumps(value)


class Flaw(NamedTuple):
    """Something wrong that the DACC does not say; ``kept`` if its database holds the row."""

    sentence: str
    kept: bool


class IndicatorRefusedError(Exception):
    """The DACC says no, with this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def read_object(text: bytes | str) -> JsonObject | None:
    """Read a JSON object, by the rules of the DACC's parser, which takes NaN and Infinity too."""
    try:
        decoded = text if isinstance(text, str) else text.decode()
        content = json.loads(decoded, parse_float=Written)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def weigh(
    indicator: JsonObject | None,
    *,
    json_declared: bool = True,
    group_keys: GroupKeys | None = None,
) -> list[Flaw]:
    """Check in the DACC's order: content type, then the fields name, value, date, groups.

    The measures and their ``group_keys`` are those of the package's definitions by default. Gives
    what the DACC does not notice; raises IndicatorRefusedError for the first thing it does. None
    stands for what is no JSON object.
    """
    if indicator is None:
        raise IndicatorRefusedError(500, "the body is no JSON object")
    if not json_declared:
        raise IndicatorRefusedError(500, "the content type is not application/json")
    if "measureName" not in indicator:
        raise IndicatorRefusedError(500, "'measureName'")
    known = shipped_group_keys() if group_keys is None else group_keys
    name = indicator["measureName"]
    if not isinstance(name, str) or name not in known:
        shown = type(name).__name__ if isinstance(name, dict | list) else name
        raise IndicatorRefusedError(400, f"No measure definition found for: {shown}")
    return [
        *_value_flaws(indicator),
        *_date_flaws(indicator),
        *_group_flaws(indicator, known[name]),
        *_other_flaws(indicator),
    ]


def _value_flaws(indicator: JsonObject) -> Iterator[Flaw]:
    if "value" not in indicator:
        raise IndicatorRefusedError(400, "A value must be given")
    value = indicator["value"]
    try:
        # The DACC converts whatever comes, so text such as "3" passes.
        number = float(cast("float", value))
    except ValueError:
        sentence = "value type is incorrect, it must be a number"
        raise IndicatorRefusedError(400, sentence) from None
    except (TypeError, OverflowError) as error:
        raise IndicatorRefusedError(500, str(error)) from None
    if isinstance(value, bool):
        yield Flaw("value is a boolean, which the database refuses", kept=False)
    elif isinstance(value, str):
        yield Flaw("value is text", kept=True)
    yield from _number_flaws(number)


def _number_flaws(number: float) -> Iterator[Flaw]:
    if math.isnan(number):
        yield Flaw("value is NaN, which stops the aggregation of the measure", kept=True)
    elif abs(round(number, 2) if math.isfinite(number) else number) >= VALUE_LIMIT:
        yield Flaw("value is 1e10 or more, which the database refuses", kept=False)
    elif round(number, 2) != number:
        yield Flaw("value has more than two decimals, the rest is cut", kept=True)


def _date_flaws(indicator: JsonObject) -> Iterator[Flaw]:
    if "startDate" not in indicator:
        raise IndicatorRefusedError(400, "startDate must be given")
    day = indicator["startDate"]
    if not isinstance(day, str):
        raise IndicatorRefusedError(500, "Parser must be a string or character stream")
    if is_day(day):
        match = _ISO_DAY.fullmatch(day)
        if match and match["time_of_day"]:
            yield Flaw("startDate has a time of day, which makes a bucket of its own", kept=True)
    elif any(_is_spelled(day.strip(), spelling) for spelling in DATE_SPELLINGS):
        yield Flaw("startDate is not YYYY-MM-DD, which the database refuses", kept=False)
    else:
        raise IndicatorRefusedError(400, "startDate type is incorrect, it must be a date")


def is_day(day: str) -> bool:
    """Say whether the database would hold it as a start date; a time of day may stand behind."""
    if not _ISO_DAY.fullmatch(day):
        return False
    try:
        datetime.fromisoformat(day)
    except ValueError:
        return False
    return True


def _is_spelled(day: str, spelling: str) -> bool:
    try:
        time.strptime(day, spelling)
    except ValueError:
        return False
    return True


def _group_flaws(indicator: JsonObject, keys: tuple[str, ...]) -> Iterator[Flaw]:
    groups = [indicator[name] for name in GROUPS if name in indicator]
    if not all(isinstance(group, dict) and group for group in groups):
        raise IndicatorRefusedError(400, "groups format is incorrect")
    for number, name in enumerate(GROUPS):
        group = cast("JsonObject", indicator.get(name, {}))
        found = next(iter(group), None)
        if found != (keys[number] if number < len(keys) else None):
            sentence = f"{name.title()} key does not match measure definition: {found}"
            raise IndicatorRefusedError(400, sentence)
        yield from _group_value_flaws(name, group)


def _group_value_flaws(name: str, group: JsonObject) -> Iterator[Flaw]:
    if len(group) > 1:
        yield Flaw(f"{name} has {len(group)} keys, only the first is looked at", kept=True)
    value = next(iter(group.values()), "-")
    if not isinstance(value, str):
        yield Flaw(f"the value of {name} is no text", kept=True)
    elif not value:
        yield Flaw(f"the value of {name} is empty", kept=True)
    elif len(value) > LONGEST_TEXT:
        yield Flaw(f"the value of {name} is over {LONGEST_TEXT} characters", kept=False)


def _other_flaws(indicator: JsonObject) -> Iterator[Flaw]:
    author = indicator.get("createdBy")
    if not isinstance(author, str):
        yield Flaw("createdBy is missing or no text", kept=True)
    elif len(author) > LONGEST_TEXT:
        yield Flaw(f"createdBy is over {LONGEST_TEXT} characters", kept=False)
    for name in indicator:
        if name not in FIELDS:
            yield Flaw(f"the unknown field {name} is ignored", kept=True)
