"""All commands as a table, read off the methods of `Commands`: there is no second list of them.

What serves commands to others, and what asks for them from afar, both go by it.
"""

import hashlib
import inspect
from collections.abc import AsyncIterator
from functools import cache
from typing import Any, get_args, get_origin

import msgspec
from msgspec import Struct

from ecolyo_worker.commands import Commands

__all__ = ["Command", "catalogue", "protocol"]


class Command(Struct, frozen=True):
    """A command: what it is asked, and what it answers."""

    name: str
    request: Any
    """The type of its one argument; None if it has none."""
    result: Any
    """The type of its answer, or of each item of a stream."""
    is_stream: bool


@cache
def catalogue() -> dict[str, Command]:
    """Give every command by its name."""
    return {
        name: _command(name, method)
        for name, method in inspect.getmembers(Commands, inspect.isfunction)
        if not name.startswith("_")
    }


@cache
def protocol() -> str:
    """Give what two programs have in common whose commands ask and answer the same.

    It changes with any field of any request or answer, so nobody need remember to change it.
    """
    kinds = [(command.request, command.result) for command in catalogue().values()]
    types = [kind for pair in kinds for kind in pair if kind is not None]
    shapes, components = msgspec.json.schema_components(
        types, schema_hook=lambda kind: {"title": repr(kind)}
    )
    text = msgspec.json.encode([repr(list(catalogue().values())), shapes, components])
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def _command(name: str, method: Any) -> Command:  # noqa: ANN401  some function
    signature = inspect.signature(method, eval_str=True)
    asked = [item.annotation for key, item in signature.parameters.items() if key != "self"]
    result = signature.return_annotation
    is_stream = get_origin(result) is AsyncIterator
    assert len(asked) <= 1, f"{name}: a command is asked one thing"
    return Command(
        name=name,
        request=asked[0] if asked else None,
        result=get_args(result)[0] if is_stream else result,
        is_stream=is_stream,
    )
