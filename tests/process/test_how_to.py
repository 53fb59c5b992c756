"""The tutorial and the how-to pages, followed to the letter in a copy of the checkout, or by it."""

import re
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.process.machine import Machine, booted, require

LIMIT_S = 30
# The address on the pages; the tests put a free port in its place.
PAGE_URL = "http://127.0.0.1:8081"
TWIN_URL = "http://127.0.0.1:8082"
HOST_URL = "http://127.0.0.1:8000"
ROOT = Path(__file__).parents[2]
PARTS = ["bench", "docs", "ecolyo_worker", "migrations", "tests", "tools", "pyproject.toml"]
# A line of its own, if it names a file or the other terminal, then a block of code.
BLOCK = re.compile(
    r"(?:^(?P<verb>Append to|Create|The echo server) (?:`(?P<path>\S+)`|prints):\n\n)?"
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


class Step(NamedTuple):
    """A block: what to do with which file, or what to type, and what is printed then.

    Of `The echo server` it is what that has printed meanwhile, in any order.
    """

    verb: str
    path: str
    code: str
    printed: str | None


INSTALLED = re.compile(r"^## \d+\. .*installed service.*\n(?:(?!^## ).*\n)*", re.MULTILINE)


def steps(page: str, section: str = "") -> Iterator[Step]:
    """Give what a page says to do, but for its sections about an installed service.

    Or what one of these says, of which the heading is named.
    """
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    if section:
        (text,) = (part[0] for part in INSTALLED.finditer(text) if f" {section}\n" in part[0])
    else:
        text = INSTALLED.sub("", text)
    blocks = list(BLOCK.finditer(text))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block["language"] == "text" and block["verb"] is None:
            continue
        is_answer = after is not None and after["language"] == "text" and after["verb"] is None
        printed = after["code"] if after is not None and is_answer else None
        assert block["verb"] or block["language"] == "sh", f"for which file is {block[0]}?"
        yield Step(block["verb"] or "Type", block["path"] or "", block["code"], printed)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout that may be changed."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / part, folder / part)
    return folder


@pytest.fixture
def env(checkout: Path, tmp_path: Path) -> dict[str, str]:
    """What a shell in the copy has: its package, the programs of this Python, a state folder."""
    program = tmp_path / "bin" / "ecolyo-worker"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ecolyo_worker "$@"\n')
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(checkout),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
    }


def change(checkout: Path, step: Step) -> None:
    path = checkout / step.path
    assert path.exists() == (step.verb == "Append to"), step.path
    with path.open("a", encoding="utf-8") as file:
        file.write(step.code)


def pattern(printed: str) -> str:
    return re.escape(printed.strip()).replace("…", ".*")


async def test_adding_an_indicator_goes_as_the_page_says(
    checkout: Path, env: dict[str, str]
) -> None:
    """Each block is written into its file or typed, and prints what the page shows."""
    await follow("add-an-indicator.md", checkout, env)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs Debian's package curl")
async def test_testing_locally_goes_as_the_page_says(checkout: Path, env: dict[str, str]) -> None:
    """From the first terminal to CI, every command works and prints what the page shows."""
    await follow("test-locally.md", checkout, env)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs Debian's package make")
async def test_the_tutorial_goes_as_it_says(checkout: Path, env: dict[str, str]) -> None:
    """From `make demo` to an event of one's own, every command works and prints what is shown.

    What pip would fetch is there already.
    """
    install_offline(checkout)
    await follow("../tutorial.md", checkout, env)
    assert not (checkout / "tutorial-state").exists()


def install_offline(checkout: Path) -> None:
    """Set `.venv` up as `make` would, by what this Python has."""
    shutil.copy(ROOT / "Makefile", checkout)
    shutil.copytree(ROOT / "requirements", checkout / "requirements")
    venv = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (packages,) = venv.glob("lib/python3*/site-packages")
    (packages / "locked.pth").write_text(sysconfig.get_path("purelib"))
    program = venv / "bin" / "ecolyo-worker"
    program.write_text(f'#!/bin/sh\nexec {venv}/bin/python -m ecolyo_worker "$@"\n')
    program.chmod(0o755)
    (venv / ".run").touch()


async def test_restoring_goes_as_the_page_says(checkout: Path, env: dict[str, str]) -> None:
    """A state is backed up, lost, restored here and elsewhere, and the books balance."""
    await follow("back-up-and-restore.md", checkout, env)


async def test_requeueing_goes_as_the_page_says(checkout: Path, env: dict[str, str]) -> None:
    """Rows die, are looked at, sent again and given up, and the books balance."""
    await follow("requeue-dead-rows.md", checkout, env)


async def test_moving_goes_as_the_page_says(checkout: Path, env: dict[str, str]) -> None:
    """A state moves with all that waits, the old one is shut, and each indicator arrives once."""
    await follow("move-to-a-new-machine.md", checkout, env)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs Debian's package curl")
async def test_connecting_accounts_goes_as_the_page_says(
    checkout: Path, env: dict[str, str]
) -> None:
    """A person consents, her readings come, a consent is lost and had again, an account goes."""
    await follow("connect-energy-accounts.md", checkout, env, TWIN_URL)


class Terminal:
    """The first terminal, where a server runs, on a port that is free; pages give it another."""

    def __init__(self, printed: BufferedByteReceiveStream, page_url: str) -> None:
        self._printed = printed
        self._page_url = page_url
        self.url = page_url

    async def line(self) -> str:
        with anyio.fail_after(LIMIT_S):
            line = (await self._printed.receive_until(b"\n", 10_000)).decode()
        return line.replace(self.url, self._page_url)

    async def start(self, shown: str | None) -> None:
        """Learn its address; it prints its first lines as the page shows them."""
        line = await self.line()
        self.url = line.split('"')[1]
        if shown is not None:
            first, *more = shown.strip().splitlines()
            assert line.replace(self.url, self._page_url) == first
            assert [await self.line() for _ in more] == more

    async def check(self, code: str) -> None:
        """Check the next lines, which may come in any order."""
        wanted = code.splitlines()
        found = [await self.line() for _ in wanted]
        for one in wanted:
            fitting = [line for line in found if re.fullmatch(pattern(one), line)]
            assert fitting, f"{one} is not among {found}"
            found.remove(fitting[0])


async def follow(page: str, checkout: Path, env: dict[str, str], page_url: str = PAGE_URL) -> None:
    """Do what a page says, from its beginning to its end; its server is at `page_url`."""
    port = free_port()
    async with anyio.create_task_group() as serving:
        terminal: Terminal | None = None
        for shown in steps(page):
            url = terminal.url if terminal else page_url
            code = shown.code.replace(page_url, url).replace(":8082", f":{port}")
            step = shown._replace(code=code.replace("--port 8082", f"--port {port}"))
            if step.verb == "The echo server":
                assert terminal is not None
                await terminal.check(step.code)
            elif step.verb != "Type":
                change(checkout, step)
            elif re.match("python3? tools/(dacc_echo|energy_twin).py", shown.code):
                typed = shown.code.split()
                terminal = await serving.start(serve, checkout, env, typed, page_url)
                await terminal.start(step.printed)
            else:
                await type_in(checkout, env, step, url, page_url)
        assert terminal is not None, "the page starts no server"
        serving.cancel_scope.cancel()


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs Debian's package curl")
async def test_embedding_goes_as_the_page_says(tmp_path: Path, env: dict[str, str]) -> None:
    """The hosts on the page run, and answer what it shows; told to end, the first one leaves."""
    folder = tmp_path / "host"
    folder.mkdir()
    async with anyio.create_task_group() as serving:
        url = ""
        for step in steps("embed.md"):
            if step.verb != "Type":
                change(folder, step)
            elif "uvicorn" not in step.code:
                code = step.code.replace(HOST_URL, url)
                await type_in(folder, env, step._replace(code=code), "")
            else:
                before, _, command = step.code.strip().rpartition("\n")
                await type_in(folder, env, step._replace(code=before), "")
                url = await serving.start(run_host, folder, env, command)
        serving.cancel_scope.cancel()


async def run_host(
    folder: Path,
    env: dict[str, str],
    typed: str,
    *,
    task_status: anyio.abc.TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run a host on a free port until cancelled, and then see it leave as it should."""
    command = ["bash", "-c", f"exec {typed.replace('8000', '0')}"]
    async with await anyio.open_process(command, cwd=folder, env=env) as process:
        assert process.stderr is not None
        printed = BufferedByteReceiveStream(process.stderr)

        async def line(words: bytes) -> str:
            with anyio.fail_after(LIMIT_S):
                while words not in (found := await printed.receive_until(b"\n", 10_000)):
                    pass
            return found.decode()

        (url,) = re.findall(r"http://[0-9.:]+", await line(b"running on"))
        task_status.started(url)
        try:
            await anyio.sleep_forever()
        finally:
            process.terminate()
            with anyio.CancelScope(shield=True):
                await line(b"Application shutdown complete")


async def test_testing_a_host_goes_as_the_page_says(tmp_path: Path, env: dict[str, str]) -> None:
    """The tests on the page pass in a folder of their own; one that fails says what it shows."""
    folder = tmp_path / "host"
    folder.mkdir()
    for step in steps("test-your-host.md"):
        if step.verb != "Type":
            change(folder, step)
        else:
            await type_in(folder, env, step, "")
    file = folder / "test_host.py"
    right, wrong = 'value=1, group1="gas"', 'value=2, group1="electricity"'
    assert right in file.read_text()
    file.write_text(file.read_text().replace(right, wrong))
    page = (ROOT / "docs" / "how-to" / "test-your-host.md").read_text(encoding="utf-8")
    assert wrong in page
    (shown,) = (one["code"] for one in BLOCK.finditer(page) if one["code"].startswith("no such "))
    done = await anyio.run_process(
        [sys.executable, "-m", "pytest", "-q"], cwd=folder, env=env, check=False
    )
    output = re.sub("^E +(AssertionError: )?", "", done.stdout.decode(), flags=re.MULTILINE)
    assert compact(shown) in compact(output)


def compact(text: str) -> str:
    """Give a text without blank lines and indents, which pytest sets as it likes."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


async def serve(
    checkout: Path,
    env: dict[str, str],
    typed: list[str],
    page_url: str,
    *,
    task_status: anyio.abc.TaskStatus[Terminal] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run a server of the copy on a free port, in a terminal of its own."""
    command = [sys.executable, *typed[1:], "--port", "0"]
    async with await anyio.open_process(command, cwd=checkout, env=env) as process:
        try:
            assert process.stdout is not None
            task_status.started(Terminal(BufferedByteReceiveStream(process.stdout), page_url))
            await anyio.sleep_forever()
        finally:
            process.terminate()


async def type_in(
    checkout: Path, env: dict[str, str], step: Step, url: str, page_url: str = PAGE_URL
) -> None:
    """Type a block into the second terminal, which remembers what was exported."""
    exported = "touch ~/exported; . ~/exported; trap 'export -p > ~/exported' EXIT\n"
    done = await anyio.run_process(
        ["bash", "-euo", "pipefail", "-c", exported + step.code],
        cwd=checkout, env=env, check=False,
    )  # fmt: skip
    sys.stderr.write(done.stderr.decode())  # it is searched for secrets at the end of the test
    lines = [line.rstrip() for line in done.stdout.decode().splitlines()]
    shown = "\n".join(lines).strip().replace(url or page_url, page_url)
    assert done.returncode == 0, f"{step.code}{shown}"
    if step.printed is not None:
        assert re.fullmatch(pattern(step.printed), shown), f"{step.code}{shown}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.timeout(600)
def test_operating_a_service_goes_as_the_pages_say(tmp_path: Path) -> None:
    """On a machine that systemd runs, a service is installed and lives as its pages say.

    Each block is written or typed there, and prints what it shows. What pip would fetch is there
    already.
    """
    require()
    with booted(tmp_path) as machine:
        follow_there("install-as-a-service.md", machine)
        follow_there("rotate-a-secret.md", machine)
        follow_there("back-up-and-restore.md", machine, section="On the installed service")
        moving, both = "move-to-a-new-machine.md", "The installed service: the "
        follow_there(moving, machine, section=f"{both}old machine")
        machine.run("rm -r /var/lib/ecolyo-worker /var/lib/private/ecolyo-worker")
        follow_there(moving, machine, section=f"{both}new machine")
        machine.run(NEWER_VERSION)
        follow_there("upgrade.md", machine, folder="/opt/newer")
        follow_there("leave.md", machine)


NEWER_VERSION = """
mkdir /opt/newer
cp -r deploy ecolyo_worker migrations requirements tools LICENSE README.md pyproject.toml /opt/newer
cd /opt/newer
echo '__version__ = "99.0"' > ecolyo_worker/version.py
number=$(printf '%04d' $(($(ls migrations/*.sql | wc -l) + 1)))
echo 'CREATE TABLE notes (text TEXT NOT NULL) STRICT;' > migrations/${number}_notes.sql
"""


def follow_there(page: str, machine: Machine, folder: str = ".", section: str = "") -> None:
    """Do what a page says as root of a machine; it goes on where the page before it stopped.

    `folder` is the checkout that it is done in, `section` the only one to do.
    """
    for step in steps(page, section):
        if step.verb == "Create":
            machine.run(f"cat > {step.path} << 'END'\n{step.code}END")
        elif step.code == "python3 tools/dacc_echo.py --port 8081\n":
            machine.start_echo()
        else:
            if step.printed is not None and step.code.startswith("journalctl "):
                machine.wait_for("ecolyo-worker", re.split('[…"]', step.printed.strip())[0])
            printed = type_offline(machine, f"cd {folder}\n{step.code}")
            if step.printed is not None:
                shown = "\n".join(line.rstrip() for line in printed.splitlines()).strip()
                assert re.fullmatch(pattern(step.printed), shown), f"{step.code}{shown}"


def type_offline(machine: Machine, script: str) -> str:
    venv = "python3 -m venv /opt/ecolyo-worker\n"
    locked = "$(echo /opt/ecolyo-worker/lib/python3*)/site-packages/locked.pth"
    script = script.replace(venv, f"{venv}echo /opt/site > {locked}\n")
    return machine.run(f"export PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1\n{script}")
