"""What an authorization server gives: tokens, which show themselves to nobody."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ecolyo_worker.energy.decoding import described, read_json, whole
from ecolyo_worker.errors import AnswerUnreadable
from ecolyo_worker.secret import Secret, fits_header

__all__ = ["Tokens", "read_token"]

_LONGEST_LIFE_S = 30 * 86_400
_METERS = re.compile(r"[,;\s]+")


class Tokens(Struct, frozen=True):
    """The tokens of an answer, and what they are good for."""

    access: Secret
    lifetime_s: int | None = None
    """How long the access token lives, in seconds; None where that was not said sanely."""
    refresh: Secret | None = None
    """With which the next ones are got; a new one replaces the old one at once."""
    identity: Secret | None = None
    """The `id_token`, a JWT that may name the meter."""
    scope: tuple[str, ...] = ()
    meters: tuple[Secret, ...] = ()
    """The meters that were agreed to, where Enedis names them."""


def read_token(body: bytes) -> Tokens:
    """Read the answer of a token's address.

    Raises `AnswerUnreadable`, without a word of what it holds.
    """
    found = read_json(body)
    fields = found if isinstance(found, dict) else None
    if fields is None:
        raise AnswerUnreadable(f"found {described(found)}; allowed: an object")
    access = _secret(fields, "access_token")
    if access is None:
        raise AnswerUnreadable("access_token: found nothing; allowed: a token")
    kind = fields.get("token_type")
    if kind is not None and str(kind).lower() != "bearer":
        raise AnswerUnreadable(f"token_type: found {described(kind)}; allowed: Bearer")
    scope = fields.get("scope")
    return Tokens(
        access=access,
        lifetime_s=_lifetime(fields.get("expires_in")),
        refresh=_secret(fields, "refresh_token"),
        identity=_secret(fields, "id_token"),
        scope=tuple(scope.split()) if isinstance(scope, str) else (),
        meters=_meters(fields),
    )


def _secret(fields: Mapping[str, Any], name: str) -> Secret | None:
    found = fields.get(name)
    if found is None or found == "":
        return None
    if not isinstance(found, str) or not fits_header(found):
        raise AnswerUnreadable(f"{name}: allowed: a line of printable ASCII without blanks")
    return Secret(found)


def _lifetime(found: object) -> int | None:
    """Read seconds, as a number or as text."""
    try:
        seconds = whole(found)
    except ValueError:
        return None
    return seconds if 0 < seconds <= _LONGEST_LIFE_S else None


def _meters(fields: Mapping[str, Any]) -> tuple[Secret, ...]:
    found = fields.get("usage_points_id") or fields.get("usage_point_id")
    if not isinstance(found, str):
        return ()
    return tuple(Secret(name) for name in _METERS.split(found) if name)
