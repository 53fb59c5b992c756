"""The README's examples work, and what it shows is what the program prints."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from cyclopts import App

from ecolyo_worker.cli.app import app
from ecolyo_worker.configuration import load
from ecolyo_worker.testing import echo_server

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def masked(text: str) -> str:
    """Give a text without what differs from one time to the other: instants and made-up ids."""
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:]+Z|[0-9a-f]{32}", "…", text)


async def test_the_shell_example_works(tmp_path: Path) -> None:
    """The commands of the README, typed one after the other, deliver an indicator and balance."""
    (script,) = (block for block in blocks("sh") if "instances consent" in block)
    (asking,) = (block for block in blocks("sh") if "explain " in block)
    (explanation,) = (block for block in blocks("text") if block.startswith("navigation"))
    async with echo_server() as echo:
        script = script.replace("http://127.0.0.1:8081", echo.url)
        program = Path(sys.executable).with_name("ecolyo-worker")
        done = await anyio.run_process(
            ["bash", "-euc", f'ecolyo-worker() {{ {program} "$@"; }}\n{script}\n{asking}'],
            env={"XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            stderr=subprocess.STDOUT,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode()
        await echo.expect("navigation-count-daily", value=1, group1="electricity")
    assert "received 1 · duplicates 0 · missing 0" in done.stdout.decode()
    assert masked(done.stdout.decode()).endswith(masked(explanation))


def test_the_lines_of_what_comes_in_are_taken(tmp_path: Path) -> None:
    """What the page of inputs shows can be imported as it stands."""
    page = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    commands = ["events", "instances", "consumption"]
    for command, lines in zip(commands, shown, strict=True):
        text = lines.replace(",\n", ",").replace('{"_id"', '{"instance": "a.example", "_id"')
        words = [command, "import", "-", "--state-dir", str(tmp_path)]
        done = subprocess.run(
            [sys.executable, "-m", "ecolyo_worker", *words],
            input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


def test_the_settings_example_is_valid(tmp_path: Path) -> None:
    """The settings that the README shows are taken."""
    path = tmp_path / "config.toml"
    for example in blocks("toml"):
        path.write_text(example)
        assert load(path, {}).dacc.url == tomllib.loads(example)["dacc"]["url"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs Debian's package curl")
async def test_the_service_example_works(tmp_path: Path) -> None:
    """The service starts as the README says, and takes an event by the lines that follow."""
    (starting,) = (block for block in blocks("sh") if "ECOLYO_HTTP__LISTEN" in block)
    (asking,) = (block for block in blocks("sh") if "curl" in block)
    folder = Path(sys.executable).parent
    env = {"XDG_STATE_HOME": str(tmp_path), "PATH": f"{folder}:/usr/bin:/bin"}
    start = starting.replace("127.0.0.1:8787", "127.0.0.1:0").replace(
        "ecolyo-worker run", "exec ecolyo-worker run --log-format json"
    )
    async with await anyio.open_process(["bash", "-euc", start], env=env, cwd=tmp_path) as service:
        assert service.stderr is not None
        logs = BufferedByteReceiveStream(service.stderr)
        ready = json.loads(await logs.receive_until(b"\n", 10_000))
        script = asking.replace("127.0.0.1:8787", ready["http"])
        done = await anyio.run_process(
            ["bash", "-euc", script], env=env, stderr=subprocess.DEVNULL, cwd=tmp_path
        )
        service.terminate()
        assert await service.wait() == 0
    assert done.stdout.endswith(b'{"accepted":1,"known":0,"refused":[]}')


def test_the_python_example_works(tmp_path: Path) -> None:
    """The lines for a host run as they stand."""
    (example,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "'waiting': 1" in done.stdout


def test_the_table_names_every_command() -> None:
    """The table of commands has each of them, with those of a group, and no other."""
    (table,) = re.findall(r"^## Commands\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`[a-z].*?) \| ", table, re.MULTILINE)
    named = set()
    for row in rows:
        first, *others = re.findall(r"`([a-z -]+)`", row)
        group = f"{first.split(' ')[0]} " if " " in first else ""
        named |= {first} | {f"{group}{name}" for name in others}
    there = {name for name in app if not name.startswith("-")}
    groups = {name for name in there if isinstance(app[name], App) and list(words(app[name]))}
    assert named == (there - groups) | {f"{g} {name}" for g in groups for name in words(app[g])}


def words(group: App) -> list[str]:
    return [name for name in group if not name.startswith("-")]


@pytest.mark.parametrize(
    "name", re.findall(r"`((?:tools|ecolyo_worker|[A-Z]+)[\w/]*\.\w+)`", README)
)
def test_every_file_it_names_is_there(name: str) -> None:
    """A path in the README leads somewhere."""
    assert (ROOT / name).exists()
