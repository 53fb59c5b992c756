"""Indicators: what is sent to the DACC, its bytes, and the definitions that allow it.

The definitions are data (`measures/measures.toml`, or the file of `aggregation.measures_file`): the
measures, their group keys, and the values that a group may have. Nothing is made or sent that they
do not allow.
"""

import contextlib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ecolyo_worker.clock import parse_day
from ecolyo_worker.errors import ConfigurationError, IndicatorRefused

__all__ = [
    "OTHER",
    "Definition",
    "Definitions",
    "GroupRule",
    "Indicator",
    "ValueTooLarge",
    "number",
]

OTHER = "other"
"""What a group value is sent as that the definitions do not allow."""

_NONE = "none"
_LIMIT = Decimal(10) ** 10
_CENT = Decimal("0.01")


class ValueTooLarge(Exception):
    """A value of 1e10 or more, which the DACC takes and loses."""


class Indicator(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One number for one measure, one start date and one set of groups, in the order it is sent."""

    created_by: Literal["ecolyo"]
    measure_name: str
    start_date: str
    value: int | float
    group1: dict[str, str] | None = None
    group2: dict[str, str] | None = None
    group3: dict[str, str] | None = None

    def encode(self) -> bytes:
        """Give the very bytes that are sent: compact JSON in UTF-8."""
        return msgspec.json.encode(self)

    @property
    def groups(self) -> tuple[dict[str, str], ...]:
        """The groups it has, in their order."""
        return tuple(g for g in (self.group1, self.group2, self.group3) if g is not None)


class GroupRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one group allows, as the definitions file says it."""

    key: Annotated[str, Meta(min_length=1, max_length=100)]
    values: tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...] = ()
    pattern: str | None = None
    subset: tuple[str, ...] = ()
    up_to: Annotated[int, Meta(ge=0)] | None = None
    above: Annotated[str, Meta(min_length=1, max_length=100)] | None = None

    def check(self, value: str | None) -> str:
        """Give the value as it may be sent: itself, `none`, or `other`."""
        text = (value or "").strip()
        if not text:
            return _NONE if _NONE in self.values else OTHER
        if text in self.values:
            return text
        if len(text) > 100:
            return OTHER
        if self.pattern is not None and re.fullmatch(self.pattern, text):
            return text
        if self.subset and self._is_subset(text):
            return text
        if self.up_to is not None and re.fullmatch(r"0|[1-9][0-9]{0,9}", text):
            return text if int(text) <= self.up_to else self.above or OTHER
        return OTHER

    def allows(self, value: str) -> bool:
        """Tell whether a value may be sent as it is."""
        return value == OTHER or value == self.above or self.check(value) == value

    @property
    def allowed(self) -> str:
        """What it allows, in words."""
        kinds = [", ".join(self.values)] if self.values else []
        if self.pattern is not None:
            kinds.append(f"text like {self.pattern}")
        if self.subset:
            kinds.append(f"some of {', '.join(self.subset)}, in this order, joined by ':'")
        if self.up_to is not None:
            kinds.append(f"0 to {self.up_to}, then {self.above}")
        return ", or ".join(kinds)

    def _is_subset(self, text: str) -> bool:
        parts = text.split(":")
        return parts == [word for word in self.subset if word in parts]


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measure: its name, what it is for, its unit and period, and its groups."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    purpose: str
    unit: str
    period: Literal["day", "month"]
    rows: Literal["count", "each"]
    group1: GroupRule | None = None
    group2: GroupRule | None = None
    group3: GroupRule | None = None

    @property
    def groups(self) -> tuple[GroupRule, ...]:
        """The rules of the groups it has, in their order."""
        return tuple(g for g in (self.group1, self.group2, self.group3) if g is not None)

    def check(self, values: Sequence[str | None]) -> tuple[str, ...]:
        """Give the group values as they may be sent, one for each group."""
        return tuple(rule.check(value) for rule, value in zip(self.groups, values, strict=True))


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    measure: tuple[Definition, ...]


class Definitions:
    """The measures that may be sent. A mapping from a measure's name to its `Definition`."""

    def __init__(self, definitions: Sequence[Definition]) -> None:
        """Names are unique and patterns are regular expressions; else `ConfigurationError`."""
        self._by_name = {definition.name: definition for definition in definitions}
        if len(self._by_name) != len(definitions):
            raise ConfigurationError("measures: two definitions have the same name")
        for definition in definitions:
            places = (definition.group1, definition.group2, definition.group3)
            if None in places[: len(definition.groups)]:
                raise ConfigurationError(f"{definition.name}: its groups must begin with group1")
            for rule in definition.groups:
                _check_pattern(definition.name, rule)
        # Sent rows and countings name the definitions that made them.
        self.digest = _digest(definitions)

    @classmethod
    def load(cls, path: Path | None = None) -> "Definitions":
        """Read a definitions file, the package's own by default; raises `ConfigurationError`."""
        path = path or Path(__file__).parent / "measures" / "measures.toml"
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
            return cls(msgspec.convert(tables, _File).measure)
        except OSError as error:
            raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
        except (
            tomllib.TOMLDecodeError,
            UnicodeDecodeError,
            msgspec.ValidationError,
            ConfigurationError,
        ) as error:
            raise ConfigurationError(f"{path}: {error}") from None

    def __getitem__(self, name: str) -> Definition:
        """Give a measure's definition; raises `KeyError`."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Tell whether a measure is defined."""
        return name in self._by_name

    def __iter__(self) -> Iterator[Definition]:
        """Go through the definitions in the file's order."""
        return iter(self._by_name.values())

    def indicator(
        self, measure: str, start_date: str, value: int | Decimal, groups: Sequence[str]
    ) -> Indicator:
        """Make an indicator of checked group values.

        Raises `ValueTooLarge` from 1e10 on, `IndicatorRefused` where the definitions forbid it.
        """
        definition = self._by_name.get(measure)
        if definition is None:
            raise IndicatorRefused(f"no measure is called {measure!r}")
        pairs = zip(definition.groups, groups, strict=True)
        indicator = Indicator(
            created_by="ecolyo",
            measure_name=measure,
            start_date=start_date,
            value=number(value),
            **{f"group{n}": {rule.key: text} for n, (rule, text) in enumerate(pairs, 1)},
        )
        self.check(indicator)
        return indicator

    def check(self, indicator: Indicator) -> None:
        """Raise `IndicatorRefused`, in words, for an indicator that must not be sent."""
        definition = self._by_name.get(indicator.measure_name)
        if definition is None:
            raise IndicatorRefused(f"no measure is called {indicator.measure_name!r}")
        try:
            parse_day(indicator.start_date)
        except ValueError as error:
            raise IndicatorRefused(f"startDate {indicator.start_date!r}: {error}") from None
        if not _is_sendable(indicator.value):
            raise IndicatorRefused(
                f"value {indicator.value!r}: allowed: a number below 1e10 of two decimals at most"
            )
        self._check_groups(definition, indicator)

    def check_body(self, body: bytes) -> None:
        """Check stored bytes once more before they are sent; raises `IndicatorRefused`."""
        try:
            indicator = msgspec.json.decode(body, type=Indicator)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise IndicatorRefused(f"is not an indicator: {error}") from None
        self.check(indicator)
        if indicator.encode() != body:
            raise IndicatorRefused("is not written as an indicator is")

    def _check_groups(self, definition: Definition, indicator: Indicator) -> None:
        sent = (indicator.group1, indicator.group2, indicator.group3)
        rules = (definition.group1, definition.group2, definition.group3)
        for n, (group, rule) in enumerate(zip(sent, rules, strict=True), 1):
            if (group is None) != (rule is None):
                raise IndicatorRefused(f"{definition.name}: group{n} does not match its definition")
            if group is None or rule is None:
                continue
            if list(group) != [rule.key]:
                raise IndicatorRefused(f"{definition.name}: group{n} must have one key, {rule.key}")
            if not rule.allows(group[rule.key]):
                raise IndicatorRefused(
                    f"{definition.name}: {rule.key} {group[rule.key]!r} is not in the definitions"
                )


def number(value: int | Decimal) -> int | float:
    """Round half up to two decimals, ties away from zero; a whole number is an int, −0 is 0.

    Raises `ValueTooLarge` when the rounded value is 1e10 or more, or is no number.
    """
    if isinstance(value, int):
        if abs(value) >= _LIMIT:
            raise ValueTooLarge(str(value))
        return value
    if not value.is_finite() or abs(value) >= 2 * _LIMIT:
        raise ValueTooLarge(str(value))
    rounded = value.quantize(_CENT, ROUND_HALF_UP)
    if abs(rounded) >= _LIMIT:
        raise ValueTooLarge(str(value))
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)


def _is_sendable(value: float) -> bool:
    """Tell whether a value is one that `number` gives."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    with contextlib.suppress(ValueTooLarge):
        return repr(number(Decimal(repr(value)))) == repr(value)
    return False


def _check_pattern(measure: str, rule: GroupRule) -> None:
    try:
        re.compile(rule.pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(
            f"{measure}: {rule.key}: pattern {rule.pattern!r} is no regular expression: {error}"
        ) from None
    if (rule.up_to is None) != (rule.above is None):
        raise ConfigurationError(f"{measure}: {rule.key}: up_to and above go together")


def _digest(definitions: Sequence[Definition]) -> str:
    return hashlib.sha256(msgspec.json.encode(definitions)).hexdigest()[:16]
