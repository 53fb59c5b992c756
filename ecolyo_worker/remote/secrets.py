"""Secrets: read from files only, and of a type that cannot be printed."""

import os
from pathlib import Path

from ecolyo_worker.errors import ConfigurationError

__all__ = ["Secret", "TokenFile"]


class Secret:
    """Some text that shows itself only to the one who asks for it by name."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """Give the text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"


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
        if path is None and credentials and (Path(credentials) / credential).exists():
            path = Path(credentials) / credential
        self.path = path
        self._setting = setting
        self._time: int | None = None
        self._secret: Secret | None = None

    @property
    def time(self) -> int | None:
        """When the file was last changed, in ns; None if there is none."""
        try:
            return None if self.path is None else self.path.stat().st_mtime_ns
        except OSError:
            return None

    def read(self) -> Secret | None:
        """Give the token, read anew when the file changed; None if no file is named.

        Raises `ConfigurationError` for a file that cannot be used.
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
            raise ConfigurationError(
                f"{self._setting}: {self.path} cannot be read: {error.strerror}"
            ) from None
        except UnicodeDecodeError:
            text = ""
        if not text or len(text) > 8192 or not text.isprintable() or " " in text:
            raise ConfigurationError(
                f"{self._setting}: {self.path} must hold one token: a line of printable ASCII"
                " without blanks, at most 8192 characters"
            )
        return Secret(text)
