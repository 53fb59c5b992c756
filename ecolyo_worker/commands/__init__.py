"""Every command as one async function: a struct in, a struct or a stream of structs out.

The command line, in process and over the control socket, and every other face call these.
"""

import math
import platform
import sqlite3
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

from msgspec import Raw

from ecolyo_worker import requests as ask
from ecolyo_worker.actors.report import RunReport
from ecolyo_worker.actors.sender import SendReport
from ecolyo_worker.clock import (
    civil_datetime,
    civil_from_instant,
    civil_text,
    day_of,
    day_text,
    parse_civil,
    utc_ms,
)
from ecolyo_worker.commands.accounts import AccountCommands
from ecolyo_worker.commands.consumption import ConsumptionCommands
from ecolyo_worker.commands.group import no_such_instance
from ecolyo_worker.commands.polling import PollingCommands
from ecolyo_worker.documents import (
    held_document,
    history_document,
    instance_document,
    row_document,
)
from ecolyo_worker.errors import CommandRefused, FactsRefused, InputRefused, quote
from ecolyo_worker.events import decode_object, event_document
from ecolyo_worker.explanation import (
    EventExplanation,
    Explanation,
    MeasureRule,
    Question,
    View,
    explain_event,
    explain_period,
    measure_rule,
)
from ecolyo_worker.facts import (
    FLUIDS,
    Consent,
    InstanceFacts,
    acceptance,
    check_facts,
    check_instance,
    check_version,
    is_comparable,
)
from ecolyo_worker.ledger import Ledger, balance
from ecolyo_worker.remote.echo import received
from ecolyo_worker.store import consumption, erasing, events, instances, listing, outbox
from ecolyo_worker.store.backups import Piece, pieces
from ecolyo_worker.store.database import DATABASE
from ecolyo_worker.store.examining import Examination, examine
from ecolyo_worker.store.instances import Instance
from ecolyo_worker.store.listing import Wanted
from ecolyo_worker.store.migrations import MigrationPlan, copies, latest_version, plan
from ecolyo_worker.store.status import Status
from ecolyo_worker.version import __version__
from ecolyo_worker.worker import read_day

__all__ = ["Commands", "not_dead"]

_PAGE = 500
_NO_INSTANCE = (
    "found nothing; name it in the event, or for all that name none by --instance (over HTTP:"
    " ?instance=)"
)


def not_dead(row: ask.OutboxHistory) -> CommandRefused:
    """Give the error for a row that is to be moved by hand and may not be."""
    return CommandRefused(f"row {row.id} is {row.state}; only a dead one can be moved by hand")


class Commands(AccountCommands, PollingCommands, ConsumptionCommands):
    """All commands on one open worker."""

    async def events_import(self, request: ask.EventsImport) -> ask.ImportReport:
        """Store the events of some lines, each of which is one JSON object."""
        refused: list[ask.LineRefusal] = []
        batch: list[tuple[object, object]] = []
        numbers: list[int] = []
        for line in request.lines:
            try:
                found = decode_object(line.text)
            except InputRefused as error:
                refused.append(ask.LineRefusal(line.number, error.field, error.reason))
                continue
            instance = found.get("instance")
            if instance is None or instance == "":  # an empty text counts as null
                instance = request.instance
            if instance is None:
                refused.append(ask.LineRefusal(line.number, "instance", _NO_INSTANCE))
                continue
            batch.append((instance, found))
            numbers.append(line.number)
        receipt = await self._worker.intake.take(batch)
        refused += [
            ask.LineRefusal(numbers[item.index], item.field, item.reason)
            for item in receipt.refused
        ]
        refused.sort(key=lambda item: item.line)
        return ask.ImportReport(receipt.accepted, receipt.known, refused)

    async def events_list(self, request: ask.EventsList) -> AsyncIterator[dict[str, Any]]:
        """Give events in the app's own form with their instance and state, by arrival."""
        day = read_day(request.day)
        if request.instance is not None:
            await self._known(request.instance)
        after: int | None = 0
        while after is not None:
            page = await self._worker.database.read(
                events.page, after, _PAGE, request.instance, day
            )
            for stored in page:
                if request.state in {None, stored.state}:
                    document = {"instance": stored.instance, **event_document(stored.event)}
                    failed = {} if stored.error is None else {"error": stored.error}
                    yield document | {"state": stored.state} | failed
            after = page[-1].event.seq if len(page) == _PAGE else None

    async def instances_import(self, request: ask.InstancesImport) -> ask.FactsReport:
        """Store what some lines say about instances; a refused line changes nothing."""
        refused: list[ask.LineRefusal] = []
        good: list[InstanceFacts] = []
        for line in request.lines:
            try:
                good.append(self._facts(line.text, withdrawing=request.withdrawing))
            except InputRefused as error:
                refused.append(ask.LineRefusal(line.number, error.field, error.reason))
        await self._worker.store_facts(*good)
        return ask.FactsReport(len(good), refused)

    async def instances_list(self) -> AsyncIterator[dict[str, object]]:
        """Give what is known of every instance, by name."""
        for name in await self._worker.database.read(instances.known_names):
            found = await self._worker.database.read(instances.find, name)
            if found is not None:  # else forgotten meanwhile
                yield await self._document(found)

    async def instances_show(self, name: str) -> dict[str, object]:
        """Give what is known of one instance; raises `CommandRefused` for an unknown one."""
        return await self._document(await self._known(name))

    async def instances_consent(self, request: ask.GiveConsent) -> dict[str, object]:
        """Note a consent and give what is known of the instance then.

        Raises `CommandRefused` for what is no name or no version, and for one that never suffices.
        """
        at = self._worker.clock.now() if request.at is None else self._moment("--at", request.at)
        accepted_at = civil_from_instant(at, self._zone)
        try:
            name = check_instance(request.instance)
            version = check_version(request.version, "--version")
        except FactsRefused as error:
            raise CommandRefused(str(error)) from None
        if not is_comparable(version):
            allowed = "numbers and dots such as 1.0.0; by no other anything is counted"
            raise CommandRefused(f"--version: found {quote(version)}; allowed: {allowed}")
        facts = InstanceFacts(instance=name, consent=Consent(accepted_at, version))
        await self._worker.store_facts(facts)
        return await self.instances_show(request.instance)

    async def instances_withdraw(self, name: str) -> dict[str, Any]:
        """End an instance's consents; what waits of it, and its raw events, are deleted.

        `holding` names the files of the state that may hold something of it still.
        """
        await self._known(name)
        await self._worker.store_facts(InstanceFacts(name, consent=None))
        owed = await self._worker.database.read(erasing.is_owed)
        holding = [str(self._worker.settings.directory / DATABASE)] if owed else []
        return {**await self.instances_show(name), "holding": holding}

    async def instances_forget(self, name: str) -> ask.Forgotten:
        """Delete every trace of a person; raises `CommandRefused` for an unknown one.

        What was deleted is overwritten in the files of the state, too. Her consents at GRDF are
        revoked first, as far as that can be done now.
        """
        gone = await self._worker.forget(name) if name.isascii() else None
        if gone is None:
            raise no_such_instance(name)
        directory = self._worker.settings.directory
        holding = [str(path) for path in copies(directory / DATABASE)]
        holding += [str(directory / name) for name in gone.holding]
        in_flight = len(gone.in_flight)
        meters = gone.unrevoked
        return ask.Forgotten(
            instance=name,
            rows=gone.rows,
            kept=gone.kept,
            in_flight=in_flight,
            holding=holding,
            unrevoked=len(meters),
            unrevoked_meters=meters,
            rights_kept=gone.rights_kept,
        )

    async def aggregate(self, request: ask.Aggregate) -> RunReport:
        """Run the night now; it takes no slot of the schedule."""
        return await self._worker.run_once(self._as_of(request.as_of), request.day, request.month)

    async def preview(self, request: ask.Preview) -> AsyncIterator[ask.Previewed]:
        """Give what a run would make, and at the end what it would come to; store nothing."""
        if request.instance is not None:
            await self._known(request.instance)
        as_of = self._as_of(request.as_of)
        nights = self._worker.preview(as_of, request.day, request.month, request.instance)
        async for found in nights:
            if isinstance(found, RunReport):
                yield ask.Previewed(outlook=found)
                continue
            for row in found.rows:
                line = ask.PreviewLine(found.instance.name, Raw(row.indicator.encode()))
                yield ask.Previewed(line)

    async def explain_rule(self, measure: str) -> MeasureRule:
        """Give a measure's rule in words; raises `CommandRefused` for an unknown measure."""
        return measure_rule(measure, self._worker.rules)

    async def explain(self, request: ask.Explain) -> AsyncIterator[Explanation]:
        """Explain a measure's day or month, instance by instance; nothing is stored.

        Without an instance, those that have nothing then are passed over.
        """
        rule = await self.explain_rule(request.measure)
        question = Question.read(rule, request.period)
        view = self._view(question.last_day(self._worker.rules.monthly_day), request.as_of)
        if request.instance is None:
            names = await self._worker.database.read(instances.known_names)
        else:
            names = [(await self._known(request.instance)).name]
        for name in names:
            found = await self._worker.database.read(explain_period, name, question, view)
            if found is not None and (found.countings or request.instance is not None):
                yield found

    async def explain_event(self, request: ask.ExplainEvent) -> AsyncIterator[EventExplanation]:
        """Explain what became of an event, or what will; of each instance that has such a one.

        Raises `CommandRefused` if there is none.
        """
        if request.instance is not None:
            await self._known(request.instance)
        is_found = False
        after: int | None = 0 if _is_text(request.event) else None
        while after is not None:
            owners, after = await self._worker.database.read(
                events.owners, request.event, after, _PAGE
            )
            for name, day in owners:
                if request.instance in {None, name}:
                    view = self._view(day, request.as_of)
                    found = await self._worker.database.read(
                        explain_event, name, request.event, view
                    )
                    if found is not None:
                        is_found = True
                        yield found
        if not is_found:
            raise CommandRefused(
                f"no event has the _id {quote(request.event)}: it did not come, or it was deleted,"
                " by age, with a consent or with its person"
            )

    async def send(self, request: ask.Send) -> SendReport:
        """Send what is due, without the random delay."""
        if request.timeout is not None and not 0 <= request.timeout < math.inf:
            raise CommandRefused(f"--timeout: found {request.timeout}; allowed: seconds from 0")
        return await self._worker.send(until_empty=request.until_empty, timeout_s=request.timeout)

    async def outbox_list(self, request: ask.OutboxList) -> AsyncIterator[ask.OutboxDocument]:
        """Give rows of the outbox, in the order in which they were made."""
        after: int | None = 0
        while after is not None:
            page, after = await self._worker.database.read(
                listing.page, after, _PAGE, Wanted(request.state)
            )
            for row in page:
                yield row_document(row)

    async def outbox_export(self, request: ask.OutboxExport) -> AsyncIterator[ask.OutboxHistory]:
        """Give rows with their attempts, in the order in which they were made."""
        day = read_day(request.day)
        start_date = None if day is None else day_text(day)
        wanted = Wanted(request.state, request.measure, start_date)
        after: int | None = 0 if _is_text(request.measure or "") else None
        while after is not None:
            page, after = await self._worker.database.read(listing.tried_page, after, _PAGE, wanted)
            for tried in page:
                yield history_document(tried)

    async def outbox_show(self, ident: int) -> ask.OutboxHistory:
        """Give one row with its attempts; raises `CommandRefused` for an unknown one."""
        found = await self._worker.database.read(listing.tried, ident) if _is_id(ident) else None
        if found is None:
            raise CommandRefused(f"the outbox has no row {ident}")
        return history_document(found)

    async def outbox_retry(self, request: ask.Retry) -> ask.Moved:
        """Make dead rows pending again; raises `CommandRefused` for one that is not dead."""
        if request.id is not None:
            await self.outbox_show(request.id)
        rows = await self._worker.database.run(outbox.retry, request.id)
        self._worker.sender.wake()
        if request.id is not None and not rows:
            raise await self._not_dead(request.id)
        return ask.Moved(rows)

    async def outbox_discard(self, ident: int) -> ask.Moved:
        """Give a dead row up for good; raises `CommandRefused` for one that is not dead."""
        await self.outbox_show(ident)
        if not await self._worker.database.run(outbox.discard, ident):
            raise await self._not_dead(ident)
        return ask.Moved(1)

    async def reconcile(self, request: ask.Reconcile) -> Ledger:
        """Check that nothing was lost, with what an echo server received if it is named."""
        bodies = None if request.echo is None else await received(request.echo)
        return await self._worker.database.read(
            balance, self._worker.definitions, self._worker.hmac_key, bodies
        )

    async def status(self) -> Status:
        """Give what there is in each state, and what stands in the way."""
        return self._worker.status()

    async def examine(self, request: ask.Examine) -> Examination:
        """Look whether the database is whole, as far as the time goes."""
        return await examine(self._worker.database, request.seconds, self._worker.clock)

    async def migrate(self) -> ask.Migrated:
        """Tell the schema's version before and after: opening the state brings it up to date.

        Of a service, whoever asks first is told what its start did; then there is nothing to do.
        """
        worker = self._worker
        before, after = worker.database.migrated
        restored = worker.restored
        worker.database.migrated, worker.restored = (after, after), None
        return ask.Migrated(before, after, str(worker.settings.directory / DATABASE), restored)

    async def migrate_plan(self) -> MigrationPlan:
        """Tell what `migrate` would do: to a state that is open, nothing more."""
        path = self._worker.settings.directory / DATABASE
        return await self._worker.database.read(plan, path)

    async def backup(self) -> AsyncIterator[Piece]:
        """Give the whole state as the bytes of one file, and before them how far that is.

        Others go on using the state meanwhile.
        """
        worker = self._worker
        worker.database.check_file()
        made = utc_ms(worker.clock.now())
        found = pieces(worker.settings.directory, worker.hmac_key, made)
        async with aclosing(found):  # whoever breaks this off breaks the copying off
            async for piece in found:
                yield piece

    @staticmethod
    async def version() -> ask.Version:
        """Give the versions of what matters."""
        return ask.Version(
            __version__, latest_version(), platform.python_version(), sqlite3.sqlite_version
        )

    def _facts(self, text: bytes, *, withdrawing: bool) -> InstanceFacts:
        facts = check_facts(decode_object(text), self._zone)
        if facts.consent is None and not withdrawing:
            raise FactsRefused(
                "consent", "null withdraws it and deletes what waits; say --yes to allow that"
            )
        return facts

    async def _document(self, instance: Instance) -> dict[str, object]:
        held = await self._worker.database.read(consumption.held, instance.id)
        accepted = acceptance(
            instance.consents,
            instance.withdrawn_through,
            civil_from_instant(self._worker.clock.now(), self._zone),
            self._worker.settings.aggregation.consent_version,
        )
        document = instance_document(instance)
        document["consent_in_force_since"] = None if accepted is None else civil_text(accepted)
        return document | {
            "consumption": [
                held_document(item, self._zone)
                for item in sorted(held, key=lambda one: FLUIDS.index(one.fluid))
            ]
        }

    async def _not_dead(self, ident: int) -> CommandRefused:
        return not_dead(await self.outbox_show(ident))

    def _view(self, day: int, as_of: str | None) -> View:
        """Give what explaining goes by: the run as of a time, or the one that counts a day."""
        worker, moment = self._worker, self._as_of(as_of)
        now = civil_from_instant(moment or worker.clock.now(), self._zone)
        plan = worker.aggregator.plan(now) if moment else worker.aggregator.next_plan(day)
        return View(
            plan=plan,
            today=day_of(now),
            is_scheduled=moment is None,
            mode=worker.settings.mode,
            sent_days=worker.settings.retention.sent_days,
            hmac_key=worker.hmac_key,
        )

    def _as_of(self, text: str | None) -> datetime | None:
        return None if text is None else self._moment("--as-of", text)

    def _moment(self, option: str, text: str) -> datetime:
        """Read a time given by hand: without offset it is civil time, else a true instant."""
        try:
            return civil_datetime(parse_civil(text, self._zone, zulu_is_wall=False))
        except ValueError as error:
            raise CommandRefused(f"{option}: found {text!r}; {error}") from None


def _is_text(word: str) -> bool:
    """Tell whether a word can be text in the database: a command line may give anything."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


def _is_id(ident: int) -> bool:
    return 0 < ident < 2**63
