"""What all tests share: the event loop, stand-ins, the examples, and the command line."""

import os
import re
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import pytest

from ecolyo_worker.testing import dacc_echo as dacc_echo
from ecolyo_worker.testing import energy_twin as energy_twin
from tests.forking import COMMAND_LINE, Forks

# Who is begun in the background may have been told to heed no Ctrl-C, and so would be its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Tests that run side by side have a screen's width set, and commands would fold their tables to it.
os.environ.pop("COLUMNS", None)
# The tests start some thousand processes; without compiled modules each of them starts three times
# slower. They are kept away from the sources, which a test may copy.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(sys.prefix, "compiled"))

EXAMPLES = Path(__file__).parent / "data" / "indicators"

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

# These take longest, and are begun first: one core would wait for the other if they came last.
LONGEST = (
    "faults/test_crashes.py",
    "integration/test_simulation.py",
    "process/test_how_to.py",
    "faults/test_soak.py",
    "property/test_histories.py",
)

_HEARD = pytest.StashKey[list[str]]()
_LEAKED = pytest.StashKey[bool]()
# The number of a meter, the tokens and codes that an energy twin gives, id tokens, and the tests'
# own secrets.
_SECRETS = re.compile(
    r"(?<![\w.])(?:\d{14}|GI\d{6})(?!\w)|twin\.[\w-]{16}|s3cret-0f-the-applicati0n"
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]+",
    re.ASCII,
)
# Commands whose screens are sent to others, who must not learn from them whose home it is.
_SHARED = {"coverage", "doctor", "outbox", "poll", "status"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))


@pytest.fixture(autouse=True)
def overheard(request: pytest.FixtureRequest) -> list[str]:
    """What was written to stderr, or told to whoever asked how a worker fares.

    Whatever keeps stderr of a process from the report of the test adds it; at the end all is
    searched for secrets.
    """
    said: list[str] = request.node.stash.setdefault(_HEARD, [])
    for name in {"capsys", "capfd"} & {*request.fixturenames}:
        _listen(request.getfixturevalue(name), said)
    return said


def _listen(capture: pytest.CaptureFixture[str], said: list[str]) -> None:
    read = capture.readouterr

    def readouterr() -> Any:
        found = read()
        said.append(found.err)
        return found

    capture.readouterr = readouterr  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail in which a token or the number of a meter was said, or written to a log."""
    report = yield
    said = "\n".join([report.capstderr, report.caplog, *item.stash.get(_HEARD, [])])
    leaks = [line for line in said.splitlines() if _SECRETS.search(line)]
    is_first = not item.stash.setdefault(_LEAKED, False)
    if leaks and report.passed and is_first:
        item.stash[_LEAKED] = True
        report.outcome = "failed"
        report.longrepr = f"a token, or the number of a meter, was said: {leaks[0]}"
    return report


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def examples() -> Path:
    """The folder of the worked example: instances, events, and what must come of them."""
    return EXAMPLES


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """What programs are run by that need not show how they begin."""
    with Forks() as forks:
        yield forks


@pytest.fixture
def cli(state_dir: Path, overheard: list[str], forks: Forks) -> Cli:
    """Run the command line in a process of its own on `state_dir`."""

    async def run(
        *arguments: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> CompletedProcess[bytes]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("ECOLYO_")}
        words = [str(argument) for argument in arguments]
        if "--state-dir" not in words:
            words += ["--state-dir", str(state_dir)]
        environ = {**clean, **(env or {})}
        if any(name.startswith(("LC_", "PYTHON")) for name in env or ()):
            # Python reads these as it begins.
            command = [sys.executable, "-m", "ecolyo_worker", *words]
            done = await anyio.run_process(command, input=stdin, check=False, env=environ)
        else:
            done = await forks.run(COMMAND_LINE, words, stdin=stdin, environ=environ)
        said = done.stderr + done.stdout if _SHARED.intersection(words[:1]) else done.stderr
        overheard.append(said.decode("utf-8", "replace"))
        return done

    return run


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """Make a usage event: a type and a civil time, and what else is named."""

    def make(kind: str, at: str, ident: str | None = None, **fields: Any) -> dict[str, Any]:
        return {"_id": ident or f"{kind}-{at}", "type": kind, "eventDate": at, **fields}

    return make


class Manager:
    """What a service manager hears on its socket: each message as its fields, in their order."""

    LIMIT_S = 30

    def __init__(self, sock: socket.socket, name: str) -> None:
        self.socket = sock
        self.environ = {"NOTIFY_SOCKET": name}
        """What a service must know to speak to it."""

    async def hear(self, *wanted: str) -> dict[str, str]:
        """Give the next message, or the next one with all of these fields."""
        with anyio.fail_after(self.LIMIT_S):
            while True:
                await anyio.wait_readable(self.socket)
                for message in self.heard(1):
                    if message.keys() >= set(wanted):
                        return message

    def heard(self, most: int = 1000) -> list[dict[str, str]]:
        """Give what has come by now and was not given yet."""
        found: list[dict[str, str]] = []
        try:
            while len(found) < most:
                lines = self.socket.recv(4096).decode().split("\n")
                found.append(dict(line.split("=", 1) for line in lines))
        except BlockingIOError:
            pass
        return found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """The ear of a service manager, a real socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(str(tmp_path / "notify"))
        yield Manager(sock, str(tmp_path / "notify"))
