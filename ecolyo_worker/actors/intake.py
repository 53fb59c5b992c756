"""Intake: usage events and facts come in, are checked, and are on disk before anyone is told so."""

import sqlite3
from collections.abc import Iterable, Sequence

from msgspec import Struct

from ecolyo_worker.errors import InputRefused, IntakeRefused, Refusal
from ecolyo_worker.events import Event, check_event
from ecolyo_worker.facts import check_instance
from ecolyo_worker.settings import Settings
from ecolyo_worker.store import events, instances
from ecolyo_worker.store.database import Database

__all__ = ["Intake", "Receipt"]


class Receipt(Struct, frozen=True):
    """What became of a batch: how many are on disk now, were there before, or were refused."""

    accepted: int
    known: int
    refused: tuple[Refusal, ...] = ()


class Intake:
    """Takes events in: idempotent by instance and `_id`, each batch in one transaction."""

    def __init__(self, database: Database, settings: Settings) -> None:
        """`settings` give the zone and the meaning of a `Z`."""
        self._database = database
        self._settings = settings
        self._zone = settings.civil_zone

    async def take(self, batch: Sequence[tuple[object, object]]) -> Receipt:
        """Store the good ones of (instance's name, event) pairs; say why others are refused.

        Raises `IntakeRefused` only for all of them, when the mode is `off`; `StoreUnavailable`.
        """
        if self._settings.mode == "off":
            reason = "the mode is off (worker.mode): no event is taken"
            raise IntakeRefused([Refusal(0, "", reason)])
        good: list[tuple[str, Event]] = []
        refused: list[Refusal] = []
        for index, (instance, event) in enumerate(batch):
            try:
                good.append((check_instance(instance), self._check(event)))
            except InputRefused as error:
                refused.append(Refusal(index, error.field, error.reason))
        accepted = await self._database.run(_store, good) if good else []
        return Receipt(
            accepted=sum(accepted),
            known=len(accepted) - sum(accepted),
            refused=tuple(refused),
        )

    def _check(self, event: object) -> Event:
        return check_event(event, self._zone, self._settings.intake.event_clock)


def _store(connection: sqlite3.Connection, good: Iterable[tuple[str, Event]]) -> list[bool]:
    ids: dict[str, int] = {}
    rows = []
    for name, event in good:
        if name not in ids:
            ids[name] = instances.identify(connection, name)
        rows.append((ids[name], event))
    return events.insert(connection, rows)
