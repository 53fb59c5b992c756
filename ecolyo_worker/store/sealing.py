"""Sealing: what must not be read in the database is encrypted, each row for itself.

AES-256-GCM of the package cryptography. The name of a row is authenticated with it, so that no
sealed text can stand in the place of another one.
"""

import os
import secrets
from pathlib import Path

from ecolyo_worker.errors import ConfigurationError, StateRefused
from ecolyo_worker.store.keys import make_key, read_key

__all__ = ["KEY", "Seal", "key_path", "lost_key_advice", "require_cryptography"]

KEY = "energy.key"
"""The key's file in the state directory."""

_NONCE_BYTES = 12
_CREDENTIAL = "energy-key"
_PURPOSE = b"ecolyo-worker token\0"


class Seal:
    """Seals texts with one key, and opens them."""

    def __init__(self, key: bytes, path: Path) -> None:
        """`path` is where the key is from; raises `ConfigurationError` without cryptography."""
        require_cryptography()
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)
        self._path = path

    @classmethod
    def load(cls, path: Path, *, may_make: bool) -> "Seal":
        """Read the key, or make it; `may_make` is False once something rests on it.

        Raises `StateRefused`, and `ConfigurationError` without cryptography.
        """
        require_cryptography()
        key = read_key(path)
        if key is None and not may_make:
            words = f"{path} is missing, and with it the tokens of accounts"
            raise StateRefused(f"{words}: {lost_key_advice(path)}")
        return cls(make_key(path) if key is None else key, path)

    def close(self, text: bytes, name: str) -> bytes:
        """Encrypt a text for the row of this name."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text, _PURPOSE + name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """Decrypt the text of the row of this name; raises `StateRefused` for another key."""
        from cryptography.exceptions import InvalidTag

        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, _PURPOSE + name.encode())
        except (InvalidTag, ValueError):
            raise StateRefused(
                f"{self._path} is not the key that the tokens were encrypted with, or they are"
                " damaged: put the right one back, or let people consent anew (`ecolyo-worker"
                " accounts authorize`)"
            ) from None


def lost_key_advice(path: Path) -> str:
    """Say what to do where a key is gone that tokens were encrypted with."""
    return (
        "put it back; or, to go on without them, make another one"
        f" (`umask 077; openssl rand -hex 32 > {path}`), and let people consent anew"
        " (`ecolyo-worker accounts authorize`)"
    )


def key_path(setting: Path | None, directory: Path) -> Path:
    """Give where the key is: the setting's file, else systemd's credential, else the state's."""
    if setting is not None:
        return setting.expanduser()
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / _CREDENTIAL).exists():
        return Path(credentials) / _CREDENTIAL
    return directory / KEY


def require_cryptography() -> None:
    """Raise `ConfigurationError` where the package is not installed."""
    try:
        import cryptography  # noqa: F401  it is an extra
    except ImportError:
        raise ConfigurationError(
            "energy accounts need the package cryptography, which is not installed here:"
            ' pip install "ecolyo-worker[energy]"'
        ) from None
