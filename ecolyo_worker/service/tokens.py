"""The tokens of the HTTP face's clients: where they stand, and whether one of them is shown."""

import hmac

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.secret import Secret
from ecolyo_worker.settings import Http

__all__ = ["MOST_TOKENS", "http_token", "http_token_file", "place_of"]

MOST_TOKENS = 8
"""So many tokens are good at once: an old and a new one, say, or one for each host."""


def http_token_file(settings: Http) -> TokenFile:
    """Give the file of the tokens that clients may show; it may be that none is named."""
    return TokenFile(
        settings.token_file,
        setting="http.token_file",
        credential="http-token",
        most=MOST_TOKENS,
    )


def http_token(settings: Http) -> TokenFile:
    """Give the file of the tokens; raises `ConfigurationError` if there is none to show."""
    file = http_token_file(settings)
    if file.read() is None:
        raise ConfigurationError(
            "http.token_file: found none; over TCP every client must show a token: write a long"
            " random one into a file that only the service can read, and name the file here (or"
            " pass it as systemd's credential http-token), or listen on a Unix socket"
        )
    return file


def place_of(shown: bytes, tokens: tuple[Secret, ...]) -> int | None:
    """Tell which of the tokens is shown, from 0; None for none of them.

    All of them are compared, each in constant time, so that the time tells nothing.
    """
    found = [hmac.compare_digest(shown, one.reveal().encode()) for one in tokens]
    return found.index(True) if any(found) else None
