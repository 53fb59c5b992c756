"""What becomes of a row, and of its destination, after an attempt: pure functions."""

import random
from datetime import timedelta

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import instant_text
from ecolyo_worker.remote.outcome import Outcome
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store.destinations import Standing
from ecolyo_worker.store.outbox import Claimed, Settlement

__all__ = ["BREAKER_FAILURES", "Decision", "decide", "stand"]

BREAKER_FAILURES = 5
"""After so many failures in a row the breaker of a destination opens."""

_WEEK_MS = 7 * 86_400_000
_LONGEST_RETRY_AFTER = timedelta(hours=1)
_BREAKER_MS = 60_000
_LONGEST_BREAKER_MS = 900_000
_DELIVERED = Settlement("sent", "delivered")


class Decision(Struct, frozen=True):
    """What to store for the row, and until when to hold its destination back, and why."""

    settlement: Settlement
    pause_until: int | None = None
    reason: str | None = None


def decide(
    row: Claimed,
    outcome: Outcome,
    settings: Dacc,
    now: int,
    draw: random.Random,
    token_advice: str = "",
) -> Decision:
    """Decide on an outcome; instants are ms of UTC. `token_advice` goes with a refused token."""
    since = row.failing_since if row.failing_since is not None else now
    match outcome.kind:
        case "delivered":
            return Decision(_DELIVERED)
        case "rejected":
            return Decision(
                Settlement(
                    "dead", "rejected", counted=True, failing_since=since, answer=outcome.detail
                )
            )
        case "unauthorized" | "misconfigured" | "throttled":
            return _hold(row, outcome, settings, now, draw, token_advice)
        case "failed":
            return Decision(_failed(row, outcome, settings, now, draw))
        case "unavailable":
            return Decision(
                Settlement(
                    "pending",
                    "unavailable",
                    due=now + _backoff(row.tries, settings, draw),
                    failing_since=since,
                    answer=outcome.detail,
                )
            )
        case "unknown":
            return Decision(_unknown(row, outcome, settings, now))


def stand(
    standing: Standing, row: Claimed, outcome: Outcome, decision: Decision, mark: int, now: int
) -> Standing:
    """Tell how a destination does after an outcome; `mark` is what its secret was known by.

    Whatever was delivered, or refused for its own sake, shows that the destination works.
    """
    if standing.is_throttled and not row.is_probe:
        return _stand_throttled(standing, outcome, decision, now)
    match outcome.kind:
        case "delivered":
            return Standing(last_delivered=now)
        case "rejected":
            return Standing(last_delivered=standing.last_delivered)
        case "failed" | "unavailable" | "unknown":
            return _stand_failing(standing, row, outcome, now)
        case "unauthorized" | "misconfigured" | "throttled":
            return Standing(
                state="paused",
                not_before=decision.pause_until or now,
                reason=decision.reason,
                secret_mark=None if outcome.kind == "throttled" else mark,
                last_delivered=standing.last_delivered,
            )


def _stand_throttled(
    standing: Standing, outcome: Outcome, decision: Decision, now: int
) -> Standing:
    """A wait that was asked for is kept, whatever an attempt comes to that had begun before."""
    until = decision.pause_until if outcome.kind == "throttled" else None
    return msgspec.structs.replace(
        standing,
        not_before=max(standing.not_before, until or 0),
        last_delivered=now if outcome.kind == "delivered" else standing.last_delivered,
    )


def _stand_failing(standing: Standing, row: Claimed, outcome: Outcome, now: int) -> Standing:
    """Count a failure. The breaker opens at the fifth in a row, and again at a failed probe."""
    failures = standing.failures + 1
    counted = msgspec.structs.replace(standing, failures=failures)
    if standing.state != "ready" and not row.is_probe:
        return counted  # it was under way already when the destination was held back
    if standing.state == "ready" and failures < BREAKER_FAILURES:
        return msgspec.structs.replace(counted, reason=outcome.detail)
    wait = min(_BREAKER_MS << min(standing.opened, 10), _LONGEST_BREAKER_MS)
    words = f"the last attempts failed ({outcome.detail}), next try {instant_text(now + wait)}"
    return Standing(
        state="open",
        not_before=now + wait,
        reason=words,
        failures=failures,
        opened=standing.opened + 1,
        last_delivered=standing.last_delivered,
    )


def _hold(
    row: Claimed,
    outcome: Outcome,
    settings: Dacc,
    now: int,
    draw: random.Random,
    token_advice: str,
) -> Decision:
    """Hold the destination back: no other row of it would fare better."""
    if outcome.kind == "throttled":
        wait = _backoff(row.tries, settings, draw)
        if outcome.retry_after is not None:
            wait = _ms(min(timedelta(seconds=outcome.retry_after), _LONGEST_RETRY_AFTER))
        words = "the DACC asks to wait"
    else:
        wait = _ms(settings.auth_retry)
        words = (
            "the DACC does not accept the token"
            if outcome.kind == "unauthorized"
            else "the DACC's address does not answer as a DACC"
        )
    hint = f"; {token_advice}" if outcome.kind == "unauthorized" and token_advice else ""
    # Without a status nothing was asked: the token could not even be read.
    cause = outcome.detail if outcome.status is None else f"{words} ({outcome.detail})"
    reason = f"{cause}, next try {instant_text(now + wait)}{hint}"
    settlement = Settlement(
        "pending", outcome.kind, failing_since=row.failing_since, answer=outcome.detail
    )
    return Decision(settlement, now + wait, reason)


def _failed(
    row: Claimed, outcome: Outcome, settings: Dacc, now: int, draw: random.Random
) -> Settlement:
    """Count the attempt. The last one is dead only if others get through: an outage kills none."""
    since = row.failing_since if row.failing_since is not None else now
    others_pass = row.last_delivered is not None and row.last_delivered > since
    is_last = row.attempts + 1 >= settings.max_attempts
    if is_last and (others_pass or now - since >= _WEEK_MS):
        return Settlement(
            "dead", "failed", counted=True, failing_since=since, answer=outcome.detail
        )
    return Settlement(
        "pending",
        "failed",
        due=now + _backoff(row.tries, settings, draw),
        counted=True,
        failing_since=since,
        answer=outcome.detail,
    )


def _unknown(row: Claimed, outcome: Outcome, settings: Dacc, now: int) -> Settlement:
    """The DACC may have it: send again later, or not at all, as the settings say."""
    retrying = settings.retries_unknown
    return Settlement(
        "pending" if retrying else "sent?",
        "unknown",
        due=now + _ms(settings.unknown_retry) if retrying else 0,
        counted=True,
        maybe_delivered=True,
        failing_since=row.failing_since if row.failing_since is not None else now,
        answer=outcome.detail,
    )


def _backoff(tries: int, settings: Dacc, draw: random.Random) -> int:
    """Full jitter: anywhere up to an end that doubles with each failed try. At least 1 ms."""
    end = min(_ms(settings.backoff_base) << min(tries, 30), _ms(settings.backoff_cap))
    return 1 + int(draw.random() * end)


def _ms(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)
