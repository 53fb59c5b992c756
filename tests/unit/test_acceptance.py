"""Consent: which consents make a series, when it begins, and what ends it."""

import pytest

from ecolyo_worker.facts import Consent, acceptance

LATER = 1_000


def accepted(
    *consents: tuple[int, str], withdrawn: int | None = None, as_of: int = LATER, least: str = "1"
) -> int | None:
    told = [Consent(accepted_at, version) for accepted_at, version in consents]
    return acceptance(told, withdrawn, as_of, least)


def test_without_consent_there_is_no_acceptance() -> None:
    """Who never agreed has accepted nothing."""
    assert accepted() is None


def test_the_first_sufficient_consent_begins() -> None:
    """The acceptance is the date of the consent that began the series."""
    assert accepted((10, "1.0.0")) == 10


def test_accepting_newer_terms_takes_nothing_away() -> None:
    """Newer terms, and the same ones again, keep the beginning."""
    assert accepted((10, "1.0.0"), (20, "2.0.0"), (30, "2.0.0"), (40, "1.0.0")) == 10


def test_an_insufficient_consent_ends_the_series() -> None:
    """After terms below the configured version nothing is accepted any more."""
    assert accepted((10, "1.0.0"), (20, "0.9")) is None


def test_a_sufficient_one_after_an_insufficient_one_begins_anew() -> None:
    """A series that was broken begins again with the next sufficient consent."""
    assert accepted((10, "1.0.0"), (20, "0.9"), (30, "1.0.0"), (40, "1.1")) == 30


def test_insufficient_ones_before_begin_nothing() -> None:
    """The series begins with the first consent that suffices, not with the first of all."""
    assert accepted((5, "0.1"), (10, "0.9"), (30, "1.0.0")) == 30


def test_the_order_of_telling_does_not_matter() -> None:
    """Consents count in the order of their dates, however they came in."""
    assert accepted((30, "1.0.0"), (20, "0.9"), (10, "1.0.0")) == 30


@pytest.mark.parametrize(
    ("versions", "begin"),
    [(["0.9", "1.0.0"], 10), (["1.0.0", "0.9"], None), (["1.0.0", "0.9", "2"], 10)],
)
def test_of_one_date_the_last_one_given_holds(versions: list[str], begin: int | None) -> None:
    """Of two consents of one date the last one given replaces the other, as if it never was."""
    assert accepted((10, "1.0.0"), *((20, version) for version in versions)) == begin


@pytest.mark.parametrize(
    ("as_of", "begin"),
    [(9, None), (10, 10), (19, 10), (20, None), (29, None), (30, 30), (LATER, 30)],
)
def test_a_run_knows_no_consent_dated_after_it(as_of: int, begin: int | None) -> None:
    """A run as of a time sees the history as it stood then, with that very moment."""
    assert accepted((10, "1.0.0"), (20, "0.9"), (30, "1.0.0"), as_of=as_of) == begin


@pytest.mark.parametrize(
    ("withdrawn", "begin"), [(None, 10), (5, 10), (9, 10), (10, 20), (20, 30), (29, 30), (30, None)]
)
def test_a_withdrawal_ends_what_was_accepted_up_to_it(
    withdrawn: int | None, begin: int | None
) -> None:
    """Only a consent later than the latest one at the withdrawal begins a new series."""
    consents = [(10, "1.0.0"), (20, "1.0.0"), (30, "1.0.0")]
    assert accepted(*consents, withdrawn=withdrawn) == begin


def test_a_withdrawal_holds_for_a_run_as_of_an_earlier_time() -> None:
    """A run as of a time before the withdrawal finds nothing accepted either."""
    assert accepted((10, "1.0.0"), withdrawn=10, as_of=15) is None


def test_an_old_file_imported_again_revives_nothing() -> None:
    """A consent told again after the withdrawal, with its old date, stays ended."""
    assert accepted((10, "1.0.0"), (10, "2.0.0"), (8, "3.0.0"), withdrawn=10) is None


SUFFICIENT = [
    ("1.0.0", "1.0.0"),
    ("1", "1.0.0"),
    ("1.0.0", "1"),
    ("1.0", "1.0.0"),
    ("1.0.0.0", "1.0.0"),
    ("01.00", "1.0.0"),
    ("1.0.1", "1.0.0"),
    ("1.0.0.1", "1.0.0"),
    ("1.1", "1.0.9"),
    ("2", "1.9.9"),
    ("10.0", "9.0"),
    ("1.10", "1.9"),
    ("1.0.20261120120000", "1.0.5"),
    ("1.0.0.0.0.0.0.0.0.0.0.1", "1.0.0"),
    ("9" * 100, "1.0.0"),
    ("0", "0"),
]
INSUFFICIENT = [
    ("0.9.9", "1.0.0"),
    ("0", "1.0.0"),
    ("1", "1.0.1"),
    ("1.0.0", "1.0.0.1"),
    ("9.9", "10.0"),
    ("1.9", "1.10"),
    ("1.0.0-beta", "1.0.0"),
    ("2.0.0-beta", "1.0.0"),
    ("v2", "1.0.0"),
    ("2.", "1.0.0"),
    (".2", "1.0.0"),
    ("2..0", "1.0.0"),
    ("2,0", "1.0.0"),
    ("+2", "1.0.0"),
    ("-2", "1.0.0"),
    (" 2", "1.0.0"),
    ("2\n", "1.0.0"),
    ("2e3", "1.0.0"),
    ("٢", "1.0.0"),
    ("²", "1.0.0"),
    ("2_0", "1.0.0"),
    ("latest", "1.0.0"),
    ("", "0"),
]


@pytest.mark.parametrize(
    ("version", "least", "suffices"),
    [(*pair, True) for pair in SUFFICIENT] + [(*pair, False) for pair in INSUFFICIENT],
)
def test_versions_are_compared_number_by_number(version: str, least: str, suffices: bool) -> None:
    """Versions are numbers and dots, missing parts are 0, and anything else is insufficient."""
    assert accepted((10, version), least=least) == (10 if suffices else None)
