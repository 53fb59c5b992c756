"""A short form of `make soak`, which tests/soak is."""

import os
import sys
from pathlib import Path

import anyio
import pytest

ROOT = Path(__file__).parent.parent.parent


# A minute of lives, and what was left is sent after it; on a busy machine that takes long.
@pytest.mark.timeout(900)
@pytest.mark.fault(14, 21, 28, 35, 36, 46, 60)
async def test_all_at_once(overheard: list[str]) -> None:
    """Of all that goes wrong at once, again and again, nothing acknowledged is lost or hidden."""
    environ = {"SOAK_MINUTES": "1", **os.environ}
    command = [sys.executable, "-m", "tests.soak"]
    done = await anyio.run_process(command, cwd=ROOT, env=environ, check=False)
    overheard.append(done.stderr.decode())
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
