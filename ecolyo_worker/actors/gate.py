"""The gate: what a row must be, at the moment when it is to leave."""

import hmac
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta

from ecolyo_worker.actors.context import Context
from ecolyo_worker.clock import civil_from_instant, day_of, day_text
from ecolyo_worker.errors import IndicatorRefused
from ecolyo_worker.facts import acceptance
from ecolyo_worker.store import countings, instances, outbox
from ecolyo_worker.store.draw import Drawn, Verdict

__all__ = ["Gate"]

# So many texts are remembered that the definitions allow: most indicators are like many others.
_MOST_TEXTS = 2048


class Gate:
    """Looks at a row once more before it leaves: it must be whole, allowed, and agreed to."""

    def __init__(self, context: Context, *, is_local: bool) -> None:
        """It goes by the definitions and the settings; `is_local`: all is sent to this machine."""
        self._context = context
        self._is_local = is_local
        self._allowed: OrderedDict[bytes, None] = OrderedDict()

    def judge(
        self, connection: sqlite3.Connection, now: int, drawn: Sequence[Drawn]
    ) -> list[Verdict]:
        """Say of each row whether it may leave now."""
        today = self._today()
        later = now + self._context.settings.dacc.backoff_cap // timedelta(milliseconds=1)
        agreed = self._agreed(connection, {row.instance for row in drawn}, self._moment(connection))
        return [self._verdict(row, today, later, agreed) for row in drawn]

    def _verdict(self, row: Drawn, today: str, later: int, agreed: set[int]) -> Verdict:
        words = self._damage(row)
        if words is not None:
            return Verdict("dead", words)
        if row.instance not in agreed:
            return Verdict("pending", "it waits: no consent is in force any more", later)
        if row.start_date >= today and not self._is_local:
            # It was made by a trial run as of a time to come, for a DACC on this machine.
            return Verdict("pending", "it waits: its day has not ended yet", later)
        return _LEAVES

    def _damage(self, row: Drawn) -> str | None:
        """Say why a row may never leave; None for one that may."""
        body = row.claimed.body
        if not hmac.compare_digest(row.body_hmac, outbox.body_hmac(self._context.hmac_key, body)):
            return "the stored text is damaged: its HMAC does not fit"
        if body in self._allowed:
            return None
        try:
            self._context.rules.definitions.check_body(body)
        except IndicatorRefused as error:
            return f"no longer in the definitions: {error}"
        self._allowed[body] = None
        if len(self._allowed) > _MOST_TEXTS:
            self._allowed.popitem(last=False)
        return None

    def _agreed(self, connection: sqlite3.Connection, ids: set[int], moment: int) -> set[int]:
        """Give those of some instances that have a consent in force as of a civil time."""
        least = self._context.settings.aggregation.consent_version
        return {
            ident
            for ident, (consents, withdrawn) in instances.consents_of(connection, ids).items()
            if acceptance(consents, withdrawn, moment, least) is not None
        }

    def _moment(self, connection: sqlite3.Connection) -> int:
        """Give the civil time as of which a consent must be in force, in ms.

        That is now; where all is sent to this machine, the latest time that a trial run was as of,
        if that lies ahead.
        """
        now = civil_from_instant(self._context.clock.now(), self._context.settings.civil_zone)
        return max(now, countings.latest_as_of(connection)) if self._is_local else now

    def _today(self) -> str:
        now, zone = self._context.clock.now(), self._context.settings.civil_zone
        return day_text(day_of(civil_from_instant(now, zone)))


_LEAVES = Verdict("in_flight")
