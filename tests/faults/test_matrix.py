"""The matrix of faults has no hole, and its tests say what they show."""

from importlib import import_module

from ecolyo_worker.crashpoints import POINTS
from tests.faults.ended import tried
from tests.faults.matrix import FAULTS, shown

ALL = [number for faults in FAULTS.values() for number in faults]


def test_every_fault_is_shown_by_a_test() -> None:
    """The rows are numbered without a gap, and each has a test of this folder."""
    assert list(range(1, 64)) == ALL
    rows = {row for test in shown() for row in test.rows}
    assert sorted(rows) == ALL


def test_every_test_names_its_rows_and_says_what_is_done() -> None:
    """Nothing here is without a number, and no cell of the page is empty."""
    tests = list(shown())
    assert tests
    assert [test.name for test in tests if not test.rows or not test.says] == []


def test_every_crash_point_is_tried() -> None:
    """There is no place to crash at that no test lets the worker crash at."""
    import_module("tests.faults.test_crashes")
    assert tried == set(POINTS)
