"""The page of promises names tests, commands and settings that there are."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from ecolyo_worker.cli.app import app
from ecolyo_worker.configuration import SECTIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
PROMISED, _, NOT_PROMISED = PAGE.partition("\n# What is not promised\n")
SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
PROMISES = dict(SECTION.findall(PROMISED))


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("name", PROMISES)
def test_every_promise_is_shown(name: str) -> None:
    """Each says what it rests on, how to check it, and which tests show it; these are there."""
    text = PROMISES[name]
    parts = [text.index(f"- {part}: ") for part in ("Rests on", "Check", "Shown by")]
    assert parts == sorted(parts)
    shown = re.findall(r"`([^`]+\.py)::(\w+)`", text)
    assert shown
    for file, test in shown:
        assert test in functions(ROOT / "tests" / file), (file, test)


def test_every_command_can_be_typed() -> None:
    """What the page tells to type are commands with options that there are."""
    typed = [
        *re.findall(r"`ecolyo-worker ([^`]+)`", PAGE),
        *re.findall("(?m)^ecolyo-worker (.+)", PAGE),
    ]
    assert len(typed) > 9
    for line in typed:
        words = [word for word in shlex.split(line) if word != "--json"]  # of every command
        app.parse_args(words, exit_on_error=False, print_error=False)


def test_every_setting_is_one() -> None:
    """The keys that the page names are keys of the settings."""
    for section, key in re.findall(r"`(\w+)\.(\w+)(?: = [^`]+)?`", PAGE):
        if section in SECTIONS:
            assert key in SECTIONS[section].__struct_fields__, f"{section}.{key}"


def test_what_is_not_promised_is_as_clear() -> None:
    """Each point begins with what one might expect, and says more than that."""
    points = re.findall(r"^- \*\*(.+?)\*\*(.+?)(?=^- |\Z)", NOT_PROMISED, re.MULTILINE | re.DOTALL)
    assert len(points) == NOT_PROMISED.count("\n- ") > 9
    assert all(len(more.split()) > 3 for _, more in points)
