"""The application: the options of every command, and what an error ends with."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from inspect import iscoroutinefunction
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import App, CoercionError, CycloptsError, Group, Parameter

from ecolyo_worker import exits
from ecolyo_worker.cli import (
    accounts,
    backup,
    chart,
    checking,
    completion,
    config,
    consumption,
    coverage,
    demo,
    events,
    explain,
    instances,
    outbox,
    polling,
    runs,
    service,
    state,
)
from ecolyo_worker.cli.files import STDIN
from ecolyo_worker.cli.output import Output, PipeConsole
from ecolyo_worker.cli.session import Session
from ecolyo_worker.errors import EcolyoError, quote
from ecolyo_worker.settings import LogFormat, LogLevel

__all__ = ["READING_ORDER", "app", "run"]

_NUMBERS: dict[type | None, str] = {float: "a number", int: "a whole number"}
_HELP = ("--help", "-h")

READING_ORDER = (
    "demo",
    "run",
    "events",
    "instances",
    "accounts",
    "poll",
    "coverage",
    "consumption",
    "chart",
    "preview",
    "aggregate",
    "explain",
    "send",
    "outbox",
    "reconcile",
    "status",
    "check-config",
    "config",
    "doctor",
    "backup",
    "migrate",
    "version",
    "--install-completion",
)
"""The commands and groups as a newcomer reads of them: in the help, the README and the page."""


def _place_of(name: str) -> int:
    return READING_ORDER.index(name) if name in READING_ORDER else len(READING_ORDER)


app = App(
    name="ecolyo-worker",
    help="Counts the usage events of the Ecolyo app into anonymised indicators, and delivers them"
    " to the DACC. `ecolyo-worker demo` shows it all.",
    version_flags=(),
    help_flags=_HELP,
    # Else it ends the process itself, and says nothing.
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(
        negative=(), show_default=lambda value: None if value in {None, False} else str(value)
    ),
)
app.meta.default_parameter = app.default_parameter
app.meta.suppress_keyboard_interrupt = False
app.group_parameters = Group("Options", sort_key=1)
app.meta.group_parameters = Group("Options of every command", sort_key=2)
for _module in (
    demo,
    service,
    events,
    instances,
    accounts,
    polling,
    coverage,
    consumption,
    chart,
    outbox,
    runs,
    explain,
    state,
    backup,
    checking,
    completion,
    config,
):
    _module.register(app)
for _place, _name in enumerate(sorted(app, key=_place_of)):
    app[_name].sort_key = _place
    for _within, _command in enumerate(app[_name]):
        app[_name][_command].sort_key = _within
        app[_name][_command].group_parameters = app.group_parameters


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Path | None = None,
    state_dir: Path | None = None,
    json: bool = False,
    log_format: LogFormat | None = None,
    log_level: LogLevel | None = None,
) -> int:
    """Run a command.

    Parameters
    ----------
    config
        The settings file; default: $ECOLYO_CONFIG, else /etc/ecolyo-worker/config.toml.
    state_dir
        Where everything is kept; default: the setting, else your state folder.
    json
        Print data as JSON, one object per line.
    log_format
        How log lines look on stderr; default: the setting, else console.
    log_level
        The least level that is logged; default: the setting, else warning, and for the service
        info.
    """
    session = Session(config, state_dir, log_format, log_level, Output(as_json=json))
    # The parser takes a lone hyphen for an option.
    words = [str(STDIN) if word == "-" else word for word in tokens]
    command, bound, given = app.parse_args(words, exit_on_error=False, print_error=False)
    call = partial(command, *bound.args, **bound.kwargs, **dict.fromkeys(given, session))
    try:
        code = anyio.run(call) if iscoroutinefunction(command) else call()
    except EcolyoError as error:
        session.fail(error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  the edge: every error ends in an exit code
        return _failed(error, session)
    finally:
        session.logging.repeats.tell_rest()
    return int(code or 0)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and give its exit code; only `KeyboardInterrupt` is raised."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where the terminal lacks a character
    try:
        if not set(_HELP).isdisjoint(arguments):
            from ecolyo_worker.cli.manual import add_epilogues  # what it reads with is slow to load

            add_epilogues(app)
        code = app.meta(
            arguments,
            console=PipeConsole(),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        return int(code or 0)
    except CycloptsError as error:
        command = " ".join(["ecolyo-worker", *(error.command_chain or ())])
        sys.stderr.write(f"error: {_words(error)}\ntry: {command} --help\n")
        return exits.USAGE
    except Exception as error:  # noqa: BLE001  what no command raised: its output cannot be written
        return _failed(error, Session(None, None, "console", None, Output(as_json=False)))


def _words(error: CycloptsError) -> str:
    """Say what is wrong with an option; where it is no number, as all else says it."""
    if isinstance(error, CoercionError) and error.token is not None:
        name = error.token.keyword or (error.argument.name if error.argument is not None else "")
        if (kind := _NUMBERS.get(error.target_type)) is not None:
            return f"{name}: found {quote(error.token.value)}; allowed: {kind}"
    return str(error)


def _failed(error: Exception, session: Session) -> int:
    """End for an error that no command expects: the output's reader left, a full disk, a bug."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return _failed(error.exceptions[0], session)
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has what it wanted; Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, OSError):
        sys.stderr.write(f"error: cannot go on: {error}\n")
        return exits.UNAVAILABLE
    session.fail_by_bug(error)
    return exits.BUG
