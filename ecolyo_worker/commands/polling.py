"""Commands on what is fetched for energy accounts: `poll` and `coverage`."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from msgspec.structs import replace

from ecolyo_worker import requests as ask
from ecolyo_worker.actors.consents import TAKEN
from ecolyo_worker.actors.series import End, Step, Wanted
from ecolyo_worker.clock import (
    civil_from_instant,
    day_of,
    day_text,
    instant_text,
    month_days,
    month_of,
    utc_ms,
)
from ecolyo_worker.commands.group import Group
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.energy.meters import PROVIDERS
from ecolyo_worker.energy.windows import DEEPEST, SERIES_OF
from ecolyo_worker.errors import CommandRefused, ConfigurationError, StateRefused
from ecolyo_worker.remote.series import depth_of
from ecolyo_worker.store import accounts
from ecolyo_worker.store.accounts import Account
from ecolyo_worker.store.coverage import DayCoverage, coverage
from ecolyo_worker.store.outlook import Fetching
from ecolyo_worker.worker import read_day

__all__ = ["PollingCommands"]

_PAGE = 500
_YEARS = range(2000, 2101)
# What ends a window that was not asked for, or not heard.
_NOT_GIVEN = ("quota", "later", "no_token")
_NEW = "nobody consented yet"
_NO_METER = "which meter the consent is for is not known yet"
_REMOVING = "it is being removed"


class PollingCommands(Group):
    """`poll` and `coverage`."""

    async def poll(self, request: ask.Poll) -> AsyncIterator[ask.Polled]:
        """Fetch what is missing now, account by account; give each window, and how each ended.

        What is stored stays, whenever it is broken off. Raises `CommandRefused`.
        """
        if request.provider not in {*PROVIDERS, "all"}:
            found = f"found {request.provider!r}"
            raise CommandRefused(f"{found}; allowed: {', '.join(PROVIDERS)} or all")
        if request.provider == "all" and request.account is not None:
            known = await self._known_account(request.account)
            request = replace(request, provider=known.provider)
        wanted = self._wanted(request)
        async for account in self._chosen(request.account):
            if request.provider in {account.provider, "all"}:
                async with aclosing(self._poll(account, wanted)) as steps:
                    async for step in steps:
                        yield await self._told(step, wanted)
            elif request.account is not None:
                raise CommandRefused(
                    f"account {account.id} is one of {account.provider}, not of"
                    f" {request.provider}; allowed with it: {account.provider} or all"
                )

    async def coverage(self, request: ask.Coverage) -> AsyncIterator[ask.CoverageYear]:
        """Tell of each day of a year what is known of it, account by account.

        Raises `CommandRefused`.
        """
        fetching = self._fetching()
        year = month_of(fetching.today) // 12 if request.year is None else request.year
        if year not in _YEARS:
            raise CommandRefused(f"--year: found {year}; allowed: {_YEARS[0]} to {_YEARS[-1]}")
        days = range(month_days(year * 12).start, month_days(year * 12 + 11).stop)
        async for account in self._chosen(request.account):
            found = await self._worker.database.read(coverage, account, days, fetching)
            yield ask.CoverageYear(
                account.id, account.name, account.provider, year, [_day(one) for one in found]
            )

    async def _poll(self, account: Account, wanted: Wanted) -> AsyncGenerator[ask.Polled, None]:
        windows = new = replaced = 0
        if account.state == "authorized" and account.consent is not None:
            await self._worker.consents.find_meter(account)
        visit = self._worker.visits[account.provider].visit(account.id, wanted)
        try:
            async with aclosing(visit) as steps:
                async for step in steps:
                    if isinstance(step, End):
                        ended = _ended(account, step, windows, new, replaced)
                        yield ask.Polled(account=await self._by_settings(account, ended))
                    else:
                        found = _window(account, step)
                        windows += step.kind not in _NOT_GIVEN
                        new += found.new
                        replaced += found.replaced
                        yield ask.Polled(window=found)
        finally:
            self._worker.wake_poller(account.provider)

    async def _by_settings(self, account: Account, ended: ask.PolledAccount) -> ask.PolledAccount:
        """Tell of an account for which nothing more can be fetched as things are set up."""
        if not account.is_polled:
            return ended
        try:
            self._worker.tokens.application_of(account.provider).check()
            await self._worker.tokens.require()
        except (ConfigurationError, StateRefused) as error:
            return replace(ended, outcome="settings", reason=str(error))
        return ended

    async def _told(self, step: ask.Polled, wanted: Wanted) -> ask.Polled:
        """Say of an account that ended what its state makes of it, and the next command."""
        ended = step.account
        if ended is None:
            return step
        account = await self._worker.database.read(accounts.find, ended.account)
        if account is None or account.state == "removing":
            return ask.Polled(account=replace(ended, outcome="gone", reason=_REMOVING))
        if ended.outcome == "done" and ended.reason is None:
            ended = replace(ended, reason=self._why_nothing(account, wanted))
        return ask.Polled(account=self._of_state(account, ended))

    def _why_nothing(self, account: Account, wanted: Wanted) -> str | None:
        """Say of days that are fetched for others that none is of those fetched for this one."""
        stop = wanted.stop if wanted.days is None else wanted.days.stop
        first = self._today() - self._deepest(account.provider, wanted.days)
        if stop is None or stop > first:
            return None
        return f"These days are before {day_text(first)}, the first day that can be fetched for it."

    def _deepest(self, provider: Provider, days: range | None) -> int:
        """Give how many days are fetched: where none are chosen, as many as the settings say."""
        if days is None:
            return self._worker.settings.providers[provider].history_days
        return max(DEEPEST[series] for series in SERIES_OF[provider])

    def _of_state(self, account: Account, ended: ask.PolledAccount) -> ask.PolledAccount:
        authorize = f"accounts authorize {account.id}"
        by_page = account.provider == "enedis" and self._worker.settings.enedis.generation == "v4"
        meter = authorize if by_page else f"{authorize} --meter NUMBER"
        match account.state:
            case "new":
                return replace(ended, outcome="waiting", reason=_NEW, next=authorize)
            case "authorized":
                reason = account.reason or _NO_METER
                return replace(ended, outcome="waiting", reason=reason, next=meter)
            case "needs_consent":
                return replace(ended, outcome="consent", reason=account.reason, next=authorize)
            case "suspended":
                # The meter of an account does not change; nor does another one's become its own.
                is_lost = account.meter is not None or account.reason == TAKEN
                then = f"accounts remove {account.id}" if is_lost else meter
                return replace(ended, outcome="suspended", reason=account.reason, next=then)
        if ended.outcome == "done" and ended.reason is not None:
            outcome = "refused" if account.held_through is None else "partial"
            return replace(ended, outcome=outcome)
        return ended

    def _wanted(self, request: ask.Poll) -> Wanted:
        begin, end = read_day(request.begin, "--from"), read_day(request.end, "--to")
        today = self._today()
        stop = today if end is None else min(end + 1, today)
        if begin is None:
            self._check_end(request, stop)
            return Wanted(is_forced=request.forced, stop=stop)
        if begin >= today:
            raise CommandRefused(f"--from {day_text(begin)} is not before today")
        if stop <= begin:
            raise CommandRefused(
                f"--from {request.begin} --to {request.end}: no day lies between them"
            )
        self._check_depth(request, range(begin, stop))
        return Wanted(range(begin, stop), request.forced)

    def _check_end(self, request: ask.Poll, stop: int) -> None:
        """Refuse a last day before all that is fetched where no first day is named."""
        deepest = max(self._deepest(one, None) for one in _named(request))
        self._check_stop(
            request, stop, deepest, "fetched by the settings: name an earlier one by --from"
        )

    def _check_depth(self, request: ask.Poll, days: range) -> None:
        """Refuse a last day before all that a provider keeps."""
        deepest = max(self._deepest(one, days) for one in _named(request))
        self._check_stop(
            request, days.stop, deepest, "kept where it is fetched from: name a later one"
        )

    def _check_stop(self, request: ask.Poll, stop: int, deepest: int, words: str) -> None:
        first = self._today() - deepest
        if stop <= first:
            raise CommandRefused(
                f"--to {request.end} is before {day_text(first)}, the first day that is {words}"
            )

    async def _chosen(self, ident: int | None) -> AsyncIterator[Account]:
        if ident is not None:
            yield await self._known_account(ident)
            return
        after: int | None = 0
        while after is not None:
            page = await self._worker.database.read(accounts.page, after, _PAGE)
            for account in page:
                yield account
            after = page[-1].id if len(page) == _PAGE else None

    def _fetching(self) -> Fetching:
        settings = self._worker.settings
        halted: dict[str, str] = {
            name: f"{name}.client_id is not set"
            for name, section in settings.providers.items()
            if not section.is_set
        }
        if settings.mode == "off":
            halted = dict.fromkeys(PROVIDERS, "worker.mode is off")
        return Fetching(
            now=utc_ms(self._worker.clock.now()),
            today=self._today(),
            depths={one: depth_of(settings, one) for found in SERIES_OF.values() for one in found},
            halted=halted,
        )

    def _today(self) -> int:
        return day_of(civil_from_instant(self._worker.clock.now(), ZONE))


def _named(request: ask.Poll) -> list[Provider]:
    """Give the providers that are to be asked."""
    return [one for one in PROVIDERS if request.provider in {one, "all"}]


def _window(account: Account, step: Step) -> ask.PolledWindow:
    stored = step.stored
    return ask.PolledWindow(
        account=account.id,
        series=step.series,
        begin=day_text(step.window.start),
        end=day_text(step.window.stop - 1),
        done=step.done,
        total=step.total,
        outcome=step.kind,
        new=0 if stored is None else stored.new,
        replaced=0 if stored is None else stored.replaced,
        refused=0 if stored is None else stored.refused,
        reason=step.reason,
    )


def _ended(account: Account, end: End, windows: int, new: int, replaced: int) -> ask.PolledAccount:
    return ask.PolledAccount(
        account=account.id,
        instance=account.name,
        provider=account.provider,
        outcome=end.kind,
        windows=windows,
        new=new,
        replaced=replaced,
        until=None if end.until is None else instant_text(end.until),
        reason=end.reason,
    )


def _day(found: DayCoverage) -> ask.CoverageDay:
    lack = found.half_hours
    return ask.CoverageDay(
        day=day_text(found.day),
        state=found.state,
        reason=found.reason,
        next_try=_date(found.again),
        half_hours=None if lack is None else lack.reason,
        half_hours_next_try=None if lack is None else _date(lack.again),
    )


def _date(day: int | None) -> str | None:
    return None if day is None else day_text(day)
