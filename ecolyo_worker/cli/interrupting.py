"""Ctrl-C: what a command says of what it did until then, and of how to go on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio

__all__ = ["Interrupted", "telling"]


class Interrupted(KeyboardInterrupt):
    """The end of a command by Ctrl-C or SIGTERM, in words."""


@contextmanager
def telling(words: Callable[[], str]) -> Iterator[None]:
    """Say this where a command is broken off, which cancels its task; raises `Interrupted` then."""
    try:
        yield
    except anyio.get_cancelled_exc_class():
        raise Interrupted(words()) from None
