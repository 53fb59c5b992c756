"""The benches run, with so little work that figures mean nothing, and tell what they should."""

import json
import re
import runpy
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.wanted import BENCHES, WANTED

NEEDS = {"intake_vs_peers": "litequeue", "drain_vs_peers": "huey"}
"""What some are measured against, which `make bench` installs."""
KEYS = ["name", "ratio", "ours", "baseline", "unit", "spread"]


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each bench do one round of a thousandth of its work."""
    monkeypatch.setenv("BENCH_ROUNDS", "1")
    monkeypatch.setenv("BENCH_SIZE", "0.001")
    # One that another test has loaded would keep the size that it found then.
    for name in _loaded():
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in _loaded():
        del sys.modules[name]


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.startswith("bench.")]


@pytest.mark.usefixtures("little")
def test_the_environment_says_how_little_is_done() -> None:
    """A thousandth of the work is one for a thousand, and not all of it, which takes minutes."""
    measure = import_module("bench.measure")
    assert (measure.ROUNDS, measure.sized(5_000), measure.sized(5_000, least=10)) == (1, 5, 10)


@pytest.mark.parametrize("bench", BENCHES)
@pytest.mark.usefixtures("little")
def test_a_bench_tells_its_figures(bench: str, capfd: pytest.CaptureFixture[str]) -> None:
    """It runs to its end, and prints a line of JSON for each figure that the report has of it."""
    if bench in NEEDS and find_spec(NEEDS[bench]) is None:
        pytest.skip(f"needs {NEEDS[bench]}, which `make bench` installs")
    if bench == "page_filter" and shutil.which("chromium") is None:
        pytest.skip("needs Debian's package chromium")
    runpy.run_module(f"bench.{bench}", run_name="__main__")
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["name"] for line in lines] == [one.name for one in WANTED if one.bench == bench]
    assert all(list(line) == KEYS for line in lines)


def test_every_bench_is_in_the_report() -> None:
    """Each module of bench/ that tells figures stands in the list behind the report."""
    folder = Path(__file__).parents[2] / "bench"
    telling = re.compile(r"^from bench\.measure import .*\b(compare|tell)\b", re.MULTILINE)
    found = {path.stem for path in folder.glob("*.py") if telling.search(path.read_text())}
    assert found == set(BENCHES)


def test_the_report_tells_what_was_not_measured(tmp_path: Path) -> None:
    """Each figure has a row on the page, also one of which nothing is kept."""
    report = import_module("bench.report")
    kept = tmp_path / "results.ndjson"
    lines = report.RESULTS.read_text().splitlines(keepends=True)
    kept.write_text("".join(line for line in lines if '"name": "night_' not in line))
    page = report.performance(report.Results(kept))
    for figure in WANTED:
        (row,) = re.findall(rf"^\| `{figure.name}` \| .*$", page, re.MULTILINE)
        assert "| not measured |" in row or not figure.name.startswith("night_")
