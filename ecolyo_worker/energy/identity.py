"""The id token of a consent: a JWT whose claims name the meters that were agreed to."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.energy.meters import check_meter
from ecolyo_worker.errors import ConfigurationError, InputRefused
from ecolyo_worker.secret import Secret

__all__ = ["check_signature", "meters_in", "read_claims"]

_FIELD = "id token"
_LONGEST = 65_536
_DIGESTS = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_NAMES = {
    "enedis": ("usage_point_id", "usage_points_id", "usage_point", "prm"),
    "grdf": ("pce", "id_pce", "pce_id"),
}
# Consents stand in lists of objects; nothing is nested deeper.
_DEEPEST = 4


def read_claims(token: Secret) -> dict[str, Any]:
    """Read what an id token says; raises `InputRefused`, which shows nothing of it."""
    return _decoded(_parts(token)[1])


def check_signature(token: Secret, key: bytes) -> None:
    """Check who signed it: by a shared secret, or by the private half of a public key (PEM).

    Raises `InputRefused` for another one's, and `ConfigurationError` for a key that is none.
    """
    head, claims, signature = _parts(token)
    algorithm = _decoded(head).get("alg")
    signed, found = f"{head}.{claims}".encode(), _bytes(signature)
    if key.lstrip().startswith(b"-----BEGIN"):
        is_right = algorithm == "RS256" and _is_signed(signed, found, key)
    else:
        digest = _DIGESTS.get(str(algorithm))
        is_right = digest is not None and hmac.compare_digest(
            found, hmac.digest(key.strip(), signed, digest)
        )
    if not is_right:
        raise InputRefused(_FIELD, "its signature is not that of the key (id_token_key_file)")


def meters_in(claims: Mapping[str, Any], provider: Provider) -> tuple[str, ...]:
    """Give the meters that the claims name, each once; raises `InputRefused` for what is none."""
    found = [
        check_meter(name, provider, _FIELD)
        for text in _named(claims, _NAMES[provider], _DEEPEST)
        for name in (text.replace(";", ",").split(",") if isinstance(text, str) else [text])
    ]
    return tuple(dict.fromkeys(found))


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


def _is_signed(signed: bytes, signature: bytes, key: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        public = load_pem_public_key(key)
    except ValueError:
        public = None
    if not isinstance(public, RSAPublicKey):
        raise ConfigurationError("id_token_key_file: found no public RSA key, which PEM must hold")
    try:
        public.verify(signature, signed, PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
