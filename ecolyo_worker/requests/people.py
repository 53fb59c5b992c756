"""Requests about events and people."""

from typing import Literal

from msgspec import Struct

from ecolyo_worker.requests.lines import Line, LineRefusal

__all__ = [
    "EventState",
    "EventsImport",
    "EventsList",
    "FactsReport",
    "Forgotten",
    "GiveConsent",
    "ImportReport",
    "InstancesImport",
]

EventState = Literal["waiting", "counted", "imported", "expired", "unconsented", "failed"]


class EventsImport(Struct, frozen=True):
    """Some lines of an event file; `instance` is for those that name none."""

    lines: list[Line]
    instance: str | None = None


class ImportReport(Struct, frozen=True):
    """How many events are on disk now, were known before, and which were refused."""

    accepted: int
    known: int
    refused: list[LineRefusal]


class EventsList(Struct, frozen=True):
    """Which events to list; None is all. `day` is YYYY-MM-DD."""

    instance: str | None = None
    day: str | None = None
    state: EventState | None = None


class InstancesImport(Struct, frozen=True):
    """Some lines of an instance file; `withdrawing` allows those that withdraw a consent."""

    lines: list[Line]
    withdrawing: bool = False


class FactsReport(Struct, frozen=True):
    """How many lines were taken, and which were refused."""

    accepted: int
    refused: list[LineRefusal]


class GiveConsent(Struct, frozen=True):
    """A person accepted this version of the terms at a civil time; by default, now."""

    instance: str
    version: str
    at: str | None = None


class Forgotten(Struct, frozen=True):
    """What was deleted of a person: how many rows of which table, and what could not be."""

    instance: str
    rows: dict[str, int]
    kept: int
    """Indicators that may have been delivered: their number stays, without text and owner."""
    in_flight: int
    """Indicators that are being sent just now; each goes when its attempt has ended."""
    holding: list[str]
    """Files of the state directory that may hold something of the person still."""
    unrevoked: int
    """Consents at GRDF that could not be revoked: their holder can end them there."""
    unrevoked_meters: list[str]
    """The last digits of the meters that they are for."""
    rights_kept: int
    """Consents at GRDF that stay, for others' accounts are asked for by them."""
