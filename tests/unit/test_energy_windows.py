"""Which windows are asked for."""

from hypothesis import given
from hypothesis import strategies as st

from ecolyo_worker.energy.windows import (
    bridged,
    joined,
    newest,
    number,
    requested,
    runs,
    todo,
    within,
    without,
)

DAYS = range(100, 200)

ranges = st.lists(
    st.builds(
        lambda start, length: range(start, start + length), st.integers(90, 210), st.integers(0, 30)
    ),
    max_size=6,
)


def all_days(found: object) -> list[int]:
    return [day for one in found for day in one]  # type: ignore[attr-defined]


def walked(left: tuple[range, ...], longest: int) -> list[range]:
    """Ask for all of it, window by window."""
    found = []
    while (window := newest(left, longest)) is not None:
        found.append(window)
        left = without(left, [window])
    return found


def test_history_comes_newest_first() -> None:
    """Windows lie side by side, the newest first, none longer than is allowed."""
    assert walked((range(10, 30),), 7) == [range(23, 30), range(16, 23), range(10, 16)]
    assert number((range(10, 30), range(40, 41)), 7) == 4


def test_what_is_complete_is_not_asked() -> None:
    """Only days that were never asked for, and those that are open, are asked."""
    assert todo(DAYS, [range(100, 199)], []) == (range(199, 200),)
    assert todo(DAYS, [range(100, 199)], [198, 150, 50]) == (range(150, 151), range(198, 200))
    assert todo(DAYS, [DAYS], []) == ()


def test_a_request_for_periods_reaches_beyond_its_window() -> None:
    """Up to a year from its first day, and not to today; other series ask for the window alone."""
    assert requested("gas_periods", range(1000, 1303), 2000) == range(1000, 1365)
    assert requested("gas_periods", range(1700, 1701), 2000) == range(1700, 2000)
    assert requested("gas_days", range(1000, 1303), 2000) == range(1000, 1303)


def test_near_days_are_asked_by_one_request() -> None:
    """Up to a month apart, if one window holds both, and nothing in between is to be left alone."""
    some = (range(100, 110), range(140, 141), range(150, 152), range(190, 191))
    assert bridged(some, 365) == (range(100, 152), range(190, 191))
    assert bridged(some, 50) == (range(100, 110), range(140, 152), range(190, 191))
    assert bridged(some, 7) == some
    assert bridged(some, 365, [range(145, 146)]) == (
        *(range(100, 141), range(150, 152)),
        range(190, 191),
    )


def test_nothing_is_left_of_nothing() -> None:
    """Without days there is no window."""
    assert newest((), 7) is None
    assert within([range(10)], range(20, 30)) == ()


@given(ranges, ranges)
def test_ranges_are_sets_of_days(some: list[range], others: list[range]) -> None:
    """What is joined, taken out and kept is as if each day were looked at by itself."""
    first, second = set(all_days(some)), set(all_days(others))
    assert all_days(joined(some)) == sorted(first)
    assert all_days(without(some, others)) == sorted(first - second)
    assert all_days(within(some, DAYS)) == sorted(first & set(DAYS))
    assert runs(first) == joined(some)


@given(ranges, st.integers(1, 9))
def test_each_day_is_asked_once(some: list[range], longest: int) -> None:
    """However it is cut, each day is in one window, and there are as many as was told."""
    left = joined(some)
    windows = walked(left, longest)
    assert sorted(all_days(windows)) == all_days(left)
    assert len(windows) == number(left, longest)
    assert all(0 < len(window) <= longest for window in windows)
    assert [window.start for window in windows] == sorted(
        (window.start for window in windows), reverse=True
    )
