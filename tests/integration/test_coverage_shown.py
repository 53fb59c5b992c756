"""What `coverage` prints of each state of a day: a letter, why, and when it is asked for again."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.cli.coverage import show_calendar
from ecolyo_worker.cli.output import Output
from ecolyo_worker.requests import CoverageDay
from ecolyo_worker.service.server import ControlSocket
from ecolyo_worker.testing import Twin
from ecolyo_worker.testing.clock import SteppedClock
from tests.energy_accounts import PCE, PRM, add, settings
from tests.energy_polling import Polling, visit

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Told = tuple[str, str | None, str | None]

REVOKED, DOWN = "14444444444444", "15555555555555"


@pytest.fixture
async def worker(energy_twin: Twin, state_dir: Path) -> AsyncIterator[Worker]:
    """A worker with meters that are odd in many ways, which the command line reaches."""
    polling = Polling(energy_twin, state_dir)
    await energy_twin.set_meter(PRM, "gaps", "holes", "differs")
    await energy_twin.set_meter(PCE, "gas", "estimated")
    await energy_twin.set_meter(REVOKED, "revoked")
    await energy_twin.set_meter(DOWN)
    await energy_twin.set_fault("unavailable*99", DOWN)
    depths: dict[str, Any] = {"history_days": 50, "curve_days": 50}
    async with polling.worker(**depths) as worker:
        for meter in (PRM, PCE, REVOKED, DOWN):
            await visit(worker, await add(worker, "grdf" if meter == PCE else "enedis", meter))
    clock, chosen = SteppedClock(polling.clock.now()), settings(state_dir, energy_twin, **depths)
    async with Worker(chosen, clock=clock).opened() as worker:
        await worker.supervise(ControlSocket(worker))
        yield worker


def told(days: dict[str, dict[str, Any]], day: str) -> Told:
    """Give what is told of a day."""
    return days[day]["state"], days[day]["reason"], days[day]["next_try"]


async def shown(cli: Cli, account: int) -> dict[str, dict[str, Any]]:
    """Give what the command tells of the days of an account, by their date."""
    found = await cli("coverage", "--account", str(account), "--year", "2026", "--json")
    assert found.returncode == 0, found.stderr
    days = [json.loads(line) for line in found.stdout.splitlines()]
    assert {day["account"] for day in days} == {account}
    return {day["day"]: day for day in days}


@pytest.mark.usefixtures("worker")
async def test_each_state_is_told_with_its_reason_and_next_try(cli: Cli) -> None:
    """In JSON, a line for each day."""
    power = await shown(cli, 1)
    assert power["2026-11-19"] == {
        "account": 1,
        "instance": "alice.example",
        "provider": "enedis",
        "day": "2026-11-19",
        "state": "measured",
        "reason": None,
        "next_try": None,
        "half_hours": None,
        "half_hours_next_try": None,
    }
    assert told(power, "2026-11-18") == ("late", "not there yet", "2026-11-22")
    asked = "nothing came while it was asked for"
    assert told(power, "2026-10-07") == ("missing", asked, None)
    state, reason, again = told(power, "2026-11-15")
    assert (state, again) == ("error", "2026-11-22")
    assert str(reason).startswith("the half-hours come to ")
    lacking = power["2026-11-17"]
    assert (lacking["state"], lacking["half_hours"], lacking["half_hours_next_try"]) == (
        *("measured", "of 24 hours 22 are there"),
        "2026-11-22",
    )
    gas = await shown(cli, 2)
    open_value = "GRDF's value is not final yet"
    assert told(gas, "2026-11-18") == ("measured", open_value, "2026-11-22")
    estimated = "nobody read the meter for it"
    assert told(gas, "2026-11-12") == ("estimated", f"{estimated}; {open_value}", "2026-11-22")
    revoked = (
        "The consent at Enedis has ended or was revoked. The holder of the meter must agree anew,"
        " from the app."
    )
    assert {told(await shown(cli, 3), "2026-11-20")} == {("no consent", revoked, None)}
    down = await shown(cli, 4)
    assert told(down, "2026-11-20") == ("error", "Enedis has a technical error.", "2026-11-21")


@pytest.mark.usefixtures("worker")
async def test_the_calendar_has_a_letter_for_each(cli: Cli) -> None:
    """Each line fits on a screen; below the letters it says why."""
    text = (await cli("coverage", "--year", "2026")).stdout.decode()
    power, gas, revoked, down = text.split("\n\n")
    assert max(len(line) for line in text.splitlines()) <= 80
    november = next(line for line in power.splitlines() if line.startswith("Nov"))
    assert november[32:].startswith(" E m M L m m ·")
    assert "  M half-hours missing " in power
    assert "2026-11-17 measured, half-hours: of 24 hours 22 are there; next try on" in power
    assert "  e estimated " in gas
    assert "  N no consent 50" in revoked
    assert "  E error 50" in down
    words = " error: Enedis has a technical error; next try on 2026-11-21"
    assert words in down.replace("on\n", "on ")


async def test_a_long_reason_is_told_to_its_end(
    cli: Cli, energy_twin: Twin, state_dir: Path
) -> None:
    """What the holder of a meter switches on, and where, is not cut off."""
    polling = Polling(energy_twin, state_dir)
    await energy_twin.set_meter(PRM, "no-curve")
    async with polling.worker(history_days=6) as worker:
        await visit(worker, await add(worker, "enedis", PRM))
    clock, chosen = SteppedClock(polling.clock.now()), settings(state_dir, energy_twin)
    async with Worker(chosen, clock=clock).opened() as worker:
        await worker.supervise(ControlSocket(worker))
        text = (await cli("coverage", "--year", "2026")).stdout.decode()
        accounts = (await cli("accounts", "list", "--json")).stdout
    assert max(len(line) for line in text.splitlines()) <= 80
    said = json.loads(accounts)["reason"]
    assert f"2026-11-20 measured, half-hours: {said.removesuffix('.')}; next try" in text.replace(
        "\n", " "
    )


def test_all_letters_at_once_fit_on_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    """What they mean goes on in a second line."""
    states = ("measured", "estimated", "late", "missing", "no consent", "error")
    days = [CoverageDay(f"2026-{n // 28 + 1:02}-{n % 28 + 1:02}", states[n % 6]) for n in range(90)]
    days.append(CoverageDay("2026-12-01", "measured", half_hours="nulls"))
    months = [(f"2026-{month:02}", 2026, month) for month in range(1, 13)]
    show_calendar(Output(as_json=False), days, months)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[13:15] == [
        "  m measured 15  M half-hours missing 1  e estimated 15  L late 15  X missing 15",
        "  N no consent 15  E error 15",
    ]
