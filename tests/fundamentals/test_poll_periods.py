"""Which published periods of gas come, wherever the windows end that are asked for."""

import sqlite3
from datetime import UTC, datetime

from ecolyo_worker import Worker
from ecolyo_worker.actors.series import End, Wanted
from ecolyo_worker.clock import day_of, day_text, parse_day
from tests.energy_accounts import PCE, add, again
from tests.energy_polling import Polling, asked, visit


async def months(worker: Worker) -> list[str]:
    """Give the months of which a published period is held, in order."""

    def read(connection: sqlite3.Connection) -> list[str]:
        query = (
            "SELECT start FROM points JOIN series ON series.id = series"
            " WHERE step = 'published' ORDER BY start"
        )
        return [day_text(day_of(start))[:7] for (start,) in connection.execute(query)]

    return await worker.database.read(read)


async def test_months_across_the_end_of_a_window_come(polling: Polling) -> None:
    """All months of three years are there, though GRDF gives only those that lie within a request.

    No window is asked for twice, and no request is longer than a year.
    """
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        three_years = Wanted(range(parse_day("2023-11-27"), parse_day("2026-11-21")))
        steps, end = await visit(worker, account, three_years)
        assert end == End("done")
        expected = [f"{number // 12}-{number % 12 + 1:02}" for number in range(24287, 24322)]
        assert await months(worker) == expected
        stored = [step.stored.new for step in steps if step.stored and step.series == "gas_periods"]
        assert sum(stored) == len(expected)
    assert await asked(polling.twin, "published") == [
        ("2026-01-22", "2026-11-21", 1),
        ("2025-04-04", "2026-04-04", 1),
        ("2024-07-02", "2025-07-02", 1),
        ("2023-11-27", "2024-11-26", 1),
    ]


async def test_half_years_across_the_end_of_a_window_come(polling: Polling) -> None:
    """Of a meter that is read twice a year, too, all that lie within the history are there."""
    await polling.twin.set_meter(PCE, "gas", "half-yearly", "no-informative")
    async with polling.worker(gas=1095) as worker:
        account = await add(worker, "grdf", PCE)
        await visit(worker, account)
        assert await months(worker) == ["2024-04", "2024-10", "2025-04", "2025-10", "2026-04"]
        assert (await again(worker, account)).state == "active"
    calls = await asked(polling.twin, "published")
    assert sum(count for *_, count in calls) == len(calls) <= 6


async def test_a_half_year_comes_once_it_is_published(polling: Polling) -> None:
    """Though most of its days are old by then: once a month all that still lacks is asked for."""
    polling.clock.jump(datetime(2026, 9, 1, 10, tzinfo=UTC))
    await polling.twin.set_meter(PCE, "gas", "half-yearly", "no-informative")
    async with polling.worker(gas=400) as worker:
        account = await add(worker, "grdf", PCE)
        await visit(worker, account)
        assert await months(worker) == ["2025-10"]
        await polling.twin.clear()
        for _ in range(10):
            await polling.later(days=7)
            await visit(worker, account)
        assert await months(worker) == ["2025-10", "2026-04"]
        assert await polling.twin.count(PCE, "published") <= 14


async def test_open_days_that_are_near_are_asked_for_by_one_request(polling: Polling) -> None:
    """Wednesdays never come, and other days are not final: GRDF is asked once for all of them."""
    polling.clock.jump(datetime(2026, 11, 12, 10, tzinfo=UTC))
    await polling.twin.set_meter(PCE, "gas", "gaps")
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        await visit(worker, account)
        await polling.twin.clear()
        await polling.later(days=1)
        assert (await visit(worker, account))[1] == End("done")
    assert await asked(polling.twin, "informative") == [("2026-10-14", "2026-11-13", 1)]


async def test_a_month_comes_once_it_is_published(polling: Polling) -> None:
    """Also where each of its days was asked for on another day."""
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        for _ in range(50):
            await visit(worker, account)
            await polling.later(days=1)
        assert await months(worker) == ["2026-10", "2026-11", "2026-12"]
