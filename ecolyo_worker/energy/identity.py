"""The id token of a consent: a JWT whose claims name the meters that were agreed to."""

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.energy.meters import check_meter
from ecolyo_worker.errors import ConfigurationError, InputRefused
from ecolyo_worker.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = ["check_claims", "check_signature", "is_signing_key", "meters_in", "read_claims"]

_FIELD = "id token"
_ELSE = "Let the person consent anew by `accounts authorize`, or name the meter by --meter."
_LONGEST = 65_536
_DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_NAMES = {
    "enedis": ("usage_point_id", "usage_points_id", "usage_point", "prm"),
    "grdf": ("pce", "id_pce", "pce_id"),
}
# The clocks of two machines may be off by some minutes.
_LEEWAY_S = 600
# Consents stand in lists of objects; nothing is nested deeper.
_DEEPEST = 4


def read_claims(token: Secret) -> dict[str, Any]:
    """Read what an id token says; raises `InputRefused`, which shows nothing of it."""
    return _decoded(_parts(token)[1])


def check_claims(
    claims: Mapping[str, Any], now: datetime, audience: str | None, issuer: str | None = None
) -> None:
    """Check that an id token is this application's, and not over (OpenID Connect Core, 3.1.3.7).

    What it does not claim is not checked, nor is what we do not know: `audience` is the
    application's name at the provider, `issuer` who gave the code. `now` is aware; clocks may be
    off by ten minutes. Raises `InputRefused`, which shows nothing of the token.
    """
    end = _seconds(claims.get("exp"))
    if end is not None and end + _LEEWAY_S <= now.timestamp():
        ago = int(now.timestamp() - end) // 60
        raise InputRefused(
            _FIELD, f"it ended {ago} minutes ago; allowed: one that has not. {_ELSE}"
        )
    if audience is not None and not _is_for(claims, audience):
        raise InputRefused(
            _FIELD, f"it is for another application; allowed: one for client_id. {_ELSE}"
        )
    if issuer is not None and claims.get("iss", issuer) != issuer:
        raise InputRefused(_FIELD, f"another one issued it than led back with the code. {_ELSE}")


def check_signature(token: Secret, key: bytes) -> None:
    """Check who signed it: by a shared secret, or by the private half of a public key (PEM).

    Raises `InputRefused` for another one's, and `ConfigurationError` for a key that is none.
    """
    head, claims, signature = _parts(token)
    algorithm = _decoded(head).get("alg")
    signed, found = f"{head}.{claims}".encode(), _bytes(signature)
    if _is_pem(key):
        is_right = algorithm == "RS256" and _is_signed(signed, found, key)
    else:
        digest = _DIGESTS.get(str(algorithm))
        is_right = digest is not None and hmac.compare_digest(
            found, hmac.digest(key.strip(), signed, digest)
        )
    if not is_right:
        raise InputRefused(_FIELD, "its signature is not that of the key (id_token_key_file)")


def is_signing_key(key: bytes) -> bool:
    """Tell whether something can be checked by a key: a public RSA key (PEM), or a shared secret.

    Without cryptography, which is an extra, any PEM is taken for one.
    """
    if not _is_pem(key):
        return bool(key.strip())
    try:
        return _public_key(key) is not None
    except ImportError:
        return True


def meters_in(claims: Mapping[str, Any], provider: Provider) -> tuple[str, ...]:
    """Give the meters that the claims name, each once; raises `InputRefused` for what is none."""
    found = [
        check_meter(name, provider, _FIELD)
        for text in _named(claims, _NAMES[provider], _DEEPEST)
        for name in (text.replace(";", ",").split(",") if isinstance(text, str) else [text])
    ]
    return tuple(dict.fromkeys(found))


def _seconds(found: object) -> float | None:
    """Read when a token ends, in seconds since 1970; None where it does not say."""
    if found is None:
        return None
    try:
        seconds = float(found) if isinstance(found, int | float | str) else math.nan
    except (OverflowError, ValueError):
        seconds = math.nan
    if isinstance(found, bool) or not math.isfinite(seconds):
        raise InputRefused(_FIELD, "exp: found no number; allowed: seconds since 1970")
    return seconds


def _is_for(claims: Mapping[str, Any], audience: str) -> bool:
    """Tell whether a token is for an application: alone, or as the one of several that asked."""
    found = claims.get("aud", audience)
    names = found if isinstance(found, list) else [found]
    return audience in names and claims.get("azp", audience) == audience


def _named(found: object, names: tuple[str, ...], depth: int) -> Iterator[object]:
    """Find what stands under one of these names, at whatever depth."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            if key in names and not isinstance(value, Mapping | list):
                yield value
            elif depth:
                yield from _named(value, names, depth - 1)
    elif isinstance(found, list) and depth:
        for item in found:
            yield from _named(item, names, depth - 1)


def _is_pem(key: bytes) -> bool:
    return key.lstrip().startswith(b"-----BEGIN")


def _parts(token: Secret) -> list[str]:
    parts = token.reveal().strip().split(".")
    if len(parts) != 3 or len(token.reveal()) > _LONGEST:
        raise InputRefused(_FIELD, f"found {len(parts)} parts; allowed: three with dots between")
    return parts


def _decoded(part: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(_bytes(part))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputRefused(_FIELD, "found a part that is no JSON object in base64url")
    return found


def _bytes(part: str) -> bytes:
    try:
        return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InputRefused(_FIELD, "found a part that is not base64url") from None


def _public_key(key: bytes) -> "RSAPublicKey | None":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(key)
    except (UnsupportedAlgorithm, ValueError):
        return None
    return public if isinstance(public, RSAPublicKey) else None


def _is_signed(signed: bytes, signature: bytes, key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    public = _public_key(key)
    if public is None:
        raise ConfigurationError("id_token_key_file: found no public RSA key, which PEM must hold")
    try:
        public.verify(signature, signed, PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
