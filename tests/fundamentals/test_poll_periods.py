"""Which published periods of gas come, wherever the windows end that are asked for."""

import sqlite3

from ecolyo_worker import Worker
from ecolyo_worker.actors.series import End, Wanted
from ecolyo_worker.clock import day_of, day_text, parse_day
from tests.energy_accounts import PCE, add
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
        ("2025-03-25", "2026-03-25", 1),
        ("2024-05-26", "2025-05-26", 1),
        ("2023-11-27", "2024-11-26", 1),
    ]


async def test_a_month_comes_once_it_is_published(polling: Polling) -> None:
    """Also where each of its days was asked for on another day."""
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        for _ in range(50):
            await visit(worker, account)
            await polling.later(days=1)
        assert await months(worker) == ["2026-10", "2026-11", "2026-12"]
