"""The package as others get it: a wheel alone, or the library without extras."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EMBEDDING = "docs/how-to/embed.md"
EXTRAS = ["starlette", "typer", "cyclopts", "rich", "uvicorn", "cryptography", "prometheus_client"]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built wheel, unpacked as an installer does, in an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=site.parent,
        env={"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin", "HOME": str(site.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_fixture_is_all_that_needs_pytest(unpacked: Path) -> None:
    """`ecolyo_worker.testing` imports neither pytest nor httpx until the fixture is asked for."""
    blocked = (
        "import sys; sys.modules.update(pytest=None, httpx=None); import ecolyo_worker.testing"
    )
    done = run(unpacked, "-c", f"{blocked} as t; t.echo_server; t.energy_server; t.dacc_echo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of pytest halted")
    done = run(unpacked, "-c", "import ecolyo_worker.testing as t; t.dacc_ecco")
    assert done.stderr.splitlines()[-1].startswith(
        "AttributeError: module 'ecolyo_worker.testing' has no attribute 'dacc_ecco'"
    )


def test_the_library_needs_no_extra(unpacked: Path) -> None:
    """Without extras `import ecolyo_worker` works, and with them it imports none of them."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}))"
    done = run(unpacked, "-c", f"{blocked}; import ecolyo_worker as e; print(e.Worker.__name__)")
    assert (done.returncode, done.stdout) == (0, "Worker\n"), done.stderr
    lazy = [*EXTRAS, "httpx", "croniter", "device_detector", "structlog"]
    seen = f"import sys, ecolyo_worker; print([m for m in {lazy} if m in sys.modules])"
    assert run(unpacked, "-c", seen).stdout == "[]\n"


def test_a_host_is_checked_against_its_types(unpacked: Path, tmp_path: Path) -> None:
    """A type checker with the wheel alone takes the examples for hosts, and finds a mistake."""
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in ("README.md", EMBEDDING)]
    blocks = r"^```python\n(.*?)^```$"
    examples = [
        code for page in pages for code in re.findall(blocks, page, re.DOTALL | re.MULTILINE)
    ]
    wrong = examples[0].replace("run_once()", 'run_once(as_of="now")')
    assert wrong != examples[0]
    files = [tmp_path / f"host{n}.py" for n in range(len(examples) + 1)]
    for path, code in zip(files, [*examples, wrong], strict=True):
        path.write_text(code)
    options = ["--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    done = run(unpacked, "-m", "mypy", *options, *map(str, files))
    (line, summary) = done.stdout.splitlines()
    assert line.startswith(str(files[-1])), done.stdout
    assert "[arg-type]" in line
    assert summary.startswith("Found 1 error")
