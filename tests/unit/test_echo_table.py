"""The echo server stands alone, so it reads the definitions file by itself, to the same end."""

from pathlib import Path

import pytest

from ecolyo_worker.indicators import Definitions
from ecolyo_worker.tools.twins.dacc.definitions import (
    DefinitionsError,
    read_group_keys,
    shipped_group_keys,
)


def test_both_sides_know_the_same_measures() -> None:
    """Every measure has the same group keys, in the same order, here and in the echo server."""
    ours = {d.name: tuple(rule.key for rule in d.groups) for d in Definitions.load()}
    assert shipped_group_keys() == ours


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"[[measure]\n", "is not TOML: Expected ']]'"),
        (b"\xff\xfe", "is not TOML: "),
        (b"", "is no definitions file; allowed: tables [[measure]]"),
        (b"measure = 'all'", "is no definitions file"),
        (b"measure = [1]", "is no definitions file"),
        (b"[[measure]]\nnam = 'x'\n", "is no definitions file"),
        (b"[[measure]]\nname = 'x'\ngroup1 = 'y'\n", "is no definitions file"),
        (b"[[measure]]\nname = 'x'\ngroup1 = {}\n", "is no definitions file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, text: bytes | None, words: str
) -> None:
    """A file that the echo server cannot go by is refused by its path, with what is wrong."""
    path = tmp_path / "measures.toml"
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(DefinitionsError) as refused:
        read_group_keys(path)
    assert str(refused.value).startswith(f"{path}: {words}")
