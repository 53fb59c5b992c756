"""Indicators: their numbers, their bytes, and what is never sent."""

import json
from decimal import Context, Decimal, Inexact, Rounded, localcontext
from typing import Any

import pytest

from ecolyo_worker.errors import IndicatorRefused
from ecolyo_worker.indicators import Definitions, Indicator, ValueTooLarge, number

KONNECTOR = (
    b'{"createdBy":"ecolyo","measureName":"konnector-event-daily","startDate":"2026-11-20",'
    b'"value":2,"group1":{"slug":"enedis"},"group2":{"event_type":"connexion"},'
    b'"group3":{"status":"error"}}'
)


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.00", 0),
        ("-0.004999", 0),
        ("0.004999", 0),
        ("0.005", 0.01),
        ("-0.005", -0.01),
        ("0.015", 0.02),
        ("0.025", 0.03),
        ("-0.025", -0.03),
        ("2.675", 2.68),
        ("1.005", 1.01),
        ("1.004999999999999999999999999999", 1),
        ("0.995", 1),
        ("-0.995", -1),
        ("12.3", 12.3),
        ("12.30", 12.3),
        ("3.0", 3),
        ("-3.001", -3),
        ("1E+3", 1000),
        ("1E-3000", 0),
        ("33.333333333333333333333333333333333333", 33.33),
        ("9999999999.99", 9999999999.99),
        ("9999999999.994", 9999999999.99),
        ("-9999999999.994", -9999999999.99),
    ],
)
def test_values_are_rounded_half_up(value: str, rounded: float) -> None:
    """A value has two decimals at most, ties go away from zero, and −0 is 0."""
    found = number(Decimal(value))
    assert json.dumps(found) == json.dumps(rounded)


def test_values_are_rounded_whatever_the_host_does_with_decimals() -> None:
    """A host's own precision and traps are no business of ours."""
    with localcontext(Context(prec=6, traps=[Inexact, Rounded])):
        assert number(Decimal("-9999999999.985")) == -9999999999.99


@pytest.mark.parametrize("value", [0, 1, -7, 9_999_999_999, -9_999_999_999])
def test_a_whole_value_is_a_whole_number(value: int) -> None:
    """A whole number stays what it is, and the same decimal is the same number."""
    assert number(value) == value
    found = number(Decimal(value))
    assert (found, type(found)) == (value, int)


@pytest.mark.parametrize(
    "value",
    [
        10**10,
        -(10**10),
        10**400,
        Decimal(10) ** 10,
        -(Decimal(10) ** 10),
        Decimal("9999999999.995"),
        Decimal("-9999999999.995"),
        Decimal("1E+300"),
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
    ],
)
def test_a_value_from_1e10_on_is_too_large(value: int | Decimal) -> None:
    """A value that is 1e10 or more once it is rounded, or is no number, is never given."""
    with pytest.raises(ValueTooLarge):
        number(value)


def test_the_bytes_are_those_of_the_rules(definitions: Definitions) -> None:
    """An indicator is compact JSON, its keys in the order of the rules."""
    indicator = definitions.indicator(
        "konnector-event-daily", "2026-11-20", 2, ("enedis", "connexion", "error")
    )
    assert indicator.encode() == KONNECTOR
    definitions.check_body(KONNECTOR)


@pytest.mark.parametrize(
    ("measure", "value", "groups", "text"),
    [
        ("connection-count-monthly", Decimal(3), (), '"value":3'),
        ("connection-count-monthly", Decimal("0"), (), '"value":0'),
        ("profile-count-monthly", Decimal("-0.001"), (), '"value":0'),
        (
            "navigation-count-daily",
            9_999_999_999,
            ("other",),
            '"value":9999999999,"group1":{"page":"other"}',
        ),
        (
            "consumption-variation-monthly",
            Decimal("-12.345"),
            ("gas", "240+", "cooking:heating"),
            (
                '"value":-12.35,"group1":{"fluid_type":"gas"},'
                '"group2":{"seniority":"240+"},"group3":{"fluid_usage":"cooking:heating"}'
            ),
        ),
        (
            "session-duration",
            Decimal("0.10"),
            ("1000+", "any"),
            '"value":0.1,"group1":{"number_pages":"1000+"},"group2":{"session_type":"any"}',
        ),
    ],
)
def test_no_key_is_null_and_no_whole_value_has_a_fraction(
    definitions: Definitions, measure: str, value: Decimal, groups: tuple[str, ...], text: str
) -> None:
    """Groups that a measure does not have are absent, and values are as short as they can be."""
    indicator = definitions.indicator(measure, "2026-11-01", value, groups)
    head = f'{{"createdBy":"ecolyo","measureName":"{measure}","startDate":"2026-11-01",'
    assert indicator.encode().decode() == head + text + "}"
    definitions.check_body(indicator.encode())


def indicator(**fields: Any) -> Indicator:
    good: dict[str, Any] = {
        "created_by": "ecolyo",
        "measure_name": "quiz-stars",
        "start_date": "2026-11-20",
        "value": 4,
        "group1": {"challenge_id": "CHALLENGE0001"},
        "group2": {"quiz_id": "none"},
    }
    return Indicator(**(good | fields))


def test_a_good_indicator_is_allowed(definitions: Definitions) -> None:
    """What the definitions allow passes the check, with `other` for any group."""
    definitions.check(indicator())
    definitions.check(indicator(group1={"challenge_id": "other"}, group2={"quiz_id": "other"}))
    definitions.check(indicator(value=-0.01))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"measure_name": "quiz-star"}, "no measure is called 'quiz-star'"),
        ({"measure_name": "Quiz-Stars"}, "no measure is called"),
        ({"measure_name": ""}, "no measure is called"),
        ({"start_date": ""}, "startDate ''"),
        ({"start_date": "2026-11"}, "startDate '2026-11'"),
        ({"start_date": "2026-02-30"}, "startDate '2026-02-30'"),
        ({"start_date": "20/11/2026"}, "startDate"),
        ({"start_date": "2026-11-20T00:00:00"}, "startDate"),
        ({"start_date": "2026-11-20 "}, "startDate"),
        ({"value": 10**10}, "below 1e10"),
        ({"value": -1e10}, "below 1e10"),
        ({"value": float("nan")}, "value nan"),
        ({"value": float("inf")}, "value inf"),
        ({"value": float("-inf")}, "value -inf"),
        ({"value": 1.234}, "two decimals"),
        ({"value": 1e-7}, "two decimals"),
        ({"value": 3.0}, "value 3.0"),
        ({"value": -0.0}, "value -0.0"),
        ({"value": True}, "value True"),
        ({"value": "4"}, "value '4'"),
        ({"value": None}, "value None"),
        ({"group1": None}, "group1 does not match"),
        ({"group2": None}, "group2 does not match"),
        ({"group3": {"params": "none"}}, "group3 does not match"),
        ({"group1": {}}, "group1 must have one key, challenge_id"),
        ({"group1": {"quiz_id": "none"}}, "group1 must have one key, challenge_id"),
        ({"group1": {"challenge_id": "none", "quiz_id": "none"}}, "group1 must have one key"),
        ({"group1": {"challenge_id": ""}}, "not in the definitions"),
        ({"group1": {"challenge_id": " none"}}, "not in the definitions"),
        ({"group1": {"challenge_id": "None"}}, "not in the definitions"),
        ({"group1": {"challenge_id": "alice@example.org"}}, "not in the definitions"),
        ({"group1": {"challenge_id": "CHALLENGE0001\n"}}, "not in the definitions"),
        ({"group2": {"quiz_id": "quiz"}}, "quiz_id 'quiz' is not in the definitions"),
    ],
)
def test_what_must_not_be_sent_is_refused(
    definitions: Definitions, fields: dict[str, Any], words: str
) -> None:
    """Each fault that the DACC would take in silence is refused before, in words."""
    with pytest.raises(IndicatorRefused) as refused:
        definitions.check(indicator(**fields))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("measure", "groups", "words"),
    [
        ("unknown", ("mobile",), "no measure is called"),
        ("connection-count-daily", ("phone",), "not in the definitions"),
        ("konnector-connected-daily", ("water:electricity",), "not in the definitions"),
    ],
)
def test_an_indicator_of_unchecked_groups_is_not_made(
    definitions: Definitions, measure: str, groups: tuple[str, ...], words: str
) -> None:
    """Making an indicator checks it: what is not allowed is not made."""
    with pytest.raises(IndicatorRefused, match=words):
        definitions.indicator(measure, "2026-11-20", 1, groups)
    with pytest.raises(ValueTooLarge):
        definitions.indicator("connection-count-daily", "2026-11-20", 10**10, ("mobile",))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'{"createdBy"', b' {"createdBy"', "not written as an indicator is"),
        (b'"value":2', b'"value": 2', "not written as an indicator is"),
        (b'"value":2', b'"value":2.0', "value 2.0"),
        (b'"value":2', b'"value":2e0', "value 2.0"),
        (b'"value":2', b'"value":0.125', "two decimals"),
        (b'"value":2', b'"value":"2"', "is not an indicator"),
        (b'"value":2', b'"value":true', "is not an indicator"),
        (b'"value":2', b'"value":NaN', "is not an indicator"),
        (b'"value":2,', b"", "is not an indicator"),
        (b'"createdBy":"ecolyo"', b'"createdBy":"alice"', "is not an indicator"),
        (b'"createdBy":"ecolyo",', b"", "is not an indicator"),
        (b'"value":2', b'"value":2,"who":"alice"', "not written as an indicator is"),
        (b'"slug":"enedis"', b'"slug":"Enedis"', "slug 'Enedis' is not in the definitions"),
        (b'"slug":"enedis"', b'"slug":7', "is not an indicator"),
        (b'"slug":"enedis"', b'"slug":"\xff"', "is not an indicator"),
        (b'"slug":"enedis"', b'"slug":"\\u0065nedis"', "not written as an indicator is"),
        (b'{"slug":"enedis"}', b"null", "group1 does not match"),
        (b',"group3":{"status":"error"}', b"", "group3 does not match"),
        (b',"group3":{"status":"error"}', b',"group3":{"status":"error"},"group4":{}', "written"),
        (b"konnector-event-daily", b"konnector-event", "no measure is called"),
        (b"2026-11-20", b"2026-11-20T00:00", "startDate"),
        (KONNECTOR, b"", "is not an indicator"),
        (KONNECTOR, b"[]", "is not an indicator"),
        (KONNECTOR, KONNECTOR[:-1], "is not an indicator"),
        (KONNECTOR, KONNECTOR * 2, "is not an indicator"),
    ],
)
def test_stored_bytes_are_checked_once_more(
    definitions: Definitions, old: bytes, new: bytes, words: str
) -> None:
    """A body that is not byte for byte what an allowed indicator is may not be sent."""
    body = KONNECTOR.replace(old, new)
    assert body != KONNECTOR
    with pytest.raises(IndicatorRefused, match=words):
        definitions.check_body(body)
