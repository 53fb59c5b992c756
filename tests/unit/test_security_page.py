"""The page of threats names a defence for each, and tests that there are."""

import re
from pathlib import Path

import pytest

from tests.unit.test_promises import functions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
FACES = [name for name, text in SECTIONS.items() if "| who could |" in text]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize("face", FACES)
def test_every_threat_has_a_defence_and_a_test(face: str) -> None:
    """Each line says what somebody could do and what is done; the tests it names are there."""
    found = rows(SECTIONS[face])
    assert found
    for threat, defence, shown in found:
        assert len(threat.split()) > 2
        assert defence.endswith(".")
        tests = re.findall(r"`([^`]+\.py)::(\w+)`", shown)
        assert tests
        for file, test in tests:
            assert test in functions(ROOT / "tests" / file), (file, test)


def test_every_face_is_thought_of() -> None:
    """The ways in and out have a section each; what audits the dependencies is there."""
    assert [name.split()[-1] for name in FACES] == [
        *("face", "socket", "consents", "files", "credentials", "database", "metrics"),
        *("answered", "worker", "desk"),
    ]
    assert "`make audit`" in PAGE
    assert "\naudit:" in (ROOT / "Makefile").read_text(encoding="utf-8")
