"""What a group of settings is: a frozen struct that checks each of its values when it is made.

The type of a field says its unit and range; an error names the key as the file has it, what was
found, and what is allowed.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta

from ecolyo_worker.errors import ConfigurationError

__all__ = ["Section", "seconds", "wrong"]


def seconds(doc: str, least: float, most: float) -> Meta:
    """Say what a duration is for, and between how many seconds it must lie."""
    return Meta(description=doc, extra={"least": least, "most": most})


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; checks each of its values whenever one is made."""

    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if not _fits(value, field.type):
                raise wrong(self.key(field.name), value, _allowed(field.type))
            _check_duration(self.key(field.name), value, field.type)
        self._check()

    def _check(self) -> None:
        """Check what one field's type cannot say."""

    @classmethod
    def key(cls, name: str) -> str:
        """Name a field as the file and errors do."""
        return f"{cls.section}.{name}" if cls.section else f"worker.{name}"


def _check_duration(key: str, value: object, kind: Any) -> None:  # noqa: ANN401  a type
    extra = next((m.extra for m in getattr(kind, "__metadata__", ()) if m.extra), None)
    if extra is not None and isinstance(value, timedelta):
        least, most = extra["least"], extra["most"]
        if not least <= value.total_seconds() <= most:
            raise wrong(key, f"{value.total_seconds():g} s", f"{least:g} s to {most:g} s")


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401  a type
    """Tell whether a field of this type takes the value as it is, and not only converted."""
    try:
        return bool(msgspec.convert(value, kind) == value)
    except msgspec.ValidationError:
        return False


def _allowed(kind: Any) -> str:  # noqa: ANN401  a type
    """Say in words what a field of this type takes."""
    base, *metas = get_args(kind) if hasattr(kind, "__metadata__") else (kind,)
    if getattr(base, "__origin__", None) is Literal:
        return "one of " + ", ".join(repr(value) for value in get_args(base))
    named = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        timedelta: "a timedelta",
        Path | None: "a path, or left out",
    }
    words = named.get(base, f"{base.__name__}(…)" if _is_section(base) else "text, or left out")
    for meta in metas:
        least = [f" from {meta.ge:g}" if meta.ge is not None else "", _above(meta.gt)]
        most = f" to {meta.le:g}" if meta.le is not None else ""
        words += "".join(least) + most + (f" like {meta.pattern}" if meta.pattern else "")
    return words


def _is_section(kind: Any) -> bool:  # noqa: ANN401  a type
    return isinstance(kind, type) and issubclass(kind, Section)


def _above(bound: float | None) -> str:
    return f" above {bound:g}" if bound is not None else ""


def wrong(key: str, found: object, allowed: str) -> ConfigurationError:
    """Make the error for a value that a key cannot take."""
    return ConfigurationError(f"{key}: found {found!r}; allowed: {allowed}")
