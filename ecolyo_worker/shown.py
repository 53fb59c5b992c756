"""The settings in force as they are shown: each with where it comes from, and as TOML."""

import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from ecolyo_worker.configuration import SECTIONS, Origin, Reading, duration_text
from ecolyo_worker.section import Section
from ecolyo_worker.settings import is_token_itself

__all__ = ["Shown", "as_toml", "shown"]

_OF_SECRETS = ("token_file", "secret_file")

_ESCAPED = re.compile("[\x7f-\x9f]")


class Shown(Struct, frozen=True):
    """A setting: its key, its value as the file would have it, and where that comes from."""

    key: str
    value: str | int | float | bool | None
    """None where it is left out. No setting holds a secret, only the paths of files with one."""
    origin: Origin
    note: str | None = None
    """What holds where it is left out."""


def shown(reading: Reading) -> list[Shown]:
    """Give all settings in the file's order."""
    settings = reading.settings
    found = []
    for name in SECTIONS:
        section = settings if name == "worker" else getattr(settings, name)
        for field in msgspec.structs.fields(section):
            value = getattr(section, field.name)
            if not isinstance(value, Section):
                key = f"{name}.{field.name}"
                note = str(settings.directory) if key == "worker.state_dir" else None
                if (
                    field.name.endswith(_OF_SECRETS)
                    and value is not None
                    and is_token_itself(value)
                ):
                    value, note = (
                        None,
                        f"what seems to be the {_noun(field.name)} itself is not shown",
                    )
                found.append(Shown(key, _plain(value), reading.origin(key), note))
    return found


def as_toml(settings: Iterable[Shown], *, origins: bool = False) -> Iterator[str]:
    """Give the lines of a file with these settings; what is left out is a comment.

    With `origins` each has a comment that says where it comes from.
    """
    section = ""
    for item in settings:
        name, _, key = item.key.partition(".")
        if name != section:
            yield from ([f"[{name}]"] if not section else ["", f"[{name}]"])
            section = name
        comment = f"  # {_one_line(str(item.origin))}" if origins else ""
        if item.value is None:
            note = "" if item.note is None else f": {_one_line(item.note)}"
            yield f"# {key} is not set{note}{comment}"
        else:
            yield f"{key} = {_toml(item.value)}{comment}"


def _noun(name: str) -> str:
    """Say what a file holds that a setting of this name names."""
    return "token" if name == "token_file" else "secret"


def _plain(value: object) -> str | int | float | bool | None:
    """Give a value as the file has it."""
    if isinstance(value, timedelta):
        return duration_text(value)
    if isinstance(value, Path):
        return str(value)
    assert value is None or isinstance(value, str | int | float | bool)
    return value


def _toml(value: str | float | bool) -> str:  # noqa: FBT001  a value
    if isinstance(value, float):
        assert math.isfinite(value), "no setting takes it"
        return repr(value)
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _one_line(text: str) -> str:
    """Give text as a comment can hold it."""
    return text if text.isprintable() else ascii(text)[1:-1]
