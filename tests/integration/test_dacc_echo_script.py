"""The script ``tools/dacc_echo.py`` as developers run it: its options, what it prints, its end."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import tomllib
import weakref
from urllib.parse import urlsplit

import pytest

from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.lines import Handled, line
from ecolyo_worker.tools.twins.faults import FORMS
from ecolyo_worker.tools.twins.terminal import Terminal
from tests.integration.echo_script import GOOD, JSON, Script, changed, ended, enveloped, running

NO_MEASURE = "No measure definition found for: "
NO_NUMBER = "value type is incorrect, it must be a number"


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


@pytest.mark.parametrize("value", ["1e12", "2.50", "10000000000", "NaN", '"1e3"'])
def test_values_as_they_were_sent(value: str) -> None:
    """A number is printed as it was sent."""
    text = json.dumps(GOOD).replace('"value": 2', f'"value": {value}')
    with running("--no-strict") as script:
        script.send("POST", "/measure", text)
        (line,) = script.end()
    assert line.split("  ", 1)[1].split()[2] == value


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


def test_busy_port() -> None:
    """A port in use is said in one sentence."""
    with running() as script:
        port = str(urlsplit(script.url).port)
        result = ended("--port", port)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"dacc_echo: cannot listen on 127.0.0.1, port {port}: Address already in use\n"
    )


def test_wrong_fault() -> None:
    """A wrong fault is said in one sentence, with what was found and what is allowed."""
    result = ended("--port", "0", "--fault", "ok,resett*2")
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr.startswith(
        "dacc_echo: --fault: 'resett' is no fault; did you mean reset? "
    )
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
    assert (result.returncode, result.stdout) == (64, "")
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
        ("dup", [changed(value=1), changed(value=1.0)], "1 duplicate"),
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


@pytest.mark.parametrize(
    ("path", "body", "options", "said"),
    [
        ("/remote/cc.cozycloud.dacc", '{"data": {}}', [], "1 invalid indicator"),
        ("/remote/cc.cozycloud.dacc", "{}", [], "1 invalid indicator"),
        ("/remote/cc.cozycloud.dacc_v2", '{"data": "{}", "path": "x"}', [], "1 invalid indicator"),
        ("/remote/zz", '{"data": "{}"}', [], "1 invalid indicator"),
        ("/measure", "{}", ["--fault", "status=503"], "1 invalid indicator"),
        ("/measure", "{}", ["--token", "s3cret"], "1 invalid indicator"),
        ("/measure", json.dumps(GOOD), ["--fault", "status=503"], ""),
        ("/measure", json.dumps(GOOD), ["--token", "s3cret"], ""),
    ],
)
def test_fail_on_what_is_refused_first(path: str, body: str, options: list[str], said: str) -> None:
    """What is invalid fails it even where the stack, a fault or the token refuses it first."""
    with running("--fail-on", "invalid", *options) as script:
        script.send("POST", path, body)
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
        assert re.fullmatch(r"http://127\.0\.0\.1:[0-9]+", script.url)
        assert script.send("GET", "/livez").status == 200


def test_output_that_nobody_reads() -> None:
    """Lines are not kept for a reader that is gone, and the answers go on."""
    reading, writing = os.pipe()
    os.close(reading)
    terminal = Terminal(writing, line)
    handled = Handled(0, Ruling(None, "ok"), "ok", None)
    terminal.show(handled)
    terminal.close()
    waiting = repr(terminal)
    terminal.show(handled)
    assert repr(terminal) == waiting
    os.close(writing)
    with running() as script:
        assert script.process.stdout is not None
        script.process.stdout.close()
        send_many(script, 600)
        assert script.send("GET", "/api/count").content["received"] == 600


class Body(str):
    """Text that can be watched being let go."""


def test_lines_that_wait_hold_no_body() -> None:
    """What waits for a slow reader is lines; the requests they tell of are let go."""
    reading, writing = os.pipe()
    terminal = Terminal(writing, line)
    for _ in range(2000):  # More than the pipe takes.
        terminal.show(Handled(0, Ruling(None, "ok"), "ok", None))
    body = Body("x" * 9000)
    held = weakref.ref(body)
    terminal.show(Handled(0, Ruling(None, "ok", text=body), "ok", None))
    del body
    assert held() is None
    os.close(reading)
    terminal.close()
    os.close(writing)
