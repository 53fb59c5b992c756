"""The tokens and secrets that systemd hands to the service, as root's checks may see them."""

import os
import re
import subprocess
from pathlib import Path

import msgspec

from ecolyo_worker.configuration import Reading

__all__ = ["see_credentials"]

_UNIT = "ecolyo-worker.service"
_HANDED_OVER = Path("/run/credentials") / _UNIT
_LINE = re.compile(r"^LoadCredential=(?:([a-z-]+):(/.*))?$", re.MULTILINE)
_SETTINGS = {
    "dacc-token": ("dacc", "token_file"),
    "http-token": ("http", "token_file"),
    "enedis-client-secret": ("enedis", "client_secret_file"),
    "grdf-client-secret": ("grdf", "client_secret_file"),
    "energy-key": ("energy", "key_file"),
}
"""The section and key of the setting in whose place each credential stands."""
_PATIENCE_S = 5


def see_credentials(reading: Reading) -> Reading:
    """Give the settings with what the service is handed at hand, as far as this user may see it.

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
    settings = reading.settings
    for name, path in _files_of(_unit()).items():
        section, key = _SETTINGS[name]
        found = getattr(settings, section)
        if getattr(found, key) is None:
            settings = settings.replace(**{section: msgspec.structs.replace(found, **{key: path})})
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
    """Give the file of each credential; a line without a value takes back those before it."""
    files: dict[str, Path] = {}
    for name, path in _LINE.findall(unit):
        if name in _SETTINGS:
            files[name] = Path(path.strip())
        elif not name:
            files.clear()
    return files
