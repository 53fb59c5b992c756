"""The definitions file as far as the DACC knows of it: measures, and the keys of their groups."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    GroupKeys: TypeAlias = Mapping[str, tuple[str, ...]]

__all__ = ["GROUPS", "DefinitionsError", "read_group_keys", "shipped_group_keys"]

GROUPS = ("group1", "group2", "group3")
# Beside an installed package's tools, and in a checkout.
_TOP = Path(__file__).parents[3]
_SHIPPED = (
    _TOP / "measures" / "measures.toml",
    _TOP / "ecolyo_worker" / "measures" / "measures.toml",
)


class DefinitionsError(ValueError):
    """A file is no definitions file; the message names it and says what is wrong."""


def read_group_keys(path: Path) -> GroupKeys:
    """Give the measures of a definitions file, each with the key that each of its groups must have.

    Raises DefinitionsError. The values that a group may have are the sender's concern: the DACC
    takes any.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))["measure"]
        return {str(table["name"]): _keys(table) for table in tables}
    except OSError as error:
        raise DefinitionsError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionsError(f"{path}: is not TOML: {error}") from None
    except (KeyError, TypeError, AttributeError):
        wanted = "tables [[measure]] with a name, and with a key for each of its groups"
        raise DefinitionsError(f"{path}: is no definitions file; allowed: {wanted}") from None


@cache
def shipped_group_keys() -> GroupKeys:
    """Give the measures of the package's own file; raises DefinitionsError if it is not there."""
    for path in _SHIPPED:
        if path.exists():
            return read_group_keys(path)
    raise DefinitionsError(f"{_SHIPPED[0]}: is not there; name a definitions file")


def _keys(table: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    return tuple(str(table[group]["key"]) for group in GROUPS if group in table)
