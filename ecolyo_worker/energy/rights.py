"""The rights of access that GRDF keeps: which meter may be read, and by what name a right ends."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from ecolyo_worker.energy.codes import said_in
from ecolyo_worker.energy.decoding import described
from ecolyo_worker.energy.grdf import plain
from ecolyo_worker.energy.points import BadPoint
from ecolyo_worker.energy.stream import Objects
from ecolyo_worker.errors import AnswerUnreadable

__all__ = ["Right", "RightState", "Rights", "read_rights"]

RightState = Literal["active", "pending", "to_verify", "revoked", "refused", "obsolete", "unknown"]
"""What GRDF calls `etat_droit_acces`."""

_STATES: Mapping[str, RightState] = {
    "active": "active",
    "a valider": "pending",
    "a reverifier": "to_verify",
    "revoquee": "revoked",
    "refusee": "refused",
    "obsolete": "obsolete",
}
# It becomes a part of an address.
_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


class Right(Struct, frozen=True):
    """One right of access to one meter. Of the person nothing is kept."""

    id: str
    """By which it is revoked."""
    state: RightState
    informative: bool
    """Whether gas days may be asked for."""
    published: bool
    """Whether published periods may be asked for."""

    @property
    def can_collect(self) -> bool:
        """Whether anything may be asked for by it."""
        return self.state == "active" and (self.informative or self.published)


class Rights(Struct, frozen=True):
    """The rights to one meter: there may be several, and one that is active is enough."""

    rights: tuple[Right, ...]
    refused: tuple[BadPoint, ...] = ()
    """Records that could not be read, by their place."""
    codes: tuple[str, ...] = ()
    """What GRDF said between the records."""
    broken: str | None = None
    """Why a part of the answer could not be read: then there may be more of them."""


def read_rights(objects: Objects, meter: str) -> Rights:
    """Read the rights to a meter; those to others, and the trailer, are passed over.

    Raises `AnswerUnreadable` where nothing can be read.
    """
    if objects.broken and not objects.found:
        raise AnswerUnreadable(f"found no record of GRDF: {objects.broken}")
    rights: list[Right] = []
    refused: list[BadPoint] = []
    codes: list[str] = []
    for place, record in enumerate(objects.found, 1):
        said = said_in(record)
        if said is not None:
            codes.append(said.code)
        elif record.get("id_pce") == meter:
            try:
                rights.append(_right(record))
            except ValueError as error:
                refused.append(BadPoint(f"record {place}", str(error)))
    return Rights(tuple(rights), tuple(refused), tuple(dict.fromkeys(codes)), objects.broken)


def _right(record: Mapping[str, Any]) -> Right:
    name = record.get("id_droit_acces")
    text = f"{name:f}" if isinstance(name, Decimal) else name
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise ValueError(f"id_droit_acces: found {described(name)}; allowed: letters, digits and -")
    return Right(
        id=text,
        state=_STATES.get(plain(record.get("etat_droit_acces")), "unknown"),
        informative=_is_true(record.get("perim_donnees_informatives")),
        published=_is_true(record.get("perim_donnees_publiees")),
    )


def _is_true(found: object) -> bool:
    """Read what GRDF writes as text: `Vrai` or `Faux`."""
    return found is True or plain(found) in ("vrai", "true")
