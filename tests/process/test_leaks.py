"""A test that lets a token or the number of a meter get into a log fails by itself."""

import shutil
import sys
from pathlib import Path

import anyio

LEAKS = """
import logging, os, subprocess, sys

import pytest

@pytest.mark.parametrize("text", ["at 11111111111111", "pce/GI123456/x", "twin." + "aB3-" * 8])
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

def test_nothing(capsys):
    print("meter ...111, 1790805600000, 0.12345678901234", file=sys.stderr)
    assert capsys.readouterr().err
"""


async def test_what_leaks_fails(tmp_path: Path) -> None:
    """Stderr of the test and of its processes, what it read of it itself, and logs: all of them."""
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_leaking.py").write_text(LEAKS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = await anyio.run_process(command, cwd=tmp_path, check=False)
    said = done.stdout.decode()
    assert "8 failed, 1 passed in" in said, said
    assert "a token, or the number of a meter, was written to stderr: at 11111111111111" in said
