"""The files that secrets are read from."""

import os
import stat
from pathlib import Path

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.files import changed_at, read_plain
from ecolyo_worker.secret import Secret, fits_header
from ecolyo_worker.section import said
from ecolyo_worker.settings import is_token_itself

__all__ = ["TokenFile", "TokenUnusable", "check_token"]

_LONGEST = 8192


class TokenUnusable(ConfigurationError):
    """There is a token, and it cannot be read or put into a header."""

    mark = 0
    """What it is known by, so that another one is noticed."""


class TokenFile:
    """A token in a file: the setting's, else systemd's credential, else none.

    Where several are allowed, each stands on a line of its own.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        setting: str = "dacc.token_file",
        credential: str = "dacc-token",
        noun: str = "token",
        most: int = 1,
        least: int = 1,
    ) -> None:
        """`path` is what the setting says, `credential` the name that systemd knows it by.

        `noun` is what it holds, in errors; `most` how many of them, `least` how many characters
        each must have.
        """
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        self.is_credential = bool(
            path is None and credentials and (Path(credentials) / credential).exists()
        )
        """Whether systemd hands it over, which it does at a start alone."""
        if self.is_credential:
            path = Path(credentials or "") / credential
        self.path = path
        self.setting = setting
        self.noun = noun
        self._most = most
        self._least = least
        self._time = 0
        self._secrets: tuple[Secret, ...] = ()

    @property
    def time(self) -> int:
        """When the file was last changed, in ns; 0 if there is none."""
        return 0 if self.path is None else changed_at(self.path)

    @property
    def mode_for_all(self) -> int | None:
        """The file's mode if everybody on this machine may read or write it; None if not."""
        try:
            mode = 0 if self.path is None else stat.S_IMODE(self.path.stat().st_mode)
        except (OSError, ValueError):
            return None
        return mode if mode & stat.S_IRWXO else None

    def read(self) -> Secret | None:
        """Give the token, the first one of several; None if no file is named.

        Raises `TokenUnusable` for a file that cannot be used.
        """
        return next(iter(self.read_all()), None)

    def read_all(self) -> tuple[Secret, ...]:
        """Give the tokens in their order, read anew when the file changed; none if none is named.

        Raises `TokenUnusable` for a file that cannot be used.
        """
        if self.path is None:
            return ()
        time = self.time
        if not self._secrets or time != self._time:
            self._secrets, self._time = self._read(self.path), time
        return self._secrets

    def _read(self, path: Path) -> tuple[Secret, ...]:
        longest = self._most * (_LONGEST + 2)
        try:
            text = read_plain(path, longest + 1)
        except OSError as error:
            if is_token_itself(path):
                raise TokenUnusable(
                    said(
                        self.setting,
                        f"what seems to be the {self.noun} itself",
                        "the path of a file that holds it",
                    )
                ) from None
            raise TokenUnusable(
                f"{self.setting}: {path} cannot be read: {error.strerror}"
            ) from None
        lines = [line for line in map(bytes.strip, text.split(b"\n")) if line]
        what = f"{self.setting}: {path} must hold one {self.noun}"
        if self._most > 1:
            what += f", or up to {self._most} with a line for each"
        if not lines or len(lines) > self._most or len(text) > longest:
            raise _unusable(what)
        tokens = tuple(check_token(line.decode("ascii", "replace"), what) for line in lines)
        if any(len(line) < self._least for line in lines):
            raise TokenUnusable(
                f"{self.setting}: {path} holds a {self.noun} of fewer than {self._least}"
                " characters, which can be guessed; make a random one: openssl rand -hex 32"
            )
        return tokens


def check_token(text: str, what: str) -> Secret:
    """Check that a token can stand in a header; raises `TokenUnusable` that begins so."""
    if not fits_header(text):
        raise _unusable(what)
    return Secret(text)


def _unusable(what: str) -> TokenUnusable:
    return TokenUnusable(
        f"{what}: a line of printable ASCII without blanks, at most {_LONGEST} characters"
    )
