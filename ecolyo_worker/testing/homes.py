"""Homes whose meters an energy twin has: their readings are fetched, as from Enedis and GRDF.

On a simulated clock the twin is told the time before anybody may ask it.
"""

from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec
from msgspec import Struct

from ecolyo_worker import requests as ask
from ecolyo_worker.clock import day_interval, parse_day
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.energy.meters import FLUIDS_OF
from ecolyo_worker.providers import Enedis, Grdf
from ecolyo_worker.settings import Settings
from ecolyo_worker.testing.energy import Twin
from ecolyo_worker.worker import Worker

__all__ = ["HOMES", "DaySums", "Fetching", "FetchingReport", "HomeMeter", "fetched"]

# Two months and a day, so that the first month can be compared with the one before.
_HISTORY_DAYS = 62
# Over a longer time it is enough to ask twice a month, on its first of all the one before.
_MOST_DAYS = 31
_HALF_HOUR = 30
_TWICE_A_MONTH = "0 12 1,15 * *"


class HomeMeter(Struct, frozen=True):
    """A meter of one of the people, what the twin makes odd about it, and how its consent ends."""

    person: int
    """Which one, from 0 on; where there are fewer, the meter is nobody's."""
    provider: Provider
    number: str
    odd: str = ""
    is_lost: bool = False
    """Whether the consent is taken back halfway."""

    @property
    def fluid(self) -> str:
        """What it measures."""
        return FLUIDS_OF[self.provider]


HOMES = (
    HomeMeter(0, "enedis", "10000000000001", "holes,late"),
    HomeMeter(0, "grdf", "20000000000002", "gas,estimated"),
    HomeMeter(3, "enedis", "30000000000003", "gaps", is_lost=True),
)
"""Two homes, one with gas; a curve with holes, late days, absent days, and a consent that ends."""


class DaySums(Struct, frozen=True):
    """The half-hours of electricity beside the daily values, to the Wh."""

    whole: int
    """Days of which every half-hour is there, and come to the daily value."""
    partial: int
    """Days of which half-hours are missing."""
    wrong: list[str]
    """Whole days that come to something else, in words."""
    before: int
    """How many of all these are of the history, before the first day that is told of."""


class FetchingReport(Struct, frozen=True):
    """What became of the accounts, and what is known of each day since the first one."""

    accounts: list[ask.AccountDocument]
    days: dict[int, list[ask.CoverageDay]]
    """By the account's number."""
    sums: DaySums


def fetched(settings: Settings, twin: Twin, secret_file: Path, days: int) -> Settings:
    """Let a worker fetch from a twin for so many days; `secret_file` is any file with a line."""
    seldom = {"schedule": _TWICE_A_MONTH, "spread": timedelta()} if days > _MOST_DAYS else {}
    # The simulated clock waits a little, by the machine's, for whoever sleeps longer than that.
    fast = {"per_second": 100, "per_hour": 100_000}
    enedis = Enedis(
        client_id="demo",
        client_secret_file=secret_file,
        base_url=twin.url,
        history_days=_HISTORY_DAYS,
    )
    grdf = Grdf(
        client_id="demo",
        client_secret_file=secret_file,
        base_url=twin.grdf_url,
        token_url=twin.grdf_token_url,
        history_days=_HISTORY_DAYS,
    )
    return settings.replace(
        enedis=msgspec.structs.replace(enedis, **seldom, **fast),
        grdf=msgspec.structs.replace(grdf, **seldom, **fast),
    )


class Fetching:
    """A worker's pollers beside a twin, whose time is that of the worker's clock."""

    def __init__(self, worker: Worker, twin: Twin) -> None:
        """Nothing is asked before an account is added."""
        self._worker = worker
        self._commands = Commands(worker)
        self._twin = twin

    @property
    def next_due(self) -> datetime | None:
        """When the next account is to be visited; None while there is none."""
        return min((one.next_due for one in self._worker.pollers if one.next_due), default=None)

    def is_due(self, moment: datetime) -> bool:
        """Tell whether an account is to be visited then, or before."""
        return self.next_due is not None and self.next_due <= moment

    async def stand(self, moment: datetime) -> None:
        """Let it be this time at the twin."""
        await self._twin.set_today(moment.astimezone(ZONE).replace(tzinfo=None))

    async def add(self, instance: str, meter: HomeMeter) -> None:
        """Let the twin have a meter, and the worker an account of it."""
        await self._twin.set_meter(meter.number, *filter(None, meter.odd.split(",")))
        await self._commands.accounts_add(ask.AccountAdd(meter.provider, instance, meter.number))

    async def lose(self, meter: HomeMeter) -> None:
        """Let the holder take the consent back."""
        await self._twin.revoke(meter.number)

    async def report(self, first: date, last: date) -> FetchingReport:
        """Tell what became of it all, of the days from the first to the last one."""
        accounts = [one async for one in self._commands.accounts_list(ask.AccountsList())]
        found: dict[int, list[ask.CoverageDay]] = {one.id: [] for one in accounts}
        for year in range(first.year, last.year + 1):
            async for one in self._commands.coverage(ask.Coverage(year=year)):
                inner = (day for day in one.days if str(first) <= day.day <= str(last))
                found[one.account] += inner
        sums = DaySums(0, 0, [], 0)
        for name in sorted({one.instance for one in accounts}):
            sums = await self._added_up(sums, name, str(first))
        return FetchingReport(accounts, found, sums)

    async def _added_up(self, sums: DaySums, name: str, first: str) -> DaySums:
        """Compare the half-hours of a home with its daily values, and add what was found."""
        asked = ask.ConsumptionExport("half-hour", name, "electricity")
        amounts, minutes = Counter[str](), Counter[str]()
        async for one in self._commands.consumption_export(asked):
            amounts[one.start[:10]] += round(one.value * 1000)
            minutes[one.start[:10]] += one.minutes or _HALF_HOUR
        whole, partial, wrong = sums.whole, sums.partial, list(sums.wrong)
        before = sums.before + sum(day < first for day in minutes)
        asked = msgspec.structs.replace(asked, step="day")
        async for day in self._commands.consumption_export(asked):
            _, length = day_interval(parse_day(day.start), ZONE)
            if 0 < minutes[day.start] < length:
                partial += 1
            elif minutes[day.start] and amounts[day.start] == round(day.value * 1000):
                whole += 1
            elif minutes[day.start]:
                parts = f"{amounts[day.start] / 1000:.3f} kWh in half-hours"
                wrong.append(f"{name}, {day.start}: {parts}, {day.value:.3f} kWh in all")
        return DaySums(whole, partial, wrong, before)
