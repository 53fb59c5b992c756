"""The service as a process: it starts, stops, is killed, and nothing it acknowledged is lost."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM
from subprocess import CompletedProcess
from typing import Any

import pytest

from ecolyo_worker import StoreUnavailable
from ecolyo_worker.service.client import running_service

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Run = Any

LIMIT_S = 30


async def test_a_stopped_service_keeps_nobody_waiting(run: Run, state_dir: Path) -> None:
    """A command ends with 69 and a sentence if the service is suspended; continued, it answers."""
    async with run() as service:
        service.process.send_signal(SIGSTOP)
        with pytest.raises(StoreUnavailable, match=r"within 0\.1 s that it lives: it is stopped"):
            await people(state_dir, patience_s=0.1)
        service.process.send_signal(SIGCONT)
        assert await people(state_dir, patience_s=LIMIT_S) == 0


async def people(state_dir: Path, patience_s: float) -> int:
    async with running_service(state_dir, look_s=0.01, patience_s=patience_s) as commands:
        assert commands is not None
        return (await commands.status()).instances


async def test_a_token_that_everybody_can_read_is_told(run: Run, tmp_path: Path) -> None:
    """It warns of a token file that is open to all; one of a group, as systemd's, is as it may be.

    It works all the same, as it always did.
    """
    http, dacc = tmp_path / "http-token", tmp_path / "dacc-token"
    dacc.write_text("of-the-dacc")
    http.chmod(0o640)
    dacc.chmod(0o644)
    async with run(ECOLYO_DACC__TOKEN_FILE=str(dacc)) as service:
        told = await service.log("a token is open to everybody")
        found = [told[name] for name in ("level", "setting", "file", "mode")]
        assert found == ["warning", "dacc.token_file", str(dacc), "0644"]
        service.process.send_signal(SIGTERM)
        await service.log("stopping")
        names = [line["event"] for line in service.logged]
        assert names.count("a token is open to everybody") == 1


@pytest.fixture
def open_to_all(state_dir: Path) -> Path:
    state_dir.mkdir()
    state_dir.chmod(0o775)
    return state_dir


async def test_a_state_directory_that_others_can_enter(run: Run, open_to_all: Path) -> None:
    """The service starts, and says in its log what `doctor` says of the directory."""
    async with run() as service:
        line = await service.log("the state directory is open to others")
    assert (line["level"], line["reason"]) == (
        "warning",
        f"{open_to_all} is open to others (mode 0775)",
    )
