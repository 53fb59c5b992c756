"""`check-config`."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.cli.output import Output, several
from ecolyo_worker.cli.session import Session
from ecolyo_worker.configuration import Reading
from ecolyo_worker.errors import ConfigurationError, Problem

__all__ = ["register"]


def register(app: App) -> None:
    """Add this command."""
    app.command(check_config)


def check_config(
    file: Path | None = None, /, *, session: Annotated[Session, Parameter(parse=False)]
) -> int:
    """Tell everything that is wrong with the settings. Ends with 78 if anything is.

    The environment counts too, and so do the files that the settings name. Nothing is asked of the
    network.

    Parameters
    ----------
    file
        The settings file; default: the one that the other commands take.
    """
    reading = session.read_settings(file)
    problems = check_settings(reading)
    for problem in problems:
        _tell(session.output, problem)
    if problems:
        session.output.talk(several(len(problems), "problem"))
        return ConfigurationError.exit_code
    _praise(session.output, file or session.settings_file(), reading)
    return 0


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
