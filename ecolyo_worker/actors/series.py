"""One series of one visit: its windows, and what is done about each answer."""

import sqlite3
from collections.abc import AsyncGenerator
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from ecolyo_worker.actors.asking import Answer, Asking, Later
from ecolyo_worker.actors.rights import RightsOfAccess
from ecolyo_worker.actors.tokens import NoToken
from ecolyo_worker.clock import civil_days, day_text, utc_ms
from ecolyo_worker.crashpoints import reach
from ecolyo_worker.energy.answers import Meaning, consent_lost, vendor_down
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.energy.meanings import CozyWord
from ecolyo_worker.energy.points import Decoded
from ecolyo_worker.energy.reading import read_points
from ecolyo_worker.energy.windows import (
    DEEPEST,
    LONGEST,
    PolledSeries,
    Ranges,
    bridged,
    newest,
    number,
    parted,
    requested,
    within,
    without,
)
from ecolyo_worker.errors import AnswerUnreadable
from ecolyo_worker.remote.series import depth_of
from ecolyo_worker.store import accounts, cursors, totals
from ecolyo_worker.store.accounts import Account, Trouble
from ecolyo_worker.store.cursors import Answered, Cursor, Stored

__all__ = ["ALL", "End", "SeriesVisit", "Step", "Visit", "Wanted"]

_SUSPECT_MS = 3 * 86_400_000
_SUSPECT_DAYS = 4
# After so many windows in a row that cannot be read, more of them tell nothing new.
_MOST_UNREAD = 3
# A window that failed so often in a row lets others go first.
_PATIENCE = 3
# A wait that is not worth to end a visit for, and how often.
_SHORT_MS = 5_000
_MOST_SHORT = 3
_PARTIAL: Final[CozyWord] = "UNKNOWN_ERROR.PARTIAL_SYNC"
_OUTDATED: Final[CozyWord] = "USER_ACTION_NEEDED.OAUTH_OUTDATED"


class Wanted(Struct, frozen=True):
    """What a visit asks for: by itself what is missing, as far back as the settings say."""

    days: range | None = None
    """Of these civil days alone."""
    is_forced: bool = False
    """Also what is complete, and series that were given up."""
    stop: int | None = None
    """Of civil days before this one alone, where `days` names none."""


ALL: Final = Wanted()


class Step(Struct, frozen=True):
    """A window that was asked for, and what came of it."""

    series: PolledSeries
    window: range
    done: int
    """How many windows of the series are done."""
    total: int
    """How many there are, as far as is known."""
    kind: str
    """What the answer means; `no_token` and `later` where nothing was asked."""
    stored: Stored | None = None
    reason: str | None = None
    """Why it came to nothing, in words."""


class End(Struct, frozen=True):
    """How a visit ended."""

    kind: Literal["done", "failed", "later", "consent", "gone"]
    """`later`: nothing is to be asked before some time; `gone`: the account is not polled."""
    until: int | None = None
    """Before when it is no use to come again, in ms of UTC, if that is known."""
    failures: int = 0
    """The most requests in a row, of a series, that the provider did not answer as agreed."""
    reason: str | None = None


class Visit:
    """A visit under way: what it is to ask for, and what came of it so far."""

    def __init__(self, account: Account, wanted: Wanted, today: int) -> None:
        self.account = account
        self.wanted = wanted
        self.today = today
        """The civil day at the provider, of which there is nothing yet."""
        self.end: End | None = None
        """Why nothing more is asked for."""
        self.troubles: list[Trouble] = []
        self.has_failed = False
        self.failures = 0
        """The most requests in a row, of a series, that a provider did not answer as agreed."""
        self.is_fed = False
        """Whether anything came as agreed."""

    def days(self, history_days: int) -> range:
        """Give the civil days that are to be there."""
        if self.wanted.days is None:
            stop = self.today if self.wanted.stop is None else self.wanted.stop
            return range(self.today - history_days, min(stop, self.today))
        return range(self.wanted.days.start, min(self.wanted.days.stop, self.today))

    def close(
        self,
        kind: Literal["failed", "later", "consent"],
        trouble: Trouble,
        until: int | None = None,
    ) -> None:
        """Ask for nothing more."""
        self.troubles.append(trouble)
        self.end = End(kind, until, self.failures, trouble.reason)


class SeriesVisit:
    """Asks for what is missing of one series."""

    def __init__(self, asking: Asking, visit: Visit, series: PolledSeries) -> None:
        """Nothing is asked before the first step."""
        self._asking = asking
        self._context = asking.context
        self._visit = visit
        self._account = visit.account
        self._series: PolledSeries = series
        self._cursor = Cursor()
        self._left: Ranges = ()
        self._aside: Ranges = ()
        """What is asked for only then, for it could not be read before."""
        self._longest = LONGEST[series]
        self._done = 0
        self._short = 0
        self._unread = 0
        """Windows in a row that could not be read."""
        self._is_over = False

    async def steps(self) -> AsyncGenerator[Step, None]:
        """Ask window by window, the newest first; it ends when one is not answered."""
        if not await self._begin():
            return
        while not self._is_over and (window := self._next()) is not None:
            found = await self._asking.ask(self._account, self._series, self._days(window))
            if isinstance(found, NoToken):
                yield await self._without_token(found, window)
            elif isinstance(found, Later):
                yield self._later(found, window)
            else:
                yield await self._answered(found, window)

    def _next(self) -> range | None:
        return newest(self._left, self._longest) or newest(self._aside[-1:], self._longest)

    def _keep(self, days: range) -> None:
        """Ask for nothing beyond some days."""
        self._left = within(self._left, days)
        self._aside = tuple(found for one in self._aside for found in within((one,), days))

    def _take_out(self, window: range) -> None:
        """Ask for a window no more in this visit."""
        self._left = without(self._left, (window,))
        self._aside = tuple(left for one in self._aside for left in without((one,), (window,)))

    async def _begin(self) -> bool:
        """Find out what is missing; False where the series is not asked for any more."""
        account, today = self._account.id, self._visit.today

        def begin(connection: sqlite3.Connection) -> Cursor:
            cursors.mistrust(connection, account, self._series, today)
            return cursors.begin(connection, account, self._series)

        self._cursor = await self._context.database.run(begin)
        self._longest = min(self._longest, self._cursor.longest or self._longest)
        wanted = self._visit.wanted
        if self._cursor.never is not None and not wanted.is_forced:
            self._visit.troubles.append(Trouble(self._cursor.never, _PARTIAL))
            return False
        days = self._visit.days(depth_of(self._context.settings, self._series))
        if not wanted.is_forced:
            days = range(max(days.start, self._cursor.earliest or days.start), days.stop)
        if wanted.is_forced:
            self._left = within((days,), days)
        elif days:
            self._left, unread = await self._context.database.read(
                cursors.to_do, account, self._series, days, today
            )
            self._left = bridged(self._left, self._longest, unread)
            self._aside = parted(unread)
        self._keep(range(today - DEEPEST[self._series], today))
        return True

    async def _answered(self, answer: Answer, window: range) -> Step:
        """Do about an answer what it means."""
        reach("poller.answered")
        meaning, found = self._decoded(answer, window)
        stored = None
        if found is not None:
            window = self._settled(window, found) if meaning.kind == "ok" else window
            stored = await self._store(meaning, found, window)
        else:
            await self._count(meaning)
        if meaning.kind in ("ok", "empty"):
            self._take_out(window)
            self._done += 1
            self._unread = 0
            return self._step(window, meaning.kind, stored)
        if stored is not None and meaning.kind == "vendor_down":
            await self._pass_by(meaning, window, stored)
        else:
            await self._do(meaning, window)
        return self._step(window, meaning.kind, stored, meaning.happened)

    def _decoded(self, answer: Answer, window: range) -> tuple[Meaning, Decoded | None]:
        """Read what is in an answer; what cannot be read makes it another one."""
        meaning = answer.meaning
        if meaning.kind == "empty" and not meaning.has_data:
            return meaning, Decoded(())
        if meaning.kind != "ok" and not meaning.has_data:
            return meaning, None
        assert self._account.meter is not None, "its meter is not known"
        try:
            found = read_points(
                self._series, answer.content, self._account.meter, self._days(window), window
            )
        except AnswerUnreadable as error:
            return vendor_down(self._asking.provider, str(error)), Decoded((), broken=str(error))
        if found.broken is not None and meaning.kind == "ok":
            meaning = vendor_down(self._asking.provider, found.broken)
        return meaning, found

    def _settled(self, window: range, found: Decoded) -> range:
        """Give which days are answered: of published periods, none before the first that came.

        One across the begin of the window, half a year long it may be, comes with the next one.
        """
        is_last = not any(window.start - 1 in one for one in self._left)
        if self._series != "gas_periods" or is_last or not found.points:
            return window
        (first,) = civil_days((found.points[0].start,), ZONE)
        return range(max(window.start, first), window.stop)

    def _days(self, window: range) -> range:
        """Give the days that are named in the request for a window."""
        return requested(self._series, window, self._visit.today)

    async def _store(self, meaning: Meaning, found: Decoded, window: range) -> Stored:
        is_whole = meaning.kind in ("ok", "empty")
        why = meaning.happened if meaning.kind == "vendor_down" else None
        answered = Answered(self._series, window, found, self._visit.today, is_whole, why)
        zone, moment = self._context.settings.civil_zone, self._context.moment()
        noted = replace(self._cursor, trouble=None, failures=0, never=None)

        def store(connection: sqlite3.Connection) -> Stored | None:
            known = accounts.find(connection, self._account.id)
            if known is None or not known.is_polled:
                return None  # it was removed meanwhile, and its readings with it
            if is_whole:
                cursors.note(connection, self._account.id, self._series, noted)
            totals.add(connection, self._outcome(meaning))
            return cursors.store(connection, self._account, answered, zone, moment)

        stored = await self._context.database.run(store)
        reach("poller.stored")
        if stored is None:
            self._visit.end = End("gone")
            return Stored(0, 0, 0, {})
        if is_whole:
            self._cursor = noted
            self._visit.is_fed = True
            await self._asking.quota.answered(self._account.id)
        self._tell(stored, found)
        return stored

    async def _do(self, meaning: Meaning, window: range) -> None:
        """Do what is to be done about a meaning that is not what was asked for."""
        actions = {
            "clamp": self._clamp,
            "split": self._split,
            "never": self._give_up,
            "consent_lost": self._lose,
            "consent_suspect": self._suspect,
            "renew_token": self._pause_for_token,
            "quota": self._wait_for_quota,
            "vendor_down": self._back_off,
        }
        await actions.get(meaning.kind, self._refused)(meaning, window)

    async def _clamp(self, meaning: Meaning, window: range) -> None:
        """Ask for nothing before the day that was told; else find it by halving the window."""
        earliest = meaning.earliest
        if earliest is None or earliest <= window.start:
            if len(window) > 1:
                self._longest = len(window) // 2
                return
            earliest = window.stop
        self._keep(range(earliest, self._visit.today))
        self._longest = LONGEST[self._series]
        await self._note(replace(self._cursor, earliest=earliest))

    async def _split(self, meaning: Meaning, window: range) -> None:
        if len(window) == 1:
            await self._refused(meaning, window)
            return
        self._longest = len(window) // 2
        await self._note(replace(self._cursor, longest=self._longest))

    async def _give_up(self, meaning: Meaning, _: range) -> None:
        """Ask for the series no more, and say what would change that."""
        self._is_over = True
        words = f"{meaning.happened} {meaning.to_do} {self._resumption()}"
        self._visit.troubles.append(Trouble(words, _PARTIAL))
        if await self._note(replace(self._cursor, never=words)):
            self._context.logger.warning(
                "a series of readings is given up",
                account=self._account.id,
                series=self._series,
                reason=words,
            )

    def _resumption(self) -> str:
        """Say which command has the series asked for again: a consent, or the meter of one."""
        command = f"accounts authorize {self._account.id}"
        if self._asking.provider == "enedis" and self._context.settings.enedis.generation != "v4":
            command += " --meter NUMBER"
        return f"It is asked for again after `{command}`."

    async def _lose(self, meaning: Meaning, _: range) -> None:
        trouble = Trouble(f"{meaning.happened} {meaning.to_do}", _OUTDATED)
        await self._asking.tokens.lose_consent(self._account.id, trouble)
        self._visit.close("consent", trouble)
        self._is_over = True

    async def _suspect(self, meaning: Meaning, window: range) -> None:
        """Believe that a consent is lost if the right has ended, else after days of the same.

        It must have been said on each of them: a clock that is set makes days pass that were none.
        """
        moment = self._context.moment()
        doubt = await self._context.database.run(accounts.suspect, self._account.id, moment)
        is_old = (
            doubt is not None
            and moment.utc - doubt.since >= _SUSPECT_MS
            and doubt.days >= _SUSPECT_DAYS
        )
        has_ended = await self._has_right_ended()
        if has_ended or is_old:
            lost = consent_lost(self._asking.provider, meaning.code, has_ended=has_ended)
            await self._lose(lost, window)
            return
        await self._fail(meaning)
        self._visit.close("failed", self._visit.troubles.pop())

    async def _has_right_ended(self) -> bool:
        """Ask GRDF whether the right to the meter has ended; Enedis tells of none."""
        meter = self._account.meter
        if self._asking.provider != "grdf" or meter is None:
            return False
        return await RightsOfAccess(self._asking).have_ended(meter)

    async def _pause_for_token(self, meaning: Meaning, _: range) -> None:
        """Leave off: the token was just renewed, and is not taken either."""
        if self._asking.has_one_token:
            await self._asking.quota.refused(self._account.id, meaning)
        await self._fail(meaning)
        self._visit.close("failed", self._visit.troubles.pop())

    async def _wait_for_quota(self, meaning: Meaning, _: range) -> None:
        until = await self._asking.quota.exceeded(meaning)
        self._short += 1
        if until - self._now() > _SHORT_MS or self._short > _MOST_SHORT:
            self._is_over = True
            self._visit.close("later", _trouble(meaning), until)

    async def _pass_by(self, meaning: Meaning, window: range, stored: Stored) -> None:
        """Go on behind a window that cannot be read: others may be, since there was an answer."""
        await self._asking.quota.failed(meaning)
        await self._fail(meaning, is_new=stored.newly_unread > 0)
        self._go_on(window)

    def _go_on(self, window: range) -> None:
        """Ask for others, unless too many came to nothing."""
        self._take_out(window)
        self._unread += 1
        self._is_over = self._unread == _MOST_UNREAD

    async def _back_off(self, meaning: Meaning, window: range) -> None:
        await self._asking.quota.failed(meaning)
        is_aside = self._is_aside(window)
        await self._fail(meaning, is_new=not is_aside)
        await self._put_aside(meaning, window)
        if is_aside and self._done:
            self._go_on(window)

    def _is_aside(self, window: range) -> bool:
        return any(window.start in one for one in self._aside)

    async def _put_aside(self, meaning: Meaning, window: range) -> None:
        """Let others go first, where a window fails time and again: it may be the only one."""
        if self._cursor.failures < _PATIENCE and not self._is_aside(window):
            return
        series, today = self._series, self._visit.today
        answered = Answered(
            series, window, Decoded(()), today, is_whole=False, unread=meaning.happened
        )
        is_alive, ident = self._done > 0, self._account.id

        def put(connection: sqlite3.Connection) -> None:
            cursors.put_aside(connection, ident, answered, is_alive=is_alive)

        await self._context.database.run(put)

    async def _refused(self, meaning: Meaning, window: range) -> None:
        """Tell the one who can change it, once."""
        await self._fail(meaning)
        await self._put_aside(meaning, window)
        if meaning.whose == "person":
            trouble = Trouble(f"{meaning.happened} {meaning.to_do}", meaning.cozy or _PARTIAL)
            moment = self._context.moment()
            await self._context.database.run(
                accounts.move, self._account.id, "suspended", moment, trouble
            )
            self._visit.close("failed", trouble)

    async def _fail(self, meaning: Meaning, *, is_new: bool = True) -> None:
        """Note that a request came to nothing, and log what `is_new`; the next visit asks again."""
        self._is_over = True
        failures = self._cursor.failures + 1
        self._visit.has_failed = True
        if meaning.kind in ("vendor_down", "renew_token"):
            self._visit.failures = max(self._visit.failures, failures)
        trouble = _trouble(meaning)
        self._visit.troubles.append(trouble)
        noted = replace(self._cursor, trouble=trouble.reason, failures=failures)
        if await self._note(noted) and is_new:
            self._context.logger.warning(
                "readings are not given",
                account=self._account.id,
                series=self._series,
                reason=trouble.reason,
                code=meaning.code,
            )

    async def _note(self, noted: Cursor) -> bool:
        self._cursor = noted
        return await self._context.database.run(cursors.note, self._account.id, self._series, noted)

    async def _count(self, meaning: Meaning) -> None:
        await self._context.database.run(totals.add, self._outcome(meaning))

    def _outcome(self, meaning: Meaning) -> dict[str, int]:
        return {f"energy.{self._asking.provider}.calls.{meaning.kind}": 1}

    async def _without_token(self, found: NoToken, window: range) -> Step:
        self._is_over = True
        await self._note(replace(self._cursor, trouble=found.trouble.reason))
        kind: Literal["consent", "later"] = "consent" if found.kind == "consent" else "later"
        self._visit.close(kind, found.trouble, found.until)
        return self._step(window, "no_token", None, found.trouble.reason)

    def _later(self, found: Later, window: range) -> Step:
        self._is_over = True
        self._visit.close("later", found.trouble, found.until)
        return self._step(window, "later", None, found.reason)

    def _step(
        self, window: range, kind: str, stored: Stored | None, reason: str | None = None
    ) -> Step:
        left = number(self._left, self._longest) + number(self._aside, self._longest)
        total = self._done + left
        return Step(self._series, window, self._done, total, kind, stored, reason)

    def _tell(self, stored: Stored, found: Decoded) -> None:
        for gap in stored.suspects:
            self._context.logger.warning(
                "readings contradict each other",
                account=self._account.id,
                series=self._series,
                day=day_text(gap.day),
            )
        if found.refused:
            self._context.logger.warning(
                "readings were refused",
                account=self._account.id,
                series=self._series,
                count=stored.refused,
                reason=found.refused[0].reason,
            )

    def _now(self) -> int:
        return utc_ms(self._context.clock.now())


def _trouble(meaning: Meaning) -> Trouble:
    words = meaning.happened
    if meaning.whose in ("person", "operator"):
        words = f"{words} {meaning.to_do}"
    return Trouble(words, meaning.cozy or "VENDOR_DOWN")
