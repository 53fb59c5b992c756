"""The command line: what it prints, and what it ends with."""

import json
import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest

from ecolyo_worker import Settings, Worker, __version__
from ecolyo_worker.store.migrations import latest_version

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 64, 'Unknown command "nonsense"'),
        (["preview", "--as-off", "x"], 64, "--as-off"),
        (["outbox", "list", "--state", "lost"], 64, "--state"),
        (["outbox", "retry"], 64, "say which: a row's number, or --all"),
        (["outbox", "discard", "3"], 64, "the outbox has no row 3"),
        (["outbox", "show", "3"], 64, "the outbox has no row 3"),
        (["outbox", "retry", "9" * 25], 64, "the outbox has no row 999"),
        (["outbox", "discard", "9" * 25, "--yes"], 64, "the outbox has no row 999"),
        (["instances", "show", os.fsdecode(b"\xff")], 64, "no instance is called"),
        (["events", "list", "--instance", "eve.example"], 64, "no instance is called"),
        (["send", "--timeout", "nan"], 64, "--timeout: found nan; allowed: seconds from 0"),
        (["instances", "show", "eve.example"], 64, "no instance is called 'eve.example'"),
        (["instances", "consent", "Eve", "--version", "1"], 64, "lower-case host name"),
        (["instances", "consent", "eve.example", "--version", "v1"], 64, "--version: found 'v1'"),
        (["send", "--timeout", "abc"], 64, "--timeout: found 'abc'; allowed: a number\ntry: ecol"),
        (["send", "--timeout", "abc"], 64, "try: ecolyo-worker send --help"),
        (
            ["outbox", "show", "x"],
            64,
            "ROW: found 'x'; allowed: a whole number\ntry: ecolyo",
        ),
        (["outbox", "show"], 64, "try: ecolyo-worker outbox show --help"),
        (["aggregate", "--as-of", "tomorrow"], 64, "--as-of: found 'tomorrow'; allowed: a date"),
        (["aggregate", "--day", "20.11.2026"], 64, "found '20.11.2026'; allowed: a day as YYYY"),
        (["events", "list", "--day", "x"], 64, "--day: found 'x'"),
        (["--config", "/nowhere/x.toml", "status"], 78, "/nowhere/x.toml: cannot be read"),
    ],
)
async def test_an_error_is_a_sentence_and_a_code(
    cli: Cli, arguments: list[str], code: int, words: str
) -> None:
    """What cannot be done is one sentence on stderr, nothing on stdout, and a code that tells."""
    await cli("migrate")
    done = await cli(*arguments)
    assert done.returncode == code, done.stderr.decode()
    assert words in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[dacc]\nrat = 3", "unknown key of [dacc]: 'rat'; did you mean 'rate'?"),
        ("[dac]\nrate = 3", "unknown section: 'dac'; did you mean 'dacc'?"),
        ("[dacc]\nrate = 0", "dacc.rate: found 0; allowed: a number above 0"),
        ('[dacc]\nurl = "http://dacc.example"', "allowed: https, or http to this machine"),
        ("[dacc\n", "is not TOML"),
    ],
)
async def test_a_wrong_setting_is_named(cli: Cli, tmp_path: Path, config: str, words: str) -> None:
    """A setting that cannot be used ends with 78, naming the key, what was found and allowed."""
    path = tmp_path / "config.toml"
    path.write_text(config)
    done = await cli("status", "--config", path)
    assert done.returncode == 78
    assert words in done.stderr.decode()


async def test_options_may_stand_anywhere(cli: Cli, tmp_path: Path) -> None:
    """`--state-dir` and `--json` work before and behind the command."""
    elsewhere = tmp_path / "elsewhere"
    await cli("migrate", "--state-dir", elsewhere)
    assert (elsewhere / "ecolyo.db").exists()
    first = await cli("--json", "--state-dir", elsewhere, "status")
    second = await cli("status", "--json", "--state-dir", elsewhere)
    assert json.loads(first.stdout) == json.loads(second.stdout)


async def test_a_second_owner_is_told_who_the_first_is(cli: Cli, state_dir: Path) -> None:
    """While a process uses the state, another one ends with 73 and names it."""
    async with Worker(Settings(state_dir=state_dir)).opened():
        done = await cli("status")
    assert done.returncode == 73
    assert f"is owned by process {os.getpid()}" in done.stderr.decode()
    assert (await cli("status")).returncode == 0


async def test_a_newer_schema_is_refused(cli: Cli, state_dir: Path) -> None:
    """A database of a newer version is refused in words and left as it is."""
    await cli("migrate")
    with sqlite3.connect(state_dir / "ecolyo.db") as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    before = (state_dir / "ecolyo.db").read_bytes()
    done = await cli("status")
    assert done.returncode == 78
    assert "schema 99" in done.stderr.decode()
    assert (state_dir / "ecolyo.db").read_bytes() == before


async def test_migrate_says_what_it_did(cli: Cli) -> None:
    """`migrate` makes the database, and a second time there is nothing to do."""
    schema = latest_version()
    assert (await cli("migrate")).stdout.decode().endswith(f"schema 0 → {schema}\n")
    assert (await cli("migrate")).stdout.decode().endswith(f"schema {schema}, nothing to do\n")


async def test_version_names_everything(cli: Cli) -> None:
    """`version --json` has the versions of program, schema, Python and SQLite."""
    found = json.loads((await cli("version", "--json")).stdout)
    assert found["ecolyo_worker"] == __version__
    assert set(found) == {"ecolyo_worker", "schema", "python", "sqlite"}


async def test_status_of_nothing_is_calm(cli: Cli) -> None:
    """A fresh state has a status without advice."""
    await cli("migrate")
    found = json.loads((await cli("status", "--json")).stdout)
    assert found["advice"] == []
    assert set(found["events"].values()) == {0}


@pytest.mark.parametrize(
    "command",
    ["preview", "status", "reconcile", "events list", "instances list", "outbox list"],
)
async def test_reading_makes_no_state(cli: Cli, state_dir: Path, command: str) -> None:
    """A command that reads refuses a state directory that is not there, and does not make it."""
    done = await cli(*command.split())
    assert done.returncode == 64
    assert "holds no database yet" in done.stderr.decode()
    assert not os.path.exists(state_dir)  # noqa: ASYNC240, PTH110  a moment's look


async def test_a_reader_that_leaves_is_no_error(cli: Cli, state_dir: Path, tmp_path: Path) -> None:
    """When the reader of the output leaves, the command ends quietly with 0."""
    for command in ("--help", "version", "demo --days 1 --instances 1"):
        done = await anyio.run_process(
            ["bash", "-c", f"{sys.executable} -m ecolyo_worker {command} | true; exit $PIPESTATUS"],
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")


async def test_a_full_disk_behind_the_output_is_one_sentence(cli: Cli) -> None:
    """Output that cannot be written is said so, and is not called a bug."""
    done = await anyio.run_process(
        ["bash", "-c", f"{sys.executable} -m ecolyo_worker version > /dev/full"], check=False
    )
    assert done.returncode == 69
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


async def test_a_database_that_cannot_be_opened_is_one_sentence(cli: Cli, state_dir: Path) -> None:
    """Where the database should be and something else is, nothing but the error is printed."""
    (state_dir / "ecolyo.db").mkdir(parents=True)
    done = await cli("migrate")
    assert done.returncode == 78
    assert done.stderr.decode().splitlines() == [
        f"error: {state_dir / 'ecolyo.db'} is no plain file; move it away"
    ]


async def test_a_run_tells_of_people_without_consent(cli: Cli) -> None:
    """Events that wait for a consent are named by a run and by its preview."""
    visit = b'{"type": "NavigationEvent", "eventDate": "2026-03-02T10:00", "target": "gas"}'
    await cli("events", "import", "-", "--instance", "a.example", stdin=visit)
    for command in ("preview", "aggregate"):
        done = await cli(command, "--as-of", "2026-03-03T01:00:00")
        assert b"events wait of 1 person without a consent in force" in done.stderr


async def test_a_preview_tells_what_would_expire(cli: Cli) -> None:
    """Events that a run would mark as expired are announced by its preview."""
    await cli("instances", "consent", "a.example", "--version", "1.0.0", "--at", "2026-01-01T00:00")
    visit = b'{"type": "NavigationEvent", "eventDate": "2026-03-02T10:00", "target": "gas"}'
    await cli("events", "import", "-", "--instance", "a.example", stdin=visit)
    done = await cli("preview", "--as-of", "2026-05-01T01:00:00")
    assert b"events: 1 expired" in done.stdout
    assert b"aggregation.max_age_days" in done.stderr


async def test_what_does_nothing_says_why(cli: Cli) -> None:
    """A chosen day or month of which nothing is done says why on stderr, and a preview too."""
    await cli("migrate")
    for command in ("preview", "aggregate"):
        done = await cli(command, "--as-of", "2026-05-03T01:00:00", "--month", "2026-04")
        assert done.returncode == 0
        assert b"2026-04 is not due before 2026-05-06 (aggregation.monthly_day)" in done.stderr
        done = await cli(command, "--as-of", "2026-05-03T01:00:00", "--day", "2026-05-03")
        assert b"2026-05-03 is not over as of 2026-05-03T01:00" in done.stderr


async def test_no_colour_where_none_is_wanted(cli: Cli) -> None:
    """A pipe gets plain text; NO_COLOR takes the colour even from what looks like a terminal."""
    await cli("migrate")
    red = b"\x1b[1;31m"
    shown = [
        (await cli("outbox", "show", "1", env=env)).stderr
        for env in ({}, {"FORCE_COLOR": "1"}, {"FORCE_COLOR": "1", "NO_COLOR": "1"})
    ]
    assert b"\x1b" not in shown[0]
    assert red in shown[1]
    assert red not in shown[2]


@pytest.mark.parametrize("log_format", ["console", "json", "journal"])
async def test_logs_have_the_form_that_was_asked_for(cli: Cli, log_format: str) -> None:
    """Log lines go to stderr: readable, as JSON, or with the journal's priority before each."""
    await cli("instances", "consent", "alice.example", "--version", "1.0.0")
    done = await cli("aggregate", "--log-level", "info", "--log-format", log_format)
    (line,) = done.stderr.decode().splitlines()
    assert "run finished" in line
    assert (line.startswith("{"), line.startswith("<6>")) == (
        log_format == "json",
        log_format == "journal",
    )


async def test_the_settings_say_how_logs_are(cli: Cli, tmp_path: Path) -> None:
    """`[log]` stands for the options, which win; other keys that are wrong change nothing of it."""
    path = tmp_path / "config.toml"
    path.write_text('[log]\nlevel = "info"\nformat = "json"\n')
    consent = ("instances", "consent", "alice.example", "--version", "1.0.0")
    assert (await cli(*consent, "--config", path)).stderr == b""
    done = await cli("aggregate", "--config", path)
    assert json.loads(done.stderr)["event"] == "run finished"
    done = await cli("aggregate", "--config", path, "--log-format", "journal")
    assert done.stderr.startswith(b"<6>event='run finished'")
    assert (await cli("aggregate", "--config", path, "--log-level", "error")).stderr == b""
    done = await cli("config", "show", "--origin", "--config", path, "--log-level", "error")
    assert 'level = "error"  # --log-level' in done.stdout.decode().splitlines()
    path.write_text('[log]\nformat = "journal"\n[dacc]\nrate = -1\n')
    done = await cli("status", "--config", path)
    assert (done.returncode, done.stderr[:24]) == (78, b"<3>event='ended by an er")


async def test_a_terminal_gets_no_orders_from_outside(cli: Cli) -> None:
    """What stands in events and in faulty lines is shown escaped: it cannot steer a terminal."""
    evil = "\x1b]0;x\x07\x9b31m\u202e\nfake row"
    good = {"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": evil}
    text = json.dumps(good) + "\n" + json.dumps({**good, "type": evil}) + "\n"
    done = await cli("events", "import", "-", "--instance", "a.example", stdin=text.encode())
    shown = done.stdout.decode() + (await cli("events", "list")).stdout.decode()
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert not any(line.startswith("fake row") for line in shown.splitlines())


async def test_a_row_that_is_not_dead_is_not_to_be_confirmed(
    cli: Cli, state_dir: Path, examples: Path
) -> None:
    """`outbox discard` of a row that is not dead says so at once, and asks for no `--yes`."""
    await cli("instances", "import", examples / "instances.ndjson")
    await cli("events", "import", examples / "events.ndjson")
    await cli("aggregate", "--as-of", "2026-11-21T01:00")
    done = await cli("outbox", "discard", "1")
    assert done.returncode == 64
    assert b"row 1 is pending; only a dead one can be moved by hand" in done.stderr


async def test_where_nothing_is_left_to_send_it_says_so(cli: Cli) -> None:
    """`send` that finds nothing says where it may have gone: a service sends by itself."""
    await cli("migrate")
    env = {"ECOLYO_DACC__URL": "http://127.0.0.1:9", "ECOLYO_WORKER__MODE": "on"}
    done = await cli("send", "--until-empty", env=env)
    assert (done.returncode, done.stdout) == (0, "attempts 0 · still waiting 0\n".encode())
    assert b"nothing was left to send" in done.stderr
