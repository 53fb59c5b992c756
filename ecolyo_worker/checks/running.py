"""The service and the database, which is asked over the control socket while a service runs."""

from collections import Counter
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from ecolyo_worker import requests as ask
from ecolyo_worker.checks.energy import Trouble, check_accounts, check_troubles
from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.clock import DAY_MS, Clock, civil_from_instant, civil_text, instant_text, utc_ms
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import (
    CommandRefused,
    ConfigurationError,
    EcolyoError,
    StateRefused,
    StoreOwned,
)
from ecolyo_worker.health import ActorHealth
from ecolyo_worker.service.client import running_service
from ecolyo_worker.settings import Settings
from ecolyo_worker.store.examining import Examination
from ecolyo_worker.store.owner import last_owner
from ecolyo_worker.store.status import Status, energy_advice, trouble_advice
from ecolyo_worker.worker import Worker

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Running", "check_running", "check_service"]

# While a table is looked through, events wait for the database.
_EXAMINE_S = 2.0
# So many are looked at to find one whose stack can be asked.
_MOST_PEOPLE = 100
_MOST_TROUBLES = 5
# In these states of an account, what is wrong with it is told by nothing else.
_ASKED = {"authorized", "meter_known", "active"}
_CLOCK_SLACK = timedelta(minutes=1)


class Running(Struct, frozen=True):
    """What was found in the state, where it could be looked at."""

    findings: list[Finding]
    instance: str | None = None
    """Somebody whose stack can be asked, if there is one."""
    tokens: int = 0
    """How many tokens of people's rest on the key that they are encrypted with."""


async def check_running(
    settings: Settings, clock: Clock, logger: "FilteringBoundLogger"
) -> Running:
    """Ask the service that runs on the state, or open the state for a moment; nothing is changed.

    A database that another process has is left alone.
    """
    findings: list[Finding] = []
    try:
        async with running_service(settings.directory) as commands:
            if commands is not None:
                return await _asked(commands, settings, clock, findings, is_service=True)
            async with Worker(settings, clock=clock, logger=logger).reading() as worker:
                commands = Commands(worker)
                return await _asked(commands, settings, clock, findings, is_service=False)
    except EcolyoError as error:
        findings.append(_closed(error))
    return Running(findings)


async def _asked(
    commands: Commands,
    settings: Settings,
    clock: Clock,
    findings: list[Finding],
    *,
    is_service: bool,
) -> Running:
    status = await commands.status()
    process = last_owner(settings.directory) if is_service else None
    findings += (
        check_service(status.version, process, status.tasks) if is_service else [_no_service()]
    )
    found = await commands.examine(ask.Examine(_EXAMINE_S))
    findings += [_database(found), *_times(found, settings, clock)]
    findings += check_accounts(status)
    findings += check_troubles(await _troubles(commands), status.pauses)
    findings += _sending(status)
    return Running(findings, await _somebody(commands), found.tokens)


async def _troubles(commands: Commands) -> dict[Trouble, int]:
    """Give what is wrong with accounts that are asked for, the most frequent first."""
    counts = Counter[Trouble]()
    async with aclosing(commands.accounts_list(ask.AccountsList())) as found:  # type: ignore[type-var]
        async for one in found:
            if one.state in _ASKED and one.reason is not None:
                counts[Trouble(one.provider, one.reason, one.word)] += 1
    return dict(counts.most_common(_MOST_TROUBLES))


async def _somebody(commands: Commands) -> str | None:
    """Give the first person whose consent is in force, or else the first of all."""
    first: str | None = None
    count = 0
    async with aclosing(commands.instances_list()) as people:  # type: ignore[type-var]
        async for person in people:
            name = str(person["instance"])
            first, count = first or name, count + 1
            if person["consent_in_force_since"] is not None:
                return name
            if count == _MOST_PEOPLE:
                break
    return first


def _no_service() -> Finding:
    return note(
        "service", "none runs on this state", "start it: `systemctl start ecolyo-worker`, or `run`"
    )


def check_service(version: str, process: int | None, parts: list[ActorHealth]) -> list[Finding]:
    """Say of a service that runs which one it is, and which of its parts do not work."""
    findings = [ok("service", f"ecolyo-worker {version} runs as process {process}")]
    for part in parts:
        if not part.alive:
            state = "hangs" if part.state == "working" else f"is {part.state}"
            found = f"its {part.name} {state}{f': {part.error}' if part.error else ''}"
            findings.append(failed("service", found, "look at its log, and restart it"))
    return findings


def _database(found: Examination) -> Finding:
    if found.damage:
        words = "; ".join(found.damage[:3])
        advice = "stop the service, keep the files as they are, and restore a backup"
        return failed("database", f"it is damaged: {words}", advice)
    tables = f"schema {found.schema}, {found.checked} of {found.tables} tables looked through"
    late = "" if found.checked == found.tables else f"; the others take more than {_EXAMINE_S:g} s"
    return ok("database", f"{tables}, nothing is damaged{late}")


def _sending(status: Status) -> list[Finding]:
    """Say what keeps events from being stored, or indicators from being sent.

    What nobody chose so is wrong.
    """
    trouble = trouble_advice(status.trouble)
    told = trouble + energy_advice(
        status.accounts, status.suspect_days, status.unread_days, status.pauses
    )
    states = status.destination_states
    is_wrong = states["paused"] or states["open"] or status.outbox["dead"]
    advice = "put it right; `ecolyo-worker status` tells more"
    return [failed("database", words, "put it right") for words in trouble] + [
        failed("sending", words, advice) if is_wrong else note("sending", words)
        for words in status.advice
        if words not in told
    ]


def _times(found: Examination, settings: Settings, clock: Clock) -> list[Finding]:
    now = clock.now()
    shown = instant_text(utc_ms(now))
    if found.latest is not None and found.latest > instant_text(utc_ms(now + _CLOCK_SLACK)):
        words = f"it is {shown}, and something was written at {found.latest}"
        return [failed("clock", words, "set this machine's clock right, and keep it so by NTP")]
    findings = [ok("clock", f"{shown}, later than all that was written")]
    event, tomorrow = found.latest_event, civil_from_instant(now, settings.civil_zone) + DAY_MS
    if event is not None and event > civil_text(tomorrow):
        words = f"the event that came last is of {event}, which is to come"
        findings.append(note("clock", words, "compare this clock with that of who sends events"))
    return findings


def _closed(error: EcolyoError) -> Finding:
    """Say why the database could not be looked at."""
    words = str(error)
    match error:
        case StoreOwned():
            advice = (
                "ask again when that has ended; a host that embeds the worker can be asked itself"
            )
            return note("database", words, advice)
        case ConfigurationError():
            return note("database", "not looked at", "put the settings right, and ask again")
        case CommandRefused():
            return note("database", words, "start the service, or `ecolyo-worker migrate`")
        case StateRefused():
            return failed("database", words, "do what it says; keep the files until it works")
        case _:
            return failed("database", words, "do what it says, and ask again")
