"""Another definitions file, by `aggregation.measures_file`: what it changes, what is refused."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import ecolyo_worker

SHIPPED = (Path(ecolyo_worker.__file__).parent / "measures" / "measures.toml").read_text()

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Using = Callable[[str | None], dict[str, str]]

REST = "purpose = 'p'\nunit = 'u'\nperiod = 'month'\nrows = 'each'\n"


@pytest.fixture
def using(tmp_path: Path) -> Using:
    """Write another definitions file, and give the setting that points to it."""

    def write(text: str | None) -> dict[str, str]:
        path = tmp_path / "measures.toml"
        if text is not None:
            path.write_text(text)
        return {"ECOLYO_AGGREGATION__MEASURES_FILE": str(path)}

    return write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ": cannot be read: No such file or directory"),
        ("[[measure]\n", ": is not TOML: Expected ']]'"),
        ("[[measure]]\nnam = 'x'\n", ":1: measure 1: unknown key: 'nam'; did you mean 'name'?"),
        ("[[measure]]\nname = 'quiz-stars'\n" + REST, ":1: measure 'quiz-stars': period: found"),
    ],
)
async def test_a_file_that_cannot_be_used_is_a_wrong_setting(
    cli: Cli, using: Using, text: str | None, words: str
) -> None:
    """A command ends with 78, and names the setting, the file, the place and what is allowed."""
    env = using(text)
    done = await cli("migrate", env=env)
    assert done.returncode == 78
    (path,) = env.values()
    assert f"aggregation.measures_file: {path}{words}" in done.stderr.decode()
    assert done.stdout == b""


async def test_a_measure_that_nothing_makes_is_told(cli: Cli, using: Using) -> None:
    """A name that no function has, misspelt perhaps, is a warning: all else works."""
    done = await cli("migrate", env=using(SHIPPED.replace('"quiz-stars"', '"quiz-star"')))
    assert done.returncode == 0
    assert "defined measures that nothing makes" in done.stderr.decode()
    assert "quiz-star" in done.stderr.decode()
    assert (await cli("migrate")).stderr == b""
