"""All checks, one after the other, each of which goes on where another failed."""

from collections.abc import AsyncIterator
from itertools import chain
from typing import TYPE_CHECKING

from ecolyo_worker.checks.directory import check_directory, kept_by_systemd
from ecolyo_worker.checks.energy import check_energy
from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.checks.machine import check_machine
from ecolyo_worker.checks.online import check_providers, check_target
from ecolyo_worker.checks.running import check_running
from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.checks.tokens import check_tokens
from ecolyo_worker.clock import Clock
from ecolyo_worker.configuration import Reading
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.measures import unknown
from ecolyo_worker.worker import rules_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["diagnose"]


async def diagnose(
    reading: Reading, clock: Clock, logger: "FilteringBoundLogger", *, online: bool
) -> AsyncIterator[Finding]:
    """Give what each check found, as it is found.

    What is wrong in the settings is at its default meanwhile. With `online` the DACC, or a stack,
    and Enedis and GRDF are asked whether they answer; nothing is ever sent.
    """
    settings = reading.settings
    for finding in chain(check_machine(settings.zone), _settings(reading)):
        yield finding
    if reading.is_lost:
        yield note("all else", "not looked at: the settings do not tell where it is")
        return
    for finding in chain(check_tokens(settings), check_directory(settings.directory)):
        yield finding
    if kept_by_systemd(settings.directory):
        yield note("all else", "not looked at: this is not the state of the service")
        return
    running = await check_running(settings, clock, logger)
    for finding in chain(check_energy(settings, running.tokens), running.findings):
        yield finding
    if online:
        asked = await check_target(settings.dacc, running.instance)
        for finding in asked + await check_providers(settings):
            yield finding


def _settings(reading: Reading) -> list[Finding]:
    problems = check_settings(reading)
    if problems:
        advice = "put it right, and look again with `ecolyo-worker check-config`"
        return [failed("settings", str(problem), advice) for problem in problems]
    return [ok("settings", "nothing is wrong with them"), _definitions(reading)]


def _definitions(reading: Reading) -> Finding:
    try:
        definitions = rules_of(reading.settings).definitions
    except ConfigurationError as error:  # it was changed just now
        return failed("definitions", str(error), "look again")
    count = len(list(definitions))
    idle = unknown(definitions)
    if idle:
        advice = "correct the name, or write its function"
        return failed("definitions", f"nothing makes {', '.join(idle)}", advice)
    return ok("definitions", f"{count} measures, each of which something makes")
