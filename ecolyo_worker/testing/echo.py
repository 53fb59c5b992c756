"""The echo server as a child process: a real server on a free port of this machine.

async def test_a_page_is_counted(dacc_echo: Echo) -> None:
    ...
    await dacc_echo.expect("navigation-count-daily", value=1, group1="gas", within_s=10)
"""

import json
import select
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryFile
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, TypeAlias
from urllib.parse import urlencode

import anyio
import anyio.to_thread
import msgspec

import ecolyo_worker
from ecolyo_worker.testing.owed import Calls, noted

if TYPE_CHECKING:
    import httpx

__all__ = ["Echo", "EchoProcess", "Group", "echo_server"]

Group: TypeAlias = str | Mapping[str, str]
"""The value of a group's one key, as in `"gas"`; or both, as in `{"page": "gas"}`."""

_SCRIPT = Path(ecolyo_worker.__file__).parent / "tools" / "dacc_echo.py"
_START_S = 20
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


class Echo:
    """An echo server that runs: its address, and what it received.

    All its methods are awaited. A call that never is fails the test: the fixture, or the block of
    `echo_server`, raises `AssertionError` at its end, which names the call.
    """

    def __init__(self, url: str) -> None:
        """`url` is what `dacc.url` is set to."""
        self.url = url
        self.calls = Calls()

    def __repr__(self) -> str:
        return f"<Echo {self.url}>"

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
            raise TimeoutError(_error(answer))
        return int(_content(answer)["count"])

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
            raise AssertionError(_error(answer))
        found: dict[str, Any] = _content(answer)
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
        _content(await self._ask("DELETE", "/api/indicators"))

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
        _content(await self._ask("PUT", "/api/fault", {"stack": stack}, spec))

    @noted
    async def set_token(self, token: str, stack: str = "") -> None:
        """Let it demand another token, of all or of one stack alone; an empty one demands none.

        Raises `ValueError` for what can be no token.
        """
        _content(await self._ask("PUT", "/api/token", {"stack": stack}, token))

    async def _get(self, path: str, **query: str) -> Any:  # noqa: ANN401  JSON of several shapes
        return _content(await self._ask("GET", path, query))

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        content: str = "",
        patience_s: float = 0,
    ) -> "httpx.Response":
        import httpx  # a command that asks nobody need not wait for it

        url = f"{self.url}{path}?{urlencode(query or {})}"
        # There is no TLS on the way; to get ready for it would take most of a request's time.
        async with httpx.AsyncClient(
            timeout=30 + patience_s,
            trust_env=False,
            verify=False,  # noqa: S501
        ) as client:
            return await client.request(method, url, content=content.encode())


class EchoProcess:
    """Runs `tools/dacc_echo.py` for as long as a block, `with` or `async with`, is not left.

    Entering it gives the `Echo`, and raises `RuntimeError` if the server ends instead of starting,
    and `TimeoutError` if it says nothing. That error has what it said on stderr; what one that
    runs says there is passed on when the block is left.
    """

    def __init__(self, options: tuple[str, ...] = (), name: str = "echo") -> None:
        """`options` are those of the script; `name` is what the block calls the `Echo`."""
        self._options = options
        self._name = name

    def __enter__(self) -> Echo:
        self._start()
        try:
            self._echo = Echo(self._address())
        except BaseException:
            self._end()
            raise
        return self._echo

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Echo:
        self._start()
        try:
            self._echo = Echo(await anyio.to_thread.run_sync(self._address))
        except BaseException:
            self._end()
            raise
        return self._echo

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave(error)

    def _start(self) -> None:
        command = [sys.executable, str(_SCRIPT), "--port", "0", *self._options]
        # A file, for a pipe that nobody reads would hold the server up when it is full.
        self._said = TemporaryFile("w+", errors="backslashreplace")  # noqa: SIM115
        self._process = Popen(  # noqa: S603  our own
            command, stdin=DEVNULL, stdout=PIPE, stderr=self._said
        )

    def _address(self) -> str:
        """Read the address from the first line; what comes after it nobody reads."""
        said_it = self._process.stdout
        assert said_it is not None
        if not select.select([said_it], [], [], _START_S)[0]:
            raise TimeoutError(f"the echo server said nothing for {_START_S} s")
        first = said_it.readline().decode()
        # The server then prints no more: a reader that is gone is better than one that is slow.
        said_it.close()
        if not first:
            raise self._failed()
        return first.split('"')[1]

    def _failed(self) -> RuntimeError:
        """Say why it ended instead of starting."""
        status = self._process.wait()
        self._said.seek(0)
        lines = [line for line in self._said.read().splitlines() if line.strip()]
        reason = lines[-1] if lines else "it said nothing"
        return RuntimeError(f"the echo server ended with {status} instead of starting: {reason}")

    def _leave(self, error: BaseException | None) -> None:
        __tracebackhide__ = True
        self._end()
        if error is None:
            self._echo.calls.check(self._name)
        self._echo.calls.let_go()

    def _end(self) -> None:
        # It has nothing to put in order, so it need not be asked, and ends at once.
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        with self._said as said:
            said.seek(0)
            sys.stderr.write(said.read())


def echo_server(*options: str) -> EchoProcess:
    """Run an echo server with these options on a free port, until a block is left.

    async with echo_server("--token", "s3cret") as echo:
        await echo.wait(1)
    """
    return EchoProcess(options)


def _content(answer: "httpx.Response") -> Any:  # noqa: ANN401  JSON of several shapes
    """Read an answer; raises `ValueError` in the server's words if the question was wrong."""
    if answer.status_code == HTTPStatus.BAD_REQUEST:
        raise ValueError(_error(answer))
    answer.raise_for_status()
    return _read(answer)


def _error(answer: "httpx.Response") -> str:
    return str(_read(answer)["error"])


def _read(answer: "httpx.Response") -> Any:  # noqa: ANN401  JSON of several shapes
    # As the server itself reads: half a surrogate pair, or 1e400, is more than msgspec takes.
    return json.loads(answer.content)


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
