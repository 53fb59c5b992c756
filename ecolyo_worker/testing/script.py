"""A script of `tools` as a child process: a real server on a free port, asked by methods."""

import json
import select
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryFile
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlencode

import anyio
import anyio.to_thread

import ecolyo_worker
from ecolyo_worker.testing.owed import Calls

if TYPE_CHECKING:
    import httpx

__all__ = ["Asked", "ScriptProcess", "content_of", "error_of"]

_TOOLS = Path(ecolyo_worker.__file__).parent / "tools"
_START_S = 20


class Asked:
    """A server that runs: its address, and the means to ask its API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.owed = Calls()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    async def _get(self, path: str, **query: str) -> Any:  # noqa: ANN401  JSON of several shapes
        return content_of(await self._ask("GET", path, query))

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


_Found = TypeVar("_Found", bound=Asked)


class ScriptProcess(Generic[_Found]):
    """Runs a script of `tools` for as long as a block, `with` or `async with`, is not left.

    Entering it gives what asks it, made with its address, and raises `RuntimeError` if the server
    ends instead of starting, and `TimeoutError` if it says nothing. That error has what it said on
    stderr; what one that runs says there is passed on when the block is left.
    """

    def __init__(
        self,
        script: str,
        what: str,
        made: Callable[[str], _Found],
        options: tuple[str, ...],
        name: str,
    ) -> None:
        """`what` errors call it; `name` is what the block calls that which asks it."""
        self._script = script
        self._what = what
        self._made = made
        self._options = options
        self._name = name

    def __enter__(self) -> _Found:
        self._start()
        try:
            self._found = self._made(self._address())
        except BaseException:
            self._end()
            raise
        return self._found

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> _Found:
        self._start()
        try:
            self._found = self._made(await anyio.to_thread.run_sync(self._address))
        except BaseException:
            self._end()
            raise
        return self._found

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leave(error)

    def _start(self) -> None:
        command = [sys.executable, str(_TOOLS / self._script), "--port", "0", *self._options]
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
            raise TimeoutError(f"the {self._what} said nothing for {_START_S} s")
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
        return RuntimeError(f"the {self._what} ended with {status} instead of starting: {reason}")

    def _leave(self, error: BaseException | None) -> None:
        __tracebackhide__ = True
        self._end()
        if error is None:
            self._found.owed.check(self._name)
        self._found.owed.let_go()

    def _end(self) -> None:
        # It has nothing to put in order, so it need not be asked, and ends at once.
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        with self._said as said:
            said.seek(0)
            sys.stderr.write(said.read())


def content_of(answer: "httpx.Response") -> Any:  # noqa: ANN401  JSON of several shapes
    """Read an answer; raises `ValueError` in the server's words if the question was wrong."""
    if answer.status_code == HTTPStatus.BAD_REQUEST:
        raise ValueError(error_of(answer))
    answer.raise_for_status()
    return _read(answer)


def error_of(answer: "httpx.Response") -> str:
    """Give what the server says is wrong."""
    return str(_read(answer)["error"])


def _read(answer: "httpx.Response") -> Any:  # noqa: ANN401  JSON of several shapes
    # As the server itself reads: half a surrogate pair, or 1e400, is more than msgspec takes.
    return json.loads(answer.content)
