"""Installed from its wheel into an empty environment, elsewhere, it does all it should."""

import ast
import json
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Collection, Iterable, Iterator
from importlib.metadata import distribution, distributions, packages_distributions
from pathlib import Path
from signal import SIGTERM

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
WHEELS = Path(sys.prefix, "wheels")
"""What `make` downloaded; without it the package index is asked."""
LIMIT_S = 60

LIBRARY = {
    *("ahocorasick-rs", "aiosqlite", "anyio", "certifi", "croniter", "device-detector"),
    *("h11", "httpcore", "httpx", "idna", "msgspec", "python-dateutil"),
    *("regex", "six", "sniffio", "structlog", "typing-extensions", "tzdata", "yaml-rs"),
}
"""The core's packages and theirs; some only on some versions of Python."""
PYTEST = {"iniconfig", "packaging", "pluggy", "pytest"}
"""What pytest needs, but for what is there anyway."""
PARTS = {"service": ("cli", "service"), "energy": ("energy", "store")}
"""Which subpackages may import what an extra names; all others import the core's packages."""
OF_OTHERS = {"docstring_parser", "h11", "pytest"}
"""What is imported and not named: cyclopts and uvicorn bring theirs, the fixtures are a host's."""

RECORD = """
import asyncio, sys
from datetime import date, timedelta
from pathlib import Path
import ecolyo_worker
from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import GiveConsent

assert Path(ecolyo_worker.__file__).is_relative_to(sys.prefix)
DAY = date.today() - timedelta(days=2)

async def main():
    async with Worker(Settings(state_dir=Path("state"))) as worker:
        consent = GiveConsent("alice.example", "1.0.0", "2020-01-01T00:00:00")
        await Commands(worker).instances_consent(consent)
        event = {"type": "NavigationEvent", "eventDate": f"{DAY}T10:00:00", "target": "gas"}
        print((await worker.record("alice.example", event | {"_id": "1"})).accepted)
        report = await worker.run_once()
        print(report.indicators["navigation-count-daily"])

asyncio.run(main())
"""

HOST_TEST = """
import asyncio, sys
import ecolyo_worker
from ecolyo_worker.testing import dacc_echo, energy_twin

def test_nothing_came(dacc_echo):
    assert ecolyo_worker.__file__.startswith(sys.prefix)
    asyncio.run(dacc_echo.expect_nothing())

def test_nothing_was_called_for(energy_twin):
    assert asyncio.run(energy_twin.count()) == 0
"""


class Place:
    """An environment that holds what was installed into it, and an empty folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "environment"
        self.home = folder / "home"
        self.home.mkdir()
        venv.create(self.prefix, with_pip=False)

    @property
    def environ(self) -> dict[str, str]:
        """What a shell has in which the environment is active: nothing of this one."""
        return {"PATH": f"{self.prefix / 'bin'}:/usr/bin:/bin", "HOME": str(self.home)}

    def install(self, wheel: Path, locked: str) -> None:
        """Install locked packages, nothing whose hash is not known, and the wheel with them."""
        wanted = self.home.parent / "locked.txt"
        wanted.write_text(locked)
        where = ["--no-index", "--find-links", str(WHEELS)] if WHEELS.is_dir() else []
        self._pip("install", "--require-hashes", *where, "--requirement", str(wanted))
        self._pip("install", "--no-index", "--no-deps", str(wheel))
        self._pip("check")

    def _pip(self, *arguments: str) -> None:
        """Let the pip of these tests work on this place."""
        python = str(self.prefix / "bin" / "python")
        options = ["--python", python, "--quiet", "--disable-pip-version-check"]
        subprocess.run([sys.executable, "-m", "pip", *options, *arguments], check=True)

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs to its end."""
        return subprocess.run(
            [self.prefix / "bin" / program, *arguments],
            cwd=self.home,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )


def build(source: Path, target: Path, kind: str) -> Path:
    """Build a distribution of a source tree, without an environment of its own."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Place:
    """The wheel without extras, and nothing else."""
    place = Place(tmp_path_factory.mktemp("library"))
    place.install(wheel, some_of("run.lock", LIBRARY))
    return place


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Place:
    """The wheel as an operator installs it; pytest is there, too, for the fixtures."""
    place = Place(tmp_path_factory.mktemp("service"))
    locked = (REQUIREMENTS / "run.lock").read_text()
    place.install(wheel, locked + some_of("test.lock", PYTEST))
    return place


def some_of(lock: str, names: Collection[str]) -> str:
    """Give the entries of a lock that are of these packages."""
    text = (REQUIREMENTS / lock).read_text()
    entries = re.findall(r"^([a-z0-9-]+)(==.*\n(?: .*\n)*)", text, re.MULTILINE)
    return "".join(name + rest for name, rest in entries if name in names)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_source_distribution_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Who builds from the sdist gets the files of the wheel, byte for byte."""
    sdist = build(ROOT, tmp_path / "sdist", "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert contents(build(source, tmp_path / "again", "wheel")) == contents(wheel)


def named(wheel: Path, *extras: str) -> list[Requirement]:
    """Give what a wheel itself names, with some of its extras."""
    (of_wheel,) = distributions(path=[str(wheel)])
    return list(holding(of_wheel.requires or [], extras))


def holding(lines: Iterable[str], extras: Iterable[str]) -> Iterator[Requirement]:
    """Give the requirements that hold on the oldest Python, whichever runs this."""
    oldest = {"python_version": "3.11", "python_full_version": "3.11.0"}
    for one in map(Requirement, lines):
        mark = one.marker
        if mark is None or any(mark.evaluate({**oldest, "extra": e}) for e in ("", *extras)):
            yield one


def resolved(todo: list[Requirement]) -> set[str]:
    """Give the names of packages and of all that they need, as those that are installed here."""
    seen: set[str] = set()
    while todo:
        one = todo.pop()
        if str(one) not in seen:
            seen.add(str(one))
            todo += holding(distribution(one.name).requires or [], one.extras)
    return {canonicalize_name(Requirement(one).name) for one in seen}


def imported(code: bytes) -> set[str]:
    """Give the packages that a module imports, anywhere in it, but those of Python and its own."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
    return found - sys.stdlib_module_names - {"ecolyo_worker"}


def test_the_lock_is_what_the_wheel_and_its_extras_need(wheel: Path) -> None:
    """What they name, and what that needs, is locked; besides there is only what builds a wheel."""
    lock = (REQUIREMENTS / "run.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))
    lines = (REQUIREMENTS / "build.in").read_text().splitlines()
    building = [Requirement(line) for line in lines if not line.startswith("#")]
    assert resolved(named(wheel, "service", "energy")) | resolved(building) == locked


def test_what_a_part_imports_is_named_by_its_extra(wheel: Path) -> None:
    """Who installs an extra gets all that its part imports; the core needs no extra."""
    owners = packages_distributions()
    core, named_by = named(wheel), {extra: named(wheel, extra) for extra in PARTS}
    for name, code in contents(wheel).items():
        part = name.split("/")[1]
        if not name.endswith(".py") or part == "tools":  # which need nothing but Python
            continue
        extras = [extra for extra, parts in PARTS.items() if part in parts]
        there = {one.name for one in sum((named_by[extra] for extra in extras), core)}
        for package in imported(code) - OF_OTHERS:
            owner = {canonicalize_name(one) for one in owners[package]}
            assert owner & there, (
                f"{name} imports {package}, named by neither the core nor {extras}"
            )


def test_the_library_alone_counts_an_event(library: Place) -> None:
    """Without extras an event is recorded and counted, with the packages of the core alone."""
    found = {path.name for path in library.prefix.glob("lib/python*/site-packages/*.dist-info")}
    names = {name.partition("-")[0].replace("_", "-").lower() for name in found}
    assert names - {"ecolyo-worker"} <= LIBRARY
    done = library.run("python", "-c", RECORD)
    assert (done.returncode, done.stdout) == (0, "1\n1\n"), done.stderr


def test_the_library_alone_names_the_extra_that_commands_need(library: Place) -> None:
    """Without the extra `service` a command says which to install, and ends with 69."""
    done = library.run("ecolyo-worker", "version")
    assert done.returncode == 69
    assert 'pip install "ecolyo-worker[service]"' in done.stderr


@pytest.mark.parametrize(
    ("program", "arguments"), [("ecolyo-worker", ()), ("python", ("-m", "ecolyo_worker"))]
)
def test_both_names_start_it(service: Place, program: str, arguments: tuple[str, ...]) -> None:
    """`ecolyo-worker` and `python -m ecolyo_worker` are the same command, of the wheel."""
    done = service.run(program, *arguments, "version", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == service.run("ecolyo-worker", "version", "--json").stdout


def test_the_demo_works(service: Place) -> None:
    """The wheel holds all that `demo` needs: migrations, definitions and the echo server."""
    done = service.run("ecolyo-worker", "demo", "--days", "2", "--instances", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("· missing 0 · maybe delivered 1")


def test_settings_are_checked(service: Place) -> None:
    """`check-config` tells what is wrong with a file, by its line."""
    (service.home / "wrong.toml").write_text("[worker]\nmode = 'maybe'\n")
    done = service.run("ecolyo-worker", "check-config", "wrong.toml")
    assert done.returncode == 78
    assert "wrong.toml:2" in done.stdout + done.stderr


def test_shells_can_complete_it(service: Place) -> None:
    """`--install-completion --script` prints what completes its commands."""
    done = service.run("ecolyo-worker", "--install-completion", "--script", "--shell", "bash")
    assert done.returncode == 0, done.stderr
    assert "check-config" in done.stdout


def test_the_fixtures_work(service: Place) -> None:
    """A host's tests get both stand-ins out of the wheel, by the fixtures."""
    (service.home / "test_host.py").write_text(HOST_TEST)
    done = service.run("python", "-m", "pytest", "-q", "-W", "error", "test_host.py")
    assert done.stdout.splitlines()[-1].startswith("2 passed in "), done.stdout + done.stderr


def test_the_service_runs(service: Place) -> None:
    """It starts, answers over HTTP, and ends with 0 when it is told to."""
    (service.home / "token").write_text("let-me-in-0123456789")
    environ = {
        "ECOLYO_HTTP__LISTEN": "127.0.0.1:0",
        "ECOLYO_HTTP__TOKEN_FILE": str(service.home / "token"),
    }
    program = service.prefix / "bin" / "ecolyo-worker"
    with subprocess.Popen(
        [program, "run", "--log-format", "json", "--state-dir", "service"],
        cwd=service.home,
        env={**service.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            ready = next(line for line in process.stderr if '"ready"' in line)
            address = json.loads(ready)["http"]
            answer = httpx.get(
                f"http://{address}/v1/status",
                headers={"Authorization": "Bearer let-me-in-0123456789"},
                trust_env=False,
            )
            assert answer.status_code == 200
            process.send_signal(SIGTERM)
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()
