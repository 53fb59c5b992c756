"""Files come in: every format; every fault is named by line and field, good lines stay."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

GOOD = {"instance": "alice.example", "type": "NavigationEvent", "eventDate": "2026-11-20T18:00:00"}


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}, ensure_ascii=False).encode()


def without(field: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != field}).encode()


# What a line is, the field that is named, and a part of the reason.
FAULTS: dict[str, tuple[bytes, str, str]] = {
    "wrong type of event": (line(type="LoginEvent"), "type", "found 'LoginEvent'; allowed: one of"),
    "type is a number": (line(type=3), "type", "found the number 3"),
    "no type": (without("type"), "type", "found nothing"),
    "no date": (without("eventDate"), "eventDate", "required"),
    "bare date": (line(eventDate="2026-11-20"), "eventDate", "allowed: a date-time"),
    "no such day": (line(eventDate="2026-02-30T10:00"), "eventDate", "found '2026-02-30T10:00'"),
    "date is a number": (line(eventDate=1763661600), "eventDate", "found the number"),
    "NaN": (b'{"instance": "a.example", "result": NaN}', "", "no valid JSON"),
    "400-digit number": (line(result=10**400), "result", "bits; allowed: 512"),
    "number too large": (b'{"instance": "a.example", "result": 1e999}', "", "out of range"),
    "300-character target": (
        line(target="x" * 300),
        "target",
        "300 characters; allowed: at most 256",
    ),
    "2^63 as an id": (line(_id=2**63), "_id", "found the number 9223372036854775808"),
    "129-character id": (line(_id="x" * 129), "_id", "129 characters; allowed: at most 128"),
    "a list as context": (line(context=["gas"]), "context", "found a list"),
    "an object as start": (line(startDate={}), "startDate", "found an object"),
    "aggregated as text": (line(aggregated="yes"), "aggregated", "found the text 'yes'"),
    "true as a result": (line(result=True), "result", "found true"),
    "no instance": (without("instance"), "instance", "--instance"),
    "a wrong instance": (line(instance="Alice/"), "instance", "lower-case host name"),
    "invalid UTF-8": (b'{"instance": "a.example", "target": "\xff\xfe"}', "", "not UTF-8"),
    "nested 100,000 deep": (b'{"a":' * 100_000, "", "more than 65536 bytes"),
    "nested 10,000 deep": (b"[" * 10_000, "", "nested too deep"),
    "a list": (b"[1, 2]", "", "found a list; allowed: a JSON object"),
    "an empty line": (b"", "", "found an empty line"),
    "half an object": (b'{"instance": "alice.exa', "", "no valid JSON"),
    "two objects": (line() + line(), "", "trailing"),
    "half a surrogate pair": (b'{"target": "\\ud800"}', "", "no valid JSON"),
}


async def imported(cli: Cli, text: bytes, *options: str) -> tuple[int, dict[str, Any]]:
    done = await cli("events", "import", "-", "--json", *options, stdin=text)
    return done.returncode, json.loads(done.stdout)


async def test_every_fault_is_named_and_all_good_lines_are_in(cli: Cli) -> None:
    """A file of faults gives a refusal for each, by line and field, and takes every good line."""
    text = b"".join(
        bad + b"\n" + line(_id=f"good-{n}") + b"\n" for n, (bad, _, _) in enumerate(FAULTS.values())
    )
    code, report = await imported(cli, text)
    assert code == 65
    assert (report["accepted"], report["known"]) == (len(FAULTS), 0)
    found = {refusal["line"]: refusal for refusal in report["refused"]}
    assert list(found) == [2 * n + 1 for n in range(len(FAULTS))]
    for refusal, (name, (_, field, reason)) in zip(found.values(), FAULTS.items(), strict=True):
        assert refusal["field"] == field, name
        assert reason in refusal["reason"], name
        assert len(refusal["reason"]) < 500, name


@pytest.mark.parametrize("name", ["half an object", "a list", "NaN", "an empty line"])
async def test_a_fault_in_the_first_line_is_only_that(cli: Cli, name: str) -> None:
    """A first line that is wrong does not change how the rest of the file is read."""
    code, report = await imported(cli, FAULTS[name][0] + b"\n" + line() + b"\n")
    assert code == 65
    assert report["accepted"] == 1
    assert [refusal["line"] for refusal in report["refused"]] == [1]


async def test_a_person_reads_the_refusals_as_a_table(cli: Cli) -> None:
    """Without `--json` the refusals are a table, and the sums a line."""
    done = await cli("events", "import", "-", stdin=line() + b"\n" + line(target=7) + b"\n")
    assert done.returncode == 65
    shown = done.stdout.decode().splitlines()
    assert shown[0].split() == ["line", "field", "why", "it", "was", "refused"]
    assert "target  found the number 7; allowed: text, or null" in shown[1]
    assert shown[-1] == "accepted 1 · known 0 · refused 1"


DOCUMENTS = [{**GOOD, "_id": f"d{n}", "_rev": "1-x", "cozyMetadata": {"a": [n]}} for n in range(3)]
DOCTYPE = "com.grandlyon.ecolyo.usageevents"


@pytest.mark.parametrize(
    "text",
    [
        b"\n".join(json.dumps(document).encode() for document in DOCUMENTS),
        b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(d).encode() for d in DOCUMENTS) + b"\r\n",
        json.dumps(DOCUMENTS).encode(),
        json.dumps(DOCUMENTS, indent=2).encode(),
        json.dumps({DOCTYPE: DOCUMENTS}).encode(),
        json.dumps({DOCTYPE: DOCUMENTS, "io.cozy.files": [{}]}, indent=2).encode(),
    ],
    ids=["ndjson", "ndjson-bom-crlf", "array", "array-pretty", "ach", "ach-pretty"],
)
async def test_every_format_is_read(cli: Cli, text: bytes) -> None:
    """NDJSON, an array and an export of ACH all give the same events."""
    assert await imported(cli, text) == (0, {"accepted": 3, "known": 0, "refused": []})


async def test_lines_of_a_pretty_array_are_named(cli: Cli) -> None:
    """In an array a refusal names the line on which the event begins."""
    documents = [*DOCUMENTS, {**GOOD, "type": "x"}]
    text = json.dumps(documents, indent=2)
    code, report = await imported(cli, text.encode())
    assert (code, report["accepted"]) == (65, 3)
    begin = text.splitlines().index('    "type": "x",') - 1
    assert text.splitlines()[report["refused"][0]["line"] - 1] == "  {"
    assert report["refused"][0]["line"] == begin


async def test_an_instance_is_given_for_those_that_name_none(cli: Cli) -> None:
    """`--instance` is for the events that do not say whose they are."""
    text = without("instance") + b"\n" + line(instance="bob.example") + b"\n"
    assert (await imported(cli, text, "--instance", "carol.example"))[0] == 0
    listed = (await cli("events", "list", "--json")).stdout.splitlines()
    assert [json.loads(item)["instance"] for item in listed] == ["carol.example", "bob.example"]


async def test_a_broken_array_takes_nothing(cli: Cli) -> None:
    """An array that is cut off is one error, for nobody knows what else is missing."""
    done = await cli("events", "import", "-", stdin=json.dumps(DOCUMENTS, indent=1).encode()[:-5])
    assert done.returncode == 65
    assert b"no valid JSON document" in done.stderr


async def test_a_missing_file_is_one_sentence(cli: Cli, tmp_path: Path) -> None:
    """A file that is not there is named."""
    done = await cli("events", "import", tmp_path / "nowhere.ndjson")
    assert done.returncode == 64
    assert done.stderr.decode().endswith(
        "nowhere.ndjson: cannot be read: No such file or directory\n"
    )


async def test_listed_events_can_be_imported_again(
    cli: Cli, examples: Path, tmp_path: Path
) -> None:
    """What `events list --json` prints is a file that `events import` knows already."""
    await cli("events", "import", examples / "events.ndjson")
    listed = tmp_path / "listed.ndjson"
    listed.write_bytes((await cli("events", "list", "--json")).stdout)
    done = await cli("events", "import", listed, "--json")
    assert json.loads(done.stdout) == {"accepted": 0, "known": 87, "refused": []}


async def test_a_refused_instance_line_changes_nothing(cli: Cli) -> None:
    """A line with one wrong fact is refused as a whole, by its path; the others are taken."""
    consent = {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"}
    states = [{"fluid": "oil", "connected": True, "since": "2026-01-05T10:00:00"}]
    text = b"\n".join(
        json.dumps(item).encode()
        for item in (
            {"instance": "alice.example", "consent": consent, "konnectors": states},
            {"instance": "bob.example", "consent": consent},
            {"instance": "carol.example", "consent": {**consent, "accepted_at": "2026-01-05"}},
            {"instance": "dave.example", "consnt": consent},
        )
    )
    done = await cli("instances", "import", "-", "--json", stdin=text)
    assert done.returncode == 65
    report = json.loads(done.stdout)
    assert report["accepted"] == 1
    assert [(r["line"], r["field"]) for r in report["refused"]] == [
        (1, "konnectors[0].fluid"),
        (3, "consent.accepted_at"),
        (4, "consnt"),
    ]
    listed = (await cli("instances", "list", "--json")).stdout.splitlines()
    assert [json.loads(item)["instance"] for item in listed] == ["bob.example"]


async def test_equal_items_of_an_array_have_their_own_lines(cli: Cli) -> None:
    """Two items that are the same text are told apart by their lines."""
    text = b'[{"type": "x"},\n{"a": {"type": "x"}},\n{"type": "x"}]'
    _, report = await imported(cli, text, "--instance", "alice.example")
    assert [refusal["line"] for refusal in report["refused"]] == [1, 2, 3]


async def test_blank_lines_before_an_array_do_no_harm(cli: Cli) -> None:
    """An array may stand behind blank lines, and its lines are counted with them."""
    text = b"\n\n[" + line() + b',\n{"type": "x"}]'
    _, report = await imported(cli, text, "--instance", "alice.example")
    assert report["accepted"] == 1
    assert [refusal["line"] for refusal in report["refused"]] == [4]


async def test_a_null_instance_is_like_none(cli: Cli) -> None:
    """`--instance` also names those whose instance is null or empty."""
    text = line(instance=None) + b"\n" + line(instance="") + b"\n"
    code, report = await imported(cli, text, "--instance", "alice.example")
    assert (code, report["accepted"]) == (0, 2)


@pytest.mark.parametrize("kind", ["events", "instances", "consumption"])
@pytest.mark.parametrize("name", ["-", "file.ndjson"])
async def test_options_may_stand_before_the_file(
    cli: Cli, tmp_path: Path, kind: str, name: str
) -> None:
    """A file, or `-`, is found behind the options that hold for every command, too."""
    (tmp_path / "file.ndjson").write_bytes(b"[]")
    file = name if name == "-" else tmp_path / name
    done = await cli(kind, "import", "--json", "--log-level", "info", file, stdin=b"[]")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["accepted"] == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--version", "1.0.0", "--at", "2026-01-05T10:00:00"), b""),
        (("--version", "0.9.0"), b"nothing is counted by that now"),
        (("--version", "1.0.0", "--at", "2999-01-05T10:00:00"), b"nothing is counted by that now"),
    ],
)
async def test_a_consent_that_does_not_suffice_says_so(
    cli: Cli, words: tuple[str, ...], says: bytes
) -> None:
    """Whoever notes a consent is told when nothing can be counted by it now."""
    done = await cli("instances", "consent", "alice.example", *words)
    assert done.returncode == 0
    assert says in done.stderr
    assert bool(done.stderr) == bool(says)
