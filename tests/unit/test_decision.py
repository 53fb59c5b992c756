"""Decisions: what becomes of a row, and of its destination, after each kind of outcome."""

import random
from datetime import timedelta
from typing import Any

import pytest

from ecolyo_worker.actors.decision import BREAKER_FAILURES, Decision, decide, stand
from ecolyo_worker.clock import instant_text
from ecolyo_worker.remote.outcome import Kind, Outcome
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store.destinations import Standing
from ecolyo_worker.store.outbox import Claimed, Settlement

NOW = 1_795_168_000_000
MINUTE, HOUR, WEEK = 60_000, 3_600_000, 7 * 86_400_000
KINDS: tuple[Kind, ...] = (
    *("delivered", "rejected", "unauthorized", "misconfigured"),
    *("throttled", "failed", "unavailable", "unknown"),
)


def row(attempts: int = 0, failing_since: int | None = None, last: int | None = None) -> Claimed:
    return Claimed(7, 1, b"{}", attempts, failing_since, last, tries=attempts)


def decided(
    kind: Kind,
    claimed: Claimed | None = None,
    settings: Dacc | None = None,
    retry_after: float | None = None,
    seed: int = 1,
) -> Decision:
    outcome = Outcome(kind, f"said of {kind}", 418, retry_after)
    draw = random.Random(seed)
    return decide(claimed or row(), outcome, settings or Dacc(), NOW, draw, "do this or that")


def test_delivered_is_sent() -> None:
    """What was delivered is sent, and nothing of its failures is kept."""
    assert decided("delivered", row(3, NOW - HOUR)) == Decision(Settlement("sent", "delivered"))


def test_rejected_is_dead_with_its_answer() -> None:
    """What was rejected is dead at the first attempt, with what was said; others go on."""
    decision = decided("rejected")
    assert decision.settlement == Settlement(
        "dead", "rejected", counted=True, failing_since=NOW, answer="418: said of rejected"
    )
    assert (decision.pause_until, decision.reason) == (None, None)


@pytest.mark.parametrize(
    ("kind", "words", "advice"),
    [
        ("unauthorized", "the DACC does not accept the token", "; do this or that"),
        ("misconfigured", "the DACC's address does not answer as a DACC", ""),
    ],
)
@pytest.mark.parametrize("wait", [timedelta(minutes=15), timedelta(seconds=2)])
def test_a_wrong_token_or_address_pauses_the_destination(
    kind: Kind, words: str, advice: str, wait: timedelta
) -> None:
    """The row waits uncounted, its destination is paused, and only a token comes with advice."""
    decision = decided(kind, row(5, NOW - HOUR), Dacc(auth_retry=wait))
    until = NOW + wait // timedelta(milliseconds=1)
    assert decision.pause_until == until
    said = f"{words} (418: said of {kind})"
    assert decision.reason == f"{said}, next try {instant_text(until)}{advice}"
    assert decision.settlement == Settlement(
        "pending", kind, failing_since=NOW - HOUR, answer=f"418: said of {kind}"
    )


def test_a_token_that_cannot_be_read_is_not_the_daccs_doing() -> None:
    """Where nothing was asked, the reason is what is wrong with the file, not a refusal."""
    outcome = Outcome("unauthorized", "dacc.token_file: it cannot be read")
    decision = decide(row(), outcome, Dacc(), NOW, random.Random(1))
    until = instant_text(NOW + 15 * MINUTE)
    assert decision.reason == f"dacc.token_file: it cannot be read, next try {until}"


def test_the_backoff_grows_with_tries_that_do_not_count() -> None:
    """An outage makes a row wait longer and longer, though none of its attempts is counted."""
    waits = []
    for tries in (0, 4):
        claimed = Claimed(7, 1, b"{}", 0, None, None, tries=tries)
        dues = [decided("unavailable", claimed, seed=seed).settlement.due for seed in range(40)]
        waits.append(max(dues) - NOW)
    assert waits[0] <= 30_001 < 200_000 < waits[1] <= 480_001


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        (1.0, 1000),
        (30.0, 30_000),
        (3599.5, 3_599_500),
        (3600.0, HOUR),
        (3601.0, HOUR),
        (1e12, HOUR),
    ],
)
def test_throttled_waits_as_long_as_it_was_asked_to(retry_after: float, wait: int) -> None:
    """The destination waits `Retry-After`, an hour at most; the row's attempt is not counted."""
    decision = decided("throttled", row(2), retry_after=retry_after)
    assert decision.pause_until == NOW + wait
    assert decision.settlement == Settlement(
        "pending", "throttled", answer="418: said of throttled"
    )
    assert decision.reason == (
        f"the DACC asks to wait (418: said of throttled), next try {instant_text(NOW + wait)}"
    )


def pauses(attempts: int, settings: Dacc) -> list[int]:
    found = [decided("throttled", row(attempts), settings, seed=n).pause_until for n in range(300)]
    return [until - NOW for until in found if until is not None]


def test_throttled_without_a_time_backs_off() -> None:
    """Without a sane `Retry-After` the destination waits a random backoff."""
    waits = pauses(0, Dacc())
    assert len(waits) == 300
    assert 0 < min(waits) < 3_000
    assert 27_000 < max(waits) <= 30_000


def delays(kind: Kind, attempts: int, settings: Dacc, draws: int = 300) -> list[int]:
    claimed = row(attempts)
    return [decided(kind, claimed, settings, seed=n).settlement.due - NOW for n in range(draws)]


@pytest.mark.parametrize("kind", ["failed", "unavailable"])
@pytest.mark.parametrize(
    ("attempts", "end"),
    [(0, 30_000), (1, 60_000), (2, 120_000), (6, 1_920_000), (7, HOUR), (11, HOUR), (999, HOUR)],
)
def test_a_backoff_is_anywhere_up_to_its_end(kind: Kind, attempts: int, end: int) -> None:
    """Full jitter: between nothing and the base doubled with each attempt, the cap at most."""
    found = delays(kind, attempts, Dacc(max_attempts=1000))
    assert all(0 < delay <= end for delay in found)
    assert min(found) < end / 20
    assert max(found) > end * 19 / 20
    assert end * 0.4 < sum(found) / len(found) < end * 0.6


@pytest.mark.parametrize(
    ("attempts", "end"), [(0, 10), (1, 20), (2, 40), (3, 50), (40, 50), (10**6, 50)]
)
def test_base_and_cap_are_settings(attempts: int, end: int) -> None:
    """The backoff's first end and its greatest one are those of the settings."""
    settings = Dacc(backoff_base=timedelta(milliseconds=10), backoff_cap=timedelta(milliseconds=50))
    found = delays("unavailable", attempts, settings)
    assert (min(found), max(found)) == (1, end)


def test_a_cap_below_the_base_holds() -> None:
    """The cap bounds the first backoff too."""
    settings = Dacc(backoff_base=timedelta(hours=1), backoff_cap=timedelta(seconds=1))
    assert max(delays("failed", 0, settings)) <= 1000


def test_the_same_seed_gives_the_same_decision() -> None:
    """All chance comes from the random source that is passed in."""
    assert decided("failed", seed=5) == decided("failed", seed=5)
    assert decided("failed", seed=5) != decided("failed", seed=6)


def test_unavailable_is_not_counted() -> None:
    """Nobody there: the row waits with its backoff, the attempt is not counted."""
    settlement = decided("unavailable", row(4)).settlement
    assert (settlement.state, settlement.counted) == ("pending", False)
    assert (settlement.failing_since, settlement.answer) == (NOW, "418: said of unavailable")
    assert not settlement.maybe_delivered


def test_failed_is_counted() -> None:
    """A failure counts the attempt, and the row is tried again."""
    decision = decided("failed", row(4))
    settlement = decision.settlement
    assert (settlement.state, settlement.counted) == ("pending", True)
    assert (settlement.failing_since, settlement.answer) == (NOW, "418: said of failed")
    assert not settlement.maybe_delivered
    assert decision.pause_until is None


@pytest.mark.parametrize(
    ("attempts", "since", "last", "state"),
    [
        (10, NOW - HOUR, NOW - MINUTE, "pending"),
        (11, NOW - HOUR, NOW - MINUTE, "dead"),
        (50, NOW - HOUR, NOW - MINUTE, "dead"),
        (11, NOW - HOUR, None, "pending"),
        (11, NOW - HOUR, NOW - HOUR - 1, "pending"),
        (11, NOW - HOUR, NOW - HOUR + 1, "dead"),
        (11, NOW - WEEK + 1, None, "pending"),
        (11, NOW - WEEK, None, "dead"),
        (11, NOW - WEEK, NOW - 2 * WEEK, "dead"),
        (10, NOW - 2 * WEEK, None, "pending"),
        (11, None, NOW - MINUTE, "pending"),
    ],
)
def test_an_outage_kills_nothing(
    attempts: int, since: int | None, last: int | None, state: str
) -> None:
    """The last attempt is dead only if others got through since the first failure, or in a week."""
    settlement = decided("failed", row(attempts, since, last)).settlement
    assert (settlement.state, settlement.counted) == (state, True)
    assert settlement.answer == "418: said of failed"
    assert settlement.failing_since == (NOW if since is None else since)


def test_how_many_attempts_there_are_is_a_setting() -> None:
    """With one attempt the first failure of a row that others pass is its last."""
    since = NOW - HOUR
    once = decided("failed", row(0, since, NOW), Dacc(max_attempts=1)).settlement
    assert once.state == "dead"
    assert decided("failed", row(0, since, NOW), Dacc(max_attempts=2)).settlement.state == "pending"


@pytest.mark.parametrize("attempts", [0, 11, 500])
def test_unknown_is_tried_again(attempts: int) -> None:
    """What may have been delivered is counted as such, waits, and is never dead for this."""
    claimed = row(attempts, NOW - 2 * WEEK, NOW - MINUTE)
    assert decided("unknown", claimed).settlement == Settlement(
        "pending",
        "unknown",
        due=NOW + 15 * MINUTE,
        counted=True,
        maybe_delivered=True,
        failing_since=NOW - 2 * WEEK,
        answer="418: said of unknown",
    )


def test_how_long_unknown_waits_is_a_setting() -> None:
    """The next try is not before `unknown_retry`, without any chance in it."""
    settings = Dacc(unknown_retry=timedelta(hours=2))
    dues = {decided("unknown", settings=settings, seed=n).settlement.due for n in range(20)}
    assert dues == {NOW + 2 * HOUR}


def test_unknown_may_be_dropped() -> None:
    """With `drop` the row is finished as maybe sent: at most once."""
    settlement = decided("unknown", settings=Dacc(on_unknown="drop")).settlement
    assert (settlement.state, settlement.due) == ("sent?", 0)
    assert settlement.maybe_delivered
    assert settlement.counted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_unknown", ["retry", "drop"])
def test_a_decision_is_about_the_outcome(kind: Kind, on_unknown: Any) -> None:
    """Each decision names its outcome, a state that a row can have, and pauses with a reason."""
    decision = decided(kind, settings=Dacc(on_unknown=on_unknown))
    assert decision.settlement.outcome == kind
    assert decision.settlement.state in {"sent", "sent?", "pending", "dead"}
    assert (decision.pause_until is None) == (decision.reason is None)
    counted = kind in {"rejected", "failed", "unknown"}
    assert decision.settlement.counted is counted
    assert decision.settlement.maybe_delivered is (kind == "unknown")


OPEN = Standing(state="open", not_before=NOW, reason="away", failures=7, opened=2)


def stood(
    before: Standing, kind: Kind, *, is_probe: bool = False, retry_after: float | None = None
) -> Standing:
    claimed = Claimed(7, 1, b"{}", 0, None, None, is_probe=is_probe)
    outcome = Outcome(kind, f"said of {kind}", 418, retry_after)
    decision = decide(claimed, outcome, Dacc(), NOW, random.Random(1))
    return stand(before, claimed, outcome, decision, 99, NOW)


@pytest.mark.parametrize(
    "before", [Standing(), OPEN, Standing(state="paused", reason="no token", secret_mark=1)]
)
def test_what_is_taken_ends_everything(before: Standing) -> None:
    """After a delivery a destination is as good as new, whatever held it back."""
    assert stood(before, "delivered") == Standing(last_delivered=NOW)


THROTTLED = Standing(state="paused", not_before=NOW + 3_600_000, reason="asked to wait")


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_that_was_asked_for_is_kept(kind: Kind) -> None:
    """What had begun before the other side asked to wait does not shorten the wait."""
    after = stood(THROTTLED, kind, retry_after=25)
    assert (after.state, after.not_before) == ("paused", THROTTLED.not_before)
    assert stood(THROTTLED, "delivered", is_probe=True).state == "ready"


def test_a_refused_row_says_that_the_destination_works() -> None:
    """A rejection ends a pause and the breaker, and is no delivery."""
    before = Standing(state="open", reason="away", failures=9, opened=3, last_delivered=5)
    assert stood(before, "rejected") == Standing(last_delivered=5)


@pytest.mark.parametrize("kind", ["failed", "unavailable", "unknown"])
def test_five_failures_in_a_row_open_the_breaker(kind: Kind) -> None:
    """The fifth failure in a row holds the destination back for a minute, with the last words."""
    standing = Standing()
    for count in range(1, BREAKER_FAILURES):
        standing = stood(standing, kind)
        assert (standing.state, standing.failures) == ("ready", count)
        assert standing.reason == f"418: said of {kind}"
    standing = stood(standing, kind)
    assert (standing.state, standing.opened) == ("open", 1)
    assert standing.not_before == NOW + MINUTE
    assert f"said of {kind}" in (standing.reason or "")


def test_a_delivery_in_between_begins_the_count_anew() -> None:
    """Failures that are not in a row open nothing."""
    standing = Standing()
    for _ in range(3):
        for _ in range(BREAKER_FAILURES - 1):
            standing = stood(standing, "failed")
        standing = stood(standing, "delivered")
    assert standing.state == "ready"


def test_a_failed_probe_doubles_the_wait() -> None:
    """Each probe that fails makes the next wait twice as long, up to 15 minutes."""
    standing, waits = OPEN, []
    for _ in range(4):
        standing = stood(standing, "unavailable", is_probe=True)
        waits.append(standing.not_before - NOW)
    assert waits == [4 * MINUTE, 8 * MINUTE, 15 * MINUTE, 15 * MINUTE]


def test_what_was_under_way_doubles_nothing() -> None:
    """Failures of rows that left before the breaker opened do not make its wait longer."""
    after = stood(OPEN, "failed")
    assert (after.not_before, after.opened, after.failures) == (NOW, 2, 8)


def test_a_probe_that_fails_opens_the_breaker_of_what_was_paused() -> None:
    """Whether the token is good now is still not known, so that one row at a time goes on."""
    before = Standing(state="paused", reason="no token", secret_mark=5)
    after = stood(before, "unavailable", is_probe=True)
    assert (after.state, after.opened, after.not_before) == ("open", 1, NOW + MINUTE)


@pytest.mark.parametrize(
    ("kind", "mark"), [("unauthorized", 99), ("misconfigured", 99), ("throttled", None)]
)
def test_a_pause_remembers_the_secret_it_is_about(kind: Kind, mark: int | None) -> None:
    """Another secret ends a pause for its sake, but not the wait that was asked for."""
    after = stood(Standing(failures=3), kind, retry_after=30)
    assert (after.state, after.secret_mark, after.failures) == ("paused", mark, 0)
    assert after.not_before > NOW


@pytest.mark.parametrize("kind", ["unauthorized", "misconfigured", "throttled", "failed"])
def test_when_others_got_through_last_stays_known(kind: Kind) -> None:
    """What is held back, or asked to wait, still says when it took a row last, and why it waits."""
    before = Standing(failures=BREAKER_FAILURES - 1, last_delivered=5)
    after = stood(before, kind, retry_after=30)
    assert (after.last_delivered, after.failures) == (5, 5 if kind == "failed" else 0)
    assert f"next try {instant_text(after.not_before)}" in (after.reason or "")


def test_a_longer_wait_is_taken_over_and_a_delivery_noted() -> None:
    """While the other side asked to wait, only what it asks for anew makes the wait longer."""
    before = Standing(state="paused", not_before=NOW, reason="asked to wait", last_delivered=5)
    assert stood(before, "throttled", retry_after=25).not_before == NOW + 25_000
    assert stood(before, "unauthorized").not_before == NOW
    assert stood(before, "unauthorized").last_delivered == 5
    assert stood(before, "delivered").last_delivered == NOW


def test_a_delivery_at_the_first_failure_is_none_since() -> None:
    """Others get through only if one is delivered after the row began to fail."""
    settlement = decided("failed", row(11, NOW - HOUR, NOW - HOUR)).settlement
    assert settlement.state == "pending"
    assert decided("failed", row(11, NOW - HOUR, NOW)).settlement.outcome == "failed"
    assert decided("rejected", row(1, NOW - HOUR)).settlement.failing_since == NOW - HOUR
    assert decided("unknown").settlement.failing_since == NOW
