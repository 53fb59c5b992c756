"""The eye for leaks: what it marks in an indicator and its headers, and what it leaves alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from tests.integration.echo_asking import CONNECTION, ask

if TYPE_CHECKING:
    pass

UUID = "5f0c1f1e-7c5a-4a8e-9f62-1d9b53c0a111"
HEX = "0123456789abcdef0123456789ABCDEF"


def send(echo: EchoServer, body: str, path: str = "/measure", **headers: str) -> list[str]:
    """Post a body; give each leak that was found, and where."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    ask(echo, "POST", path, body, **named)
    (record,) = echo.received.requests()[-1:]
    return [str(leak) for leak in record.leaks]


def changed(**fields: object) -> str:
    return json.dumps({**CONNECTION, **fields})


@pytest.mark.parametrize(
    ("text", "what", "found"),
    [
        ("12345678901234", "a number of 14 digits", "12345678901234"),
        ("PRM12345678901234", "a number of 14 digits", "12345678901234"),
        ("alice@example", "an e-mail address", None),
        ("alice.martin@example.org", "an e-mail address", "alice.martin@example.org"),
        ("mailto:zoé@exemple.fr", "an e-mail address", "zoé@exemple.fr"),
        (UUID, "a UUID", UUID),
        (f"doc/{UUID.upper()}/x", "a UUID", UUID.upper()),
        (HEX, "32 hex digits", HEX),
        (HEX + "ab12", "32 hex digits", HEX + "ab12"),
        ("1" * 32, "32 hex digits", "1" * 32),
        ("alice.mycozy.cloud", "a domain name", "alice.mycozy.cloud"),
        ("https://alice.mycozy.cloud/#/x", "a domain name", "alice.mycozy.cloud"),
        ("cozy.tools:8080", "a domain name", "cozy.tools"),
        ("xn--maison-dva.xn--fiqs8s", "a domain name", "xn--maison-dva.xn--fiqs8s"),
        ("1.12345678901234", "a number of 14 digits", "12345678901234"),
        ("1.12345678901234.dev", "a number of 14 digits", "12345678901234"),
        (f"uuid{UUID}", "a UUID", UUID),
        (f"id{UUID}a", "a UUID", UUID),
        ("1" * 40 + UUID.replace("5f0c1f1e", "55001100"), "a UUID", "55001100" + UUID[8:]),
        (".mycozy.cloud", "a domain name", "mycozy.cloud"),
        ("..a.mycozy.cloud", "a domain name", "a.mycozy.cloud"),
        ("a..mycozy.cloud", "a domain name", "a..mycozy.cloud"),
        ("_alice.mycozy.cloud", "a domain name", "_alice.mycozy.cloud"),
        ("alice_b.mycozy.cloud", "a domain name", "alice_b.mycozy.cloud"),
        ("ALICE.MYCOZY.CLOUD", "a domain name", "ALICE.MYCOZY.CLOUD"),
        ("Alice.Mycozy.Cloud", "a domain name", "Alice.Mycozy.Cloud"),
        ("w" * 64 + ".mycozy.cloud", "a domain name", "w" * 64 + ".mycozy.cloud"),
    ],
)
def test_what_leaks(echo: EchoServer, text: str, what: str, found: str | None) -> None:
    """Whatever might name a person, a meter or a Cozy is marked with what it is and where."""
    leaks = send(echo, changed(group1={"device": text}))
    assert leaks == ([] if found is None else [f"{what} in group1.device ({found})"])


@pytest.mark.parametrize(
    "text",
    [
        "CHALLENGE0001",
        "konnector-event-daily",
        "enedissgegrandlyon",
        "electricity:gas",
        "ConsumptionChangeTimeStepEvent",
        "2026-11-20T08:00:00.000Z",
        "1.0.0",
        "1.0.dev",
        "v1.25.3-beta",
        "some_file.json_x",
        "1234567890123",
        "123456789012345",
        "0.12345678901234",
        "1" * 99,
        "0123456789abcdef0123456789abcde",
        "a.b",
        "M.Dupont",
        "fin.De",
        "and so on. Then",
        "",
    ],
)
def test_what_does_not_leak(echo: EchoServer, text: str) -> None:
    """Measures, identifiers of content, versions, dates and other numbers are left alone."""
    assert send(echo, changed(group1={"device": text})) == []


@pytest.mark.parametrize(
    ("fields", "leaks"),
    [
        ({"value": 12345678901234}, ["a number of 14 digits in value (12345678901234)"]),
        ({"value": 12345678901234.0}, ["a number of 14 digits in value (12345678901234)"]),
        ({"value": 12345678901234.5}, ["a number of 14 digits in value (12345678901234)"]),
        ({"value": 0.12345678901234}, []),
        ({"value": True}, []),
        ({"instance": "alice.cozy.cloud"}, ["a domain name in instance (alice.cozy.cloud)"]),
        ({"a@b.fr": 1}, ["an e-mail address in the name of a@b.fr (a@b.fr)"]),
        (
            {"group2": {"x": [{"deep": "a@b.fr"}, "a@b.fr"]}},
            [
                "an e-mail address in group2.x.deep (a@b.fr)",
                "an e-mail address in group2.x (a@b.fr)",
            ],
        ),
        (
            {"createdBy": "a@b.fr and cozy.cloud"},
            ["an e-mail address in createdBy (a@b.fr)", "a domain name in createdBy (cozy.cloud)"],
        ),
        (
            {"x": [f"a{n}@b.fr" for n in range(99)]},
            [f"an e-mail address in x (a{n}@b.fr)" for n in range(10)],
        ),
        ({"x": "w" * 200 + ".fr"}, []),
        (
            {"x": "a" * 60 + "@" + "b" * 60 + ".fr"},
            [f"an e-mail address in x ({('a' * 60 + '@' + 'b' * 60)[:100]}…)"],
        ),
    ],
    ids=[
        "whole",
        "float",
        "fraction",
        "digits",
        "boolean",
        "field",
        "key",
        "deep",
        "two",
        "many",
        "long",
        "cut",
    ],
)
def test_where_it_leaks(echo: EchoServer, fields: dict[str, object], leaks: list[str]) -> None:
    """Keys, numbers and all that is nested are looked at, ten leaks are told, long ones cut."""
    assert send(echo, changed(**fields)) == leaks


def test_escaped_leak(echo: EchoServer) -> None:
    """What is escaped in the JSON is read before it is looked at."""
    escaped = json.dumps(CONNECTION).replace("mobile", r"alice\u0040example\u002eorg")
    leak = "an e-mail address in group1.device (alice@example.org)"
    assert send(echo, escaped) == [leak]
    digits = json.dumps(CONNECTION).replace("mobile", r"\u00312345678901234")
    assert send(echo, digits) == ["a number of 14 digits in group1.device (12345678901234)"]


def test_leaks_of_an_envelope(echo: EchoServer) -> None:
    """In an envelope the indicator is looked at, and what stands beside it."""
    envelope = {"data": changed(group1={"device": "a@b.fr"}), "path": "measure", "who": "x.cloud"}
    leaks = send(echo, json.dumps(envelope), "/remote/cc.cozycloud.dacc_v2")
    assert leaks == [
        "an e-mail address in group1.device (a@b.fr)",
        "a domain name in the envelope's who (x.cloud)",
    ]


def test_leaks_of_what_is_no_indicator(echo: EchoServer) -> None:
    """A body that cannot be read is looked at as it is."""
    assert send(echo, "[alice.mycozy.cloud") == ["a domain name in the body (alice.mycozy.cloud)"]


@pytest.mark.parametrize(
    ("headers", "leaks"),
    [
        ({"X_Request_Id": UUID}, [f"a UUID in the header x-request-id ({UUID})"]),
        ({"User_Agent": "worker alice.mycozy.cloud"}, ["a domain name in the header user-agent"]),
        ({"Cookie": f"session={HEX}"}, ["32 hex digits in the header cookie"]),
        ({"Referer": "x" * 100 + " a.mycozy.cloud"}, ["a domain name in the header referer"]),
        ({f"x_{HEX}": "1"}, ["32 hex digits in the name of a header"]),
        ({"X_Device": f"id{UUID}"}, ["a UUID in the header x-device"]),
        ({"Origin": ".mycozy.cloud"}, ["a domain name in the header origin"]),
        ({"Cookie": "x" * 100 + "; at/a.mycozy.cloud"}, ["a domain name in the header cookie"]),
        ({f"x_{HEX}": "x" * 100}, ["32 hex digits in the name of a header"]),
        ({"Host": "alice.mycozy.cloud"}, []),
        ({"Authorization": f"Bearer eyJhbGci.eyJzdWIi.{HEX}"}, []),
        ({"Accept": "application/vnd.api+json, */*;q=0.8"}, []),
        ({"User_Agent": "ecolyo-worker/0.1.0", "Accept_Encoding": "identity"}, []),
        ({"User_Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/141.0.0.0 Safari/537.36"}, []),
    ],
)
def test_leaks_of_headers(echo: EchoServer, headers: dict[str, str], leaks: list[str]) -> None:
    """Headers are looked at too, but for the host's own address, tokens and media types."""
    found = send(echo, json.dumps(CONNECTION), **headers)
    assert [leak.partition(" (")[0] for leak in found] == [
        leak.partition(" (")[0] for leak in leaks
    ]


def test_doctype_and_stack_are_no_leak(echo: EchoServer) -> None:
    """A person's own stack has an address of its own, and the doctype its dots."""
    envelope = json.dumps({"data": json.dumps(CONNECTION)})
    assert send(echo, envelope, "/alice.mycozy.cloud/remote/cc.cozycloud.dacc") == []


@pytest.mark.parametrize(
    "text",
    [
        "w" * 900_000,
        "a." * 450_000,
        "a-" * 450_000,
        "a@" * 450_000,
        "0" * 900_000,
        "ab12-" * 180_000,
        "." * 900_000,
        "1.0.dev " * 100_000,
        "M.Dupont " * 100_000,
    ],
    ids=["word", "dots", "dashes", "ats", "digits", "hex", "points", "versions", "names"],
)
def test_long_text(echo: EchoServer, text: str) -> None:
    """However long a text is, it is read but once, so the client need not wait long."""
    assert send(echo, changed(group1={"device": text})) == []


def test_deep_body(echo: EchoServer) -> None:
    """A body that is nested deeply is looked at as well."""
    deep = '{"x":' * 400 + '"a@b.fr"' + "}" * 400
    (leak,) = send(echo, f'{{"x":{deep}}}')
    assert leak.endswith("x.x.x (a@b.fr)")


def test_verdict_and_counts(echo: EchoServer) -> None:
    """A leak comes first in the verdict, before a duplicate, a fault or what is invalid."""
    leaky = changed(group1={"device": "a@b.fr"})
    echo.faults.replace("ok*3,status=503")
    send(echo, leaky)
    send(echo, leaky)
    send(echo, changed(group1={"device": "a@b.fr"}, value="x"))
    send(echo, leaky)
    leak = "leak: an e-mail address in group1.device (a@b.fr)"
    assert [record.verdict for record in echo.received.requests()] == [
        leak,
        f"{leak}; dup",
        f"{leak}; invalid: value type is incorrect, it must be a number",
        f"{leak}; fault: status=503",
    ]
    assert [record.kinds for record in echo.received.requests()] == [
        ["leak"],
        ["leak", "dup"],
        ["leak", "invalid"],
        ["leak", "fault"],
    ]
    counts = echo.received.counts()
    assert (counts["leaks"], counts["invalid"], counts["duplicates"]) == (4, 1, 1)
