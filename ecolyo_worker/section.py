"""What a group of settings is: a frozen struct that checks each of its values when it is made.

The type of a field says its unit and range; an error names the key as the file has it, what was
found, and what is allowed.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from ecolyo_worker.errors import ConfigurationError, Problem

__all__ = ["Section", "misfit", "nearest", "said", "seconds", "wrong"]


def seconds(doc: str, least: float, most: float) -> Meta:
    """Say what a duration is for, and between how many seconds it must lie."""
    return Meta(description=doc, extra={"least": least, "most": most})


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings; checks each of its values whenever one is made."""

    section: ClassVar[str] = ""

    def __post_init__(self) -> None:
        found = [self.problem_of(name, getattr(self, name)) for name in _types(type(self))]
        problems = [problem for problem in found if problem] or list(self._problems())
        if problems:
            raise ConfigurationError(*problems)

    def _problems(self) -> Iterator[Problem]:
        """Give what is wrong that one field's type cannot say."""
        return iter(())

    @classmethod
    def problem_of(cls, name: str, value: object) -> Problem | None:
        """Tell what is wrong with a value of one field, as far as that field alone says it."""
        kind = _types(cls)[name]
        if not _fits(value, kind):
            return _with_nearest(misfit(cls.key(name), value, _allowed(kind)), value, kind)
        return _duration_problem(cls.key(name), value, kind)

    @classmethod
    def key(cls, name: str) -> str:
        """Name a field as the file and errors do."""
        return f"{cls.section}.{name}" if cls.section else f"worker.{name}"

    @classmethod
    def describe(cls, name: str) -> tuple[str, str]:
        """Say what a field is for, and what it takes in the file."""
        kind = _types(cls)[name]
        metas = [meta for meta in kind.__metadata__ if isinstance(meta, Meta)]
        purpose = next(meta.description for meta in metas if meta.description)
        extra = next((meta.extra for meta in metas if meta.extra), None)
        if extra is None:
            return purpose, _allowed(kind)
        return purpose, f"a duration of {extra['least']:g} s to {extra['most']:g} s"


@lru_cache  # to find out takes a hundred times as long as to check by it
def _types(cls: type[Section]) -> dict[str, Any]:
    """Give the type of each field of a group, by its name."""
    return {field.name: field.type for field in msgspec.structs.fields(cls)}


def _duration_problem(key: str, value: object, kind: Any) -> Problem | None:  # noqa: ANN401  a type
    extra = next((m.extra for m in getattr(kind, "__metadata__", ()) if m.extra), None)
    if extra is not None and isinstance(value, timedelta):
        least, most = extra["least"], extra["most"]
        if not least <= value.total_seconds() <= most:
            return misfit(key, f"{value.total_seconds():g} s", f"{least:g} s to {most:g} s")
    return None


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401  a type
    """Tell whether a field of this type takes the value as it is, and not only converted."""
    try:
        if isinstance(value, str):
            value.encode()  # what cannot be written as UTF-8 is no text
        return bool(msgspec.convert(value, kind) == value)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False


def _allowed(kind: Any) -> str:  # noqa: ANN401  a type
    """Say in words what a field of this type takes."""
    base, *metas = get_args(kind) if hasattr(kind, "__metadata__") else (kind,)
    if choices := _choices(base):
        left_out = "" if get_origin(base) is Literal else ", or left out"
        return "one of " + ", ".join(repr(value) for value in choices) + left_out
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
        if meta.title is not None:
            return str(meta.title)
        least = [f" from {meta.ge:.15g}" if meta.ge is not None else "", _above(meta.gt)]
        most = f" to {meta.le:.15g}" if meta.le is not None else ""
        longest = f" of at most {meta.max_length} characters" if meta.max_length else ""
        words += "".join(least) + most + longest
    return words


def _with_nearest(problem: Problem, value: object, kind: Any) -> Problem:  # noqa: ANN401  a type
    """Add the word that was meant perhaps, where a field takes one of some words."""
    base = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    near = nearest(str(value).lower(), _choices(base))
    if near is None:
        return problem
    message = f"{problem.message}; did you mean {near!r}?"
    return msgspec.structs.replace(problem, message=message, did_you_mean=near)


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """Give the known word that was meant perhaps: one that is so much alike, 1 being the same."""
    import difflib  # only who has misspelt something needs it

    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=alike)), None)


def _choices(base: Any) -> tuple[Any, ...]:  # noqa: ANN401  a type
    """Give the words of which a type takes one; none if it is not of that kind."""
    kinds = [base, *get_args(base)]
    return next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), ())


def _is_section(kind: Any) -> bool:  # noqa: ANN401  a type
    return isinstance(kind, type) and issubclass(kind, Section)


def _above(bound: float | None) -> str:
    return f" above {bound:.15g}" if bound is not None else ""


def misfit(key: str, found: object, allowed: str, *rests_on: str) -> Problem:
    """Say what is wrong with a value that a key cannot take, because of other keys perhaps."""
    return said(key, repr(found), allowed, *rests_on)


def said(key: str, found: str, allowed: str, *rests_on: str) -> Problem:
    """Say the same with words for what was found, where the value itself must not be shown."""
    return Problem(
        message=f"{key}: found {found}; allowed: {allowed}",
        key=key,
        found=found,
        allowed=allowed,
        rests_on=rests_on,
    )


def wrong(key: str, found: object, allowed: str) -> ConfigurationError:
    """Make the error for a value that a key cannot take."""
    return ConfigurationError(misfit(key, found, allowed))
