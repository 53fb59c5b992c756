"""The rights of access at GRDF: whether a meter's have ended, and how they are revoked."""

from ecolyo_worker.actors.asking import Answer, Asking, why_not
from ecolyo_worker.energy.rights import Right, RightState, read_rights
from ecolyo_worker.errors import AnswerUnreadable
from ecolyo_worker.remote.energy import Ask

__all__ = ["RightsOfAccess"]

# In these, a right lets nobody read anything any more.
_ENDED: tuple[RightState, ...] = ("revoked", "refused", "obsolete")
_UNKNOWN_METER = "1000000006"
_UNREADABLE = "GRDF answered what was not agreed: a right that cannot be read"


class RightsOfAccess:
    """Looks up rights and revokes them, under the name that may."""

    def __init__(self, asking: Asking) -> None:
        """Nothing is asked before the first need."""
        self._asking = asking
        self._settings = asking.context.settings.grdf

    async def have_ended(self, meter: str) -> bool:
        """Ask whether all rights to a meter have ended; where that is not told, they have not."""
        found = await self._look_up(meter)
        return isinstance(found, tuple) and bool(found) and all(map(_has_ended, found))

    async def revoke(self, meter: str) -> str | None:
        """Revoke each right to a meter that has not ended; give why it could not be, or None.

        One that is revoked already, or not found, is done.
        """
        found = await self._look_up(meter)
        if isinstance(found, str):
            return found
        for right in found:
            reason = None if _has_ended(right) else await self._revoke(right)
            if reason is not None:
                return reason
        return None

    async def _look_up(self, meter: str) -> tuple[Right, ...] | str:
        """Give the rights to a meter, or why they cannot be told."""
        found = await self._asking.ask_as(
            "grdf/revocation",
            lambda secret: Ask(
                method="POST",
                url=self._settings.rights_url,
                json={"id_pce": [meter]},
                bearer=secret,
            ),
            "rights",
        )
        if not isinstance(found, Answer):
            return why_not(found).reason
        meaning = found.meaning
        if meaning.kind in ("consent_lost", "empty") or meaning.code == _UNKNOWN_METER:
            return ()
        if meaning.kind != "ok":
            return meaning.happened
        try:
            rights = read_rights(found.content.objects, meter)
        except AnswerUnreadable:
            return _UNREADABLE
        return _UNREADABLE if rights.broken or rights.refused else rights.rights

    async def _revoke(self, right: Right) -> str | None:
        found = await self._asking.ask_as(
            "grdf/revocation",
            lambda secret: Ask(
                method="PATCH", url=self._settings.right_url(right.id), bearer=secret
            ),
            "revocation",
        )
        if not isinstance(found, Answer):
            return why_not(found).reason
        return None if found.meaning.kind == "ok" else found.meaning.happened


def _has_ended(right: Right) -> bool:
    return right.state in _ENDED
