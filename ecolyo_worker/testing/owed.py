"""Calls that are to be awaited: one that never is must not pass for one that found all well."""

import inspect
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["Calls", "noted"]

LONGEST_CALL = 200

_Method = TypeVar("_Method", bound=Callable[..., Coroutine[Any, Any, Any]])


class Calls:
    """The calls of one object that nobody has awaited yet."""

    def __init__(self) -> None:
        self._open: list[tuple[str, Coroutine[Any, Any, Any]]] = []

    def __repr__(self) -> str:
        return f"<Calls {[call for call, _ in self._unawaited()]}>"

    def add(self, call: str, made: Coroutine[Any, Any, Any]) -> None:
        """Take note of a call as it was written."""
        self._open = [*self._unawaited(), (call, made)]

    def check(self, name: str) -> None:
        """Raise `AssertionError` if there are any; `name` is what the object is called."""
        __tracebackhide__ = True
        calls = self._unawaited()
        self.let_go()
        if calls:
            listed = ", ".join(f"{name}.{call}" for call, _ in calls)
            raise AssertionError(
                f"never awaited, so nothing was done or checked: {listed}; await it, or where "
                f"there is no event loop run it: asyncio.run({name}.…)"
            )

    def let_go(self) -> None:
        """Forget them all."""
        for _, made in self._unawaited():
            made.close()
        self._open.clear()

    def _unawaited(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        return [one for one in self._open if inspect.getcoroutinestate(one[1]) == "CORO_CREATED"]


def noted(method: _Method) -> _Method:
    """Let a method's calls be noted in its object's `owed` until they are awaited."""

    @wraps(method)
    def calling(self: Any, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:  # noqa: ANN401
        made = method(self, *args, **kwargs)
        given = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        self.owed.add(f"{method.__name__}({', '.join(given)[:LONGEST_CALL]})", made)
        return made

    return cast("_Method", calling)
