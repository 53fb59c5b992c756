"""The script ``tools/dacc_echo.py`` as developers run it: started, asked over a socket, ended."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from ecolyo_worker.tools.twins.faults import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCRIPT = Path(__file__).parents[2] / "tools" / "dacc_echo.py"
# Without site packages and with warnings as errors: the bare interpreter must do.
COMMAND = [sys.executable, "-S", "-W", "error", str(SCRIPT)]
GOOD: Mapping[str, Any] = {
    "createdBy": "ecolyo",
    "measureName": "konnector-event-daily",
    "startDate": "2026-11-20",
    "value": 2,
    "group1": {"slug": "enedis"},
    "group2": {"event_type": "connexion"},
    "group3": {"status": "error"},
}
ABSENT = object()
JSON = "application/json"


@dataclass
class Reply:
    status: int
    content_type: str | None
    text: str
    headers: Mapping[str, str]

    @property
    def content(self) -> Any:
        return json.loads(self.text)


@dataclass
class Script:
    first_line: str
    url: str
    process: subprocess.Popen[str]

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        content_type: str | None = JSON,
        token: str | None = None,
    ) -> Reply:
        headers = {"Content-Type": content_type, "Authorization": token}
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request(method, path, body, {k: v for k, v in headers.items() if v})
            answer = connection.getresponse()
            text = answer.read().decode()
            headers_back = dict(answer.getheaders())
            return Reply(answer.status, headers_back.get("Content-Type"), text, headers_back)
        finally:
            connection.close()

    def post(self, indicator: object, path: str = "/measure", token: str | None = None) -> Reply:
        return self.send("POST", path, json.dumps(indicator), token=token)

    def records(self) -> Any:
        return self.send("GET", "/api/indicators").content

    def end(self) -> list[str]:
        """Stop it as systemd would; give the lines that it printed after the first."""
        self.process.send_signal(signal.SIGTERM)
        printed, errors = self.process.communicate(timeout=10)
        assert (self.process.returncode, errors) == (0, "")
        return printed.splitlines()


@contextmanager
def running(*options: str) -> Iterator[Script]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    with process:
        try:
            assert process.stdout is not None
            first_line = process.stdout.readline()
            assert first_line.startswith('url = "http://'), first_line
            yield Script(first_line, first_line.split('"')[1], process)
        finally:
            process.kill()


def ended(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=10, check=False
    )


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


def changed(**fields: object) -> dict[str, object]:
    return {name: value for name, value in {**GOOD, **fields}.items() if value is not ABSENT}


def enveloped(text: str, **more: object) -> dict[str, object]:
    return {"data": text, **more}


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
    """Not strict, what cannot be read at all is still a 500."""
    assert lenient.send("POST", "/measure", "nonsense").status == 500


def test_lines() -> None:
    """Each request is a line with time, measure, start date, value, groups and verdict."""
    with running("--fault", "ok*5,reset") as script:
        script.post(GOOD)
        script.post(GOOD)
        script.post(changed(value="x"))
        script.post(changed(measureName="\x1b[31m\nred‮", startDate="9" * 99))
        script.send("POST", "/measure", "")
        with pytest.raises(ConnectionError):
            script.post(GOOD)
        lines = [line.split("  ", 1)[1] for line in script.end()]
    start = "konnector-event-daily           2026-11-20  "
    groups = "slug=enedis event_type=connexion status=error"
    red = "\\x1b[31m\\nred\\u202e"
    assert lines == [
        f"{start}       2  {groups}  ok",
        f"{start}       2  {groups}  dup",
        f'{start}     "x"  {groups}  invalid: {NO_NUMBER}',
        f"{red:30}  {'9' * 40}…(+59)         2  {groups}  invalid: {NO_MEASURE}{red}",
        f"{'-':30}  {'-':10}  {'-':>8}  -  invalid: the body is no JSON object",
        f"{start}       2  {groups}  fault: reset",
    ]


def test_raw_lines() -> None:
    """With ``--raw`` the indicators are printed as the original script did, on one line each."""
    with running("--raw") as script:
        script.post(GOOD)
        script.post(enveloped(json.dumps(GOOD, indent=0)), "/")
        lines = script.end()
    assert lines == [
        f"data: '{json.dumps(GOOD)}'",
        "data: '" + json.dumps(GOOD, indent=0).replace("\n", "\\n") + "'",
    ]


def send_many(script: Script, count: int) -> None:
    """Send so much that its lines fill the pipe, which nobody reads."""
    body = json.dumps(changed(group1={"slug": "e" * 100}))
    connection = http.client.HTTPConnection(urlsplit(script.url).netloc, timeout=10)
    for _ in range(count):
        connection.request("POST", "/measure", body, {"Content-Type": JSON})
        connection.getresponse().read()
    connection.close()


def test_unread_output() -> None:
    """A reader that stops reading never holds up an answer, nor the end."""
    with running() as script:
        send_many(script, 600)
        assert script.send("GET", "/api/count").content["received"] == 600
        script.process.send_signal(signal.SIGTERM)
        assert script.process.wait(timeout=10) == 0


def test_output_read_late() -> None:
    """What was not yet printed at the end is printed then, if somebody reads."""
    with running() as script:
        send_many(script, 600)
        assert len(script.end()) == 600


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_end(number: signal.Signals) -> None:
    """A signal ends it with success and without a word, even with a connection open."""
    with running("--fault", "latency=1h") as script:
        netloc = urlsplit(script.url)
        with socket.create_connection((netloc.hostname, netloc.port)) as client:
            client.sendall(b"POST /measure HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
            script.send("GET", "/livez")
            script.process.send_signal(number)
            _, errors = script.process.communicate(timeout=10)
    assert (script.process.returncode, errors) == (0, "")


def test_busy_port(echo: Script) -> None:
    """A port in use is said in one sentence."""
    port = str(urlsplit(echo.url).port)
    result = ended("--port", port)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"dacc_echo: cannot listen on 127.0.0.1, port {port}: Address already in use\n"
    )


def test_wrong_fault() -> None:
    """A wrong fault is said in one sentence, with what was found and what is allowed."""
    result = ended("--port", "0", "--fault", "ok,resett*2")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.startswith("dacc_echo: --fault: 'resett*2' is no fault; allowed are ok, ")
    assert result.stderr.count("\n") == 1


def statuses(script: Script, count: int) -> list[int]:
    return [script.post(GOOD).status for _ in range(count)]


def test_seed() -> None:
    """A random seed is printed where it decides anything, and gives the same sequence again."""
    with running("--fault", "status=503@50%") as script:
        assert script.process.stderr is not None
        said = re.fullmatch(
            r"dacc_echo: --seed ([0-9]+) gives the same sequence again\n",
            script.process.stderr.readline(),
        )
        assert said is not None
        first = statuses(script, 20)
        answer = script.send("PUT", "/api/fault", "status=503@50%").content
        assert answer == {"fault": "status=503@50%", "seed": int(said[1])}
        assert statuses(script, 20) == first
    with running("--fault", "status=503@50%", "--seed", said[1]) as again:
        assert statuses(again, 20) == first
        assert again.send("PUT", "/api/fault", "reset").content == {"fault": "reset"}
        again.end()


def test_rate() -> None:
    """What comes faster than the rate allows is refused, printed, and told in the counts."""
    with running("--rate", "1/h") as script:
        assert statuses(script, 2) == [201, 429]
        assert script.send("GET", "/api/count").content["too_fast"] == 1
        refused = script.end()[1]
    assert re.search(r"  refused: 429 too many requests, for 3[0-9]{3}\.[0-9]{3} s$", refused)


@pytest.mark.parametrize(
    "options",
    [
        ["--prot", "1"],
        ["--port", "70000"],
        ["--token", ""],
        ["--token", "a b"],
        ["--seed", "-1"],
        ["--seed", "x"],
        ["--rate", "5"],
        ["--rate", "0/s"],
        ["--fail-on", "dup,nothing"],
        ["--fail-on", ""],
    ],
)
def test_wrong_options(options: list[str]) -> None:
    """Unknown options and values out of range are refused with the usage."""
    result = ended(*options)
    assert (result.returncode, result.stdout) == (2, "")
    assert "usage: dacc_echo.py" in result.stderr


def test_help() -> None:
    """The help names every option, every fault and every path of the API."""
    result = ended("--help")
    assert (result.returncode, result.stderr) == (0, "")
    options = ["host", "port", "token", "fault", "seed", "rate", "measures", "raw", "strict"]
    options += ["label", "fail-on"]
    for name in [*(f"--{option}" for option in options), *FORMS]:
        assert re.search(rf"^ *{name}\b", result.stdout, re.MULTILINE), name
    for route in ("GET /api/indicators", "DELETE /api/indicators", "PUT /api/token", "GET /readyz"):
        assert f"\n{route}  " in result.stdout
    assert "`" not in result.stdout


def test_first_line() -> None:
    """The first line is the address as the worker's configuration has it, then the page's."""
    with running() as script:
        address = r"http://127\.0\.0\.1:[1-9][0-9]*"
        line = rf'url = "({address})"  # the page: \1/\n'
        assert re.fullmatch(line, script.first_line)
        assert tomllib.loads(script.first_line) == {"url": script.url}


def test_page() -> None:
    """The page stands at the address that is printed, with the label in its title."""
    with running("--label", "my desk") as script:
        page = script.send("GET", "/")
    assert (page.status, page.content_type) == (200, "text/html; charset=utf-8")
    assert "<title>my desk · DACC echo</title>" in page.text


def failing(script: Script) -> tuple[int, str]:
    """Stop it; give its exit status, and what it said last."""
    script.process.send_signal(signal.SIGTERM)
    _, errors = script.process.communicate(timeout=10)
    return script.process.returncode, errors


LEAKY = changed(group1={"slug": "alice.mycozy.cloud"})


@pytest.mark.parametrize(
    ("kinds", "sent", "said"),
    [
        ("dup", [GOOD, GOOD, GOOD], "2 duplicates"),
        ("invalid", [changed(value="x")], "1 invalid indicator"),
        ("invalid", [changed(value="3")], "1 invalid indicator"),
        ("leak", [LEAKY], "1 leak"),
        ("dup,invalid,leak", [LEAKY, LEAKY, GOOD], "1 duplicate, 2 leaks"),
        ("dup,dup", [GOOD, GOOD], "1 duplicate"),
        ("dup,leak", [GOOD, changed(value="x")], ""),
        ("invalid", [GOOD, GOOD, LEAKY], ""),
    ],
)
def test_fail_on(kinds: str, sent: list[object], said: str) -> None:
    """With ``--fail-on`` it ends with status 1 and a sentence if such came, cleared or not."""
    with running("--fail-on", kinds) as script:
        for indicator in sent:
            script.post(indicator)
        script.send("DELETE", "/api/indicators")
        status, errors = failing(script)
    assert (status, errors) == (
        (1, f"dacc_echo: there came {said} (--fail-on)\n") if said else (0, "")
    )


def test_leak_on_the_terminal() -> None:
    """A leak is said on the terminal, with what it is and where."""
    with running() as script:
        script.post(LEAKY)
        (line,) = script.end()
    assert line.endswith("  leak: a domain name in group1.slug (alice.mycozy.cloud)")


def test_beyond_loopback() -> None:
    """Listening beyond loopback is warned of, and works."""
    with running("--host", "0.0.0.0") as script:
        assert script.process.stderr is not None
        assert "0.0.0.0 can be reached from other machines" in script.process.stderr.readline()
        assert script.send("GET", "/livez").status == 200
