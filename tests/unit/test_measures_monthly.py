"""The six monthly measures: what makes a row, its value, and its groups."""

from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_DOWN, Context, Inexact, Rounded, localcontext
from typing import Any

import pytest

from ecolyo_worker.clock import civil_text, month_days, parse_civil, parse_month
from ecolyo_worker.events import Event
from ecolyo_worker.facts import Profile
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import (
    MONTHLY,
    Consumption,
    CountedMonth,
    Facts,
    LeftOut,
    Month,
    Observation,
    Rules,
    count_month,
    measure,
)

from .conftest import PARIS

Store = Callable[..., Sequence[Event]]
Cells = list[tuple[Any, ...]]
EVER = ("ProfileSetEvent", "KonnectorAttemptEvent")

VARIATION = "consumption-variation-monthly"
SUMMARY = "summary-subscription-monthly"
GRANULARITY = "fluid-data-granularity-monthly"
CONNECTIONS = "connection-count-monthly"
PROFILES = "profile-count-monthly"
ATTEMPTS = "konnector-attempts-monthly"


def civil(text: str) -> int:
    return parse_civil(text, PARIS, zulu_is_wall=True)


def at(time: str, kind: str = "ConnectionEvent", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "eventDate": time, **fields}


@pytest.fixture
def months(store: Store) -> Callable[..., Month]:
    """Make a month of events, as the store gives it; October 2026 if no other is named."""

    def make(
        *found: dict[str, Any], month: str = "2026-10", first: str | None = None, **known: Any
    ) -> Month:
        number, events = parse_month(month), store(*found)
        days = month_days(number)
        connection = None if first is None else civil(first)
        return Month(
            facts=Facts(acceptance=0, first_connection=connection),
            number=number,
            events=tuple(event for event in events if event.day in days),
            ever=tuple(e for e in events if e.type in EVER and e.day < days.stop),
            **known,
        )

    return make


@pytest.fixture
def seen(months: Callable[..., Month], rules: Rules) -> Callable[..., Cells]:
    """Give (value, group values …) of each row that a measure makes of a month."""

    def rows(name: str, *found: dict[str, Any], **known: Any) -> Cells:
        counted = count_month(months(*found, **known), rules)
        assert not counted.errors
        return cells(counted, name)

    return rows


def cells(counted: CountedMonth, name: str) -> Cells:
    made = [row.indicator for row in counted.rows if row.indicator.measure_name == name]
    return [(row.value, *(text for g in row.groups for text in g.values())) for row in made]


def consumed(fluid: str, before: int, now: int, month: str = "2026-10") -> dict[str, Any]:
    """Give what two whole months add up to, in Wh."""
    number = parse_month(month)
    return {
        "consumption_before": {fluid: Consumption(len(month_days(number - 1)), before)},
        "consumption": {fluid: Consumption(len(month_days(number)), now)},
    }


VISIT = at("2026-10-10T10:00")
LONG_AGO = "2026-02-10T09:00"


@pytest.mark.parametrize(
    ("before", "now", "percent"),
    [
        (300_000, 248_000, -17.33),
        (75_000, 93_000, 24),
        (30_000, 31_000, 3.33),
        (100_000, 100_000, 0),
        (100_000, 0, -100),
        (1, 3, 200),
        (800, 801, 0.13),  # 0.125: a half goes away from zero
        (800, 799, -0.13),
        (200_000, 200_010, 0.01),  # 0.005
        (200_000, 199_990, -0.01),
        (200_000, 200_009, 0),
        (200_000, 199_991, 0),  # -0.0045
        (3, 4, 33.33),
        (3, 5, 66.67),
    ],
)
def test_a_variation_is_in_percent(
    seen: Callable[..., Cells], before: int, now: int, percent: float
) -> None:
    """6.1: 100 × (T(M) − T(M−1)) / T(M−1) to two decimals, half up; more is positive."""
    rows = seen(VARIATION, VISIT, first=LONG_AGO, **consumed("gas", before, now))
    assert rows == [(percent, "gas", "8", "none")]


def test_a_variation_is_the_same_whatever_the_host_does_with_decimals(
    seen: Callable[..., Cells],
) -> None:
    """6.1: a host's own precision, rounding and traps are no business of ours."""
    with localcontext(Context(prec=6, rounding=ROUND_DOWN, traps=[Inexact, Rounded])):
        rows = seen(VARIATION, VISIT, first=LONG_AGO, **consumed("gas", 210, 3_827_167))
    assert [row[0] for row in rows] == [1_822_360.48]


def test_a_tiny_decrease_is_written_as_zero(months: Callable[..., Month], rules: Rules) -> None:
    """6.1: what rounds to −0 is sent as 0."""
    month = months(VISIT, first=LONG_AGO, **consumed("gas", 200_000, 199_991))
    body = count_month(month, rules).rows[0].indicator.encode()
    assert b'"value":0,' in body


@pytest.mark.parametrize(
    "lacking",
    [
        {"consumption": {"gas": Consumption(30, 93_000)}},
        {"consumption": {}},
        {"consumption_before": {"gas": Consumption(29, 75_000)}},
        {"consumption_before": {}},
        {"consumption_before": {"gas": Consumption(30, 0)}},
        {"consumption_before": {"water": Consumption(30, 75_000)}},
    ],
)
def test_a_variation_needs_two_whole_months(
    seen: Callable[..., Cells], lacking: dict[str, Any]
) -> None:
    """6.1: no row if a day of either month lacks a value, or nothing was used in the one before."""
    known = consumed("gas", 75_000, 93_000)
    assert seen(VARIATION, VISIT, first=LONG_AGO, **known) == [(24, "gas", "8", "none")]
    assert seen(VARIATION, VISIT, first=LONG_AGO, **{**known, **lacking}) == []


@pytest.mark.parametrize("month", ["2026-03", "2028-02", "2028-03", "2100-03"])
def test_a_variation_counts_the_days_of_a_february(seen: Callable[..., Cells], month: str) -> None:
    """6.1: a February is whole with 28 days, in a leap year with 29."""
    visit, known = at(f"{month}-05T10:00"), consumed("gas", 100, 150, month)
    rows = seen(VARIATION, visit, month=month, first=f"{month}-01T10:00", **known)
    assert [row[0] for row in rows] == [50]


@pytest.mark.parametrize(
    "events",
    [
        [],
        [at("2026-10-10T10:00", "NavigationEvent")],
        [at("2026-09-30T23:59:59.999")],
        [at("2026-11-01T00:00")],
    ],
)
def test_a_variation_needs_a_connection_in_the_month(
    seen: Callable[..., Cells], events: list[dict[str, Any]]
) -> None:
    """6.1: no row without a ConnectionEvent in the month itself."""
    assert seen(VARIATION, *events, first=LONG_AGO, **consumed("gas", 75, 93)) == []


@pytest.mark.parametrize("time", ["2026-10-01T00:00", "2026-10-31T23:59:59.999"])
def test_a_connection_at_the_months_edge_is_in_it(seen: Callable[..., Cells], time: str) -> None:
    """6.1: the first and the last moment of a month are in it."""
    assert seen(VARIATION, at(time), first=LONG_AGO, **consumed("gas", 75, 93))


def test_a_variation_needs_a_first_connection(seen: Callable[..., Cells]) -> None:
    """6.1: no row if the first connection is unknown."""
    assert seen(VARIATION, VISIT, **consumed("gas", 75, 93)) == []


@pytest.mark.parametrize(
    ("first", "month", "seniority"),
    [
        ("2026-10-10T00:00", "2026-10", "0"),
        ("2026-10-02T00:00", "2026-10", "0"),
        ("2026-10-01T23:59", "2026-10", "1"),
        ("2026-09-30T23:59", "2026-10", "1"),
        ("2026-11-15T10:00", "2026-10", "0"),
        ("2028-01-01T10:00", "2026-10", "0"),
        ("2026-01-31T10:00", "2026-01", "0"),
        ("2026-01-31T10:00", "2026-02", "1"),
        ("2026-08-31T10:00", "2026-09", "1"),
        ("2028-02-29T10:00", "2028-02", "0"),
        ("2028-02-29T10:00", "2028-03", "1"),
        ("2028-02-29T10:00", "2029-01", "11"),
        ("2028-02-29T10:00", "2029-02", "12"),
        ("2025-12-31T23:59", "2026-12", "12"),
        ("2006-11-02T10:00", "2026-10", "239"),
        ("2006-11-01T10:00", "2026-10", "240"),
        ("2006-10-02T10:00", "2026-10", "240"),
        ("2006-10-01T10:00", "2026-10", "240+"),
        ("1999-01-01T10:00", "2026-10", "240+"),
    ],
)
def test_seniority_is_in_whole_months(
    seen: Callable[..., Cells], first: str, month: str, seniority: str
) -> None:
    """6.1: whole months from the day of the first connection to the first day after the month."""
    known = consumed("gas", 75, 93, month)
    rows = seen(VARIATION, at(f"{month}-05T10:00"), month=month, first=first, **known)
    assert [row[2] for row in rows] == [seniority]


@pytest.mark.parametrize(
    ("profile", "usage"),
    [
        (Profile(), "none"),
        (Profile(heating="water"), "none"),
        (Profile(heating="gas"), "heating"),
        (Profile(cooking="gas"), "cooking"),
        (Profile(hot_water="gas"), "hot_water"),
        (Profile(heating="gas", hot_water="gas", cooking="electricity"), "heating:hot_water"),
        (Profile(heating="gas", hot_water="water", cooking="gas"), "cooking:heating"),
        (Profile(heating="gas", hot_water="gas", cooking="gas"), "cooking:heating:hot_water"),
    ],
)
def test_the_usage_comes_from_the_profile(
    seen: Callable[..., Cells], profile: Profile, usage: str
) -> None:
    """6.1: what the fluid is used for, in the order of the alphabet; none if that is not known."""
    known = consumed("gas", 75, 93)
    assert seen(VARIATION, VISIT, first=LONG_AGO, profile=profile, **known)[0][3] == usage


def test_every_fluid_has_its_own_variation(seen: Callable[..., Cells]) -> None:
    """6.1: one row for each fluid that has both months, in the fixed order."""
    whole = {"gas": Consumption(31, 300), "electricity": Consumption(31, 150)}
    now = {"water": Consumption(31, 80), **whole}
    before = {fluid: Consumption(30, 100) for fluid in now}
    known = {"consumption": now, "consumption_before": before}
    rows = seen(VARIATION, VISIT, first=LONG_AGO, **known)
    assert [row[:2] for row in rows] == [(50, "electricity"), (-20, "water"), (200, "gas")]


@pytest.mark.parametrize(
    ("now", "rows"), [(19_999_999_999_990, 0), (19_999_999_999_989, 1), (10**14, 0)]
)
def test_a_huge_variation_is_reported(
    months: Callable[..., Month], rules: Rules, now: int, rows: int
) -> None:
    """6.1: a percentage that rounds to 1e10 makes no row and is reported."""
    month = months(VISIT, first=LONG_AGO, **consumed("gas", 200_000, 200_000 + now))
    counted = count_month(month, rules)
    assert len(cells(counted, VARIATION)) == rows
    assert counted.too_large == (VARIATION,) * (1 - rows)


@pytest.mark.parametrize(
    ("subscribed", "rows"),
    [(True, [(1, "subscription")]), (False, [(0, "subscription")]), (None, [])],
)
def test_the_subscription_is_said_or_not(
    seen: Callable[..., Cells], subscribed: bool | None, rows: Cells
) -> None:
    """6.2: 1 or 0 as it is subscribed at the end of the month, no row if that was never said."""
    assert seen(SUMMARY, subscribed=subscribed) == rows


def test_an_analysis_is_one_whatever_it_says(seen: Callable[..., Cells]) -> None:
    """6.2: one row of 1 if there is a ReportFromEvent in the month, whatever it holds."""
    reports = [
        at("2026-10-01T00:00", "ReportFromEvent", context="analysis", result=1),
        at("2026-10-05T10:00", "ReportFromEvent"),
        at("2026-10-31T23:59", "ReportFromEvent", context="mail", result=0),
    ]
    for some in (reports, *([report] for report in reports)):
        assert seen(SUMMARY, *some) == [(1, "analysis")]
    assert seen(SUMMARY, reports[1], subscribed=False) == [(0, "subscription"), (1, "analysis")]
    for time in ("2026-09-30T23:59", "2026-11-01T00:00"):
        assert seen(SUMMARY, at(time, "ReportFromEvent")) == []


@pytest.mark.parametrize("has", [True, False])
def test_granularity_is_always_one_row(seen: Callable[..., Cells], has: bool) -> None:
    """6.3: 1 if a half-hour value of electricity begins in the month, else 0; always one row."""
    assert seen(GRANULARITY, has_half_hours=has) == [(int(has), "electricity", "half_an_hour")]


def test_days_with_a_connection_are_counted_once(seen: Callable[..., Cells]) -> None:
    """6.4: distinct civil days of the month with a ConnectionEvent, from its first to its last."""
    times = ["01T00:00", "01T12:00", "01T23:59:59.999", "05T10:00", "31T23:59:59.999"]
    visits = [at(f"2026-10-{time}") for time in times]
    others = [at("2026-09-30T23:59:59.999"), at("2026-11-01T00:00")]
    others.append(at("2026-10-07T10:00", "NavigationEvent"))
    assert seen(CONNECTIONS, *visits, *others) == [(3,)]


def test_a_month_without_a_connection_is_zero(seen: Callable[..., Cells]) -> None:
    """6.4: always one row, 0 if there is none."""
    assert seen(CONNECTIONS) == [(0,)]


def test_aggregated_events_are_read_too(seen: Callable[..., Cells]) -> None:
    """6: the months read what was counted elsewhere as well."""
    assert seen(CONNECTIONS, at("2026-10-05T10:00", aggregated=True)) == [(1,)]


def test_profiles_are_counted_over_a_life(seen: Callable[..., Cells]) -> None:
    """6.5: all ProfileSetEvents up to the end of the month; those of later months are not known."""
    times = ["2024-01-01T10:00", "2026-09-30T10:00", "2026-10-31T23:59:59.999", "2026-11-01T00:00"]
    events = [at(time, "ProfileSetEvent") for time in times]
    assert seen(PROFILES, *events) == [(3,)]
    assert seen(PROFILES, *events[:1]) == [(1,)]
    assert seen(PROFILES, *events[3:]) == []


def tried(time: str, slug: str | None = "enedis", result: str | None = "error") -> dict[str, Any]:
    return at(f"2026-{time}", "KonnectorAttemptEvent", target=slug, result=result)


@pytest.mark.parametrize(
    ("attempts", "rows"),
    [
        ([], []),
        (["10-01T00:00"], [(1, "electricity", "false")]),
        (["10-31T23:59"], [(1, "electricity", "false")]),
        (["09-30T23:59"], []),
        (["11-01T00:00"], []),
        (["09-10T10:00", "10-10T10:00", "10-11T10:00"], [(3, "electricity", "false")]),
        (["10-10T10:00 ok"], [(1, "electricity", "true")]),
        (["09-10T10:00", "10-10T10:00 ok"], [(2, "electricity", "true")]),
        (["10-10T10:00 ok", "10-11T10:00"], [(1, "electricity", "true")]),
        (["10-10T10:00 ok", "10-11T10:00 ok"], [(1, "electricity", "true")]),
        (["10-31T23:59:59.999 ok"], [(1, "electricity", "true")]),
        (["10-10T10:00", "11-01T00:00 ok"], [(1, "electricity", "false")]),
        (["10-10T10:00", "11-01T00:00", "11-02T00:00 ok"], [(1, "electricity", "false")]),
        (["09-30T23:59 ok", "10-10T10:00"], []),
        (["09-30T23:59 ok", "10-10T10:00 ok"], []),
    ],
)
def test_attempts_are_counted_up_to_the_first_success(
    seen: Callable[..., Cells], attempts: list[str], rows: Cells
) -> None:
    """6.6: all attempts ever up to the first success, at the latest the end of the month.

    A row only if the month has an attempt and no success came before it.
    """
    said = [text.split() for text in attempts]
    events = [tried(time, result="success" if ok else "error") for time, *ok in said]
    assert seen(ATTEMPTS, *events) == rows


@pytest.mark.parametrize("result", ["success", "SUCCESS", " Success\n"])
def test_a_success_is_one_in_any_case(seen: Callable[..., Cells], result: str) -> None:
    """6.6: a result is trimmed, and its case does not matter."""
    events = [tried("10-10T10:00", result=result), tried("10-11T10:00", result="success")]
    assert seen(ATTEMPTS, *events) == [(1, "electricity", "true")]


@pytest.mark.parametrize("result", [None, "", "error", "successful", "ok"])
def test_anything_else_is_no_success(seen: Callable[..., Cells], result: str | None) -> None:
    """6.6: whatever does not say success is an attempt that failed."""
    assert seen(ATTEMPTS, tried("10-10T10:00", result=result)) == [(1, "electricity", "false")]


@pytest.mark.parametrize(
    ("slug", "fluid"),
    [
        ("enedis", "electricity"),
        ("enedissgegrandlyon", "electricity"),
        (" enedis ", "electricity"),
        ("egl", "water"),
        ("eglgrandlyon", "water"),
        ("grdf", "gas"),
        ("grdfgrandlyon", "gas"),
        ("Enedis", None),
        ("ENEDIS", None),
        ("my-enedis", None),
        ("ened", None),
        ("eg", None),
        ("engie", None),
        ("", None),
        (None, None),
    ],
)
def test_a_fluid_is_what_the_slug_begins_with(
    seen: Callable[..., Cells], slug: str | None, fluid: str | None
) -> None:
    """6.6: trimmed and otherwise as it came; other slugs are left out."""
    rows = [] if fluid is None else [(1, fluid, "false")]
    assert seen(ATTEMPTS, tried("10-10T10:00", slug)) == rows


def test_each_fluid_has_its_own_attempts(seen: Callable[..., Cells]) -> None:
    """6.6: one row for each fluid, in the fixed order; slugs of one fluid are counted together."""
    events = [
        tried("10-10T10:00", "grdf", "success"),
        tried("10-11T10:00", "egl"),
        tried("10-12T10:00", "enedis"),
        tried("10-13T10:00", "enedissgegrandlyon", "success"),
    ]
    rows = [(2, "electricity", "true"), (1, "water", "false"), (1, "gas", "true")]
    assert seen(ATTEMPTS, *events) == rows


def test_the_order_of_events_decides_which_success_is_first(seen: Callable[..., Cells]) -> None:
    """6.6: civil time orders attempts, not arrival; of one time the first that arrived."""
    late = tried("10-09T10:00")
    success = tried("10-10T10:00", result="success")
    assert seen(ATTEMPTS, success, late) == [(2, "electricity", "true")]
    same = tried("10-10T10:00")
    assert seen(ATTEMPTS, success, same) == [(1, "electricity", "true")]
    assert seen(ATTEMPTS, same, success) == [(2, "electricity", "true")]


def test_what_is_left_out_says_why(months: Callable[..., Month]) -> None:
    """An attempt that does not count is left out with the reason."""
    month = months(
        tried("10-10T10:00", "engie"), tried("10-11T10:00", result="success"), tried("10-12T10:00")
    )
    found = list(MONTHLY[-1].observe(month))
    assert [item for item in found if isinstance(item, LeftOut)] == [
        LeftOut(1, "its target begins like no known konnector: 'engie'"),
        LeftOut(3, "electricity had its first success before it"),
    ]
    assert Observation(("electricity", "true"), 1, (2,)) in found


def test_each_row_names_its_events(months: Callable[..., Month], rules: Rules) -> None:
    """A row knows which events it rests on."""
    visits = [at("2026-10-10T10:00"), at("2026-10-11T10:00"), at("2026-10-11T11:00")]
    more = [at("2026-10-12T10:00", "ReportFromEvent"), at("2026-03-01T10:00", "ProfileSetEvent")]
    known = consumed("gas", 75, 93)
    counted = count_month(months(*visits, *more, first=LONG_AGO, **known), rules)
    assert {row.indicator.measure_name: row.events for row in counted.rows} == {
        VARIATION: (1, 2, 3),
        SUMMARY: (4,),
        GRANULARITY: (),
        CONNECTIONS: (1, 2, 3),
        PROFILES: (5,),
    }


def test_rows_are_of_the_first_day_of_their_month(
    months: Callable[..., Month], rules: Rules
) -> None:
    """6: the startDate of a month's indicator is its first day, and ordinals begin at 0."""
    counted = count_month(months(month="2028-02", subscribed=True), rules)
    assert {row.indicator.start_date for row in counted.rows} == {"2028-02-01"}
    assert {row.ordinal for row in counted.rows} == {0}
    assert len(counted.rows) == 3


@measure(CONNECTIONS, groups=0)
def brittle(month: Month) -> Iterator[Observation]:
    """Count connections, and break on each that says poison."""
    for event in month.of("ConnectionEvent"):
        if event.context == "poison":
            raise ValueError(f"poison at {civil_text(event.time)}")
    yield Observation((), sum(1 for _ in month.of("ConnectionEvent")))


@measure(PROFILES, groups=0)
def hopeless(month: Month) -> Iterator[Observation]:
    """Break whatever the month holds."""
    raise ValueError("never works")
    yield Observation()


def test_an_event_that_breaks_a_measure_is_left_out_of_it(
    months: Callable[..., Month], definitions: Definitions
) -> None:
    """It costs that event in that measure; the others read it, and the error is told by event."""
    poison = at("2026-10-11T10:00", context="poison")
    month = months(VISIT, poison, at("2026-10-12T10:00"), first=LONG_AGO, **consumed("gas", 75, 93))
    rules = Rules(definitions, monthly=(MONTHLY[0], brittle))
    counted = count_month(month, rules)
    assert cells(counted, CONNECTIONS) == [(2,)]
    assert counted.rows[0].events == (1, 2, 3)
    assert list(counted.errors) == [2]
    assert "poison at 2026-10-11" in counted.errors[2]


def test_an_event_of_earlier_months_that_breaks_a_measure_is_left_out_of_it(
    months: Callable[..., Month], definitions: Definitions
) -> None:
    """One that is kept for life costs itself alone too, and the others of its type are read."""

    @measure(PROFILES, groups=0)
    def counting(month: Month) -> Iterator[Observation]:
        found = list(month.ever_of("ProfileSetEvent"))
        if any(event.context == "poison" for event in found):
            raise ValueError("poison")
        yield Observation((), len(found), tuple(event.seq for event in found))

    days = {"2026-03-01T10:00": None, "2026-04-01T10:00": "poison", "2026-10-12T10:00": None}
    found = [at(day, "ProfileSetEvent", context=context) for day, context in days.items()]
    counted = count_month(months(*found), Rules(definitions, monthly=(counting,)))
    assert [row.events for row in counted.rows] == [(1, 3)]
    assert list(counted.errors) == [2]


def test_what_became_other_in_a_month_is_added_up(
    months: Callable[..., Month], definitions: Definitions
) -> None:
    """Values that are not allowed are counted over all measures of the month."""

    @measure(GRANULARITY, groups=2, rows="each")
    def odd(month: Month) -> Iterator[Observation]:
        yield Observation(("wood", "half_an_hour"))
        yield Observation(("wood", "a_year"))

    month = months(VISIT)
    for measures in ((odd,), (odd, *MONTHLY[3:4]), (*MONTHLY[3:4], odd)):
        counted = count_month(month, Rules(definitions, monthly=measures))
        assert counted.others == {
            f"{GRANULARITY}.fluid_type": 2,
            f"{GRANULARITY}.granularity": 1,
        }


def test_a_measure_that_breaks_by_itself_takes_no_other_along(
    months: Callable[..., Month], definitions: Definitions
) -> None:
    """No event is to blame: it makes no row, and the others make theirs."""
    month = months(VISIT, at("2026-10-12T10:00", "ProfileSetEvent"))
    counted = count_month(month, Rules(definitions, monthly=(hopeless, *MONTHLY[3:4])))
    assert cells(counted, CONNECTIONS) == [(1,)]
    assert len(counted.rows) == 1
    assert list(counted.errors) == [0]
    assert "never works" in counted.errors[0]


def test_a_measure_that_breaks_by_itself_is_not_tried_event_by_event(
    months: Callable[..., Month], definitions: Definitions
) -> None:
    """However many events there are, what breaks without any is known at once."""
    tries = 0

    @measure(CONNECTIONS, groups=0)
    def counting(month: Month) -> Iterator[Observation]:
        nonlocal tries
        tries += 1
        yield from hopeless.observe(month)  # type: ignore[misc]

    month = months(*(at(f"2026-10-{day:02}T10:00") for day in range(1, 31)))
    assert count_month(month, Rules(definitions, monthly=(counting,))).rows == ()
    assert tries == 2
