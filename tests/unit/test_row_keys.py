"""Keys of rows: unique for each row of an instance, and near each other for one start date."""

from itertools import product

from ecolyo_worker.store.countings import row_key

MEASURES = ("quiz-stars", "session-duration")


def test_every_row_has_a_key_of_its_own() -> None:
    """Another instance, measure, start date, counting or ordinal is another key, of 16 bytes."""
    dates = ("2026-11-19", "2026-11-20")
    parts = list(product((b"a" * 16, b"b" * 16), MEASURES, dates, range(3), range(12)))
    keys = {row_key(*part) for part in parts}
    assert len(keys) == len(parts)
    assert {len(key) for key in keys} == {16}


def test_keys_of_one_start_date_lie_together() -> None:
    """They begin alike, and those of another date, or of another instance, begin otherwise."""

    def begins(salt: bytes, date: str) -> set[bytes]:
        return {row_key(salt, measure, date, 0, n)[:6] for measure in MEASURES for n in range(9)}

    found = [begins(salt, date) for salt in (b"a" * 16, b"b" * 16) for date in ("2026-11-19", "x")]
    assert [len(one) for one in found] == [1, 1, 1, 1]
    assert len(set().union(*found)) == 4
