"""`check-config` and `doctor`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ecolyo_worker import exits
from ecolyo_worker.checks.finding import Finding
from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.cli.identity import take_identity
from ecolyo_worker.cli.output import Output, several
from ecolyo_worker.cli.session import Session
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.configuration import Reading
from ecolyo_worker.errors import Problem

__all__ = ["register"]

_SIGNS = {"ok": "✔", "failed": "✖", "note": "·", "advice": "→"}
_WORDS = {"ok": "ok  ", "failed": "FAIL", "note": "note", "advice": "do:"}
_CREDENTIALS = Path("/run/credentials/ecolyo-worker.service")
_PLAIN_TERMINALS = {"dumb", "linux"}  # their fonts lack the signs


def register(app: App) -> None:
    """Add these commands."""
    app.command(check_config)
    app.command(doctor)


def check_config(
    file: Path | None = None, /, *, session: Annotated[Session, Parameter(parse=False)]
) -> int:
    """Tell everything that is wrong with the settings.

    The environment counts too, and so do the files that the settings name. Nothing is asked of the
    network.

    Parameters
    ----------
    file
        The settings file; default: the one that the other commands take.

    Returns
    -------
    78
        Something is wrong.

    Examples
    --------
    ecolyo-worker check-config /etc/ecolyo-worker/config.toml
    """
    _see_credentials()
    reading = session.read_settings(file)
    problems = check_settings(reading)
    for problem in problems:
        _tell(session.output, problem)
    if problems:
        session.output.talk(several(len(problems), "problem"))
        return exits.CONFIGURATION
    _praise(session.output, file or session.settings_file(), reading)
    return exits.OK


async def doctor(
    *, online: bool = False, session: Annotated[Session, Parameter(parse=False)]
) -> int:
    """Look whether all is well, and say what to do next where it is not.

    Nothing is changed, and no indicator is sent. Beside a running service it asks that one.

    Parameters
    ----------
    online
        Ask the DACC, or somebody's stack, whether it answers at its address.

    Returns
    -------
    1
        Something is not well.
    """
    from ecolyo_worker.checks.doctor import diagnose  # what it looks at, no other command needs

    is_well = True
    _see_credentials()
    reading = session.read_settings()
    take_identity(reading.settings.directory)
    findings = diagnose(reading, SystemClock(), session.logger("error"), online=online)
    async for finding in findings:
        is_well = is_well and finding.result != "failed"
        _show(session.output, finding)
    return exits.OK if is_well else exits.CHECK_FAILED


def _see_credentials() -> None:
    """As root, see the tokens that systemd hands to the service, as long as it runs."""
    if os.access(_CREDENTIALS, os.R_OK | os.X_OK):
        os.environ.setdefault("CREDENTIALS_DIRECTORY", str(_CREDENTIALS))


def _show(output: Output, finding: Finding) -> None:
    if output.as_json:
        output.document(finding)
        return
    marks = _SIGNS if _can_show_signs() else _WORDS
    output.line(f"{marks[finding.result]} {finding.check}: {finding.found}")
    if finding.advice is not None:
        output.line(f"{' ' * len(marks[finding.result])} {marks['advice']} {finding.advice}")


def _can_show_signs() -> bool:
    """Tell whether signs reach the reader as signs, which colour has nothing to do with."""
    try:
        "".join(_SIGNS.values()).encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return not (sys.stdout.isatty() and os.environ.get("TERM") in _PLAIN_TERMINALS)


def _tell(output: Output, problem: Problem) -> None:
    if output.as_json:
        fields = msgspec.structs.asdict(problem)
        output.document({"place": problem.place} | fields)
    else:
        output.line(f"{problem.place}: {problem.message}" if problem.place else problem.message)


def _praise(output: Output, path: Path | None, reading: Reading) -> None:
    """Say that all is right; a program is told by nothing."""
    source = "the environment and the defaults" if path is None else path
    given = several(len(reading.origins), "setting")
    sentence = f"{source}: all right; {given} given, the others are at their default"
    output.talk(sentence) if output.as_json else output.line(sentence)
