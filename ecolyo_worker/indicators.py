"""Indicators: what is sent to the DACC, its bytes, and the definitions that allow it.

The definitions are data (`measures/measures.toml`, or the file of `aggregation.measures_file`): the
measures, their group keys, and the values that a group may have. Nothing is made or sent that they
do not allow.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ecolyo_worker.clock import parse_day
from ecolyo_worker.errors import ConfigurationError, IndicatorRefused, Problem
from ecolyo_worker.positions import Positions
from ecolyo_worker.section import wrong
from ecolyo_worker.tables import parse, read_text, refuse_unknown, to_struct

__all__ = [
    "ARITHMETIC",
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

ARITHMETIC = Context(
    prec=28,
    rounding=ROUND_HALF_UP,
    Emin=-999_999,
    Emax=999_999,
    capitals=1,
    clamp=0,
    flags=[],
    traps=[InvalidOperation, DivisionByZero],
)
"""How values are calculated and rounded, whatever the host sets for its own decimals."""

_NONE = "none"
_LIMIT = Decimal("1e10")
_CENT = Decimal("0.01")
_SHIPPED = Path(__file__).parent / "measures" / "measures.toml"

_Text = Annotated[
    str, Meta(min_length=1, max_length=100, description="text of 1 to 100 characters")
]
_Words = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=100)], ...],
    Meta(description="a list of texts of 1 to 100 characters"),
]
_Prose = Annotated[str, Meta(min_length=1, description="text that says so in words")]
_REMEMBERED = 4096  # groups of a measure: a night sees the same few again and again

_Group = dict[str, str] | None


_ENCODER = msgspec.json.Encoder()


class ValueTooLarge(Exception):
    """A value of 1e10 or more, which the DACC takes and loses."""


class Indicator(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel", gc=False
):
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
        return _ENCODER.encode(self)

    @property
    def groups(self) -> tuple[dict[str, str], ...]:
        """The groups it has, in their order."""
        return tuple(g for g in (self.group1, self.group2, self.group3) if g is not None)


class GroupRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one group allows, as the definitions file says it."""

    key: _Text
    meaning: _Prose | None = None
    """What its values tell, for people."""
    example: _Text | None = None
    values: _Words = ()
    pattern: Annotated[str, Meta(description="a regular expression")] | None = None
    subset: _Words = ()
    up_to: Annotated[int, Meta(ge=0, description="a whole number from 0")] | None = None
    above: _Text | None = None

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

    name: _Text
    purpose: _Prose
    unit: _Prose
    period: Annotated[Literal["day", "month"], Meta(description="'day' or 'month'")]
    rows: Annotated[Literal["count", "each"], Meta(description="'count' or 'each'")]
    example: Annotated[int | float, Meta(description="a number")] = 1
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


class Definitions:
    """The measures that may be sent. A mapping from a measure's name to its `Definition`."""

    def __init__(
        self, definitions: Sequence[Definition], places: Sequence[str] | None = None
    ) -> None:
        """`places` says of each where it stands. Raises `ConfigurationError` for a wrong one."""
        places = places or [f"measure {definition.name!r}" for definition in definitions]
        self._by_name: dict[str, Definition] = {}
        self._places: dict[str, str] = {}
        for definition, place in zip(definitions, places, strict=True):
            if definition.name in self._by_name:
                raise ConfigurationError(f"{place}: name: another definition above has it, too")
            _check_definition(definition, place)
            self._by_name[definition.name] = definition
            self._places[definition.name] = place
        # Sent rows and countings name the definitions that made them.
        self.digest = _digest(definitions)
        self.allowed = lru_cache(_REMEMBERED)(self._check_values)
        """Gives a measure's group values as they may be sent (see `Definition.check`)."""
        self._groups = lru_cache(_REMEMBERED)(self._make_groups)

    @classmethod
    def load(cls, path: Path | None = None) -> "Definitions":
        """Read a definitions file, the package's own by default.

        Raises `ConfigurationError` that names the file, the line of the measure, the key, what was
        found and what is allowed.
        """
        path = path or _SHIPPED
        text = read_text(path, is_plain=True)
        tables = parse(text, path)
        try:
            refuse_unknown("key", tables, ["measure"])
        except ConfigurationError as error:
            raise error.within(str(path)) from None
        found = tables.get("measure")
        if not isinstance(found, list):
            raise wrong(f"{path}: measure", found, "a table [[measure]] for each measure")
        places = _places(path, text, found)
        definitions: list[Definition] = []
        problems: list[Problem] = []
        for table, place in zip(found, places, strict=True):
            try:
                definitions.append(to_struct(Definition, table, place))
            except ConfigurationError as error:
                problems += error.problems
        if problems:
            raise ConfigurationError(*problems)
        return cls(definitions, places)

    def place(self, name: str) -> str:
        """Say where a measure is defined, as errors about it begin."""
        return self._places[name]

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
        group1, group2, group3 = self._groups(measure, start_date, tuple(groups))
        return Indicator(
            created_by="ecolyo",
            measure_name=measure,
            start_date=start_date,
            value=number(value),
            group1=group1,
            group2=group2,
            group3=group3,
        )

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

    def _check_values(self, measure: str, values: tuple[str | None, ...]) -> tuple[str, ...]:
        return self[measure].check(values)

    def _make_groups(
        self, measure: str, start_date: str, groups: tuple[str, ...]
    ) -> tuple[_Group, _Group, _Group]:
        """Make the groups of indicators, checked with all else that equal ones have in common."""
        definition = self._by_name.get(measure)
        if definition is None:
            raise IndicatorRefused(f"no measure is called {measure!r}")
        pairs = zip(definition.groups, groups, strict=True)
        made = {f"group{n}": {rule.key: text} for n, (rule, text) in enumerate(pairs, 1)}
        indicator = Indicator(
            created_by="ecolyo", measure_name=measure, start_date=start_date, value=0, **made
        )
        self.check(indicator)
        return indicator.group1, indicator.group2, indicator.group3

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
        if abs(value) >= 10**10:  # a plain number, for it is compared with millions of times
            raise ValueTooLarge(str(value))
        return value
    if not value.is_finite() or value.copy_abs() >= _LIMIT:
        raise ValueTooLarge(str(value))
    rounded = value.quantize(_CENT, context=ARITHMETIC)
    if rounded.copy_abs() >= _LIMIT:
        raise ValueTooLarge(str(value))
    return int(rounded) if rounded == rounded.to_integral_value() else float(rounded)


def _is_sendable(value: float) -> bool:
    """Tell whether a value is one that `number` gives."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    with contextlib.suppress(ValueTooLarge):
        return repr(number(Decimal(repr(value)))) == repr(value)
    return False


def _places(path: Path, text: str, tables: Sequence[object]) -> list[str]:
    """Say of each measure of a file where it stands, its line and name."""
    positions = Positions(text)
    places = []
    for n, table in enumerate(tables):
        name = table.get("name") if isinstance(table, dict) else None
        what = f"measure {name!r}" if isinstance(name, str) and name else f"measure {n + 1}"
        places.append(f"{path}:{positions.line('measure', n)}: {what}")
    return places


def _check_definition(definition: Definition, place: str) -> None:
    """Raise `ConfigurationError` for what the types of the fields cannot say."""
    places = (definition.group1, definition.group2, definition.group3)
    if None in places[: len(definition.groups)]:
        raise ConfigurationError(f"{place}: its groups must begin with group1, without a gap")
    for n, rule in enumerate(definition.groups, 1):
        where = f"{place}: group{n}"
        _check_pattern(rule, f"{where}.pattern")
        _check_words(rule, where)
        if (rule.up_to is None) != (rule.above is None):
            raise ConfigurationError(
                f"{where}: up_to and above go together: the most, and what stands for more"
            )
        if rule.example is not None and not rule.allows(rule.example):
            raise wrong(f"{where}.example", rule.example, "a value that the group allows")
    if not _is_sendable(definition.example):
        allowed = "a number below 1e10 of two decimals at most, 3 rather than 3.0"
        raise wrong(f"{place}: example", definition.example, allowed)


def _check_pattern(rule: GroupRule, where: str) -> None:
    try:
        re.compile(rule.pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise wrong(where, rule.pattern, f"a regular expression: {error}") from None


def _check_words(rule: GroupRule, where: str) -> None:
    """Words that no value can be are mistakes: values are trimmed, subsets are cut at colons."""
    for field, words in (("values", rule.values), ("subset", rule.subset)):
        for n, word in enumerate(words):
            if word != word.strip():
                raise wrong(f"{where}.{field}", word, "no white space around it")
            if word in words[:n]:
                raise wrong(f"{where}.{field}", word, "each word once")
    for word in rule.subset:
        if ":" in word:
            raise wrong(f"{where}.subset", word, "words without ':', which stands between them")


def _digest(definitions: Sequence[Definition]) -> str:
    return hashlib.sha256(msgspec.json.encode(definitions)).hexdigest()[:16]
