"""Loads an account as it would on some day, from a twin that stands at that day.

    python -m tests.process.polling_of_a_day STATE TWIN_URL DAY METER

Enedis keeps half-hours for two years, so that three of them can only be loaded on two days.
"""

import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import anyio

from ecolyo_worker import Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.commands import Commands
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import settings

DEPTH = 745


async def load(state_dir: Path, url: str, day: str, meter: str) -> None:
    """Load all that is missing on a day, as far back as may be asked."""
    clock = FakeClock(
        datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo("Europe/Paris"))
    )
    chosen = settings(state_dir, Twin(url), history_days=DEPTH, curve_days=DEPTH, per_hour=100_000)
    async with Worker(chosen, clock=clock).opened() as worker:
        commands = Commands(worker)
        if not [one async for one in commands.accounts_list(ask.AccountsList())]:
            await commands.accounts_add(ask.AccountAdd("enedis", "a.example", meter))
        ends = [one.account async for one in commands.poll(ask.Poll("enedis")) if one.account]
        assert [end.outcome for end in ends] == ["done"], ends


if __name__ == "__main__":
    place, url, day, meter = sys.argv[1:]
    anyio.run(load, Path(place), url, day, meter)
