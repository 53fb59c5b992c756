"""What the script ``tools/dacc_echo.py`` answers: the tables of the DACC and of the stack."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.integration.echo_asking import GOOD
from tests.integration.echo_script import (
    ABSENT,
    JSON,
    Reply,
    Script,
    changed,
    enveloped,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared() -> Iterator[Script]:
    with running() as script:
        yield script


@pytest.fixture
def echo(shared: Script) -> Script:
    shared.send("DELETE", "/api/indicators")
    shared.send("PUT", "/api/fault", "ok")
    return shared


@pytest.fixture(scope="module")
def guarded() -> Iterator[Script]:
    with running("--token", "s3cret") as script:
        yield script


@pytest.fixture(scope="module")
def lenient() -> Iterator[Script]:
    with running("--no-strict") as script:
        yield script


NO_MEASURE = "No measure definition found for: "
NO_NUMBER = "value type is incorrect, it must be a number"
NO_FLOAT = "float() argument must be a string or a real number, not "
NO_DATE = "startDate type is incorrect, it must be a date"
NO_GROUP = "groups format is incorrect"

REFUSALS: list[tuple[str, dict[str, object], int, str | None]] = [
    ("unknown measure", {"measureName": "clicks"}, 400, NO_MEASURE + "clicks"),
    ("null measure", {"measureName": None}, 400, NO_MEASURE + "None"),
    ("numeric measure", {"measureName": 7}, 400, NO_MEASURE + "7"),
    ("listed measure", {"measureName": []}, 400, NO_MEASURE + "list"),
    (
        "wrong case",
        {"measureName": "Konnector-Event-Daily"},
        400,
        NO_MEASURE + "Konnector-Event-Daily",
    ),
    ("no measure", {"measureName": ABSENT}, 500, None),
    ("no value", {"value": ABSENT}, 400, "A value must be given"),
    ("text as value", {"value": "many"}, 400, NO_NUMBER),
    ("empty value", {"value": ""}, 400, NO_NUMBER),
    ("null value", {"value": None}, 500, NO_FLOAT + "'NoneType'"),
    ("list as value", {"value": [1]}, 500, NO_FLOAT + "'list'"),
    ("object as value", {"value": {}}, 500, NO_FLOAT + "'dict'"),
    ("huge integer", {"value": 10**400}, 500, None),
    ("no date", {"startDate": ABSENT}, 400, "startDate must be given"),
    ("empty date", {"startDate": ""}, 400, NO_DATE),
    ("word as date", {"startDate": "yesterday"}, 400, NO_DATE),
    ("no such day", {"startDate": "2026-02-30"}, 400, NO_DATE),
    ("no such hour", {"startDate": "2026-11-20T25:00"}, 400, NO_DATE),
    ("null date", {"startDate": None}, 500, None),
    ("number as date", {"startDate": 20261120}, 500, None),
    ("null group", {"group1": None}, 400, NO_GROUP),
    ("empty group", {"group2": {}}, 400, NO_GROUP),
    ("list as group", {"group3": ["error"]}, 400, NO_GROUP),
    ("text as group", {"group1": "enedis"}, 400, NO_GROUP),
    ("format before keys", {"group1": {"x": "y"}, "group3": None}, 400, NO_GROUP),
]
for number, key in ((1, "slug"), (2, "event_type"), (3, "status")):
    sentence = f"Group{number} key does not match measure definition: "
    name = f"group{number}"
    REFUSALS += [
        (f"{name} missing", {name: ABSENT}, 400, sentence + "None"),
        (f"{name} different", {name: {key.upper(): "x"}}, 400, sentence + key.upper()),
    ]
REFUSALS += [
    (
        "group1 extra",
        {"measureName": "profile-count-monthly", "group2": ABSENT, "group3": ABSENT},
        400,
        "Group1 key does not match measure definition: slug",
    ),
    (
        "group2 extra",
        {"measureName": "connection-count-daily", "group1": {"device": "mobile"}},
        400,
        "Group2 key does not match measure definition: event_type",
    ),
    (
        "group1 before group2",
        {"group1": {"a": "b"}, "group2": {"c": "d"}},
        400,
        "Group1 key does not match measure definition: a",
    ),
    ("name before value", {"measureName": "x", "value": None}, 400, NO_MEASURE + "x"),
    ("value before date", {"value": "x", "startDate": None}, 400, NO_NUMBER),
    ("date before groups", {"startDate": "", "group1": None}, 400, NO_DATE),
]
by_refusal = pytest.mark.parametrize(
    ("fields", "status", "sentence"), [case[1:] for case in REFUSALS], ids=[c[0] for c in REFUSALS]
)

# Door, variables beside the data (None: no envelope), and the target that the record names.
DOORS: list[tuple[str, dict[str, object] | None, str]] = [
    ("/measure", None, "native"),
    ("/", None, "native"),
    ("/alice/measure", None, "native"),
    ("/remote/cc.cozycloud.dacc", {}, "cozy-v1"),
    ("/remote/cc.cozycloud.dacc.dev", {}, "cozy-v1"),
    ("/remote/cc.cozycloud.dacc_v2", {"path": "measure"}, "cozy-v2"),
    ("/remote/cc.cozycloud.dacc.dev_v2", {"path": "measure"}, "cozy-v2"),
    ("/alice/remote/cc.cozycloud.dacc_v2", {"path": "measure"}, "cozy-v2"),
    ("/", {}, "cozy-v1"),
    ("/alice/", {"path": "measure"}, "cozy-v2"),
]


def sent(echo: Script, path: str, variables: object, indicator: object) -> Reply:
    text = json.dumps(indicator)
    if isinstance(variables, dict):
        text = json.dumps(enveloped(text, **variables))
    return echo.send("POST", path, text)


@pytest.mark.parametrize(("path", "variables", "target"), DOORS)
def test_good(echo: Script, path: str, variables: dict[str, object] | None, target: str) -> None:
    """A good indicator is answered 201 with the DACC's very bytes, and kept as it came."""
    reply = sent(echo, path, variables, GOOD)
    assert (reply.status, reply.content_type, reply.text) == (201, JSON, '{"ok": true}')
    (record,) = echo.records()
    assert record.pop("time").endswith("Z")
    assert record == {
        "n": 1,
        "target": target,
        "path": path,
        "stack": "alice" if path.startswith("/alice/") else "",
        "verdict": "ok",
        "fault": None,
        "body": json.dumps(GOOD),
        "indicator": GOOD,
    }


@pytest.mark.parametrize(("path", "variables"), [door[:2] for door in DOORS])
@by_refusal
def test_refused(
    echo: Script,
    path: str,
    variables: dict[str, object] | None,
    fields: dict[str, object],
    status: int,
    sentence: str | None,
) -> None:
    """What the DACC refuses is refused in its words, whichever way it came, and not kept."""
    reply = sent(echo, path, variables, changed(**fields))
    assert (reply.status, reply.content_type) == (status, JSON)
    assert list(reply.content) == ["error"]
    assert sentence is None or reply.text == json.dumps({"error": sentence})
    assert echo.records() == []


@pytest.mark.parametrize(
    ("measure", "groups"),
    [
        ("connection-count-daily", ["device"]),
        ("konnector-event-daily", ["slug", "event_type", "status"]),
        ("konnector-connected-daily", ["categories"]),
        ("navigation-count-daily", ["page"]),
        ("challenge-launch-daily", ["challenge_id"]),
        ("session-duration", ["number_pages", "session_type"]),
        ("navigation-action-daily", ["page", "feature", "params"]),
        ("event-duration", ["start_event", "end_event", "params"]),
        ("quiz-stars", ["challenge_id", "quiz_id"]),
        ("consumption-variation-monthly", ["fluid_type", "seniority", "fluid_usage"]),
        ("summary-subscription-monthly", ["event_type"]),
        ("fluid-data-granularity-monthly", ["fluid_type", "granularity"]),
        ("connection-count-monthly", []),
        ("profile-count-monthly", []),
        ("konnector-attempts-monthly", ["fluid_type", "success"]),
    ],
)
def test_measures(echo: Script, measure: str, groups: list[str]) -> None:
    """Each of the fifteen measures is taken with its own group keys."""
    fields = {f"group{n + 1}": {key: "x"} for n, key in enumerate(groups)}
    indicator = {"createdBy": "ecolyo", "measureName": measure, "startDate": "2026-11-01"}
    assert echo.post({**indicator, "value": 0.25, **fields}).status == 201
    assert [record["verdict"] for record in echo.records()] == ["ok"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", JSON),
        (b"createdBy=ecolyo", JSON),
        (b"[1, 2]", JSON),
        (b'"text"', JSON),
        (b'{"value": "\xff"}', JSON),
        (b"[" * 100_000, JSON),
        (b'{"value": ' + b"9" * 5000 + b"}", JSON),
        (json.dumps(GOOD).encode(), "text/plain"),
        (json.dumps(GOOD).encode(), None),
    ],
    ids=["empty", "form", "list", "text", "not utf-8", "deep", "long", "text/plain", "no type"],
)
def test_no_indicator(echo: Script, body: bytes, content_type: str | None) -> None:
    """What is no JSON object, or does not say that it is JSON, is a 500 with a JSON error."""
    reply = echo.send("POST", "/measure", body, content_type)
    assert (reply.status, reply.content_type, list(reply.content)) == (500, JSON, ["error"])
    assert echo.records() == []


@pytest.mark.parametrize("token", [None, "Bearer wrong", "Basic s3cret", "s3cret", "Bearer s3cre"])
def test_token_refused(guarded: Script, token: str | None) -> None:
    """Without the right bearer token the DACC's answer is its 401 in HTML."""
    reply = guarded.post(GOOD, token=token)
    assert (reply.status, reply.content_type, reply.text) == (
        401,
        "text/html",
        "Unauthorized Access",
    )
    assert reply.headers["WWW-Authenticate"] == 'Bearer realm="Authentication Required"'
    assert guarded.post({}, token=token).status == 401, "the token is looked at first"


def stack_error(status: int, title: str, detail: str) -> str:
    error = {"status": str(status), "title": title, "detail": detail, "source": {}}
    return json.dumps({"errors": [error]})


INVALID_TOKEN = '{"error": "Invalid JWT token"}'
NO_TOKEN = stack_error(401, "Unauthorized", "No token in request")
by_door_of_the_stack = pytest.mark.parametrize(
    ("path", "variables"), [door[:2] for door in DOORS if door[1] is not None]
)


@pytest.mark.parametrize(
    ("token", "status", "text"),
    [
        (None, 401, NO_TOKEN),
        ("Basic s3cret", 401, NO_TOKEN),
        ("Bearer", 401, NO_TOKEN),
        ("Bearer wrong", 400, INVALID_TOKEN),
        ("Bearer s3cre", 400, INVALID_TOKEN),
    ],
)
@by_door_of_the_stack
def test_token_refused_by_the_stack(
    guarded: Script,
    path: str,
    variables: dict[str, object],
    token: str | None,
    status: int,
    text: str,
) -> None:
    """The stack checks the app's token itself, and says what it is, in its own words."""
    reply = guarded.post(enveloped(json.dumps(GOOD), **variables), path, token)
    assert (reply.status, reply.content_type, reply.text) == (status, JSON, text)
    assert "WWW-Authenticate" not in reply.headers


def test_token_before_all_else(guarded: Script) -> None:
    """The stack looks at the token before the doctype, the method and the envelope."""
    unknown, known = "/remote/cc.cozycloud.unknown", "/remote/cc.cozycloud.dacc"
    assert guarded.send("POST", unknown, "{}").status == 401
    assert guarded.send("GET", known).status == 401
    assert guarded.send("POST", unknown, "{}", token="Bearer s3cret").status == 404
    assert guarded.send("GET", known, token="Bearer s3cret").status == 405
    assert guarded.send("POST", known, "{}", token="Bearer s3cret").status == 400


@by_door_of_the_stack
def test_token_taken_by_the_stack(guarded: Script, path: str, variables: dict[str, object]) -> None:
    """With the app's token the stack sends the indicator on, with the DACC's token of its own."""
    reply = guarded.post(enveloped(json.dumps(GOOD), **variables), path, "Bearer s3cret")
    assert (reply.status, reply.text) == (201, '{"ok": true}')


def test_token_taken(guarded: Script) -> None:
    """With the right bearer token an indicator is taken."""
    assert guarded.post(GOOD, token="Bearer s3cret").status == 201


@by_refusal
def test_not_strict(
    lenient: Script, fields: dict[str, object], status: int, sentence: str | None
) -> None:
    """Not strict, whatever is readable is answered 201 and kept, and the fault only marked."""
    lenient.send("DELETE", "/api/indicators")
    reply = lenient.post(changed(**fields))
    assert (reply.status, reply.text) == (201, '{"ok": true}')
    (record,) = lenient.records()
    assert record["verdict"].startswith(f"invalid: {sentence or ''}")


def test_not_strict_but_unreadable(lenient: Script) -> None:
    """Not strict, what cannot be read at all is answered 201, too."""
    assert lenient.send("POST", "/measure", "nonsense").status == 201
