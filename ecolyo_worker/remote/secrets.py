"""The files that secrets are read from."""

import os
from pathlib import Path

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.secret import Secret, fits_header

__all__ = ["TokenFile", "TokenUnusable", "check_token"]


class TokenUnusable(ConfigurationError):
    """There is a token, and it cannot be read or put into a header."""

    mark = 0
    """What it is known by, so that another one is noticed."""


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
            raise TokenUnusable(
                f"{self._setting}: {self.path} cannot be read: {error.strerror}"
            ) from None
        except UnicodeDecodeError:
            text = ""
        return check_token(text, f"{self._setting}: {self.path} must hold one token")


def check_token(text: str, what: str) -> Secret:
    """Check that a token can stand in a header; raises `TokenUnusable` that begins so."""
    if not fits_header(text):
        raise TokenUnusable(
            f"{what}: a line of printable ASCII without blanks, at most 8192 characters"
        )
    return Secret(text)
