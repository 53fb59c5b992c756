"""Secrets: read from files only, and of a type that cannot be printed."""

import html
import json
import os
from functools import cached_property
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, quote_plus

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.section import said
from ecolyo_worker.settings import is_token_itself

__all__ = ["Secret", "TokenFile", "TokenUnusable", "check_token"]


class TokenUnusable(ConfigurationError):
    """There is a token, and it cannot be read or put into a header."""

    mark = 0
    """What it is known by, so that another one is noticed."""


class Secret:
    """Some text that shows itself only to the one who asks for it by name."""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """Give the text."""
        return self._text

    def mask(self, text: bytes) -> bytes:
        """Give a text without this one in it, also where it is written as JSON, HTML or a URL."""
        for form in self._forms:
            text = text.replace(form, b"[token]")
        return text

    @cached_property
    def _forms(self) -> list[bytes]:
        """The ways in which others may write it, the longest first."""
        text = self._text
        as_json = json.dumps(text)[1:-1]
        forms = {
            text,
            as_json,
            as_json.replace("/", "\\/"),
            repr(text)[1:-1],
            html.escape(text),
            quote(text),
            quote(text, safe=""),
            quote_plus(text),
        }
        return sorted((form.encode() for form in forms), key=len, reverse=True)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


class TokenFile:
    """A token in a file: the setting's, else systemd's credential, else none."""

    def __init__(
        self,
        path: Path | None,
        *,
        setting: str = "dacc.token_file",
        credential: str = "dacc-token",
    ) -> None:
        """`path` is what the setting says, `credential` the name that systemd knows it by."""
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        self.is_credential = bool(
            path is None and credentials and (Path(credentials) / credential).exists()
        )
        """Whether systemd hands it over, which it does at a start alone."""
        if self.is_credential:
            path = Path(credentials or "") / credential
        self.path = path
        self._setting = setting
        self._time = 0
        self._secret: Secret | None = None

    @property
    def time(self) -> int:
        """When the file was last changed, in ns; 0 if there is none."""
        try:
            return 0 if self.path is None else self.path.stat().st_mtime_ns
        except OSError:
            return 0

    def read(self) -> Secret | None:
        """Give the token, read anew when the file changed; None if no file is named.

        Raises `TokenUnusable` for a file that cannot be used.
        """
        if self.path is None:
            return None
        time = self.time
        if self._secret is None or time != self._time:
            self._secret, self._time = self._read(), time
        return self._secret

    def _read(self) -> Secret:
        assert self.path is not None
        try:
            with self.path.open("rb") as file:
                text = file.read(8193).decode("ascii").strip()
        except OSError as error:
            if is_token_itself(self.path):
                raise TokenUnusable(
                    said(
                        self._setting,
                        "what seems to be the token itself",
                        "the path of a file that holds it",
                    )
                ) from None
            raise TokenUnusable(
                f"{self._setting}: {self.path} cannot be read: {error.strerror}"
            ) from None
        except UnicodeDecodeError:
            text = ""
        return check_token(text, f"{self._setting}: {self.path} must hold one token")


def check_token(text: str, what: str) -> Secret:
    """Check that a token can stand in a header; raises `TokenUnusable` that begins so."""
    if not text.isascii() or not text.isprintable() or not 0 < len(text) <= 8192 or " " in text:
        raise TokenUnusable(
            f"{what}: a line of printable ASCII without blanks, at most 8192 characters"
        )
    return Secret(text)
