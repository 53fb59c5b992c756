"""The worker: wires the parts, and is the Python face of the package."""

import random
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

import msgspec

from ecolyo_worker.actors.actor import Actor
from ecolyo_worker.actors.aggregator import Aggregator
from ecolyo_worker.actors.context import Context
from ecolyo_worker.actors.intake import Intake, Receipt
from ecolyo_worker.actors.janitor import Janitor
from ecolyo_worker.actors.night import InstanceNight, Plan
from ecolyo_worker.actors.report import RunReport
from ecolyo_worker.actors.sender import Sender, SendReport
from ecolyo_worker.actors.supervisor import Supervisor
from ecolyo_worker.clock import (
    Clock,
    SystemClock,
    civil_from_instant,
    day_of,
    instant_text,
    parse_day,
    parse_month,
    utc_ms,
)
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.errors import (
    CommandRefused,
    ConfigurationError,
    IntakeRefused,
    StateRefused,
    StoreUnavailable,
)
from ecolyo_worker.events import UsageEvent
from ecolyo_worker.facts import InstanceFacts
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.log import HostLogger, Logger
from ecolyo_worker.measures import Rules, unknown
from ecolyo_worker.remote.http import ClientFactory, Clients
from ecolyo_worker.remote.target import DestinationFunction, Target
from ecolyo_worker.settings import Settings
from ecolyo_worker.store import (
    accounts,
    backups,
    destinations,
    erasing,
    forgetting,
    instances,
    outbox,
    restoring,
)
from ecolyo_worker.store.database import Database
from ecolyo_worker.store.examining import look_through
from ecolyo_worker.store.forgetting import Forgetting
from ecolyo_worker.store.keys import load_key, put_back_key
from ecolyo_worker.store.refusing import unreachable
from ecolyo_worker.store.restoring import Restored
from ecolyo_worker.store.status import Status, file_sizes, free_bytes, make_status, take_snapshot
from ecolyo_worker.store.troubles import damaged
from ecolyo_worker.version import __version__

if TYPE_CHECKING:
    from ecolyo_worker.actors.accounts import Accounts
    from ecolyo_worker.actors.consents import Consents
    from ecolyo_worker.actors.poller import Poller
    from ecolyo_worker.actors.tokens import Tokens
    from ecolyo_worker.actors.visits import Visits

__all__ = ["Worker", "read_day", "rules_of"]

# So long a start may look for damage; the rest of a large database is looked at every night.
_LOOK_S = 0.5


class Worker:
    """Takes usage events in, counts them, and sends the indicators; one per state directory.

    Use it as `async with Worker(Settings(state_dir=path)) as worker`. It is ready when entered, and
    leaves no task, thread or open file when left. It touches no signal handler, no logging
    configuration and no environment variable of its host.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        random: random.Random | None = None,
        logger: Logger | None = None,
        http: ClientFactory | None = None,
        destination: DestinationFunction | None = None,
    ) -> None:
        """Nothing is opened yet. `http` makes the clients that send, one per lane.

        `destination` gives an instance's (url, token), instead of `dacc.url` and `dacc.token_file`;
        a plain function must not block, an async one may take a part of `dacc.attempt_timeout`. It
        is asked at each attempt; what it raises holds that instance's rows back, with its words.
        Raises `ConfigurationError` if the target is `native`, which has one address for all.
        """
        self.settings = settings or Settings()
        self.clock = clock or SystemClock()
        self.rules = rules_of(self.settings)
        self.definitions = self.rules.definitions
        self._random = random or _random()
        self.logger = logger or HostLogger()
        self._http = http
        self._target = Target(self.settings.dacc, __version__, destination)
        self._supervisor: Supervisor | None = None
        self._accounts: Accounts | None = None
        self._by_itself = False
        self.restored: Restored | None = None
        """What became of a backup that was found in the place of the state, if there was one."""

    async def __aenter__(self) -> Self:
        """Open the state directory as its only owner, and start what works by itself.

        Raises `StoreOwned`, `StateRefused`, `StoreUnavailable`, and `CommandRefused` if it is
        entered already, or outside of asyncio.
        """
        async with AsyncExitStack() as opened:
            await self._start(opened, by_itself=True)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take nothing more in, finish what has begun within `worker.grace`, and close.

        What was accepted is on disk already. Raises `ActorFailed` if a part could not be kept
        running, `StoreBroken` if the disk failed, and `StateDamaged` if the file is damaged; the
        block was cancelled then.
        """
        await self._opened.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        """Enter it as the state's owner, so that nothing is counted or sent but when called for.

        At the end it overwrites in the files what was deleted, whoever deleted it, if nothing else
        went wrong.
        """
        async with AsyncExitStack() as opened:
            await self._start(opened, by_itself=False)
            yield self
            with suppress(StoreUnavailable, StateRefused):  # what was done is done
                await self._erase_owed()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Self]:
        """Enter it without changing anything: for a preview of a state that exists."""
        async with AsyncExitStack() as opened:
            await self._open(opened, migrating=False)
            yield self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a worker cannot be pickled or copied: make another one of its settings")

    @property
    def is_ready(self) -> bool:
        """Whether it is entered, and not being left."""
        return self._supervisor is not None and not self.intake.stopping

    @property
    def is_stopping(self) -> bool:
        """Whether it is being left, or was."""
        return self._supervisor is not None and self.intake.stopping

    async def record(
        self, instance: str, events: "UsageEvent | Mapping[str, Any] | list[Any]"
    ) -> Receipt:
        """Store one event or a list of them; when this returns, they are on disk.

        Idempotent by `_id`. Of a list the good events are taken, and the receipt names the others.
        Raises `IntakeRefused` if none was good, `IntakeFull` if too much waits to be stored, and
        `StoreUnavailable` if nothing can be stored now.
        """
        self._check_entered()  # intake looks whether it is the right event loop
        given = events if isinstance(events, list) else [events]
        receipt = await self.intake.take([(instance, event) for event in given])
        if receipt.refused and len(receipt.refused) == len(given):
            raise IntakeRefused(receipt.refused)
        return receipt

    async def store_facts(self, *facts: InstanceFacts) -> None:
        """Store what the host says about instances, all or nothing.

        A consent that is withdrawn deletes what waits, in the files' bytes too; when this returns,
        no attempt to send any of it will begin.
        """
        self._check_here()

        def store(connection: sqlite3.Connection) -> list[int]:
            return [row for said in facts for row in instances.store_facts(connection, said)]

        abandoned = await self.database.run(store)
        if any(said.consent is None for said in facts):
            self.sender.abandon(abandoned)
            await self._erase()

    async def forget(self, instance: str) -> Forgetting | None:
        """Delete every trace of a person, in the files' bytes too; None if unknown.

        Her consents at GRDF are revoked first, but not a right that another's account is asked for
        by. One that cannot be revoked now is told, and holds nothing up. When this returns, no
        attempt to send anything of hers will begin.
        """
        self._check_here()
        has_accounts = await self.database.read(accounts.of_person, instance)
        revocation = await self.consents.revoke_all(instance) if has_accounts else None
        gone = await self.database.run(forgetting.forget, instance)
        if gone is None:
            return None
        self.sender.abandon(gone.in_flight)
        gone = msgspec.structs.replace(gone, holding=await self._erase())
        if revocation is None:
            return gone
        return msgspec.structs.replace(
            gone, unrevoked=revocation.unrevoked, rights_kept=revocation.kept
        )

    async def run_once(
        self, as_of: datetime | None = None, day: str | None = None, month: str | None = None
    ) -> RunReport:
        """Count all that waits, as if it were `as_of` (naive: civil time); by default, now.

        `day` (YYYY-MM-DD) and `month` (YYYY-MM) choose what to do of it. Running it twice changes
        nothing. Where nothing works by itself, what is old goes afterwards, as it would every hour.
        Raises `CommandRefused` in mode `off`, and for a time to come unless all is sent to
        this machine.
        """
        if self.settings.mode == "off":
            raise CommandRefused("the mode is off (worker.mode): nothing is counted")
        self._check_here()
        plan = self._plan(as_of, day, month)
        if plan.as_of > self._civil(None) and not self._target.is_local:
            raise CommandRefused(
                f"{as_of} is later than now, and its indicators would be sent too early: that is"
                " for trials only, with dacc.url on this machine"
            )
        report = await self.aggregator.run_once(plan)
        if not self._by_itself:
            await self.janitor.prune()
            await self._erase_owed()
        return report

    def preview(
        self,
        as_of: datetime | None = None,
        day: str | None = None,
        month: str | None = None,
        instance: str | None = None,
    ) -> AsyncIterator[InstanceNight | RunReport]:
        """Give what `run_once` would make, instance by instance, and store nothing.

        At the end comes what it would come to. With `instance`, both are of that one alone.
        """
        self._check_here()
        plan = msgspec.structs.replace(self._plan(as_of, day, month), instance=instance)
        return self.aggregator.preview(plan)

    async def send(
        self, *, until_empty: bool = False, timeout_s: float | None = None
    ) -> SendReport:
        """Send what is due, without the random delay; see `Sender.drain`.

        Raises `CommandRefused` unless the mode is `on`.
        """
        if self.settings.mode != "on":
            raise CommandRefused(f"the mode is {self.settings.mode} (worker.mode): nothing is sent")
        self._check_here()
        return await self.sender.drain(until_empty=until_empty, timeout_s=timeout_s)

    async def supervise(self, actor: Actor) -> None:
        """Start a further actor, which is kept running and stopped as the worker's own are.

        What it raises before it has started is raised.
        """
        assert self._supervisor is not None, "the worker is not entered"
        await self._supervisor.start(actor)

    @property
    def accounts(self) -> "Accounts":
        """What is done about accounts; loaded when first asked for, as most hosts have none."""
        if self._accounts is None:
            from ecolyo_worker.actors.accounts import Accounts
            from ecolyo_worker.remote.energy import EnergyClient

            energy = EnergyClient(Clients(self._http), __version__)
            self._accounts = Accounts(self._context, energy)
        return self._accounts

    @property
    def tokens(self) -> "Tokens":
        """The tokens of accounts."""
        return self.accounts.tokens

    @property
    def consents(self) -> "Consents":
        """The consents of accounts."""
        return self.accounts.consents

    @property
    def visits(self) -> "dict[Provider, Visits]":
        """The visits to accounts, by provider."""
        return self.accounts.visits

    @property
    def pollers(self) -> "list[Poller]":
        """Who visits accounts by itself, one for each provider."""
        return self.accounts.pollers

    def wake_poller(self, provider: Provider) -> None:
        """Let a provider's accounts be looked at now, for something of one of them changed."""
        for poller in self.pollers:
            if poller.name == provider:
                poller.wake()

    def abort(self) -> None:
        """Let leaving wait no longer for what has begun: it is interrupted, and not counted."""
        if self._supervisor is not None:
            self._supervisor.abort()

    def health(self) -> list[ActorHealth]:
        """Tell of each part that works by itself how it is."""
        return [] if self._supervisor is None else self._supervisor.health()

    def status(self) -> Status:
        """Give what there is in each state, as of the last thing that was stored."""
        self._check_entered()
        return make_status(
            self.database.snapshot,
            __version__,
            self.settings.mode,
            self._target.described,
            file_sizes(self.settings.directory, self.database.snapshot),
            self.health(),
            self.database.trouble or unreachable(self.settings.directory),
            free_bytes(self.settings.directory),
            utc_ms(self.clock.now()),
        )

    async def _erase(self) -> list[str]:
        """Overwrite what was deleted; give the names of the files that may hold it still.

        Beside what works by itself, a large database is left to the janitor. Else nobody waits for
        it, and nobody would do it later.
        """
        if self._by_itself:
            return await erasing.erase(self.database)
        if size := await self.database.read(erasing.size_if_large):
            self.logger.warning("the database is written anew, which takes a while", bytes=size)
        return await erasing.erase(self.database, however_large=True)

    async def _erase_owed(self) -> None:
        """Overwrite what others deleted, too, or at least empty the log."""
        if await self.database.read(erasing.is_owed):
            await self._erase()
        else:
            await self.database.truncate_log()

    @property
    def _is_open(self) -> bool:
        return "database" in vars(self) and not self.database.is_closed

    def _check_entered(self) -> None:
        if "database" not in vars(self):
            raise StoreUnavailable("the worker is not entered: use `async with Worker(…)`")

    def _check_here(self) -> None:
        self._check_entered()
        self.database.check_loop()

    def _plan(self, as_of: datetime | None, day: str | None, month: str | None) -> Plan:
        return self.aggregator.plan(self._civil(as_of), read_day(day), read_month(month))

    def _civil(self, moment: datetime | None) -> int:
        return civil_from_instant(moment or self.clock.now(), self.settings.civil_zone)

    async def _start(self, opened: AsyncExitStack, *, by_itself: bool) -> None:
        await self._open(opened, migrating=True)
        if by_itself:
            await self._refuse_damage()
        backups.remove_leftovers(self.settings.directory)
        now = utc_ms(self.clock.now())
        await self.database.run(outbox.rescue, now, retrying=self.settings.dacc.retries_unknown)
        await self.database.run(
            destinations.adopt, self._target.identity, per_instance=self._target.is_cozy
        )
        opened.callback(self.intake.close)
        self._supervisor = await opened.enter_async_context(
            Supervisor(
                self.clock,
                self._random,
                self.logger,
                self.settings.grace.total_seconds(),
            )
        )
        has_application = any(one.is_set for one in self.settings.providers.values())
        pollers = [one for one in self.pollers if one.has_application] if has_application else []
        actors = (*pollers, self.janitor, self.sender, self.aggregator, self.intake)
        # Intake comes last, for the last one is the first to be stopped.
        self._by_itself = by_itself
        for actor in actors if by_itself else (self.intake,):
            await self.supervise(actor)
        if by_itself and pollers:
            await self._make_key()

    async def _close_accounts(self) -> None:
        if self._accounts is not None:
            await self._accounts.close()

    async def _refuse_damage(self) -> None:
        """Look whether the file is whole before anything works on it, as far as a moment goes."""
        looked = await look_through(self.database, _LOOK_S, self.clock)
        if looked.damage:
            raise damaged(looked.damage[0])

    async def _make_key(self) -> None:
        """See to the key of tokens, so that a copy of it can be kept from the start on."""
        try:
            await self.tokens.require()
        except (ConfigurationError, StateRefused) as error:
            self.logger.warning("the key of tokens cannot be used", reason=str(error))

    async def _open(self, opened: AsyncExitStack, *, migrating: bool) -> None:
        if self._is_open:
            raise CommandRefused("the worker is entered already: enter each worker once at a time")
        self._supervisor = None
        settings = self.settings
        if measures := unknown(self.definitions):
            self.logger.warning("defined measures that nothing makes", measures=measures)
        directory: Path = settings.directory
        self.database = await opened.enter_async_context(
            Database.open(
                directory, migrating=migrating, observe=take_snapshot, tell=self._tell_trouble
            )
        )
        await self._settle_backup(migrating=migrating)
        rows = self.status().outbox
        self.hmac_key = load_key(directory, may_make=migrating and not any(rows.values()))
        context = Context(
            database=self.database,
            settings=settings,
            rules=self.rules,
            clock=self.clock,
            random=self._random,
            hmac_key=self.hmac_key,
            logger=self.logger,
        )
        self.intake = Intake(context)
        self.sender = Sender(
            context,
            self._target,
            Clients(self._http),
            under_way=lambda: self.aggregator.under_way,
        )
        self.aggregator = Aggregator(context, made=self.sender.wake)
        self.janitor = Janitor(context)
        self._context, self._accounts = context, None
        opened.push_async_callback(self._close_accounts)

    def _tell_trouble(self, words: str | None) -> None:
        if words is None:
            self.logger.info("the database works again")
        else:
            self.logger.error("the database does not work", reason=words)
        if self._supervisor is not None and (broken := self.database.broken) is not None:
            self._supervisor.fail(broken)

    async def _settle_backup(self, *, migrating: bool) -> None:
        """Go on from a backup, if it is one that was put here."""
        directory = self.settings.directory
        mark = await self.database.read(restoring.mark_of)
        if mark is None:
            return
        if not migrating:
            raise StateRefused(
                f"{directory} holds a backup that was put back; run `ecolyo-worker migrate` first,"
                " which tells what may be sent a second time, or start the service"
            )
        put_back_key(directory, bytes.fromhex(mark.key))
        self.restored = await self.database.run(
            restoring.settle, day_of(self._civil(None)), retrying=self.settings.dacc.retries_unknown
        )
        self.logger.warning(
            "a backup was put back",
            made=instant_text(self.restored.made),
            rows=self.restored.rows,
        )


def rules_of(settings: Settings) -> Rules:
    """Give what counting goes by; raises `ConfigurationError` about the definitions file."""
    aggregation = settings.aggregation
    not_before = aggregation.not_before
    try:
        return Rules(
            Definitions.load(aggregation.measures_file),
            max_age_days=aggregation.max_age_days,
            not_before=None if not_before is None else parse_day(not_before),
            monthly_day=aggregation.monthly_day,
        )
    except ConfigurationError as error:
        raise error.within("aggregation.measures_file") from None


def read_day(text: str | None, option: str = "--day") -> int | None:
    """Read the day that a caller chose, as YYYY-MM-DD; raises `CommandRefused`."""
    if text is None:
        return None
    try:
        return parse_day(text)
    except ValueError as error:
        raise CommandRefused(f"{option}: found {text!r}; allowed: {error}") from None


def read_month(text: str | None) -> int | None:
    """Read the month that a caller chose, as YYYY-MM; raises `CommandRefused`."""
    if text is None:
        return None
    try:
        return parse_month(text)
    except ValueError as error:
        raise CommandRefused(f"--month: found {text!r}; allowed: {error}") from None


def _random() -> random.Random:
    return random.SystemRandom()
