"""The pictures of screens in docs/: the commands, in a terminal, print what they show.

`make screenshots` draws them anew.
"""

import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from anyio import to_thread

from ecolyo_worker import Worker
from ecolyo_worker.service.server import ControlSocket
from ecolyo_worker.testing import echo_server, energy_server
from ecolyo_worker.testing.clock import FakeClock, SteppedClock
from tests.energy_accounts import PRM, add, settings
from tests.energy_polling import Polling, visit
from tests.process.conftest import Run
from tests.process.terminal import drawn, run_in_terminal, words

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
WRITTEN = os.environ.get("SCREENSHOTS") == "write"
SHOWN_URL = "http://127.0.0.1:8081"

# So wide that no line of it is folded.
DEMO_COLUMNS = 106

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "ecolyo-state"


async def typed(cwd: Path, columns: int, *command: str) -> str:
    """Type a command into a terminal of so many columns, and give what it wrote there."""
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(cwd)}
    line = [sys.executable, "-m", "ecolyo_worker", *command]
    run = partial(run_in_terminal, line, env, cwd, columns=columns, rows=24)
    return await to_thread.run_sync(run)


def compare(name: str, picture: str) -> None:
    """Keep a picture if that is wanted; else the one that is kept must show the same."""
    if WRITTEN:
        (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")
    kept = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert masked(words(kept)) == masked(words(picture)), "run `make screenshots`, and look at them"


def masked(lines: list[str]) -> list[str]:
    """Give lines without what differs from one time to the other: instants and sizes."""
    return [re.sub(r"\d{4}-\d\d-\d\dT[0-9:]+Z|\d+\.\d MB", "…", line) for line in lines]


async def test_the_demo_prints_what_its_picture_shows(tmp_path: Path) -> None:
    """The first thing a reader sees is the real screen of the first command."""
    screen = await typed(tmp_path, DEMO_COLUMNS, "demo")
    assert "\x1b[1m" in screen  # bold: it knows that somebody looks
    compare("demo", drawn("ecolyo-worker demo", screen, DEMO_COLUMNS))


async def test_the_status_is_as_its_picture_shows(
    run: Run, cli: Cli, examples: Path, tmp_path: Path, state_dir: Path
) -> None:
    """So is the screen of a service that took events in, counted most of them, and sent them."""
    async with (
        echo_server() as echo,
        run(ECOLYO_DACC__URL=echo.url, ECOLYO_DACC__RATE="100"),
    ):
        for kind in ("instances", "consumption", "events"):
            await cli(kind, "import", examples / f"{kind}.ndjson")
        await cli("aggregate", "--as-of", "2026-11-21T01:00:00")
        assert (await cli("send", "--until-empty")).returncode == 0
        today = [
            {"type": "NavigationEvent", "eventDate": f"2026-11-21T08:{n}", "target": "gas"}
            for n in range(10, 22)
        ]
        await cli(
            "events", "import", "-", "--instance", "alice.example", stdin=json.dumps(today).encode()
        )
        screen = await typed(tmp_path, 80, "status", "--state-dir", state_dir.name)
    assert len(screen.splitlines()) <= 23
    screen = screen.replace(echo.url, SHOWN_URL)
    compare("status", drawn("ecolyo-worker status", screen, 80))


# After so many days a meter becomes odd in these ways, and is asked.
METER = (
    (0, "activated=2026-01-20"),
    (25, "gaps"),
    (31, "gaps"),
    (2, ""),
    (87, "differs"),
    (8, "differs"),
    (2, ""),
    (109, "late,holes"),
)


async def test_the_calendar_is_as_its_picture_shows(tmp_path: Path, state_dir: Path) -> None:
    """So is the calendar of an account in November, with days that are missing, late and wrong."""
    async with energy_server("--quota", "off") as twin:
        polling = Polling(twin, state_dir)
        polling.clock = FakeClock(datetime(2026, 3, 2, 10, tzinfo=UTC))
        async with polling.worker(history_days=400) as worker:
            account = await add(worker, "enedis", PRM)
            for days, odd in METER:
                await polling.later(days=days)
                await twin.set_meter(PRM, *filter(None, [odd]))
                await visit(worker, account)
        clock = SteppedClock(polling.clock.now())
        chosen = settings(state_dir, twin, history_days=400, curve_days=14)
        async with Worker(chosen, clock=clock).opened() as worker:
            await worker.supervise(ControlSocket(worker))
            screen = await typed(tmp_path, 80, "coverage", "--state-dir", state_dir.name)
    for colour, cell in ((32, "m"), (33, "L"), (31, "X"), ("1;31", "E")):
        assert f"\x1b[{colour}m{cell}" in screen
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    for legend in ("m measured", "M half-hours missing", "L late", "X missing", "E error"):
        assert f"  {legend} " in shown
    compare("coverage", drawn("ecolyo-worker coverage", screen, 80))


def test_no_picture_needs_anything_from_elsewhere() -> None:
    """No font, style, picture or script is asked of a host, or of another file."""
    for picture in FOLDER.glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert not re.search(r"url\((?!#)|@import|href|src=|<script", text), picture
