"""Commands while the settings are wrong: beside a service, which has others, they go on."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest

from ecolyo_worker import Settings
from ecolyo_worker.configuration import read

from .conftest import service

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file in which a rate is wrong."""
    path = tmp_path / "config.toml"
    path.write_text("[dacc]\nrate = -1\n")
    return path


async def test_a_service_is_asked_all_the_same(cli: Cli, state_dir: Path, config: Path) -> None:
    """Beside a service, commands do what they are for, and say on stderr what is wrong."""
    async with service(Settings(state_dir=state_dir)):
        for words in (["status"], ["outbox", "list"], ["backup", config.parent / "state.db"]):
            done = await cli(*words, "--config", config)
            assert done.returncode == 0, done.stderr
            assert b"the running service goes on with those that it has" in done.stderr
            assert b"dacc.rate: found -1; allowed" in done.stderr
            assert b"warning" not in done.stdout


@pytest.mark.parametrize("words", [["status"], ["migrate", "--dry-run"], ["outbox", "list"]])
async def test_without_a_service_nothing_is_opened(
    cli: Cli, state_dir: Path, config: Path, words: list[str]
) -> None:
    """Without a service, wrong settings end a command with 78 before anything is made."""
    done = await cli(*words, "--config", config)
    assert (done.returncode, await anyio.Path(state_dir).exists()) == (78, False)
    assert b"dacc.rate: found -1; allowed" in done.stderr


async def test_an_option_is_enough_to_find_it(cli: Cli, state_dir: Path, config: Path) -> None:
    """Where `--state-dir` names the state, not even the settings file need be there."""
    async with service(Settings(state_dir=state_dir)):
        done = await cli("status", "--config", config.parent / "nowhere.toml")
    assert (done.returncode, b"goes on with those" in done.stderr) == (0, True)


@pytest.mark.parametrize("text", ["[worker]\nstate_dir = 3\n", "[worker", "[dacc]\nrate = -1\n"])
def test_a_state_that_cannot_be_told_is_not_guessed(config: Path, text: str) -> None:
    """What is wrong with the state directory, or with the file as a whole, leaves it unknown."""
    config.write_text(text)
    assert read(config, {}).is_lost == ("rate" not in text)
