"""`poll` and `coverage` as operators type them; a load that is killed goes on where it was."""

import calendar
import io
import json
import os
import pty
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio import to_thread

from ecolyo_worker.crashpoints import VARIABLE
from ecolyo_worker.testing import Twin, energy_server
from tests.process.terminal import run_in_terminal

ROOT = Path(__file__).parents[2]
PRM, ODD, PCE = "11111111111111", "12222222222222", "GI123456"
CONFIG = """
[enedis]
client_id = "app"
client_secret_file = "{secret}"
base_url = "{url}"
per_second = {per_second}
per_hour = {per_hour}
history_days = {history}
curve_days = {curve}

[grdf]
client_id = "app"
client_secret_file = "{secret}"
base_url = "{url}/adict/v2"
token_url = "{grdf_token}"
per_second = 100
history_days = {history}
"""

Run = Callable[..., Awaitable[CompletedProcess[bytes]]]


@pytest.fixture
async def twin() -> AsyncIterator[Twin]:
    async with energy_server("--quota", "off", "--ready-at", "00:00") as server:
        yield server


@pytest.fixture
def poll(cli: Run, twin: Twin, tmp_path: Path) -> Run:
    """Run a command with the settings of a twin, and a history of so many days."""
    secret = tmp_path / "client-secret"
    secret.write_text("s3cret")

    async def run(
        *arguments: str,
        history: int = 60,
        curve: int = 14,
        quota: tuple[int, int] = (100, 100_000),
        env: dict[str, str] | None = None,
    ) -> CompletedProcess[bytes]:
        file = tmp_path / "config.toml"
        text = CONFIG.format(
            secret=secret,
            url=twin.url,
            grdf_token=twin.grdf_token_url,
            history=history,
            curve=curve,
            per_second=quota[0],
            per_hour=quota[1],
        )
        file.write_text(text)
        return await cli(*arguments, "--config", file, env=env)

    return run


def rows(state_dir: Path) -> list[Any]:
    """Give all points and sums of a state."""
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4").fetchall()
            for table in ("points", "rollups")
        ]


async def add(poll: Run, provider: str, meter: str) -> None:
    found = await poll("accounts", "add", provider, "--instance", "a.example", "--meter", meter)
    assert found.returncode == 0, found.stderr


async def load(state_dir: Path, twin: Twin, day: str, point: str = "") -> int:
    """Load what is missing on a day, in a process that may be armed to end; give how it ended."""
    await twin.set_today(day)
    command = [sys.executable, "-m", "tests.process.polling_of_a_day"]
    found = await anyio.run_process(
        [*command, str(state_dir), twin.url, day, PRM],
        env={**os.environ, VARIABLE: point} if point else None,
        cwd=ROOT,
        check=False,
    )
    sys.stderr.write(found.stderr.decode())  # it is searched for secrets at the end of the test
    assert found.returncode in (0, -9, 137)
    return found.returncode


async def test_a_killed_load_goes_on(twin: Twin, tmp_path: Path) -> None:
    """However often three years are killed, no finished window is asked twice; totals are exact."""
    first, last = "2025-12-06", "2026-11-21"
    killed, whole = tmp_path / "killed" / "state", tmp_path / "whole" / "state"
    for state_dir in (killed, whole):
        state_dir.parent.mkdir()
    armed = (
        *((first, "poller.stored:kill:1"), (first, "poller.storing:kill:2")),
        *((first, "poller.answered:kill:30"), (first, "poller.stored:kill:40")),
        *((last, "poller.storing:kill:10"), (last, "poller.answered:exit:20")),
    )
    for day in (first, last):
        for point in (point for at, point in armed if at == day):
            assert await load(killed, twin, day, point) == (-9 if "kill" in point else 137)
        assert await load(killed, twin, day) == 0
    calls = await twin.calls(PRM)
    unfinished = sum("stored" not in point for _, point in armed)
    assert [call["series"] for call in calls].count("curve") == 107 + 50
    assert sum(call["count"] for call in calls) == len(calls) + unfinished
    assert {status for call in calls for status in call["statuses"]} == {"200"}
    for day in (first, last):
        assert await load(whole, twin, day) == 0
    assert rows(killed) == rows(whole)
    points, sums = rows(killed)
    # A day for each of three years, and 48 half-hours: each year loses two and wins two.
    assert len(points) == 3 * 365 * (1 + 48)
    totals = {
        step: sum(row[4] for row in sums if row[2] == step)
        for step in ("hour", "day", "month", "year")
    }
    assert 2 * totals["day"] == sum(row[3] for row in points)
    assert set(totals.values()) == {totals["day"]}


async def test_a_killed_process_forgets_no_request(poll: Run, twin: Twin, state_dir: Path) -> None:
    """Quotas of a second and of an hour hold over kill -9, however often it strikes."""
    few: Any = {"curve": 400, "quota": (2, 8)}
    await add(poll, "enedis", PRM)
    for done in (3, 6):
        found = await poll("poll", "enedis", env={VARIABLE: "poller.answered:kill:3"}, **few)
        assert found.returncode == -9, found.stderr
        assert await twin.count(PRM) == done
    for _ in range(2):
        found = await poll("poll", "enedis", **few)
        assert (found.returncode, await twin.count(PRM)) == (75, 8)
        assert b"not now" in found.stdout
    with closing(sqlite3.connect(state_dir / "ecolyo.db")) as connection:
        times = [at for (at,) in connection.execute("SELECT at FROM calls ORDER BY at")]
    assert len(times) == 8
    assert min(after - before for before, after in pairwise(times)) >= 500
    assert await twin.busiest_second("enedis") <= 3  # a busy machine may hold one back


async def test_the_calendar_of_a_year(poll: Run) -> None:
    """A letter for each day, a legend with counts, reasons; it fits on 80 columns."""
    await add(poll, "enedis", ODD)
    await add(poll, "grdf", PCE)
    assert (await poll("poll")).returncode == 0
    found = await poll("coverage", "--account", "1")
    lines = found.stdout.decode().splitlines()
    assert found.returncode == 0
    assert lines[0].startswith("account 1 · a.example · electricity · 20")
    assert [line[:3] for line in lines[2:14]] == list(calendar.month_abbr)[1:]
    assert max(map(len, lines)) <= 80
    year = lines[0][-4:]
    days: list[dict[str, Any]] = []
    for one in (str(int(year) - 1), year):
        found = await poll("coverage", "--json", "--account", "1", "--year", one)
        days += map(json.loads, found.stdout.splitlines())
    states = [day["state"] for day in days]
    assert len(days) == 60
    assert set(states) == {"measured", "late", "missing"}
    shown = "".join(lines[2:14])
    lacking = {True: "measured in part", False: "measured"}
    this_year = [
        lacking[day["half_hours"] is not None] if day["state"] == "measured" else day["state"]
        for day in days
        if day["day"][:4] == year
    ]
    for letter, state in (
        ("m", "measured"),
        ("M", "measured in part"),
        ("L", "late"),
        ("X", "missing"),
    ):
        assert shown.count(f" {letter}") == this_year.count(state)
    late = [day for day in days if day["state"] == "late"]
    assert all(day["reason"] == "not there yet" and day["next_try"] for day in late)
    told = f"{late[-1]['day']} late: not there yet; next try on {late[-1]['next_try']}"
    assert any(line.endswith(told) for line in lines)


async def test_poll_says_what_came_of_it(poll: Run, twin: Twin) -> None:
    """Its end tells whether all is there, somebody must consent, or it is tried again."""
    none = await poll("poll")
    assert (none.returncode, none.stderr) == (0, b"there is no account to fetch for\n")
    await add(poll, "enedis", PRM)
    await add(poll, "grdf", PCE)
    found = await poll("poll", "enedis", "--json")
    *windows, end = map(json.loads, found.stdout.splitlines())
    assert [(one["series"], one["done"], one["total"]) for one in windows] == [
        ("daily", 1, 1),
        ("curve", 1, 2),
        ("curve", 2, 2),
    ]
    assert (end["outcome"], end["windows"], end["replaced"]) == ("done", 3, 0)
    await twin.set_fault("status=503*9", "grdf")
    down = await poll("poll")
    assert down.returncode == 75
    assert b"account 2 (grdf): a part could not be fetched" in down.stdout
    assert b"GRDF has a technical error." in down.stdout
    await twin.revoke(PRM)
    lost = await poll("poll", "--account", "1", "--force")
    assert lost.returncode == 1
    assert b"account 1 (enedis): it needs a consent; 1 window" in lost.stdout
    assert b"The consent at Enedis has ended or was revoked." in lost.stdout
    assert (down.stderr, lost.stderr) == (b"", b"")
    assert (await poll("poll", "--account", "7")).returncode == 64
    other = await poll("poll", "grdf", "--account", "1")
    assert (other.returncode, other.stdout) == (64, b"")
    assert (
        b"account 1 is one of enedis, not of grdf; allowed with it: enedis or all" in other.stderr
    )
    for told in (none, found, down, lost):
        assert not any(meter.encode() in told.stdout + told.stderr for meter in (PRM, PCE))


async def test_a_terminal_shows_how_far_it_is(
    poll: Run, twin: Twin, state_dir: Path, tmp_path: Path, overheard: list[str]
) -> None:
    """A bar for each series counts its windows, and tells the day that it is back to."""
    await add(poll, "enedis", PRM)
    command = [sys.executable, "-m", "ecolyo_worker", "poll", "--state-dir", str(state_dir)]
    command += ["--config", str(tmp_path / "config.toml")]
    run = partial(run_in_terminal, command, os.environ, ROOT, columns=80, rows=24)
    overheard.append(await to_thread.run_sync(run))
    screen = re.sub(r"\x1b\[[0-9;?]*\w", "", overheard[-1])
    for series, words, count in (("daily", "days", 1), ("curve", "half-hours", 2)):
        first = min(call["start"] for call in await twin.calls(PRM, series))
        assert re.search(rf"account 1: {words} +━+ {count}/{count} back to {first}", screen)


async def test_a_chosen_part_is_fetched(poll: Run, twin: Twin) -> None:
    """Days that are chosen are asked for, and by force also those that are there."""
    await add(poll, "enedis", PRM)
    chosen = ("--account", "1", "--from", "2026-03-28", "--to", "2026-03-30")
    for force, count in (((), 1), ((), 1), (("--force",), 2)):
        assert (await poll("poll", *chosen, *force)).returncode == 0
        calls = await twin.calls(PRM)
        assert {(call["start"], call["end"], call["count"]) for call in calls} == {
            ("2026-03-28", "2026-03-31", count)
        }
    wrong = await poll("poll", "--from", "2026-03-28", "--to", "2026-03-27")
    assert wrong.returncode == 64
    assert b"no day lies between them" in wrong.stderr


async def test_a_load_that_is_broken_off_goes_on(
    poll: Run, twin: Twin, state_dir: Path, tmp_path: Path
) -> None:
    """After Ctrl-C it says what is kept, and the next one asks for the rest alone."""
    added = ("--instance", "a.example", "--meter", PRM)
    assert (await poll("accounts", "add", "enedis", *added, curve=28)).returncode == 0
    await twin.set_fault("ok*3,latency=60s*1,ok")
    command = [sys.executable, "-m", "ecolyo_worker", "poll", "--state-dir", str(state_dir)]
    command += ["--config", str(tmp_path / "config.toml")]
    async with await anyio.open_process(command) as process:
        with anyio.fail_after(60):
            while await twin.count(PRM) < 4:
                await anyio.lowlevel.checkpoint()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        assert process.stderr is not None
        said = b"".join([chunk async for chunk in process.stderr]).decode()
    sys.stderr.write(said)  # it is searched for secrets at the end of the test
    words = (
        r"interrupted: 3 windows with \d+ new values stored; the next `ecolyo-worker poll` goes on"
    )
    assert re.match(words, said)
    assert (await poll("poll", curve=28)).returncode == 0
    calls = {(call["series"], call["start"]): call["count"] for call in await twin.calls(PRM)}
    assert sum(count for count in calls.values()) == len(calls) + 1 == 6


async def test_a_consent_that_is_broken_off_goes_on(
    poll: Run, state_dir: Path, tmp_path: Path
) -> None:
    """Ctrl-C ends the wait for an address that is pasted, and says how to give it later."""
    await poll("accounts", "add", "enedis", "--instance", "a.example")
    command = [sys.executable, "-m", "ecolyo_worker", "accounts", "authorize", "1"]
    command += ["--state-dir", str(state_dir), "--config", str(tmp_path / "config.toml")]
    ours, theirs = pty.openpty()
    with closing(io.FileIO(ours)), closing(io.FileIO(theirs)):
        async with await anyio.open_process(command, stdin=theirs) as process:
            assert process.stderr is not None
            said = ""
            with anyio.fail_after(60):
                async for chunk in process.stderr:
                    said += chunk.decode()
                    if said.endswith("leads back to:\n"):
                        process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
    sys.stderr.write(said)  # it is searched for secrets at the end of the test
    assert said.splitlines()[-1] == (
        "interrupted: nothing is stored; the page is good for an hour:"
        " ecolyo-worker accounts authorize 1 --callback ADDRESS"
    )


async def test_what_is_wrong_is_folded_between_words(poll: Run, twin: Twin) -> None:
    """On a screen no word is cut; into a pipe each text is one line."""
    await add(poll, "enedis", PRM)
    await twin.revoke(PRM)
    screen = await poll("poll", env={"COLUMNS": "60"})
    pipe = await poll("poll", "--force")
    lines, whole = screen.stdout.decode().splitlines(), pipe.stdout.decode().splitlines()
    assert max(map(len, lines)) <= 60 < max(map(len, whole))
    assert whole[1].strip() in " ".join(" ".join(lines).split())


async def test_who_waits_for_her_consent_is_no_failure(poll: Run, twin: Twin) -> None:
    """Such an account is told with the next command; it ends with 1 only where it is named."""
    await add(poll, "enedis", PRM)
    await poll("accounts", "add", "grdf", "--instance", "b.example")
    found = await poll("poll")
    assert found.returncode == 0
    assert found.stdout.decode().splitlines()[-3:] == [
        "account 2 (grdf): it is not fetched yet",
        "  nobody consented yet",
        "  next: ecolyo-worker accounts authorize 2",
    ]
    assert (await poll("poll", "--account", "2")).returncode == 1
    await twin.set_meter(PCE, "gas", "no-informative", "no-published")
    await add(poll, "grdf", PCE)
    refused = await poll("poll", "grdf")
    assert refused.returncode == 1
    assert b"account 3 (grdf): nothing is given; 2 windows" in refused.stdout
    assert refused.stderr == b""


async def test_a_log_that_was_asked_for_tells_all(poll: Run, twin: Twin) -> None:
    """A collector, and who wants warnings, has each reason as a line of the log."""
    await add(poll, "enedis", PRM)
    for fault, asked in (
        ("status=503", ("--log-format", "json")),
        ("drop", ("--log-level", "warning")),
        ("empty-json", ("--json",)),
    ):
        await twin.set_fault(f"{fault}*9")
        found = await poll("poll", "--force", *asked)
        assert found.returncode == 75
        assert b"readings are not given" in found.stderr
