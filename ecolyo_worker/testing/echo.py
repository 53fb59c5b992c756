"""The echo server as a child process: a real server on a free port of this machine.

async def test_a_page_is_counted(dacc_echo: Echo) -> None:
    ...
    await dacc_echo.expect("navigation-count-daily", value=1, group1="gas", within_s=10)
"""

import json
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, Never, TypeAlias

import msgspec

from ecolyo_worker.testing.owed import noted
from ecolyo_worker.testing.script import Asked, ScriptProcess, content_of, error_of

__all__ = ["Echo", "EchoProcess", "Group", "echo_server"]

Group: TypeAlias = str | Mapping[str, str]
"""The value of a group's one key, as in `"gas"`; or both, as in `{"page": "gas"}`."""

_EXPECTED = (
    "measure",
    "value",
    "start_date",
    "group1",
    "group2",
    "group3",
    "stack",
    "times",
    "within_s",
)


class Echo(Asked):
    """An echo server that runs: its address, and what it received.

    All its methods are awaited. A call that never is fails the test: the fixture, or the block of
    `echo_server`, raises `AssertionError` at its end, which names the call.
    `url` is what `dacc.url` is set to.
    """

    @noted
    async def indicators(self, stack: str | None = None) -> list[dict[str, Any]]:
        """Give what it stored, in the order of arrival: all, or what came through one stack.

        A stack is what stands before the path (`{url}/alice`), and empty where nothing does.
        """
        found: list[dict[str, Any]] = await self._get("/api/indicators", stack=stack or "")
        return [record for record in found if stack is None or record["stack"] == stack]

    @noted
    async def bodies(self) -> list[str]:
        """Give the text of each indicator it stored."""
        return [record["body"] for record in await self.indicators()]

    @noted
    async def count(self, stack: str = "") -> dict[str, Any]:
        """Give its counters: what was received, doubled, refused, and which faults it played."""
        found: dict[str, Any] = await self._get("/api/count", stack=stack)
        return found

    @noted
    async def wait(self, n: int, measure: str = "", timeout_s: float = 30) -> int:
        """Wait until it stored at least n indicators, and give how many; raises `TimeoutError`."""
        timeout = _number("timeout_s", timeout_s)
        query = {"n": _number("n", n), "measure": measure, "timeout": timeout}
        answer = await self._ask("GET", "/api/wait", query, patience_s=timeout_s)
        if answer.status_code == HTTPStatus.GATEWAY_TIMEOUT:
            raise TimeoutError(error_of(answer))
        return int(content_of(answer)["count"])

    @noted
    async def expect(
        self,
        measure: str,
        *,
        value: float | None = None,
        start_date: date | str | None = None,
        group1: Group | None | msgspec.UnsetType = msgspec.UNSET,
        group2: Group | None | msgspec.UnsetType = msgspec.UNSET,
        group3: Group | None | msgspec.UnsetType = msgspec.UNSET,
        stack: str | None = None,
        times: int | None = None,
        within_s: float = 0,
        **unknown: Never,
    ) -> dict[str, Any]:
        """Give the first indicator it stored that is so; what is not given is not compared.

        A group that is `None` must be absent, an empty `stack` means one that came through none,
        and of numbers and text neither is the other. With `times` just so many must be there. It is
        waited for, for so many seconds. The record has what `indicators` gives of it: its text
        (`body`), its fields (`indicator`), its `verdict`, its `stack`.
        Raises `AssertionError` with the difference to the nearest indicator if there is none.
        Raises `ValueError` for a measure that is not defined, a group that it has not or a start
        date that is no day, and `TypeError` for an unknown keyword or what is of another type.
        """
        __tracebackhide__ = True  # pytest then shows the line of the test
        _check_keywords(unknown)
        groups = {"group1": group1, "group2": group2, "group3": group3}
        absent = [name for name, group in groups.items() if group is None]
        absent += ["stack"] * (stack == "")
        query = {
            "measure": _named("measure", measure),
            "value": "" if value is None else json.dumps(_number("value", value)),
            "startDate": "" if start_date is None else _day(start_date),
            "stack": stack or "",
            "without": ",".join(absent),
            "times": "" if times is None else _number("times", times),
            "timeout": _number("within_s", within_s),
            **{name: text for pair in groups.items() for name, text in _group(*pair).items()},
        }
        answer = await self._ask("GET", "/api/expect", query, patience_s=within_s)
        if answer.status_code == HTTPStatus.GATEWAY_TIMEOUT:
            raise AssertionError(error_of(answer))
        found: dict[str, Any] = content_of(answer)
        return found

    @noted
    async def expect_nothing(self, stack: str | None = None) -> None:
        """Raise `AssertionError`, which tells what came, if it stored any indicator.

        A stack is as in `indicators`. What it refused, by a fault or by its rules, it did not
        store; `count` tells of that.
        """
        __tracebackhide__ = True
        found = await self.indicators(stack)
        if found:
            measures = Counter(_measure(one) for one in found)
            listed = ", ".join(f"{count} × {name}" for name, count in measures.most_common())
            raise AssertionError(
                f"no indicator was expected; {len(found)} received: {listed}\n"
                f"the first: {found[0]['body']}"
            )

    @noted
    async def clear(self) -> None:
        """Let it forget all that it received and counted; its faults and tokens stay."""
        content_of(await self._ask("DELETE", "/api/indicators"))

    @noted
    async def fail_next(self, n: int, fault: str, stack: str = "") -> None:
        """Let the next n indicators meet one fault, as in `"cozy-502"`; then all is well again.

        It takes the place of what was set before, for all stacks or for one alone. Raises
        `ValueError` for what is no fault.
        """
        if any(sign in fault for sign in ",*@"):
            raise ValueError(f"fault is {fault!r}; allowed is one alone, set_fault takes sequences")
        await self.set_fault(f"{fault}*{n}", stack)

    @noted
    async def set_fault(self, spec: str, stack: str = "") -> None:
        """Let it misbehave from now on, in the fault language: for all, or for one stack alone.

        What is set for all takes the place of what stacks have. With an empty `spec`, or once its
        own is used up, a stack goes by what holds for all again. Raises `ValueError`.
        """
        content_of(await self._ask("PUT", "/api/fault", {"stack": stack}, spec))

    @noted
    async def set_token(self, token: str, stack: str = "") -> None:
        """Let it demand another token, of all or of one stack alone; an empty one demands none.

        Raises `ValueError` for what can be no token.
        """
        content_of(await self._ask("PUT", "/api/token", {"stack": stack}, token))


class EchoProcess(ScriptProcess[Echo]):
    """Runs `tools/dacc_echo.py` for as long as a block is not left; entering it gives the `Echo`.

    `options` are those of the script; `name` is what the block calls the `Echo`.
    """

    def __init__(self, options: tuple[str, ...] = (), name: str = "echo") -> None:
        super().__init__("dacc_echo.py", "echo server", Echo, options, name)


def echo_server(*options: str) -> EchoProcess:
    """Run an echo server with these options on a free port, until a block is left.

    async with echo_server("--token", "s3cret") as echo:
        await echo.wait(1)
    """
    return EchoProcess(options)


def _measure(record: Mapping[str, Any]) -> str:
    name = str((record["indicator"] or {}).get("measureName"))
    return name.encode("utf-8", "backslashreplace").decode()


def _check_keywords(unknown: Mapping[str, object]) -> None:
    for name in unknown:
        near = get_close_matches(name, _EXPECTED, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_EXPECTED)}"
        raise TypeError(f"expect has no {name!r}; {hint}")


def _number(name: str, number: float) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name} is {number!r}; allowed are numbers")
    return number


def _day(day: date | str) -> str:
    if isinstance(day, datetime) or not isinstance(day, date | str):
        raise TypeError(
            f"start_date is {day!r}; allowed are a date, or its text as in '2026-03-02'"
        )
    return _named("start_date", str(day))


def _named(name: str, text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{name} is {text!r}; allowed is text")
    if not text:
        raise ValueError(f"{name} is empty; name one, or leave it out where any will do")
    return text


def _group(name: str, group: Group | None | msgspec.UnsetType) -> Mapping[str, str]:
    """Give what to ask for of a group, by the names that the server has for it."""
    if group is None or isinstance(group, msgspec.UnsetType):
        return {}
    if not isinstance(group, str | Mapping):
        raise TypeError(f"{name} is {group!r}; allowed are a value, or one key with its value")
    pairs = [("", group)] if isinstance(group, str) else list(group.items())
    if len(pairs) != 1:
        raise ValueError(f"{name} is {group!r}; allowed are a value, or one key with its value")
    (key, text), *_ = pairs
    return {name: _named(name, text), **({f"{name}Key": key} if key else {})}
