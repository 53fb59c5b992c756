"""The tokens that systemd hands to the service, as root's checks may see them."""

import os
import re
import subprocess
from pathlib import Path

import msgspec

from ecolyo_worker.configuration import Reading

__all__ = ["see_credentials"]

_UNIT = "ecolyo-worker.service"
_HANDED_OVER = Path("/run/credentials") / _UNIT
_LINE = re.compile(r"^LoadCredential=(?:(dacc-token|http-token):(/.*))?$", re.MULTILINE)
_PATIENCE_S = 5


def see_credentials(reading: Reading) -> Reading:
    """Give the settings with the tokens of the service at hand, as far as this user may see them.

    While it runs, these are where systemd put them, and `CREDENTIALS_DIRECTORY` says so from here
    on. While it is stopped, root sees the files that its unit names, in place of settings not
    given.
    """
    if os.environ.get("CREDENTIALS_DIRECTORY"):
        return reading
    if os.access(_HANDED_OVER, os.R_OK | os.X_OK):
        os.environ["CREDENTIALS_DIRECTORY"] = str(_HANDED_OVER)
        return reading
    if os.geteuid() != 0:
        return reading
    files, settings = _files_of(_unit()), reading.settings
    dacc = settings.dacc.token_file or files.get("dacc-token")
    http = settings.http.token_file or files.get("http-token")
    settings = settings.replace(
        dacc=msgspec.structs.replace(settings.dacc, token_file=dacc),
        http=msgspec.structs.replace(settings.http, token_file=http),
    )
    return msgspec.structs.replace(reading, settings=settings)


def _unit() -> str:
    """Give the lines of the unit, with those of the files beside it; none without systemd."""
    try:
        done = subprocess.run(  # noqa: S603  nothing of it comes from outside
            ["systemctl", "cat", _UNIT],  # noqa: S607  where it is differs
            capture_output=True, text=True, check=False, timeout=_PATIENCE_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _files_of(unit: str) -> dict[str, Path]:
    """Give the file of each token; a line without a value takes back those before it."""
    files: dict[str, Path] = {}
    for name, path in _LINE.findall(unit):
        if name:
            files[name] = Path(path.strip())
        else:
            files.clear()
    return files
