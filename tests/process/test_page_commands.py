"""The commands of the pages are run by tests: a followed page's by its own, most others here.

What is followed is typed block by block (`test_how_to.py`, `test_readme.py`). All else that begins
with `ecolyo-worker` is run here, each on a state of its own in which there is something of all. The
rest stands in a short list, with the reason.
"""

import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import (
    AccountAdd,
    Aggregate,
    ConsumptionImport,
    InstancesImport,
    Line,
)
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import echo_server

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:ecolyo-worker|python3?|make|systemctl|pip|pytest) [^`]+")
# A command's name and what it takes, as the page of all commands shows it first.
FORM = re.compile(r"ecolyo-worker .*(\[|…| [A-Z]{2,})")

FOLLOWERS = ("test_how_to.py", "test_readme.py")
ELSEWHERE = {
    "ecolyo-worker run": "it does not end; test_readme types it, test_service runs it",
    "ecolyo-worker demo --days 400": "takes a minute; test_demo runs fewer days",
    "ecolyo-worker demo --days 30": "test_demo runs it, and reads what it prints",
    "make bench": "takes half an hour; test_benches runs each bench with little",
    "make bench-report": "test_docs runs docs/generate.py",
    "make soak": "takes most of an hour; test_soak runs a minute of it",
    "make audit": "asks a database of vulnerabilities, which is not reachable everywhere",
    "make check": "it is what runs these tests",
    "make test": "it is what runs these tests",
    "make docs": "test_docs runs docs/generate.py",
    "make demo": "the tutorial types it",
    "make screenshots": "test_screenshots and test_pictures compare what it draws",
    "pip install .": "test_installed installs the wheel, and what it needs",
    'pip install ".[service]"': "test_installed installs the wheel, and what it needs",
    'pip install ".[energy]"': "test_installed installs the wheel, and what it needs",
    "python3 tools/energy_twin.py": "test_energy_twin_script starts it",
    "make check-pythons": "takes half an hour; test_pythons tries how it finds them",
    "make test-oldest": "CI runs a part of it",
    "CREDENTIALS_DIRECTORY=/etc/ecolyo-worker ecolyo-worker check-config": "test_unit_file does",
    "PROPERTY_EXAMPLES=100 pytest tests/property -k fuzz": "takes long; tests do a hundredth of it",
    "pytest FILE": "it is what runs any of these tests",
}
"""What is run neither by a follower nor here, and why, or by which test."""
ENDS = {
    "ecolyo-worker doctor": 1,
    "ecolyo-worker accounts authorize 3": 78,
    "ecolyo-worker poll enedis --account 3 --from 2026-01-01": 78,
}
"""With which code some end in that state: indicators are dead, no provider knows the application.

Where one does, test_accounts_cli and test_polling type them.
"""
MENTIONED = ("systemctl ", "python3 -m venv")
"""What is a service manager's: its pages' blocks are typed on a machine of its own."""


def followed() -> set[str]:
    """Give the pages of which tests type every block, by their paths in the checkout."""
    code = "".join((ROOT / "tests" / "process" / name).read_text() for name in FOLLOWERS)
    found = re.findall(r'(?:follow|follow_there|steps)\("([\w./-]+\.md)"', code)
    return {"README.md", *(os.path.normpath(f"docs/how-to/{name}") for name in found)}


def path(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(text: str) -> Iterator[str]:
    """Give the commands of a block, each on one line without what a comment says."""
    for line in text.replace("\\\n", " ").splitlines():
        if found := COMMAND.match(line.partition("  #")[0].strip()):
            yield " ".join(found[0].split())


def told(page: Path) -> tuple[set[str], set[str]]:
    """Give the commands of a page's blocks, and those in its sentences."""
    text = page.read_text(encoding="utf-8")
    blocks = {one for lang, code in BLOCK.findall(text) if lang == "sh" for one in commands(code)}
    sentences = re.findall(r"`([^`]+)`", BLOCK.sub("", text))
    inline = {" ".join(one.split()) for one in sentences if COMMAND.fullmatch(one)}
    return blocks, {one for one in inline if not FORM.search(one)}


def to_run() -> list[str]:
    """Give the commands of ours that no page which is followed has in a block."""
    typed: set[str] = set()
    others: set[str] = set()
    for page in PAGES:
        blocks, inline = told(page)
        others |= inline
        if path(page) in followed():
            typed |= blocks
        else:
            others |= {one for one in blocks if not FORM.search(one)}
    return sorted(others - typed - set(ELSEWHERE))


RUN = [one for one in to_run() if one.startswith("ecolyo-worker ")]
HELP = [one for one in to_run() if re.fullmatch(r"python3? tools/\S+ --help", one)]


def test_no_command_is_forgotten() -> None:
    """A command of a page is run by a test, or stands in a short list with its reason."""
    assert followed() <= {path(page) for page in PAGES}
    rest = [one for one in to_run() if one not in RUN + HELP]
    assert [one for one in rest if not one.startswith(MENTIONED)] == []
    everything = {one for page in PAGES for group in told(page) for one in group}
    assert set(ELSEWHERE) - everything <= {"make screenshots"}


def test_what_make_is_told_to_do_is_there() -> None:
    """The targets that pages name are in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for one in set().union(*told(page)):
            for target in re.findall(r"^make ([\w-]+)", one):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), (page, target)


EVENT_ID = "6f1c0a52d3b94e7f8091a2b3c4d5e6f7"
PEOPLE = (
    b'{"instance":"alice.example","consent":{"version":"1.0.0","accepted_at":"2026-01-05T10:00"}}'
)
READING = (
    b'{"instance":"alice.example","fluid":"electricity","step":"day",'
    b'"start":"2026-03-02","value":9.5}'
)
PAGES_SEEN = ("electricity", "gas", "water", "faq", "options", "analysis")


def visits() -> list[dict[str, str]]:
    """Give events of three days, each of which makes six rows or more."""
    return [
        {
            "_id": EVENT_ID if (day, target) == (2, "gas") else f"{day}-{target}",
            "type": "NavigationEvent",
            "eventDate": f"2026-03-{day:02}T18:04:11",
            "target": target,
        }
        for day in (2, 3, 4)
        for target in PAGES_SEEN
    ]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def prepared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Path, str]]:
    """A home with a state in which there is something of all, and the URL of its DACC."""
    home = tmp_path_factory.mktemp("pages")
    async with echo_server("--fault", "status=422*40") as echo:
        settings = Settings(
            state_dir=home / "state" / "ecolyo-worker", dacc=Dacc(url=echo.url, rate=100.0)
        )
        async with Worker(settings).opened() as worker:
            asked = Commands(worker)
            await asked.instances_import(InstancesImport([Line(1, PEOPLE)], withdrawing=True))
            await asked.consumption_import(ConsumptionImport([Line(1, READING)]))
            for number in range(3):
                meter = f"1111111111111{number}"
                await asked.accounts_add(AccountAdd("enedis", "alice.example", meter))
            await worker.record("alice.example", visits())
            await asked.aggregate(Aggregate("2026-03-05T01:00"))
            assert (await worker.send(until_empty=True)).outcomes["rejected"] > 12
        (home / "config.toml").write_text(f'[dacc]\nurl = "{echo.url}"\n')
        (home / "events.ndjson").write_bytes(msgspec.json.encode(visits()))
        (home / "people.ndjson").write_bytes(PEOPLE)
        (home / "readings.ndjson").write_bytes(READING)
        (home / "backups").mkdir()
        yield home, echo.url


@pytest.mark.parametrize("command", [*RUN, *HELP])
async def test_a_command_of_a_page_works(
    command: str, prepared: tuple[Path, str], tmp_path: Path
) -> None:
    """Typed as it stands on its page, it ends as it should."""
    before, url = prepared
    home = tmp_path / "home"
    shutil.copytree(before, home)
    program = home / "bin" / "ecolyo-worker"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ecolyo_worker "$@"\n')
    program.chmod(0o755)
    typed = command.replace("http://127.0.0.1:8081", url).replace("/mnt/backups", f"{home}/backups")
    typed = typed.replace("/etc/ecolyo-worker", str(home)).replace("tools/", f"{ROOT}/tools/")
    env = {
        "PATH": f"{program.parent}:{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "SHELL": "/bin/bash",
        "XDG_STATE_HOME": str(home / "state"),
        "ECOLYO_DACC__URL": url,
    }
    done = await anyio.run_process(["bash", "-euc", typed], cwd=home, env=env, check=False)
    sys.stderr.write(done.stderr.decode())  # it is searched for secrets at the end of the test
    assert done.returncode == ENDS.get(command, 0), f"{typed}\n{done.stdout.decode()}"
