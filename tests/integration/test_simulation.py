"""Months of a whole worker on a simulated clock: all by itself, over real sockets."""

import random
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker.settings import Retention, Settings
from ecolyo_worker.testing import Echo, Twin, echo_server, energy_server
from ecolyo_worker.testing.homes import HOMES, HomeMeter, fetched
from ecolyo_worker.testing.simulate import SimulationReport, World, simulate, simulated
from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.energy_twin import EnergyTwin
from tests.soak.faults import draw_echo_faults, draw_twin_faults

MEASURES = 15
DAY = timedelta(days=1)


def days(report: SimulationReport) -> list[str]:
    """Give every civil day from the one before the first to the one after the last."""
    first, last = report.days[0].day - timedelta(days=1), report.days[-1].day + timedelta(days=1)
    return [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]


def check_nights(report: SimulationReport) -> None:
    """Every civil day had its night, and none two: the first slot was there before."""
    assert report.slots == days(report)
    assert report.runs == len(report.slots) - 1


async def live(
    state_dir: Path, world: World, echo: Echo, **changes: Any
) -> tuple[SimulationReport, Counter[str]]:
    """Simulate with changed settings; give what was received, body by body, too."""
    settings: Settings = simulated(state_dir, echo.url, world).replace(**changes)
    report = await simulate(settings, world)
    return report, Counter(await echo.bodies())


class Troubles:
    """Faults of the DACC, of Enedis and of GRDF by chance of a seed, others every ten days."""

    def __init__(self, echo: Echo, twin: Twin, seed: int) -> None:
        self._echo = echo
        self._twin = twin
        self._draw = random.Random(seed)

    async def __call__(self, day: date) -> None:
        if day.day in {1, 11, 21}:
            await self._echo.set_fault(draw_echo_faults(self._draw))
            await self._twin.set_fault(draw_twin_faults(self._draw))


METERS = (*HOMES, HomeMeter(3, "grdf", "20000000000004", "gas,late"))
YEAR = World(
    first_day=date(2027, 11, 1), days=400, people=50, seldom=46, leaving=10, meters=METERS, seed=7
)


def counted(world: World) -> Counter[str]:
    """Count of whom each month is counted, on its sixth day after: not of who left by then."""
    found: Counter[str] = Counter()
    for household in world.households():
        begun, facts = household.said[0]
        month = begun.replace(day=1)
        while (due := _month_after(month).replace(day=6)) < world.first_day + world.days * DAY:
            is_there = household.left is None or household.left >= due
            found[str(month)] += is_there and facts["consent"]["version"] >= "1.0.0"
            month = _month_after(month)
    return found


def _month_after(month: date) -> date:
    return (month.replace(day=1) + 31 * DAY).replace(day=1)


# The machine may be busy; the simulation itself is a matter of a minute.
@pytest.mark.timeout(1500)
async def test_a_year_with_faults(state_dir: Path, tmp_path: Path) -> None:
    """Over 13 months, with faults on all sides, every night runs once, and nothing is lost."""
    world = YEAR
    secret_file = tmp_path / "client-secret"
    secret_file.write_text("made-up")
    # On threads of this process they take less time than as processes of their own.
    with (
        EchoServer(seed=world.seed) as server,
        EnergyTwin(seed=world.seed, quotas=["off"]) as energy,
    ):
        echo, twin = Echo(server.url), Twin(energy.url)
        settings = simulated(state_dir, echo.url, world)
        report = await simulate(
            fetched(settings, twin, secret_file, world.days),
            world,
            restarts=[date(2027, 12, 31), date(2028, 5, 1), date(2028, 10, 29)],
            kills=[date(2028, 2, 29), date(2028, 3, 26), date(2028, 8, 1)],
            twin=twin,
            troubles=Troubles(echo, twin, world.seed),
        )
        received = [record["indicator"] for record in await echo.indicators()]
    assert report.balanced, [ledger.problems for _, ledger in report.ledgers]
    assert len(report.ledgers) == 14
    doubles = report.ledger.duplicates or 0
    assert report.ledger.missing == 0
    assert 0 < doubles <= report.ledger.maybe_delivered
    assert sum(day.known for day in report.days) > 0
    check_nights(report)
    assert report.clock_changes == [date(2028, 3, 26), date(2028, 10, 29)]
    assert report.leap_days == [date(2028, 2, 29)]
    assert len({item["measureName"] for item in received}) == MEASURES
    due = counted(world)
    for measure in ("connection-count-monthly", "fluid-data-granularity-monthly"):
        found = Counter(item["startDate"] for item in received if item["measureName"] == measure)
        assert (due - found, (found - due).total() <= doubles) == (Counter(), True)
    assert report.fetching is not None
    sums = report.fetching.sums
    assert (sums.wrong, sums.whole > 300) == ([], True)
    states = Counter(account.state for account in report.fetching.accounts)
    assert states == {"active": 3, "needs_consent": 1}


async def test_a_restart_changes_nothing_that_is_received(tmp_path: Path) -> None:
    """A worker left or killed at night, with rows that wait, goes on as if nothing had been."""
    world = World(first_day=date(2028, 2, 20), days=20, people=3)
    both: tuple[dict[str, Any], ...] = (
        {},
        {"restarts": [date(2028, 2, 29)], "kills": [date(2028, 3, 6), date(2028, 3, 7)]},
    )
    found = []
    for given in both:
        async with echo_server() as echo:
            settings = simulated(tmp_path / f"{len(given)}", echo.url, world)
            report = await simulate(settings, world, **given)
            assert report.balanced, report.ledger.problems
            check_nights(report)
            found.append((report.days, Counter(await echo.bodies())))
    assert found[0] == found[1]


@pytest.mark.parametrize("seed", [1, 2])
async def test_faults_lose_nothing(state_dir: Path, seed: int) -> None:
    """Of a DACC that fails in three ways all is received, and each double is admitted."""
    world = World(first_day=date(2028, 2, 28), days=12, people=5, seed=seed)
    fault = "accept-then-drop*200@10%,status=503*200@20%,reset*200@10%,accept-then-drop@10%"
    async with echo_server("--fault", fault, "--seed", str(seed)) as echo:
        report, _ = await live(state_dir, world, echo)
    ledger = report.ledger
    assert report.balanced, ledger.problems
    assert (ledger.received, ledger.missing) == (ledger.indicators + (ledger.duplicates or 0), 0)
    assert 0 < (ledger.duplicates or 0) <= ledger.maybe_delivered
    assert sum(day.failed for day in report.days) > ledger.maybe_delivered
    check_nights(report)


async def test_pruning_changes_nothing_that_is_received(tmp_path: Path) -> None:
    """The janitor deletes what is old by itself, and every indicator is the same without it."""
    world = World(first_day=date(2028, 1, 1), days=60, people=1)
    found = []
    for kept in (31, 400):
        async with echo_server() as echo:
            retention = Retention(events_days=kept, sent_days=kept)
            report, bodies = await live(tmp_path / str(kept), world, echo, retention=retention)
        assert report.balanced, report.ledger.problems
        found.append((bodies, report.ledger.recounted))
    assert found[0][0] == found[1][0]
    assert 0 < found[0][1] < found[1][1]


@pytest.mark.parametrize("first_day", [date(2028, 3, 24), date(2028, 10, 27)])
async def test_a_night_at_half_past_two(state_dir: Path, first_day: date, dacc_echo: Echo) -> None:
    """Where 02:30 is skipped or comes twice, the worker by itself runs once all the same."""
    world = World(first_day=first_day, days=4, people=1)
    aggregation = msgspec.structs.replace(
        simulated(state_dir, dacc_echo.url, world).aggregation, schedule="30 2 * * *"
    )
    report, _ = await live(state_dir, world, dacc_echo, aggregation=aggregation)
    assert len(report.clock_changes) == 1
    assert report.balanced, report.ledger.problems
    check_nights(report)


async def test_readings_come_from_a_twin_over_a_restart(
    state_dir: Path, tmp_path: Path, dacc_echo: Echo
) -> None:
    """Each day is held when it is due, and the sums name the Sundays that the meter gets wrong."""
    meters = (HomeMeter(0, "enedis", "11111111111111", "differs"),)
    world = World(first_day=date(2027, 11, 20), days=17, people=1, meters=meters)
    secret_file = tmp_path / "client-secret"
    secret_file.write_text("made-up")
    async with energy_server("--quota", "off") as twin:
        settings = fetched(
            simulated(state_dir, dacc_echo.url, world), twin, secret_file, world.days
        )
        report = await simulate(settings, world, twin=twin, restarts=[date(2027, 12, 2)])
    assert report.balanced, report.ledger.problems
    assert report.fetching is not None
    (account,) = report.fetching.accounts
    states = [day.state for day in report.fetching.days[account.id]]
    assert states[:7] == ["measured", "error", *["measured"] * 5]
    sums = report.fetching.sums
    sundays = {words.split()[1].removesuffix(":") for words in sums.wrong}
    assert {date.fromisoformat(day).weekday() for day in sundays} == {6}
    assert "2027-12-05" in sundays
    assert (sums.whole > 30, sums.partial) == (True, 0)
    received = [record["indicator"] for record in await dacc_echo.indicators()]
    (variation,) = [
        item
        for item in received
        if item["measureName"] == "consumption-variation-monthly"
        and item["startDate"] == "2027-11-01"
        and "electricity" in item["group1"].values()
    ]
    assert variation["value"] != 0


async def test_what_is_never_sent_is_told(state_dir: Path) -> None:
    """A DACC that never takes anything does not hold the simulation up for ever."""
    world = World(first_day=date(2028, 3, 1), days=1, people=1)
    async with echo_server("--fault", "status=503@100%") as echo:
        with pytest.raises(TimeoutError, match="not all was sent"):
            await live(state_dir, world, echo)
