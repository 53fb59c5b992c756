"""What the DACC and the stack answer, row by row as it was observed: status, type and bytes."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "Bearer s3cret"
JSON, HTML, TEXT = "application/json", "text/html", "text/plain; charset=UTF-8"
V1, V2 = "/remote/cc.cozycloud.dacc", "/remote/cc.cozycloud.dacc_v2"

# Two groups, so that a third one is too many.
HEAD = '"createdBy": "ecolyo", "measureName": "quiz-stars"'
DATE, VALUE = '"startDate": "2026-11-20"', '"value": 2'
GROUP1, GROUP2 = '"group1": {"challenge_id": "C1"}', '"group2": {"quiz_id": "Q1"}'
GROUPS = f"{GROUP1}, {GROUP2}"
GOOD = f"{{{HEAD}, {DATE}, {VALUE}, {GROUPS}}}"

# What the DACC says in words that were not observed: JSON with nothing but an error.
ERROR = None

NO_MEASURE = '{"error": "No measure definition found for: %s"}'
NO_VALUE = '{"error": "A value must be given"}'
NO_NUMBER = '{"error": "value type is incorrect, it must be a number"}'
NO_FLOAT = '{"error": "float() argument must be a string or a real number, not \'%s\'"}'
NO_START = '{"error": "startDate must be given"}'
NO_DATE = '{"error": "startDate type is incorrect, it must be a date"}'
NO_GROUP = '{"error": "groups format is incorrect"}'
OTHER_KEY = '{"error": "Group%d key does not match measure definition: %s"}'


def measured(value: str) -> str:
    return f"{{{HEAD}, {DATE}, {value}, {GROUPS}}}"


def dated(date: str) -> str:
    return f"{{{HEAD}, {date}, {VALUE}, {GROUPS}}}"


def grouped(*groups: str) -> str:
    return f"{{{', '.join([HEAD, DATE, VALUE, *groups])}}}"


# What is sent, and what the DACC answers.
BY_THE_DACC: list[tuple[str, int, str | None]] = [
    (GOOD, 201, '{"ok": true}'),
    (GOOD.replace("quiz-stars", "clicks"), 400, NO_MEASURE % "clicks"),
    (GOOD.replace('"quiz-stars"', "null"), 400, NO_MEASURE % "None"),
    (GOOD.replace("quiz-stars", "Quiz-Stars"), 400, NO_MEASURE % "Quiz-Stars"),
    (f"{{{HEAD}, {DATE}, {GROUPS}}}", 400, NO_VALUE),
    (measured('"value": "many"'), 400, NO_NUMBER),
    (measured('"value": null'), 500, NO_FLOAT % "NoneType"),
    (measured('"value": [2]'), 500, NO_FLOAT % "list"),
    (measured('"value": {}'), 500, NO_FLOAT % "dict"),
    (f"{{{HEAD}, {VALUE}, {GROUPS}}}", 400, NO_START),
    (dated('"startDate": ""'), 400, NO_DATE),
    (dated('"startDate": "yesterday"'), 400, NO_DATE),
    (dated('"startDate": null'), 500, ERROR),
    (dated('"startDate": 20261120'), 500, ERROR),
    (grouped('"group1": null', GROUP2), 400, NO_GROUP),
    (grouped(GROUP1, '"group2": {}'), 400, NO_GROUP),
    (grouped('"group1": ["C1"]', GROUP2), 400, NO_GROUP),
    (grouped(GROUP1, '"group2": "Q1"'), 400, NO_GROUP),
    (grouped(), 400, OTHER_KEY % (1, "None")),
    (grouped(GROUP1), 400, OTHER_KEY % (2, "None")),
    (grouped('"group1": {"quiz": "C1"}', GROUP2), 400, OTHER_KEY % (1, "quiz")),
    (grouped(GROUPS, '"group3": {"more": "x"}'), 400, OTHER_KEY % (3, "more")),
    (grouped('"group1": {"a": "x"}', '"group2": {"b": "y"}'), 400, OTHER_KEY % (1, "a")),
    (grouped(GROUP1, '"group2": {"b": "y"}', '"group3": {"c": "z"}'), 400, OTHER_KEY % (2, "b")),
    (GOOD.replace('"measureName": "quiz-stars", ', ""), 500, ERROR),
    ("createdBy=ecolyo", 500, ERROR),
    (f"[{GOOD}]", 500, ERROR),
    ("", 500, ERROR),
    # What it does not notice: only a first key, no group value, no unknown field.
    (GOOD.replace('"C1"', '"C1", "more": "x"'), 201, '{"ok": true}'),
    (GOOD.replace('"C1"', "7"), 201, '{"ok": true}'),
    (measured(f'{VALUE}, "instance": "alice"'), 201, '{"ok": true}'),
    # What it says yes to, and its database refuses or is spoilt by.
    (measured('"value": true'), 201, '{"ok": true}'),
    (measured('"value": 1e10'), 201, '{"ok": true}'),
    (measured('"value": Infinity'), 201, '{"ok": true}'),
    (measured('"value": NaN'), 201, '{"ok": true}'),
    (dated('"startDate": "2022-01"'), 201, '{"ok": true}'),
    (dated('"startDate": "13/04/2022"'), 201, '{"ok": true}'),
    (GOOD.replace('"C1"', f'"{"C" * 101}"'), 201, '{"ok": true}'),
]


class Case(NamedTuple):
    """A request, and the answer to it."""

    path: str
    status: int
    body: str | None
    content_type: str = JSON
    method: str = "POST"
    sent: str = GOOD
    token: str | None = TOKEN
    declared: str | None = JSON
    fault: str = "ok"


def stack_error(status: int, title: str, detail: str) -> str:
    return (
        f'{{"errors": [{{"status": "{status}", "title": "{title}", "detail": "{detail}", '
        '"source": {}}]}'
    )


ENVELOPE = json.dumps({"data": GOOD})
ENVELOPE_V2 = json.dumps({"data": GOOD, "path": "measure"})
HTML_REFUSED = stack_error(
    502, "Bad Gateway", "the content-type for the response is not authorized"
)
CANT_CONNECT = stack_error(502, "Bad Gateway", "can't connect to the remote host")
NO_VARIABLE = stack_error(
    400, "Bad request", "a variable is used in the template, but no value was given"
)
NOT_VALID = stack_error(400, "Bad request", "the variables are not valid")

OTHERWISE: dict[str, Case] = {
    # The DACC: its token, its content type, its paths and methods.
    "no token": Case("/measure", 401, "Unauthorized Access", HTML, token=None),
    "wrong token": Case("/measure", 401, "Unauthorized Access", HTML, token="Bearer other"),
    "no bearer": Case("/measure", 401, "Unauthorized Access", HTML, token="Basic s3cret"),
    "by fault": Case("/measure", 401, "Unauthorized Access", HTML, fault="html-401"),
    "wrong type": Case("/measure", 500, ERROR, declared="text/plain"),
    "no type": Case("/measure", 500, ERROR, declared=None),
    "another path": Case("/measures", 404, ERROR),
    "another method": Case("/measure", 405, ERROR, method="GET"),
    # The stack: what it makes of the DACC's answer.
    "html behind v1": Case(V1, 502, HTML_REFUSED, sent=ENVELOPE, fault="html-401"),
    "html behind v2": Case(V2, 502, HTML_REFUSED, sent=ENVELOPE_V2, fault="html-401"),
    "html by name": Case(V1, 502, HTML_REFUSED, sent=ENVELOPE, fault="cozy-502"),
    "unreachable": Case(V1, 502, CANT_CONNECT, sent=ENVELOPE, fault="cant-connect"),
    "no answer": Case(V1, 502, CANT_CONNECT, sent=ENVELOPE, fault="accept-then-cant-connect"),
    # The stack: the envelope and its own DACC token.
    "no data": Case(V1, 400, NO_VARIABLE, sent="{}"),
    "no data in v2": Case(V2, 400, NO_VARIABLE, sent='{"path": "measure"}'),
    "no path": Case(V2, 400, NO_VARIABLE, sent=ENVELOPE),
    "no DACC token": Case(V1, 400, NO_VARIABLE, sent=ENVELOPE, fault="no-token-at-stack"),
    "data is an object": Case(V1, 400, NOT_VALID, sent=f'{{"data": {GOOD}}}'),
    "data is null": Case(V1, 400, NOT_VALID, sent='{"data": null}'),
    "path is a number": Case(V2, 400, NOT_VALID, sent='{"data": "{}", "path": 1}'),
    # The stack: the doctype and the method.
    "unknown doctype": Case(
        "/remote/cc.cozycloud.daccv_2",
        404,
        stack_error(404, "Not Found", "the doctype has no request defined"),
        sent=ENVELOPE,
    ),
    "bad doctype": Case(
        V1,
        400,
        stack_error(400, "Bad request", "the request is not valid"),
        sent=ENVELOPE,
        fault="bad-doctype",
    ),
    "GET": Case(
        V1,
        405,
        stack_error(405, "Method Not Allowed", "GET is not allowed on this endpoint"),
        method="GET",
    ),
    # The stack: the app's token.
    "no app token": Case(
        V1,
        401,
        stack_error(401, "Unauthorized", "No token in request"),
        sent=ENVELOPE,
        token=None,
    ),
    "no permission": Case(
        V1, 403, stack_error(403, "Forbidden", "Forbidden"), sent=ENVELOPE, fault="forbidden"
    ),
    "expired": Case(V1, 400, '{"error": "Expired token"}', sent=ENVELOPE, fault="expired-token"),
    "invalid": Case(V1, 400, '{"error": "Invalid JWT token"}', sent=ENVELOPE, token="Bearer x"),
    "invalid, as text": Case(
        V1, 400, "Invalid JWT token", TEXT, sent=ENVELOPE, fault="invalid-jwt"
    ),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[EchoServer]:
    with EchoServer(token=TOKEN.removeprefix("Bearer ")) as server:
        yield server


@pytest.fixture
def echo(shared: EchoServer) -> EchoServer:
    shared.received.clear()
    shared.faults.replace("ok")
    return shared


def check(echo: EchoServer, case: Case) -> http.client.HTTPResponse:
    """Ask, and compare the whole answer."""
    echo.faults.replace(case.fault)
    headers = {"Content-Type": case.declared, "Authorization": case.token}
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    try:
        given = {name: value for name, value in headers.items() if value is not None}
        connection.request(case.method, case.path, case.sent.encode(), given)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    assert (answer.status, answer.getheader("Content-Type")) == (case.status, case.content_type)
    if case.body is ERROR:
        assert list(json.loads(body)) == ["error"]
    else:
        assert body == case.body.encode()
    return answer


@pytest.mark.parametrize("door", ["native", "cozy-v1", "cozy-v2"])
@pytest.mark.parametrize(("sent", "status", "body"), BY_THE_DACC)
def test_the_dacc_answers(
    echo: EchoServer, sent: str, status: int, body: str | None, door: str
) -> None:
    """What the DACC answers comes word for word, directly and through a stack of either version."""
    through = {
        "native": Case("/measure", status, body, sent=sent),
        "cozy-v1": Case(V1, status, body, sent=json.dumps({"data": sent})),
        "cozy-v2": Case(V2, status, body, sent=json.dumps({"data": sent, "path": "measure"})),
    }
    check(echo, through[door])


@pytest.mark.parametrize("name", OTHERWISE)
def test_other_answers(echo: EchoServer, name: str) -> None:
    """What is no matter of the indicator is answered word for word, too."""
    answer = check(echo, OTHERWISE[name])
    challenge = 'Bearer realm="Authentication Required"' if answer.status == 401 else None
    by_stack = OTHERWISE[name].path.startswith("/remote/")
    assert answer.getheader("WWW-Authenticate") == (None if by_stack else challenge)
