"""Named places at which a test process ends without warning, to show what a crash leaves behind.

`reach("intake.committed")` does nothing, unless the environment arms that very place:
`ECOLYO_CRASH_AT=intake.committed:kill:3` kills the process at the third time, `:exit:` ends it
without any clean-up. Only tests arm one.
"""

import os
import signal
import sys
from typing import Final, NoReturn

from ecolyo_worker.errors import ConfigurationError

__all__ = ["POINTS", "VARIABLE", "reach"]

VARIABLE: Final = "ECOLYO_CRASH_AT"

POINTS: Final[dict[str, str]] = {
    "intake.stored": "events are inserted, their transaction is not committed",
    "intake.committed": "events are on disk, nobody was told",
    "aggregation.storing": "a batch's days are stored, its months are not, nothing is committed",
    "aggregation.counted": "a batch is counted and stored, its transaction is not committed",
    "aggregation.committed": "a batch is on disk, the next one has not begun",
    "aggregation.finished": "the slot is taken, the sender was not woken",
    "sender.claiming": "rows are marked in flight, the transaction is not committed",
    "sender.claimed": "rows are in flight, no request has begun",
    "sender.answered": "an answer is read, the row is not marked",
    "sender.settling": "rows are marked by their answers, the transaction is not committed",
    "sender.settled": "rows are marked on disk, the next claim has not begun",
    "start.rescuing": "rows of an earlier process are taken back, the transaction is not committed",
    "outbox.moving": "dead rows are pending again, the transaction is not committed",
    "facts.storing": "what a host says of somebody is stored, the transaction is not committed",
    "readings.storing": "readings of a file are stored, the transaction is not committed",
    "accounts.adding": "an energy account is made, the transaction is not committed",
    "accounts.removing": "an energy account is deleted, the transaction is not committed",
    "consents.storing": "a consent, its meter and its tokens are stored, nothing is committed",
    "tokens.answered": "a token was given, and the one before is dead; it is not stored",
    "tokens.stored": "a token that was given is on disk, nothing was asked with it",
    "poller.answered": "readings have come, nothing of them is stored",
    "poller.storing": "readings and how far they go are stored, the transaction is not committed",
    "poller.stored": "readings are on disk, the next window is not asked for",
    "janitor.pruning": "old rows are deleted, the transaction is not committed",
    "janitor.pruning_events": "old events are deleted, the transaction is not committed",
    "withdrawal.deleting": "what waits is deleted, the transaction is not committed",
    "forget.deleting": "all of a person is deleted, the transaction is not committed",
    "backup.copied": "a backup is copied beside the database, nobody was given any of it",
    "erasing.written": "the database is written anew, its log is not emptied",
    "migration.applied": "a migration's statements have run, it is not committed",
}
"""Every place, and what has happened there and what has not."""

_hits: dict[str, int] = {}


def reach(point: str) -> None:
    """Say that the process is at this place; it ends here if a test armed it."""
    armed = os.environ.get(VARIABLE)
    if armed is not None:
        _end_if_armed(point, armed)


def _end_if_armed(point: str, armed: str) -> None:
    name, kind, count = _read(armed)
    if point != name:
        return
    _hits[point] = _hits.get(point, 0) + 1
    if _hits[point] >= count:
        _end(kind)


def _read(armed: str) -> tuple[str, str, int]:
    name, _, rest = armed.partition(":")
    kind, _, count = rest.partition(":")
    if name not in POINTS or kind not in {"kill", "exit"} or not count.isdecimal():
        raise ConfigurationError(
            f"{VARIABLE}: found {armed!r}; allowed: PLACE:kill:COUNT or PLACE:exit:COUNT, with a"
            f" place of {', '.join(POINTS)}"
        )
    return name, kind, int(count)


def _end(kind: str) -> NoReturn:
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # it comes at once, and nothing may happen before
    sys.stderr.flush()
    os._exit(137)
