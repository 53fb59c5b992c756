"""A test that lets a token or the number of a meter get into a log or a screen fails by itself."""

import shutil
import sys
from pathlib import Path

import anyio

LEAKS = """
import logging, os, subprocess, sys

import pytest

from tests.process.conftest import Service
from tests.raw_server import served

@pytest.mark.parametrize(
    "text", ["at 11111111111111", "pce/GI123456/x", "twin." + "aB3-" * 8, "eyJh.eyJ1.s-_"]
)
def test_stderr(text):
    print(text, file=sys.stderr)

def test_child():
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'23000000000000')"], check=True)

def test_read(capsys):
    print("meter 11111111111111", file=sys.stderr)
    assert capsys.readouterr().err

def test_not_read(capsys):
    print("meter 11111111111111", file=sys.stderr)

def test_logged():
    logging.getLogger("ecolyo_worker").warning("meter %s", "11111111111111")

async def test_command(cli):
    done = await cli("accounts", "list", "--instance", "11111111111111", "--11111111111111")
    assert done.returncode

async def test_status(cli, state_dir):
    await cli("migrate")
    named = state_dir.rename(state_dir.with_name("11111111111111"))
    done = await cli("status", "--state-dir", named)
    assert (done.returncode, done.stderr) == (0, b"")

@pytest.mark.parametrize("path", ["/metrics", "/v1/status"])
async def test_monitoring(path, overheard):
    async def answer(stream):
        await stream.receive()
        await stream.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 8\\r\\n\\r\\nGI123456")

    async with served(answer) as address:
        service = Service(None, None, overheard)
        service.url = f"http://{address}"
        async with service.client() as client:
            await client.get(path)

def test_nothing(capsys):
    print("meter ...111, 1790805600000, 0.12345678901234", file=sys.stderr)
    assert capsys.readouterr().err
"""


async def test_what_leaks_fails(tmp_path: Path) -> None:
    """Stderr of the test and of its processes, what it read itself, logs, and shared screens."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_leaking.py").write_text(LEAKS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = await anyio.run_process(command, cwd=tmp_path, check=False)
    said = done.stdout.decode()
    assert "12 failed, 1 passed in" in said, said
    assert "a token, or the number of a meter, was said: at 11111111111111" in said
