"""What explaining goes by, and the words that all explanations share."""

import sqlite3

import msgspec
from msgspec import Struct

from ecolyo_worker.actors.night import InstanceNight, Plan, count_nights
from ecolyo_worker.clock import civil_text, instant_text
from ecolyo_worker.facts import acceptance
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import Rules
from ecolyo_worker.store.books import StoredCounting
from ecolyo_worker.store.instances import Instance

__all__ = ["View"]


class View(Struct, frozen=True, kw_only=True):
    """The next run, and what of the settings an explanation tells."""

    plan: Plan
    """Of the run that would count what waits."""
    today: int
    """The civil day of the clock, or of the time that was asked for."""
    is_scheduled: bool
    """Whether that run is one of the schedule, and not one as of a time that was asked for."""
    mode: str
    sent_days: int
    hmac_key: bytes

    @property
    def definitions(self) -> Definitions:
        """The definitions that hold now."""
        return self.plan.rules.definitions

    def night(
        self,
        connection: sqlite3.Connection,
        instance: Instance,
        day: int | None = None,
        month: int | None = None,
    ) -> InstanceNight | None:
        """Give what the next run makes of an instance, or of one day or month of it.

        None without a consent in force.
        """
        plan = msgspec.structs.replace(self.plan, day=day, month=month)
        (found,) = count_nights(connection, [instance.id], plan)
        return found if isinstance(found, InstanceNight) else None

    def next_run(self) -> str:
        """Name the next run in words."""
        when = civil_text(self.plan.as_of)[:16]
        if self.mode == "off":
            return f"the mode is off (worker.mode), so nothing is counted; else by {when}"
        kind = "the next run of the schedule" if self.is_scheduled else "a run"
        return f"to come: by {kind}, as of {when}"

    def done(self, as_of: int, started: int) -> str:
        """Name a run of the past in words."""
        return f"by the run as of {civil_text(as_of)[:16]} (it began at {instant_text(started)})"

    def rules_then(self, stored: StoredCounting) -> Rules:
        """Give the rules with the settings that a counting of the past went by."""
        return msgspec.structs.replace(
            self.plan.rules, max_age_days=stored.max_age_days, not_before=stored.not_before
        )

    def without_consent(self, instance: Instance) -> str | None:
        """Say why no consent is in force as of the next run; None if one is."""
        as_of, least = self.plan.as_of, self.plan.consent_version
        through = instance.withdrawn_through
        if acceptance(instance.consents, through, as_of, least) is not None:
            return None
        if not instance.consents:
            return "no consent was ever given: `instances consent` notes one"
        last = instance.consents[-1]
        given = f"version {last.version} on {civil_text(last.accepted_at)[:16]}"
        if through is not None and last.accepted_at <= through:
            return f"the consent was withdrawn; the last one was to {given}"
        if last.accepted_at > as_of:
            return f"the consent, to {given}, is later than the run as of {civil_text(as_of)[:16]}"
        return f"the last consent is to {given}, and aggregation.consent_version is {least}"
