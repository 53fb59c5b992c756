"""Shell completion: the scripts name the commands, and work in the shells that are here."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest

from ecolyo_worker.cli.app import app

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

SHELLS = ["bash", "zsh", "fish"]
PLACES = {
    "bash": ".local/share/bash-completion/completions/ecolyo-worker",
    "zsh": ".zsh/completions/_cyclopts_ecolyo-worker",
    "fish": ".config/fish/completions/ecolyo-worker.fish",
}
STARTS = {"bash": ".bashrc", "zsh": ".zshrc"}


def commands() -> list[str]:
    return [name for name in app if not name.startswith("-")]


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_script_names_every_command(cli: Cli, shell: str) -> None:
    """The script of each shell has all commands and options, and passes that shell's own check."""
    done = await cli("--install-completion", "--shell", shell, "--script")
    assert (done.returncode, done.stderr) == (0, b"")
    script = done.stdout.decode()
    assert len(commands()) > 15
    words = [*commands(), "import", "show", "state-dir", "until-empty", "online"]
    assert [word for word in words if word not in script] == []
    if program := shutil.which(shell):
        checked = await anyio.run_process([program, "-n", "/dev/stdin"], input=done.stdout)
        assert checked.stderr == b""


@pytest.mark.parametrize("shell", SHELLS)
async def test_it_is_installed_once(cli: Cli, tmp_path: Path, shell: str) -> None:
    """The script is put where the shell looks for it; a second time changes nothing."""
    home = {"HOME": str(tmp_path), "SHELL": "", "ZSH_CUSTOM": "", "ZSH": ""}
    home |= {"XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""}
    written = []
    for _ in range(2):
        done = await cli("--install-completion", "--shell", shell, env=home)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode().startswith(f"{tmp_path / PLACES[shell]}: written; ")
        written.append({path: path.read_bytes() for path in files(tmp_path)})
    assert written[0] == written[1]
    names = {str(path.relative_to(tmp_path)) for path in written[0]}
    assert names == {PLACES[shell]} | ({STARTS[shell]} if shell in STARTS else set())


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_bash_completes(cli: Cli, tmp_path: Path) -> None:
    """In a bash that took the script, words are completed to commands, options and their values."""
    done = await cli("--install-completion", "--shell", "bash", "--script")
    script = tmp_path / "completion"
    script.write_bytes(done.stdout)

    async def completed(*words: str) -> list[str]:
        listed = " ".join(f"'{word}'" for word in ("ecolyo-worker", *words))
        asked = (
            f". {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; _ecolyo_worker;"
            ' printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return (await anyio.run_process(["bash", "-uc", asked])).stdout.decode().split()

    assert await completed("doc") == ["doctor"]
    assert await completed("outbox", "d") == ["discard"]
    assert await completed("doctor", "--onl") == ["--online"]
    assert await completed("--log-format", "j") == ["json", "journal"]


async def test_a_shell_that_is_not_known_is_asked_for(cli: Cli, tmp_path: Path) -> None:
    """Where the shell cannot be told, a sentence says what to add, and nothing is written."""
    unknown = {"HOME": str(tmp_path), "SHELL": "/bin/tcsh", "PATH": "", "BASH_VERSION": ""}
    done = await cli("--install-completion", env=unknown)
    assert done.returncode == 64
    assert b"say --shell bash, zsh or fish" in done.stderr
    assert files(tmp_path) == []
