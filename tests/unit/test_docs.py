"""The pages that are made from the package are those that would be made now, and are true."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import NODEFAULT

from ecolyo_worker.configuration import SECTIONS
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import ALL
from ecolyo_worker.section import Section
from ecolyo_worker.store.migrations import MIGRATIONS
from ecolyo_worker.tools.twins.dacc.indicator import weigh

DOCS = Path(__file__).parents[2] / "docs"


def test_no_page_is_stale() -> None:
    """After a change of the definitions or a rule, `make docs` was run."""
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_page_is_told_and_made_anew(tmp_path: Path) -> None:
    """With `--check` a page that is missing or old is named and left; without, it is written."""
    script = tmp_path / "generate.py"
    script.write_bytes((DOCS / "generate.py").read_bytes())
    for options, code in (["--check"], 1), ([], 0), (["--check"], 0):
        done = subprocess.run(
            [sys.executable, script, *options], capture_output=True, text=True, check=False
        )
        assert done.returncode == code
        assert ("docs/indicators.md is stale: run `make docs`" in done.stderr) == bool(code)
    page = (DOCS / "indicators.md").read_text(encoding="utf-8")
    assert (tmp_path / "indicators.md").read_text(encoding="utf-8") == page


def test_the_examples_of_the_indicators_are_valid(definitions: Definitions) -> None:
    """The page has a section with an example for each measure, which sender and DACC take."""
    page = (DOCS / "indicators.md").read_text(encoding="utf-8")
    sections = re.findall(r"^## (\S+)\n(.*?)^```json\n(.*?)\n```$", page, re.DOTALL | re.MULTILINE)
    assert [name for name, _, _ in sections] == [definition.name for definition in definitions]
    for name, text, example in sections:
        definitions.check_body(example.encode())
        body = json.loads(example)
        assert weigh(body) == []
        assert body["measureName"] == name
        assert "other" not in str(body)
        assert definitions[name].purpose in text
    rules = [one.rule.splitlines()[0] for one in ALL]
    assert all(rule in page for rule in rules)


def test_every_setting_has_a_row() -> None:
    """The page has each key below its section, with what it is for, what it takes, its default."""
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for name, section in SECTIONS.items():
        (text,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
        fields = [field.name for field in msgspec.structs.fields(section)]
        keys = [field for field in fields if field not in SECTIONS]
        rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
        assert [row[0] for row in rows] == [f"| `{key}`" for key in keys]
        assert all(len(row) == 4 and all(row) for row in rows)
    assert '| a duration of 0.001 s to 86400 s | `"15min"` |' in page


FIELDS = [
    (section, field)
    for section in SECTIONS.values()
    for field in msgspec.structs.fields(section)
    if field.name not in SECTIONS
]


@pytest.mark.parametrize(
    ("section", "field"), FIELDS, ids=[section.key(field.name) for section, field in FIELDS]
)
def test_every_setting_says_unit_default_and_range(section: type[Section], field: Any) -> None:
    """A number has bounds and tells what it counts, text has a form, what may be absent a default.

    A duration has its unit in its value, and its bounds in its type.
    """
    purpose, takes = section.describe(field.name)
    assert purpose.endswith(".")
    if takes.startswith(("a number", "a whole number", "a duration")):
        assert re.search(r"( from | of | above )\S+( s)? to \S+", takes)
    if "number" in takes:
        assert re.search(
            "days?|events|attempts|per second|per hour", f"{field.name} {purpose}".lower()
        )
    if takes in {"text", "text, or left out"} or "at most" in takes:
        assert re.search("such as|YYYY-MM-DD", purpose)
    if takes.endswith("or left out"):
        assert re.search("default: |without one", purpose)
    else:
        assert field.default is not NODEFAULT


def test_the_page_of_retention_leaves_no_table_out() -> None:
    """It says of every table of the database how long its rows are kept, and of no other."""
    page = (DOCS / "retention.md").read_text(encoding="utf-8")
    told = [
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    ]
    with closing(sqlite3.connect(":memory:")) as connection:
        for file in sorted(MIGRATIONS.glob("*.sql")):
            connection.executescript(file.read_text(encoding="utf-8"))
        query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        assert sorted(told) == sorted(name for (name,) in connection.execute(query))
