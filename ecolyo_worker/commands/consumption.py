"""Commands on what homes consumed: taking it in, giving it out, and looking at it."""

from collections.abc import AsyncIterator, Iterator, Sequence
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from ecolyo_worker import requests as ask
from ecolyo_worker.clock import MINUTE_MS, day_bounds, day_text, month_of
from ecolyo_worker.commands.group import Group
from ecolyo_worker.documents import interval_start
from ecolyo_worker.energy.adding import Interval
from ecolyo_worker.errors import CommandRefused, InputRefused
from ecolyo_worker.events import decode_object
from ecolyo_worker.readings import KNOWN_DAYS, Reading, check_reading
from ecolyo_worker.store import consumption, instances
from ecolyo_worker.worker import read_day

__all__ = ["ConsumptionCommands"]

_FLUIDS: tuple[ask.Fluid, ...] = ("electricity", "water", "gas")
# Back from the last day that is known a chart shows so many days where nobody says from when.
_SHOWN_DAYS = {"half-hour": 1, "hour": 1, "day": 31, "month": 731, "year": 36_500}
_MOST_BARS = 2000
# So many days of half-hours are read at once.
_DAYS = 31
_LENGTHS_MS = {"half-hour": 1_800_000, "hour": 3_600_000}


class _Held(Struct, frozen=True):
    """What of a person's fluid is known."""

    person: int
    fluid: str
    days: range
    """From the first civil day to the last one."""
    zone: ZoneInfo
    """By whose clocks these go."""


class ConsumptionCommands(Group):
    """`consumption import`, `consumption export` and `chart`."""

    async def consumption_import(self, request: ask.ConsumptionImport) -> ask.ReadingsReport:
        """Store the readings of some lines, in one transaction; a later value replaces another.

        What was fetched goes before them: the report says of how many of them.
        """
        refused: list[ask.LineRefusal] = []
        good: list[Reading] = []
        for line in request.lines:
            try:
                good.append(check_reading(decode_object(line.text), self._zone))
            except InputRefused as error:
                refused.append(ask.LineRefusal(line.number, error.field, error.reason))
        await self._worker.database.run(consumption.store_imported, good, self._zone)
        beneath = await self._worker.database.read(consumption.beneath, good, self._zone)
        return ask.ReadingsReport(len(good), refused, beneath)

    async def consumption_export(
        self, request: ask.ConsumptionExport
    ) -> AsyncIterator[ask.ConsumptionInterval]:
        """Give what homes consumed, home by home, fluid by fluid, in the order of time."""
        days = _days(request)
        for name in await self._names(request.instance):
            for fluid in _fluids(request.fluid):
                held = await self._held(name, fluid)
                async for found in self._intervals(held, request.step, days):
                    yield ask.ConsumptionInterval(
                        instance=name,
                        fluid=fluid,
                        step=request.step,
                        start=interval_start(found.start, request.step, held.zone),
                        value=found.amount / 1000,
                        minutes=found.minutes,
                        partial=not found.is_whole,
                    )

    async def consumption_chart(self, request: ask.ConsumptionChart) -> ask.Chart:
        """Give what one home consumed of one fluid, with its gaps.

        Raises `CommandRefused` where that is nobody's, or more than one's, or too much to look at.
        """
        chosen = _days(request)
        name, fluid, held = await self._home(request)
        last = min(chosen[-1], held.days[-1]) if request.end is None else chosen[-1]
        first = last + 1 - _SHOWN_DAYS[request.step]
        begin = max(first, held.days[0]) if request.begin is None else chosen[0]
        starts = list(_starts(request.step, range(begin, last + 1), held.zone))
        if len(starts) > _MOST_BARS:
            raise CommandRefused(
                f"from there to there are {len(starts)} bars, a chart has {_MOST_BARS} at most:"
                " take fewer days or a longer step"
            )
        days = range(begin, last + 1)
        known = [item async for item in self._intervals(held, request.step, days)]
        bars = [
            ask.Bar(
                interval_start(start, request.step, held.zone),
                None if item is None else item.amount / 1000,
                partial=item is not None and not item.is_whole,
            )
            for start, item in _with_gaps(starts, known)
        ]
        unit = "L" if fluid == "water" else "kWh"
        return ask.Chart(name, fluid, request.step, unit, bars)

    async def _names(self, name: str | None) -> list[str]:
        if name is not None:
            return [(await self._known(name)).name]
        return await self._worker.database.read(instances.known_names)

    async def _held(self, name: str, fluid: str) -> _Held:
        """Tell of which civil days something of a person's fluid is known."""
        read = self._worker.database.read
        person = await read(instances.find, name)
        if person is None:  # forgotten meanwhile
            return _Held(0, fluid, range(0), self._zone)
        days = await read(consumption.held_days, person.id, fluid)
        zone = await read(consumption.zone_of, person.id, fluid, self._zone)
        return _Held(person.id, fluid, days, zone)

    async def _home(self, request: ask.ConsumptionChart) -> tuple[str, ask.Fluid, _Held]:
        """Find the one home and fluid that are meant."""
        request = await self._of_account(request)
        found: list[tuple[str, ask.Fluid, _Held]] = []
        for name in await self._names(request.instance):
            for fluid in _fluids(request.fluid):
                held = await self._held(name, fluid)
                if held.days:
                    found.append((name, fluid, held))
            if len({name for name, _, _ in found}) > 1:
                raise CommandRefused("there are several homes: name one by --instance")
        if not found:
            raise CommandRefused(
                "nothing is known of what was consumed there: see `instances show`; readings come"
                " by `consumption import`, those of an energy account by `poll`"
            )
        if len(found) > 1:
            names = ", ".join(fluid for _, fluid, _ in found)
            raise CommandRefused(f"{found[0][0]} has {names}: name one by --fluid")
        return found[0]

    async def _of_account(self, request: ask.ConsumptionChart) -> ask.ConsumptionChart:
        """Put an account's home and fluid in its place."""
        if request.account is None:
            return request
        if request.instance is not None or request.fluid is not None:
            raise CommandRefused(
                "--account names the home and the fluid: leave out --instance and --fluid"
            )
        account = await self._known_account(request.account)
        return replace(request, instance=account.name, fluid=account.fluid)

    async def _intervals(
        self, held: _Held, step: ask.ConsumptionStep, days: range
    ) -> AsyncIterator[Interval]:
        """Give what is known of a home's days, read in pieces where there may be very much."""
        days = range(max(days.start, held.days.start), min(days.stop, held.days.stop))
        size = _DAYS if step in _LENGTHS_MS else max(len(days), 1)
        for begin in range(days.start, days.stop, size):
            piece = range(begin, min(begin + size, days.stop))
            for item in await self._worker.database.read(
                consumption.intervals, held.person, held.fluid, step, piece, self._zone
            ):
                yield item


def _fluids(fluid: ask.Fluid | None) -> Sequence[ask.Fluid]:
    return _FLUIDS if fluid is None else (fluid,)


def _days(request: ask.ConsumptionWanted) -> range:
    """Give the civil days that were chosen, all there can be if none were."""
    begin, end = read_day(request.begin, "--from"), read_day(request.end, "--to")
    first = KNOWN_DAYS.start if begin is None else max(begin, KNOWN_DAYS.start)
    last = KNOWN_DAYS[-1] if end is None else min(end, KNOWN_DAYS[-1])
    if last < first:
        raise CommandRefused(
            f"--from {day_text(first)} --to {day_text(last)}: no day lies between them"
        )
    return range(first, last + 1)


def _starts(step: ask.ConsumptionStep, days: range, zone: ZoneInfo) -> Iterator[int]:
    """Give where the intervals of some civil days begin."""
    if length := _LENGTHS_MS.get(step):
        yield from range(day_bounds(days[0], zone)[0], day_bounds(days[-1], zone)[1], length)
    elif step == "day":
        yield from days
    else:
        months = 12 if step == "year" else 1
        yield from range(month_of(days[0]) // months, month_of(days[-1]) // months + 1)


def _with_gaps(
    starts: Sequence[int], known: Sequence[Interval]
) -> Iterator[tuple[int, Interval | None]]:
    """Give each start with what is known of it; what an odd half-hour covers is no gap."""
    found = {item.start: item for item in known}
    covered = 0
    for start in starts:
        item = found.get(start)
        if item is None and start < covered:
            continue
        if item is not None and item.minutes is not None:
            covered = start + item.minutes * MINUTE_MS
        yield start, item
