"""Programs in processes of their own, each forked from one that has loaded what they need.

    python -m tests.forking DESCRIPTOR

To begin Python and to import all anew takes half a second of each command, and the tests run a
thousand. That commands start by themselves is shown where they are installed.
"""

import gc
import importlib
import json
import os
import pkgutil
import random
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from subprocess import CompletedProcess, Popen
from types import TracebackType
from typing import NoReturn, Self

import anyio

import ecolyo_worker

__all__ = ["COMMAND_LINE", "Forks"]

COMMAND_LINE = "ecolyo_worker.cli:main"

_MOST_BYTES = 150_000
_CHUNK = 65_536
_ROOT = Path(__file__).parents[1]
# The first one runs when it is imported, the other one is for pytest.
_LEFT_OUT = {"ecolyo_worker.__main__", "ecolyo_worker.testing.fixtures"}
# What commands import as late as they can.
_LATE = ("anyio._backends._asyncio", "httpx", "httpcore._async", "structlog")


class Forks:
    """Runs programs as `anyio.run_process` does, but for how they begin."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.forking", str(theirs.fileno())]
            self._process = Popen(command, pass_fds=[theirs.fileno()], cwd=_ROOT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._process.wait()

    async def run(
        self,
        function: str,
        arguments: Sequence[str],
        *,
        environ: Mapping[str, str],
        stdin: bytes = b"",
    ) -> CompletedProcess[bytes]:
        """Run `module:function`, which returns its exit code or exits, to its end.

        The code is negative where a signal was that.
        """
        with ExitStack() as stack:
            (given, giving), (out, telling), (err, warning), (fate, telling_fate) = (
                [stack.enter_context(one) for one in _pipe()] for _ in range(4)
            )
            theirs = [given, telling, warning, telling_fate]
            program = [function, [*arguments], {**environ}, str(Path.cwd())]
            files = [file.fileno() for file in theirs]
            socket.send_fds(self._socket, [json.dumps(program).encode()], files)
            for file in theirs:
                file.close()
            process = int(await _line(fate))
            said: dict[FileIO, bytes] = {}
            try:
                async with anyio.create_task_group() as reading:
                    reading.start_soon(_write, giving, stdin)
                    for file in (out, err):
                        reading.start_soon(_read_into, said, file)
                code = int(await _line(fate))
            except BaseException:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                raise
        return CompletedProcess([function, *arguments], code, said[out], said[err])


def _pipe() -> tuple[FileIO, FileIO]:
    reader, writer = os.pipe()
    return FileIO(reader, "r"), FileIO(writer, "w")


async def _line(file: FileIO) -> bytes:
    await anyio.wait_readable(file)
    return file.readline()


async def _read_into(said: dict[FileIO, bytes], file: FileIO) -> None:
    text = b""
    while True:
        await anyio.wait_readable(file)
        chunk = os.read(file.fileno(), _CHUNK)
        if not chunk:
            said[file] = text
            return
        text += chunk


async def _write(file: FileIO, text: bytes) -> None:
    os.set_blocking(file.fileno(), False)
    rest = memoryview(text)
    with suppress(BrokenPipeError), file:
        while rest:
            await anyio.wait_writable(file)
            rest = rest[file.write(rest) :]


def main() -> None:
    """Become one program after the other, each in a fork, until nobody can ask for any."""
    _load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        while True:
            text, files, _, _ = socket.recv_fds(asked, _MOST_BYTES, 4)
            if not text:
                return
            if os.fork() == 0:
                break
            for file in files:
                os.close(file)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _watch(files.pop())
    _become(files, *json.loads(text))


def _load() -> None:
    """Import all there is, for what was imported is shared with who is forked."""
    ours = (one.name for one in pkgutil.walk_packages(ecolyo_worker.__path__, "ecolyo_worker."))
    for name in (*ours, *_LATE):
        if name not in _LEFT_OUT:
            with suppress(ModuleNotFoundError):  # of an extra that is not installed here
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _watch(fate: int) -> None:
    """Go on in a child; the process that was forked first says which it is, and how it ends."""
    child = os.fork()
    if child == 0:
        os.close(fate)
        return
    os.write(fate, f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(fate, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(
    files: Sequence[int], function: str, arguments: list[str], environ: dict[str, str], place: str
) -> NoReturn:
    """Be as if Python had begun with this program."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # Those of the process that was forked know what their files can do.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(place)
    time.tzset()
    random.seed()
    module, _, name = function.partition(":")
    sys.argv = [str(_ROOT / module.replace(".", "/")), *arguments]
    sys.exit(getattr(importlib.import_module(module), name)())


if __name__ == "__main__":
    main()
