"""What a check found, in words, and what to do about it."""

from typing import Literal

from msgspec import Struct

__all__ = ["Finding", "failed", "note", "ok"]


class Finding(Struct, frozen=True):
    """What came of one check."""

    check: str
    """What was looked at: `settings`, `disk`, …"""
    result: Literal["ok", "failed", "note"]
    """A note is good to know, and nothing is wrong for it."""
    found: str
    advice: str | None = None
    """What to do next; whatever failed has one."""


def ok(check: str, found: str) -> Finding:
    """Tell that something is as it should be."""
    return Finding(check, "ok", found)


def note(check: str, found: str, advice: str | None = None) -> Finding:
    """Tell something that is good to know."""
    return Finding(check, "note", found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    """Tell that something is wrong, and what to do next."""
    return Finding(check, "failed", found, advice)
