"""The error codes of the HTTP face: each with its status, when it is given, and what to do.

Programs of hosts go by these names. No error is answered whose code is not here.
"""

from typing import Final

from msgspec import Struct

__all__ = [
    "ACTOR_DEAD",
    "BAD_REQUEST",
    "BUSY",
    "CODES",
    "DATABASE_BUSY",
    "DATABASE_FAILING",
    "DISK_FULL",
    "HEAD_TOO_LARGE",
    "HTTP_VERSION",
    "IMPOSSIBLE",
    "INTERNAL",
    "INVALID_JSON",
    "INVALID_QUERY",
    "METHOD_NOT_ALLOWED",
    "MISCONFIGURED",
    "MODE_OFF",
    "NOT_ALIVE",
    "NOT_FOUND",
    "NOT_READY",
    "REFUSED",
    "STARTING",
    "STATE_MISSING",
    "STOPPING",
    "TOO_LARGE",
    "TOO_MANY",
    "TOO_SLOW",
    "UNAUTHORIZED",
    "UNAVAILABLE",
    "UNSUPPORTED_ENCODING",
    "ErrorCode",
]


class ErrorCode(Struct, frozen=True):
    """One kind of error that a client may be answered."""

    name: str
    status: int
    meaning: str
    """When it is given."""
    advice: str
    """What the client, or whoever runs it, does."""
    retry_after_s: int | None = None
    """What the header `Retry-After` says; None: there is none."""


BAD_REQUEST: Final = ErrorCode(
    "bad_request",
    400,
    "What came is no valid HTTP, or could be read in two ways.",
    "Send it by a client library; look what a proxy makes of it.",
)
INVALID_JSON: Final = ErrorCode(
    "invalid_json",
    400,
    "The body as a whole is no JSON, or empty.",
    "Mend the body. Lines of NDJSON want the type `application/x-ndjson`.",
)
INVALID_QUERY: Final = ErrorCode(
    "invalid_query",
    400,
    "The query of the address has something else than `instance`, or has it twice.",
    "Leave out what is named.",
)
UNAUTHORIZED: Final = ErrorCode(
    "unauthorized",
    401,
    "No token was shown, or a wrong one.",
    "Show the one of `http.token_file`: `Authorization: Bearer …`.",
)
NOT_FOUND: Final = ErrorCode(
    "not_found",
    404,
    "There is nothing at this path, or the instance is not known.",
    "Look at the path; of an instance that is to be deleted nothing is left to do.",
)
METHOD_NOT_ALLOWED: Final = ErrorCode(
    "method_not_allowed",
    405,
    "The path has other methods.",
    "Use one of those that the header `Allow` names.",
)
TOO_SLOW: Final = ErrorCode(
    "too_slow",
    408,
    "The head of the request took more than 10 s to arrive, or the body more than 30 s.",
    "Send it again, all at once.",
)
MODE_OFF: Final = ErrorCode(
    "mode_off",
    409,
    "`worker.mode` is `off`: no event is taken.",
    "Keep the events, or do without: whoever runs the worker wants none.",
)
IMPOSSIBLE: Final = ErrorCode(
    "refused",
    409,
    "What was asked for cannot be done now, for the reason in the message.",
    "Read the message; the same request is refused again.",
)
TOO_LARGE: Final = ErrorCode(
    "too_large",
    413,
    "The body has more than 1 MiB.",
    "Cut it into several requests.",
)
TOO_MANY: Final = ErrorCode(
    "too_many",
    413,
    "The body has more than 10,000 events.",
    "Cut it into several requests.",
)
UNSUPPORTED_ENCODING: Final = ErrorCode(
    "unsupported_encoding",
    415,
    "The body is compressed, or encoded otherwise.",
    "Send it as it is, without `Content-Encoding`.",
)
REFUSED: Final = ErrorCode(
    "refused",
    422,
    "A field is not what it must be; `details` has its `field` and `reason`. Nothing was taken.",
    "Mend the field. The same request is refused again.",
)
HEAD_TOO_LARGE: Final = ErrorCode(
    "head_too_large",
    431,
    "The head has more than 16 KiB, or more than 100 lines.",
    "Send fewer headers.",
)
INTERNAL: Final = ErrorCode(
    "internal",
    500,
    "A mistake of ours.",
    "Report it, with the line of the log `request failed: this is a bug`. Events may be sent"
    " again: those with an `_id` are stored once.",
)
BUSY: Final = ErrorCode(
    "busy",
    503,
    "More waits to be stored than `intake.max_waiting` allows, or more than 200 connections are"
    " open. Nothing was taken.",
    "Send the same again after the time that `Retry-After` names.",
    retry_after_s=1,
)
NOT_READY: Final = ErrorCode(
    "not_ready",
    503,
    "The service is starting or stopping. Nothing was taken.",
    "Send the same again after the time that `Retry-After` names.",
    retry_after_s=1,
)
MISCONFIGURED: Final = ErrorCode(
    "misconfigured",
    503,
    "The service cannot read its own token, so that nobody can be let in.",
    "Whoever runs it looks into its log, and mends the file of `http.token_file`.",
)
UNAVAILABLE: Final = ErrorCode(
    "unavailable",
    503,
    "The database takes nothing now: a full disk, for one. Nothing was taken.",
    "Send the same again after the time that `Retry-After` names; whoever runs the service asks"
    " `doctor`.",
    retry_after_s=10,
)
HTTP_VERSION: Final = ErrorCode(
    "http_version",
    505,
    "The request is of another version of HTTP than 1.0 or 1.1.",
    "Use 1.1.",
)
NOT_ALIVE: Final = ErrorCode(
    "not_alive",
    503,
    "`/livez`: parts of the worker show no life; `details` names them.",
    "Start the service anew; under systemd the watchdog does.",
)
STARTING: Final = ErrorCode(
    "starting", 503, "`/readyz`: the service has not started yet.", "Wait: nothing is wrong."
)
STOPPING: Final = ErrorCode(
    "stopping", 503, "`/readyz`: the service is being stopped.", "Send requests elsewhere."
)
ACTOR_DEAD: Final = ErrorCode(
    "actor_dead",
    503,
    "`/readyz`: a part of the worker has crashed or hangs.",
    "Look into the log; a part that crashed is started again by itself.",
)
STATE_MISSING: Final = ErrorCode(
    "state_missing",
    503,
    "`/readyz`: the state directory cannot be reached.",
    "Look whether its disk is mounted.",
)
DISK_FULL: Final = ErrorCode(
    "disk_full", 503, "`/readyz`: less than 16 MiB are left on the disk.", "Make space."
)
DATABASE_BUSY: Final = ErrorCode(
    "database_busy",
    503,
    "`/readyz`: the database did not answer within 5 s.",
    "Wait; if it lasts, look for a process that reads the database, or a slow disk.",
)
DATABASE_FAILING: Final = ErrorCode(
    "database_failing",
    503,
    "`/readyz`: the database cannot be read or written.",
    "Ask `doctor`. It works on as soon as the database does.",
)

CODES: Final = tuple(one for one in list(globals().values()) if isinstance(one, ErrorCode))
"""All of them: those of requests, then those of `/livez` and `/readyz`."""
