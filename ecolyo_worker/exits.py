"""What a command ends with: each exit code, whose turn it is then, and what to do.

Scripts and service managers go by these numbers, most of which are those of BSD's `sysexits.h`. No
command ends with one that is not here.
"""

from typing import Final

from msgspec import Struct

__all__ = [
    "BAD_DATA",
    "BUG",
    "CHECK_FAILED",
    "CONFIGURATION",
    "EXIT_CODES",
    "INTERRUPTED",
    "OK",
    "OWNED",
    "TRY_AGAIN",
    "UNAVAILABLE",
    "USAGE",
    "ExitCode",
]

OK: Final = 0
CHECK_FAILED: Final = 1
USAGE: Final = 64
BAD_DATA: Final = 65
UNAVAILABLE: Final = 69
BUG: Final = 70
OWNED: Final = 73
TRY_AGAIN: Final = 75
CONFIGURATION: Final = 78
INTERRUPTED: Final = 130


class ExitCode(Struct, frozen=True):
    """An exit code."""

    code: int
    meaning: str
    who: str
    """Who must act."""
    advice: str
    any_command: bool = True
    """Whether every command may end with it; else its help says when."""


EXIT_CODES: Final = (
    ExitCode(OK, "All is done.", "nobody", "–"),
    ExitCode(
        CHECK_FAILED,
        "A check found something.",
        "operator",
        "Read what it printed: each finding says what to do next.",
        any_command=False,
    ),
    ExitCode(
        USAGE,
        "The command cannot be done as it was asked for.",
        "caller",
        "Ask differently: the message says how, `--help` what there is.",
    ),
    ExitCode(
        BAD_DATA,
        "Some input is not what it must be.",
        "caller",
        "Correct what is named by line and field, and give it again: of a file the good lines are"
        " in, and giving them twice does no harm where each event has an `_id`.",
    ),
    ExitCode(
        UNAVAILABLE,
        "The database, the service or the output does not work now: nothing of the request was"
        " done, or it is not known.",
        "operator",
        "Read the message: a full disk, a service that hangs, one of another version.",
    ),
    ExitCode(
        BUG,
        "A mistake of ours, or a part of the service that crashed again and again.",
        "us",
        "Report it, with the lines above the message. The service can be started again.",
    ),
    ExitCode(
        OWNED,
        "Another process owns the state directory, and has no service to ask.",
        "operator",
        "Wait until the process that is named has ended, or end it; if it is a service, look why it"
        " does not answer.",
    ),
    ExitCode(
        TRY_AGAIN,
        "Not now: too much waits to be stored, what is left to send must wait, readings cannot be"
        " fetched, or a consent cannot be revoked.",
        "caller",
        "Do the same again later.",
        any_command=False,
    ),
    ExitCode(
        CONFIGURATION,
        "The settings, or the state directory, cannot be used. Nothing was changed.",
        "operator",
        "`check-config` tells all that is wrong with the settings, `doctor` what is wrong with the"
        " state. A restart mends neither.",
    ),
    ExitCode(
        INTERRUPTED,
        "Ctrl-C or SIGTERM ended the command; what was accepted is kept. (`run` ends with 0 then.)",
        "nobody",
        "Give the command again, if it was not meant.",
    ),
)
"""All of them, by their number."""
