"""`demo`: what a newcomer runs first."""

import json
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import anyio

ROOT = Path(__file__).parents[2]
Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]


async def test_the_demo_balances(cli: Cli) -> None:
    """The demo ends with a balanced line: its one double is admitted, and nothing is missing."""
    done = await cli("demo")
    assert done.returncode == 0, done.stderr.decode()
    assert (
        done.stdout.decode()
        .splitlines()[-1]
        .endswith("· duplicates 1 · missing 0 · maybe delivered 1")
    )


async def test_the_same_seed_gives_the_same_people(cli: Cli) -> None:
    """Two demos with one seed count the same; another seed gives others. JSON has the accounts."""
    ledgers = []
    for seed in (5, 5, 6):
        done = await cli("demo", "--days", "3", "--instances", "5", "--seed", seed, "--json")
        ledgers.append(json.loads(done.stdout))
    assert all(ledger["balanced"] for ledger in ledgers)
    assert ledgers[0]["events"] == ledgers[1]["events"] != ledgers[2]["events"]
    fetching = ledgers[0]["fetching"]
    states = [(one["provider"], one["state"]) for one in fetching["accounts"]]
    assert states == [("enedis", "active"), ("grdf", "active"), ("enedis", "needs_consent")]
    assert fetching["accounts"][0]["days"]["measured"] > 0
    assert (fetching["exact_days"] > 0, fetching["wrong"]) == (True, [])


async def test_readings_are_fetched(cli: Cli) -> None:
    """Two homes have theirs polled: one has gas, one loses its consent; the sums are exact."""
    done = await cli("demo")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    begin = next(n for n, line in enumerate(lines) if line.startswith("account "))
    accounts = [line.split()[1:4] for line in lines[begin + 1 : begin + 4]]
    assert accounts == [
        ["amina.example", "electricity", "active"],
        ["amina.example", "gas", "active"],
        ["diane.example", "electricity", "needs_consent"],
    ]
    assert "The consent at Enedis has ended or was revoked." in lines[begin + 3]
    (calendar,) = (n for n, line in enumerate(lines) if line.startswith("what is known of each"))
    assert [line[:8] for line in lines[calendar + 2 : calendar + 4]] == ["2027-11 ", "2027-12 "]
    (legend,) = (line for line in lines if line.startswith("  m measured "))
    assert re.search("  e estimated [1-9]  L late [1-9]", legend)
    (sums,) = (line for line in lines if line.startswith("Σ "))
    assert re.fullmatch(
        "Σ half-hours = daily value on [1-9][0-9]+ whole days of electricity, each to the Wh;"
        " [1-9] days with a hole",
        sums,
    )
    (history,) = (line for line in lines if "a month of history is fetched, too" in line)
    whole, holes = map(int, re.findall("[0-9]+", sums))
    held = sum(int(line.split("of 8")[0].split()[-1]) for line in lines if " of 8 " in line)
    assert 0 < whole + holes - int(history.split()[0]) <= held
    variations = next(line for line in lines if line.startswith("consumption-variation-monthly"))
    assert int(variations.split()[1]) >= 2


async def test_the_same_seed_prints_the_same(cli: Cli) -> None:
    """Every line of it, what is fetched included."""
    first, second = [await cli("demo", "--days", "3", "--instances", "4") for _ in range(2)]
    assert first.returncode == 0
    assert first.stdout == second.stdout


async def test_without_the_extra_the_rest_is_shown(tmp_path: Path) -> None:
    """Where cryptography is not installed it says so by name, and balances all the same."""
    (tmp_path / "cryptography.py").write_text("raise ImportError\n")
    env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{ROOT}", "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "ecolyo_worker", "demo", "--days", "1", "--instances", "2"]
    done = await anyio.run_process(command, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b'pip install "ecolyo-worker[energy]"' in done.stderr
    assert b"account" not in done.stdout
    assert b" missing 0 " in done.stdout.splitlines()[-1]


async def test_a_demo_can_be_kept(cli: Cli, tmp_path: Path) -> None:
    """With `--keep` its state stays, and the command to look at it is printed."""
    done = await cli(
        "demo", "--days", "1", "--instances", "2", "--keep", env={"TMPDIR": str(tmp_path)}
    )
    hint = done.stderr.decode().splitlines()[-1]
    directory = hint.split("--state-dir ")[1].removesuffix(" status")
    shown = await cli("status", "--state-dir", directory)
    assert b"people    2" in shown.stdout


async def test_an_absurd_demo_is_refused(cli: Cli) -> None:
    """Days and instances have bounds."""
    assert (await cli("demo", "--days", "0")).returncode == 64


async def test_a_long_demo_goes_by_months(cli: Cli) -> None:
    """More than a month is shown month by month, with the days on which the clock changed."""
    done = await cli("demo", "--days", "124", "--instances", "1")
    assert done.returncode == 0, done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("month "))
    months = ["2027-11", "2027-12", "2028-01", "2028-02", "2028-03", ""]
    assert [line[:7] for line in lines[begin + 1 : begin + 7]] == months
    passed = "2028-02-29 was a leap day, 2028-03-26 the clock changed: 125 nights, each run once"
    assert lines[begin + 7] == passed
