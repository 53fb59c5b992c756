"""The events that the worker logs: each with its level, its fields, and what to make of it.

Programs that watch a log go by these names. No event is logged that is not here.
"""

from typing import Final, Literal

from msgspec import Struct

__all__ = ["EVENTS", "LogEvent"]

Level = Literal["debug", "info", "warning", "error", "critical"]

_ERROR: Final = "what it broke with, and where"
_MEASURE_ERROR: Final = "the measure, and what it broke with"
_REASON: Final = "why, in words"
_ACCOUNT: Final = "its number, for `accounts list`"
_SERIES: Final = {
    "account": _ACCOUNT,
    "series": "`daily`, `curve`, `gas_days` or `gas_periods`",
}


class LogEvent(Struct, frozen=True):
    """One kind of line of the log."""

    name: str
    level: Level
    meaning: str
    """What happened, and where it matters, what to do."""
    fields: dict[str, str] = {}
    """What each field holds."""
    repeats_by: tuple[str, ...] = ()
    """The fields in which lines of it are alike: of such, few are logged. Empty: all are."""
    is_personal: bool = False
    """Whether it is about one person: `instance` says whom, if `log.instances` is set."""


EVENTS: Final = (
    LogEvent(
        "ready",
        "info",
        "The service has started, and takes requests.",
        {
            "version": "the program's",
            "pid": "of its process",
            "state": "the state directory",
            "mode": "as `worker.mode` says",
            "http": "where the HTTP face listens, or `off`",
        },
    ),
    LogEvent(
        "a token is open to everybody",
        "warning",
        "Everybody on this machine may read or write its file: `chmod 600` it, and let the token be"
        " replaced. Told at each start; `check-config` and `doctor` call it wrong.",
        {"setting": "which token", "file": "where it is", "mode": "the file's mode, in octal"},
    ),
    LogEvent(
        "the state directory is open to others",
        "warning",
        "Others on this machine can get at it: `chmod 700` it.",
        {"reason": _REASON},
    ),
    LogEvent(
        "reloading",
        "info",
        "The settings were read again and are right: what has begun is finished, then they hold.",
        {"grace_s": "how long it waits for that, in seconds"},
    ),
    LogEvent(
        "the new settings are not taken",
        "error",
        "The settings that were read again are wrong, or nothing starts with them: those of before"
        " hold. `check-config` tells all that is wrong.",
        {"reason": _REASON},
    ),
    LogEvent(
        "stopping",
        "info",
        "The service was told to end, and finishes what has begun.",
        {"grace_s": "how long it waits for that, in seconds"},
    ),
    LogEvent(
        "stopped before all was finished",
        "warning",
        "The grace was over, or it was told a second time: what was under way is done later.",
        {"unfinished": "the parts that were at work"},
    ),
    LogEvent("stopped", "info", "The service has ended; all is closed."),
    LogEvent(
        "ended by an error",
        "error",
        "A command, or the service, ended so. On the console it is the sentence alone.",
        {"reason": _REASON, "code": "the exit code"},
    ),
    LogEvent(
        "ended by a bug",
        "critical",
        "A command, or the service, ended by a mistake of ours: please report it.",
        {"reason": _REASON, "exc_info": "where (`exception` in JSON; lines behind it elsewhere)"},
    ),
    LogEvent(
        "actor crashed and will run again",
        "error",
        "A part broke, and starts anew by itself. Five times within a minute end the worker.",
        {
            "actor": "the part",
            "error": _ERROR,
            "restarts": "how often it has by now",
            "in_s": "when it starts again, in seconds",
        },
    ),
    LogEvent(
        "actor crashed while stopping",
        "error",
        "A part broke while it was stopped: it is not started again.",
        {"actor": "the part", "error": _ERROR},
    ),
    LogEvent(
        "the watchdog is not fed",
        "error",
        "A part shows no life, so the service manager will start the service anew.",
        {"hanging": "these parts"},
        repeats_by=("hanging",),
    ),
    LogEvent(
        "the service manager is not told anything",
        "warning",
        "Its socket cannot be written. Told once, until it can be again.",
        {"reason": _REASON},
    ),
    LogEvent(
        "there is no watchdog",
        "warning",
        "The service manager's setting for it cannot be read.",
        {"reason": _REASON},
    ),
    LogEvent(
        "the database does not work",
        "error",
        "The disk is full, the file is gone, or SQLite refuses: events are refused meanwhile. Told"
        " once, when it begins. After an I/O error the service ends with 69: look at the disk."
        " Where the file is damaged it ends with 78: restore a backup.",
        {"reason": _REASON},
    ),
    LogEvent(
        "the whole database was looked through",
        "info",
        "Every table and index is sound. It is done every night, between three and four.",
        {"tables": "how many", "took_s": "how long it took, in seconds"},
    ),
    LogEvent(
        "the database works again",
        "info",
        "Something could be stored again. Told once, when it ends.",
    ),
    LogEvent(
        "no connection can be accepted",
        "warning",
        "So many files are open that no client gets in for now; those that wait for nothing go.",
        {"reason": _REASON},
        repeats_by=("reason",),
    ),
    LogEvent(
        "a library reports",
        "warning",
        "What a library that the service uses warns of, without what it filled in.",
        {"library": "its logger's name", "reason": "its words", "error": "what it broke with"},
        repeats_by=("library", "reason"),
    ),
    LogEvent(
        "the event loop reports",
        "error",
        "Something broke where nobody waits for it, a mistake of ours: please report it.",
        {"reason": "asyncio's words", "error": "what it broke with"},
        repeats_by=("reason", "error"),
    ),
    LogEvent(
        "run finished",
        "info",
        "A run counted what was waiting.",
        {"days": "how many days of people it counted", "indicators": "how many it made"},
    ),
    LogEvent(
        "the night waits: the clock may be wrong",
        "warning",
        "By the clock no night ran for longer than `aggregation.max_age_days`, and all that waits"
        " would expire. The night comes when the clock has gone evenly for an hour; until then it"
        " can be set right.",
        {"now": "the day that the clock says it is, in UTC"},
    ),
    LogEvent(
        "event broke a measure and is set aside",
        "error",
        "A measure broke on an event, a mistake of ours: it counts without it. Please report it.",
        {"seq": "the event's number in the database", "error": _MEASURE_ERROR},
        is_personal=True,
    ),
    LogEvent(
        "measure broke and makes no row",
        "error",
        "A measure broke on somebody's month, a mistake of ours. Please report it.",
        {"error": _MEASURE_ERROR},
        is_personal=True,
    ),
    LogEvent(
        "defined measures that nothing makes",
        "warning",
        "The definitions file has measures that this version does not know.",
        {"measures": "their names"},
    ),
    LogEvent(
        "indicator not delivered",
        "info",
        "An attempt to send failed; what comes of it is decided by what was answered.",
        {
            "row": "its number, for `outbox show`",
            "destination": "where it was sent, by number",
            "outcome": "the kind of failure",
            "status": "of HTTP; None where no answer came",
            "answer": "what was answered, in short",
        },
        repeats_by=("outcome", "status", "destination"),
        is_personal=True,
    ),
    LogEvent(
        "destination does not work",
        "debug",
        "An attempt failed whose destination is held back: a probe, or one that was under way.",
        {
            "row": "the indicator's number, for `outbox show`",
            "destination": "its number",
            "outcome": "the kind of failure",
            "answer": "what was answered, in short",
        },
        is_personal=True,
    ),
    LogEvent(
        "destination is held back",
        "warning",
        "Nothing more is sent there for now. Told once, when it begins.",
        {"destination": "its number", "reason": _REASON},
        is_personal=True,
    ),
    LogEvent(
        "destination works again",
        "info",
        "What was held back is sent on. Told once, when it ends.",
        {
            "destination": "its number",
            "after_s": "how long it was held back, in seconds; None if since before the last start",
            "failed": "how many attempts failed meanwhile",
        },
        is_personal=True,
    ),
    LogEvent(
        "nothing can be sent now",
        "warning",
        "The database does not work now; the sender tries again, after longer each time.",
        {"error": _REASON},
        repeats_by=("error",),
    ),
    LogEvent(
        "an energy account needs a consent",
        "warning",
        "Nothing is fetched for it until its person consents anew. Told once, when it begins.",
        {"account": _ACCOUNT, "reason": _REASON},
    ),
    LogEvent(
        "an energy account is suspended",
        "warning",
        "Enedis told a meter for a consent that this account cannot have: its person looks at it.",
        {"account": _ACCOUNT, "reason": _REASON},
    ),
    LogEvent(
        "the key of tokens cannot be used",
        "warning",
        "Nothing is fetched for energy accounts until it is put right. Told once, at the start.",
        {"reason": _REASON},
    ),
    LogEvent(
        "no token for energy data",
        "warning",
        "A provider gives no token now; it is asked again later, and no data meanwhile.",
        {"provider": "`enedis` or `grdf`", "reason": _REASON},
        repeats_by=("provider", "reason"),
    ),
    LogEvent(
        "readings are not given",
        "warning",
        "A provider answered a request for readings by something else; it is asked again, unless"
        " the reason names somebody who can help. Told once, until it changes.",
        {**_SERIES, "reason": _REASON, "code": "the provider's, or the status of HTTP"},
        repeats_by=("series", "reason"),
    ),
    LogEvent(
        "a visit was ended by a bug",
        "error",
        "One account's data broke the worker; others are visited, and this one in the next slot.",
        {
            "account": _ACCOUNT,
            "error": "its class",
            "exc_info": "where (`exception` in JSON; lines behind it elsewhere)",
        },
    ),
    LogEvent(
        "half-hours do not come",
        "warning",
        "An account has had daily values for days, and no half-hours: its holder has not switched"
        " their collection on. They are asked for all the same. Told once.",
        {"account": _ACCOUNT},
    ),
    LogEvent(
        "a series of readings is given up",
        "warning",
        "It is not asked for any more. Once the reason is gone, `accounts authorize` has it asked"
        " again.",
        {**_SERIES, "reason": _REASON},
    ),
    LogEvent(
        "readings contradict each other",
        "warning",
        "Half-hours do not come to their daily value, or gas days to their month. The days and"
        " months count; `coverage` tells the day.",
        {**_SERIES, "day": "the first one, as YYYY-MM-DD"},
    ),
    LogEvent(
        "readings were refused",
        "warning",
        "Some points of an answer are none, and the rest of it is kept. `coverage` tells the days.",
        {**_SERIES, "count": "how many", "reason": "why the first one was"},
    ),
    LogEvent(
        "an energy account is not removed yet",
        "warning",
        "Its consent at GRDF cannot be revoked now: that is tried again each hour.",
        {"account": _ACCOUNT, "reason": _REASON},
        repeats_by=("reason",),
    ),
    LogEvent(
        "old rows pruned",
        "info",
        "Sent rows were deleted, being older than `retention.sent_days`.",
        {"rows": "how many"},
    ),
    LogEvent(
        "old events pruned",
        "info",
        "Counted events were deleted, being older than `retention.events_days`.",
        {"events": "how many"},
    ),
    LogEvent(
        "old countings pruned",
        "info",
        "What nights did was deleted, being older than `retention` keeps it.",
        {"countings": "how many"},
    ),
    LogEvent(
        "the database is written anew; all else waits meanwhile",
        "info",
        "A large database is overwritten, at night, so that nothing that was deleted stays in it.",
        {"bytes": "its size"},
    ),
    LogEvent(
        "the database is written anew, which takes a while",
        "warning",
        "A command without a service overwrites what it deleted, a second for some 40 MB.",
        {"bytes": "its size"},
    ),
    LogEvent(
        "what was deleted is overwritten",
        "info",
        "No byte of what was deleted is left in the files of the database.",
        {"took_s": "how long that took, in seconds"},
    ),
    LogEvent(
        "what was deleted waits for the night",
        "info",
        "The database is large, and overwriting it would hold up all else by day.",
        {"bytes": "its size", "from_hour": "the civil hour in which it is done"},
    ),
    LogEvent(
        "a backup was put back",
        "warning",
        "What waited in it may have been delivered since, and counts as that.",
        {"made": "when the backup was made", "rows": "how many rows waited"},
    ),
    LogEvent(
        "what was deleted is not overwritten yet",
        "info",
        "Another process reads the database, or the disk is full: it is tried again later.",
        {"took_s": "how long it was tried, in seconds"},
    ),
    LogEvent(
        "the write-ahead log is not emptied",
        "warning",
        "It is large: something reads the database for long, or holds it. Told each hour until that"
        " ends; all else goes on.",
        {"bytes": "how large it is"},
    ),
    LogEvent(
        "no client can be let in",
        "warning",
        "The tokens of the HTTP face cannot be read, so that every request is refused.",
        {"reason": _REASON},
        repeats_by=("reason",),
    ),
    LogEvent(
        "a client shows a token below the first",
        "info",
        "It is good, and somebody still goes by it. It is told once of each token, and again after"
        " a start or a change of the file.",
        {"place": "which one of `http.token_file` it is, in the order of the lines, from 1"},
    ),
    LogEvent(
        "the HTTP face can be reached from other machines",
        "warning",
        "Nothing is encrypted there: put a proxy with TLS before it, or listen on 127.0.0.1.",
        {"listen": "the address", "reason": _REASON},
    ),
    LogEvent(
        "request failed: this is a bug",
        "error",
        "A request met a mistake of ours, and was answered 500. Please report it.",
        {"error": "the kind of error; its words may be a person's", "places": "where it came from"},
        repeats_by=("error", "places"),
    ),
)
"""All of them, in the order of a service's life."""
