"""The how-to pages, followed to the letter in a copy of the checkout."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

ROOT = Path(__file__).parents[2]
PARTS = ["docs", "ecolyo_worker", "migrations", "tests", "tools", "pyproject.toml"]
# A paragraph's last line, if it names a file, then a block of code.
BLOCK = re.compile(
    r"(?:^(?P<verb>Append to|Create) `(?P<path>\S+)`:\n\n)?"
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


class Step(NamedTuple):
    """A block: what to do with which file, or what to type, and what is printed then."""

    verb: str
    path: str
    code: str
    printed: str | None


def steps(page: str) -> Iterator[Step]:
    blocks = list(BLOCK.finditer((ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block["language"] == "text":
            continue
        printed = after["code"] if after is not None and after["language"] == "text" else None
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
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
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
    found = list(steps("add-an-indicator.md"))
    echo = ["python", "tools/dacc_echo.py", "--port", "8081"]
    assert " ".join(echo) + "\n" in [step.code for step in found]
    url = ""
    async with anyio.create_task_group() as serving:
        for step in found:
            if step.verb != "Type":
                change(checkout, step)
            elif step.code.split() == echo:
                url = await serving.start(serve, checkout, env)
            else:
                await type_in(checkout, env, step, url)
        serving.cancel_scope.cancel()


async def serve(
    checkout: Path,
    env: dict[str, str],
    *,
    task_status: anyio.abc.TaskStatus[str] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Run the copy's echo server on a free port, and tell its address."""
    command = [sys.executable, "tools/dacc_echo.py", "--port", "0"]
    async with await anyio.open_process(command, cwd=checkout, env=env) as process:
        try:
            assert process.stdout is not None
            first = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1000)
            task_status.started(first.decode().split('"')[1])
            await anyio.sleep_forever()
        finally:
            process.terminate()


async def type_in(checkout: Path, env: dict[str, str], step: Step, url: str) -> None:
    program = f'ecolyo-worker() {{ {sys.executable} -m ecolyo_worker "$@"; }}\n'
    script = step.code.replace("http://127.0.0.1:8081", url or "http://127.0.0.1:8081")
    done = await anyio.run_process(
        ["bash", "-euo", "pipefail", "-c", program + script],
        cwd=checkout, env=env, check=False,
    )  # fmt: skip
    lines = [line.rstrip() for line in done.stdout.decode().splitlines()]
    shown = "\n".join(lines).strip()
    assert done.returncode == 0, f"{script}{shown}{done.stderr.decode()}"
    if step.printed is not None:
        assert re.fullmatch(pattern(step.printed), shown), f"{script}{shown}"
