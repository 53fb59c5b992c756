"""Owners of tokens, an application or an account: what each holds, and why it has none."""

from typing import Literal

import anyio
from msgspec import Struct

from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.secret import Secret
from ecolyo_worker.store.accounts import Trouble

__all__ = ["NoToken", "Owner", "Pair"]

_EARLY_S = 300.0


class NoToken(Struct, frozen=True):
    """Why there is no token."""

    kind: Literal["consent", "settings", "later"]
    """Who can change it: the person, who consents; the operator; or time."""
    trouble: Trouble
    until: int | None = None
    """Before when it is no use to ask again, in ms of UTC, if that is known."""


class Pair(Struct, frozen=True):
    """What is sealed in a row; shown, it tells nothing."""

    access: str
    refresh: str | None
    lifetime_s: float
    refused: int | None = None
    """Since when the refresh token is refused for one of two reasons, in ms of UTC."""

    def __repr__(self) -> str:
        return "<Pair>"


class Owner:
    """Whose tokens they are: an application's, or an account's; one at a time renews them."""

    def __init__(self, name: str, provider: Provider, account: int | None) -> None:
        self.name = name
        self.provider = provider
        self.account = account
        self.lock = anyio.Lock()
        self.access: Secret | None = None
        self.pair: Pair | None = None
        self.unstored: tuple[Pair, int] | None = None
        """What was given and is not on disk yet, and when it ends: it is not used before it is."""
        self.ended: NoToken | None = None
        """Why there will be no other one, once its grant has ended."""
        self.renew_at = 0
        """From when on another one is asked for, in ms of UTC."""
        self.expires = 0
        self.is_loaded = False
        self.is_dead = False
        """Whether it was refused, so that the next one is asked for at once."""
        self.replaced_at: float | None = None
        """When it came in the place of a refused one, on the monotonic clock."""
        self.failures = 0
        self.pause: NoToken | None = None
        self.lacks_secret = False
        """Whether it has no token for want of the right secret, or key."""
        self.pause_ends = 0.0
        self.pause_mark = 0
        """What the application's secret was known by then: another one ends the pause."""

    def take(self, pair: Pair, expires: int) -> None:
        """Hold a token."""
        early_s = min(_EARLY_S, pair.lifetime_s / 2)
        self.access, self.pair = Secret(pair.access), pair
        self.expires, self.renew_at = expires, expires - int(early_s * 1000)
        self.is_loaded, self.is_dead, self.failures, self.pause = True, False, 0, None
        self.unstored = self.ended = None
