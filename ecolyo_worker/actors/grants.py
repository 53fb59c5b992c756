"""Grants of Enedis v4: whether one has ended, by what is answered to its refresh token.

Enedis answers 401 both to a refresh token that was used before and to an application that it does
not know. Where it renews the tokens of others by the same credentials, it is not the application.
"""

from ecolyo_worker.energy.answers import Meaning

__all__ = ["is_refusal", "why_ended"]

_APPLICATION_CODES = {"INVALID-CLIENT", "UNAUTHORIZED-CLIENT"}
# Where nobody's token is renewed the application may be to blame, and its operator be at home.
_LONGEST_MS = 3 * 86_400_000
_LONGEST_ALONE_MS = 900_000
_OTHERS_ARE_RENEWED = (
    "Enedis refuses to renew the token, and renews those of others: its grant has ended."
)
_REFUSED_LONG = (
    "Enedis has refused more than once to renew the token: its grant counts as ended. If a new"
    " consent is not taken either, the operator must check client_id and client_secret_file of"
    " Enedis."
)


def is_refusal(meaning: Meaning) -> bool:
    """Tell whether an answer may blame the application for a grant that has ended."""
    return meaning.kind == "consent_suspect" or meaning.code in _APPLICATION_CODES


def why_ended(meaning: Meaning, refused_ms: int, *, others_renewed: bool | None) -> str | None:
    """Say why a grant has ended; None if that is not known yet.

    `refused_ms` is for how long its refresh token has been refused, `others_renewed` whether a
    token of another account was given since; None: no other account has any.
    """
    if meaning.kind == "consent_lost":
        return meaning.happened
    if not is_refusal(meaning):
        return None
    if others_renewed:
        return _OTHERS_ARE_RENEWED
    longest_ms = _LONGEST_ALONE_MS if others_renewed is None else _LONGEST_MS
    # That the application is not known is believed as long as nothing speaks against it.
    is_either = meaning.kind == "consent_suspect"
    return _REFUSED_LONG if is_either and refused_ms >= longest_ms else None
