"""What homes consumed, given out and looked at: exact, with its offsets, gaps as gaps."""

import csv
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from tests.energy_accounts import add

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

ALICE = "alice.example"
# The hour that comes twice, and the half-hour before it.
AUTUMN = {
    "2026-10-25T01:30:00+02:00": 0.1,
    "2026-10-25T02:00:00+02:00": 0.2,
    "2026-10-25T02:30:00+02:00": 0.3,
    "2026-10-25T02:00:00+01:00": 0.4,
    "2026-10-25T02:30:00+01:00": 0.5,
}


def reading(start: str, value: float, **changes: Any) -> dict[str, Any]:
    step = "half-hour" if "T" in start else "day"
    return {
        "instance": ALICE,
        "fluid": "electricity",
        "step": step,
        "start": start,
        "value": value,
    } | changes


@pytest.fixture
def take(cli: Cli) -> Callable[..., Awaitable[None]]:
    """Import some readings."""

    async def import_(*readings: dict[str, Any]) -> None:
        text = "\n".join(json.dumps(item) for item in readings).encode()
        done = await cli("consumption", "import", "-", stdin=text)
        assert done.returncode == 0, done.stdout

    return import_


async def lines(cli: Cli, *arguments: str) -> list[str]:
    done = await cli(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize("step", ["day", "half-hour"])
async def test_what_is_exported_can_be_imported(
    cli: Cli, state_dir: Path, examples: Path, step: str
) -> None:
    """NDJSON is the format of the import: all lines of a step come out as they went in."""
    given = (examples / "consumption.ndjson").read_bytes()
    await cli("consumption", "import", "-", stdin=given)
    found = await lines(cli, "consumption", "export", "--json", "--step", step)
    told = [json.loads(line) for line in given.splitlines()]
    kept = {_key(item): float(item["value"]) for item in told if item["step"] == step}
    whole = [item for item in map(json.loads, found) if "partial" not in item]
    assert {_key(item): item["value"] for item in whole} == kept
    text = "\n".join(line for line in found if "partial" not in line).encode()
    done = await cli("consumption", "import", "-", "--state-dir", str(state_dir / "b"), stdin=text)
    assert done.stdout.decode() == f"accepted {len(whole)} · refused 0\n"


def _key(item: dict[str, Any]) -> tuple[str, str, str]:
    return item["instance"], item["fluid"], item["start"]


async def test_csv_says_the_offset_and_the_unit(cli: Cli, take: Any) -> None:
    """Each row stands for itself: whose, what, from when on with its offset, in which unit."""
    await take(
        *(reading(*item) for item in AUTUMN.items()),
        reading("2026-10-25", 120.5, fluid="water"),
    )
    found = list(csv.reader(io.StringIO("\n".join(await lines(cli, "consumption", "export")))))
    assert found[0][:6] == ["instance", "fluid", "step", "start", "value", "unit"]
    assert [row[1:6] + row[7:] for row in found[1:]] == [
        ["electricity", "day", "2026-10-25", "1.500", "kWh", "partial"],
        ["water", "day", "2026-10-25", "120.500", "L", ""],
    ]
    text = "\n".join(await lines(cli, "consumption", "export", "--step", "half-hour"))
    assert [row[3] for row in csv.reader(io.StringIO(text))][1:] == list(AUTUMN)


@pytest.mark.parametrize(
    "asked",
    [
        ("--from", "nix"),
        ("--from", "2026-11-20", "--to", "2026-11-19"),
        ("--instance", "nobody.example"),
    ],
    ids=["no day", "days in no order", "nobody"],
)
async def test_an_export_that_is_refused_prints_nothing(
    cli: Cli, take: Any, asked: tuple[str, ...]
) -> None:
    """Not even its header, which in a file would look like an empty export."""
    await take(reading("2026-10-25", 1.5))
    refused = await cli("consumption", "export", *asked)
    assert (refused.returncode, refused.stdout) == (64, b"")
    empty = await cli("consumption", "export", "--fluid", "gas")
    assert (empty.returncode, empty.stdout.count(b"\n")) == (0, 1)


async def test_the_double_hour_is_one_document(cli: Cli, take: Any) -> None:
    """The doctypes go by the wall clock: what begins at the same time on it is summed."""
    await take(reading("2026-09-30", 1), *(reading(*item) for item in AUTUMN.items()))
    found = await documents(cli, "half-hour")
    assert [(item["hour"], item["minute"], item["load"]) for item in found] == [
        (1, 30, 0.1),
        (2, 0, 0.6),
        (2, 30, 0.8),
    ]
    assert [(item["hour"], item["load"]) for item in await documents(cli, "hour")] == [
        (1, 0.1),
        (2, 1.4),
    ]
    assert await documents(cli, "month") == [
        {
            "doctype": "com.grandlyon.enedis.month",
            "instance": ALICE,
            "load": 1.5,
            "minute": 0,
            "hour": 0,
            "day": 1,
            "month": 10,
            "year": 2026,
        }
    ]


async def test_a_document_is_never_the_part_of_a_fuller_one(cli: Cli, take: Any) -> None:
    """A part of a day is no document, nor is one of the first month or year; the last ones are."""
    november = [reading(f"2025-11-{n:02}", 1) for n in range(20, 31)]
    december = [reading(f"2025-12-{n:02}", 1) for n in range(1, 32)]
    running = [reading("2026-01-01", 1), reading("2026-01-03T00:30:00+01:00", 0.5)]
    await take(*november, *december, *running, reading("2026-01-02", 7, instance="bob.example"))
    done = await cli("consumption", "export", "--format", "doctype")
    assert len(done.stdout.splitlines()) == 11 + 31 + 1 + 1
    assert b"known only in part, and might replace what is fuller: 1 left out" in done.stderr
    found = await documents(cli, "month")
    assert [(item["month"], item["load"]) for item in found] == [(12, 31.0), (1, 1.5)]
    (year,) = await documents(cli, "year")
    assert (year["day"], year["month"], year["year"], year["load"]) == (1, 1, 2026, 1.5)
    assert len(await documents(cli, "hour")) == 1


async def documents(cli: Cli, step: str) -> list[dict[str, Any]]:
    asked = ("consumption", "export", "--format", "doctype", "--step", step)
    return [json.loads(line) for line in await lines(cli, *asked)]


@pytest.mark.parametrize(
    ("fluid", "step", "doctype"),
    [
        ("electricity", "half-hour", "com.grandlyon.enedis.minute"),
        ("electricity", "hour", "com.grandlyon.enedis.hour"),
        ("electricity", "day", "com.grandlyon.enedis.day"),
        ("electricity", "month", "com.grandlyon.enedis.month"),
        ("electricity", "year", "com.grandlyon.enedis.year"),
        ("gas", "day", "com.grandlyon.grdf.day"),
        ("gas", "month", "com.grandlyon.grdf.month"),
        ("gas", "year", "com.grandlyon.grdf.year"),
    ],
)
async def test_a_document_is_named_as_the_konnectors_did(
    cli: Cli, take: Any, fluid: str, step: str, doctype: str
) -> None:
    """Each fluid's step has its doctype; what other steps are made of is none of it."""
    starts = ("2025-12-31", "2026-01-01", *(f"2026-01-02T00:{n}:00+01:00" for n in ("00", "30")))
    await take(*(reading(start, 1, fluid=fluid) for start in starts))
    assert {item["doctype"] for item in await documents(cli, step)} == {doctype}


async def test_what_has_no_document_is_named(cli: Cli, take: Any) -> None:
    """Water has no doctype, gas none by the hour: they are left out, and that is said."""
    await take(reading("2026-10-01", 3, fluid="water"), reading("2026-10-01", 4, fluid="gas"))
    done = await cli("consumption", "export", "--format", "doctype")
    assert [json.loads(line)["doctype"] for line in done.stdout.splitlines()] == [
        "com.grandlyon.grdf.day"
    ]
    assert b"water has no documents of this step: left out" in done.stderr


async def test_a_gap_is_a_gap_and_zero_is_not(cli: Cli, take: Any) -> None:
    """A chart has a line for every interval: a day that is not known is no day of nothing."""
    await take(reading("2026-10-01", 8), reading("2026-10-02", 0), reading("2026-10-04", 4))
    found = await lines(cli, "chart")
    assert found[0] == "alice.example: electricity, by day, in kWh"
    assert [line.split()[:2] for line in found[1:5]] == [
        ["2026-10-01", "8.000"],
        ["2026-10-02", "0.000"],
        ["2026-10-03", "·"],
        ["2026-10-04", "4.000"],
    ]
    assert found[1].count("█") == 2 * found[4].count("█") > 20
    assert found[5] == "· nothing is known of 1 of 4 intervals"
    assert all(len(line) <= 80 for line in found)
    told = [json.loads(line) for line in await lines(cli, "chart", "--json")]
    assert [item["value"] for item in told] == [8.0, 0.0, None, 4.0]


@pytest.mark.parametrize(
    ("step", "count"), [("half-hour", 50), ("hour", 25), ("day", 1), ("month", 1), ("year", 1)]
)
async def test_the_autumn_day_has_all_its_intervals(
    cli: Cli, take: Any, step: str, count: int
) -> None:
    """25 October has 50 half-hours and 25 hours, each of them a bar."""
    await take(*(reading(*item) for item in AUTUMN.items()))
    assert len(await lines(cli, "chart", "--json", "--step", step)) == count


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there are several homes: name one by --instance"),
        (["--instance", ALICE], "alice.example has electricity, gas: name one by --fluid"),
        (["--instance", "carol.example"], "no instance is called 'carol.example'"),
        (["--instance", ALICE, "--fluid", "water"], "nothing is known of what was consumed there"),
        (["--from", "2026-13-01"], "--from: found '2026-13-01'; allowed: a day as YYYY-MM-DD"),
        (["--from", "2026-02-02", "--to", "2026-02-01"], "no day lies between them"),
    ],
)
async def test_a_chart_is_of_one_home_and_fluid(
    cli: Cli, take: Any, arguments: list[str], words: str
) -> None:
    """What is not clear is asked for by the name of the option."""
    await take(
        reading("2026-10-01", 1),
        reading("2026-10-01", 1, fluid="gas"),
        reading("2026-10-01", 1, instance="bob.example"),
    )
    done = await cli("chart", *arguments)
    assert done.returncode == 64
    assert words in done.stderr.decode()


@pytest.fixture
async def accounts(take: Any, state_dir: Path) -> None:
    """Make accounts: alice's and bob's electricity, and bob's gas, of which nothing is known."""
    await take(
        reading("2026-10-01", 1),
        reading("2026-10-01", 2, fluid="gas"),
        reading("2026-10-01", 3, instance="bob.example"),
    )
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await add(worker, "enedis")
        await add(worker, "enedis", instance="bob.example")
        await add(worker, "grdf", instance="bob.example")


@pytest.mark.usefixtures("accounts")
async def test_an_account_names_its_home_and_fluid(cli: Cli) -> None:
    """A chart of an account is that of its person and fluid, where there are others, too."""
    for account, name, value in (("1", ALICE, "1.000"), ("2", "bob.example", "3.000")):
        found = await lines(cli, "chart", "--account", account)
        assert found[0] == f"{name}: electricity, by day, in kWh"
        assert found[1].split()[:2] == ["2026-10-01", value]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1", "--instance", ALICE], "leave out --instance and --fluid"),
        (["1", "--fluid", "electricity"], "leave out --instance and --fluid"),
        (["4"], "there is no account 4; `accounts list` tells which"),
        (["3"], "nothing is known of what was consumed there"),
    ],
)
@pytest.mark.usefixtures("accounts")
async def test_an_account_that_names_no_chart(cli: Cli, arguments: list[str], words: str) -> None:
    """An account beside a home or a fluid is refused, as is one that there is not, or is empty."""
    done = await cli("chart", "--account", *arguments)
    assert done.returncode == 64
    assert words in done.stderr.decode()


async def test_too_many_bars_are_refused(cli: Cli, take: Any) -> None:
    """A chart of years by the half-hour is refused, with what to do."""
    await take(reading("2026-10-01", 1))
    done = await cli("chart", "--step", "half-hour", "--from", "2000-01-01")
    assert done.returncode == 64
    assert "a chart has 2000 at most: take fewer days or a longer step" in done.stderr.decode()
