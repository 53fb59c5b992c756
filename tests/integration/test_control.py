"""The control socket: every command works against a running service as it works without one."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import anyio

from ecolyo_worker import Settings, Worker
from ecolyo_worker.catalogue import catalogue
from ecolyo_worker.commands import Commands
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import Echo, echo_server

from .conftest import service

Cli = Any

NOT_UTF8 = os.fsdecode(b"\xff")


def prepare(examples: Path, tmp_path: Path) -> dict[str, str]:
    """Write the files that commands are given."""
    bad = tmp_path / "bad.ndjson"
    bad.write_text('{"type": "NoEvent", "instance": "alice.example"}\n{\n')
    null = tmp_path / "null.ndjson"
    null.write_text('{"instance": "alice.example", "consent": null}\n')
    return {
        "EVENTS": str(examples / "events.ndjson"),
        "CONSUMPTION": str(examples / "consumption.ndjson"),
        "INSTANCES": str(examples / "instances.ndjson"),
        "BAD": str(bad),
        "NULL": str(null),
        "ECHO": "",
        "BACKUP": str(tmp_path / "backup.db"),
    }


JOURNEY = [
    "version",
    "version --json",
    "status",
    "status --json",
    "migrate",
    "migrate --dry-run",
    "instances import INSTANCES",
    "instances import BAD",
    "instances import NULL",
    "consumption import CONSUMPTION",
    "consumption import CONSUMPTION --json",
    "consumption import BAD",
    "consumption export --instance alice.example --step day",
    "consumption export --instance alice.example --step month --format doctype",
    "consumption export --instance nobody.example --step day",
    "chart --instance alice.example --step day",
    "chart --instance alice.example --step day --json",
    "chart --instance nobody.example --step day",
    "chart --instance alice.example --step week",
    "accounts add enedis --instance alice.example --meter 11111111111111",
    "accounts add grdf --instance alice.example --meter 1111111111111",
    "accounts list",
    "accounts list --json",
    "accounts authorize 1",
    "accounts authorize 99",
    "accounts authorize 99 --meter 11111111111112",
    "poll all",
    "poll enedis --account 99",
    "coverage --account 1 --year 2026",
    "coverage --account 99",
    "accounts remove 99 --yes",
    "accounts remove 1 --yes",
    "instances list",
    "instances list --json",
    "instances show alice.example",
    "instances show alice.example --json",
    "instances show nobody.example",
    "instances show nobody.example --json",
    f"instances show {NOT_UTF8}",
    "instances consent bob.example --version 2.0.0 --at 2026-02-01T10:00:00",
    "instances consent Bob --version 2.0.0",
    "events import EVENTS",
    "events import EVENTS --json",
    "events import BAD --json",
    "events list",
    "events list --json",
    "events list --instance alice.example --day 2026-11-20 --state waiting",
    "events list --instance alice.example --day 2026-11-20 --state waiting --json",
    "events list --instance nobody.example",
    "events list --instance nobody.example --json",
    "events list --day yesterday",
    "events list --day yesterday --json",
    "preview --as-of 2026-11-21T01:00:00",
    "preview --as-of 2026-11-21T01:00:00 --json",
    "preview --as-of 2026-11-21T01:00:00 --instance alice.example",
    "preview --as-of 2026-11-21T01:00:00 --instance alice.example --json",
    "preview --as-of soon",
    "preview --as-of soon --json",
    "aggregate --as-of 2026-11-21T01:00:00",
    "aggregate --as-of 2026-11-21T01:00:00 --json",
    "aggregate --day 20.11.2026",
    "explain navigation-count-daily 2026-11-18",
    "explain navigation-count-daily 2026-11-18 --json",
    "explain navigation-count-daily 2026-11-21",
    "explain summary-subscription-monthly 2026-10 --instance alice.example",
    "explain summary-subscription-monthly 2026-10 --instance alice.example --json",
    "explain quiz-stars 2026-11-20 --instance nobody.example",
    "explain quiz-star 2026-11-20",
    "explain quiz-stars 2026-11",
    "explain quiz-stars",
    "explain --event alice-20",
    "explain --event alice-20 --json",
    "explain --event alice-20 --instance bob.example",
    f"explain --event {NOT_UTF8}",
    "outbox list",
    "outbox list --json",
    "outbox list --state dead",
    "outbox list --state dead --json",
    "outbox export",
    "outbox export --state dead --json",
    "outbox export --measure quiz-stars --day 2026-11-20",
    f"outbox export --measure {NOT_UTF8}",
    "outbox export --day yesterday",
    "outbox show 1",
    "outbox show 1 --json",
    "outbox show 999999",
    "outbox show 999999 --json",
    "outbox show " + "9" * 25,
    "outbox retry --all",
    "outbox retry 1",
    "outbox discard 1 --yes",
    "outbox discard 1",
    "send --timeout nan",
    "send --timeout 0",
    "send --until-empty --json",
    "outbox list --state sent",
    "outbox list --state sent --json",
    "outbox show 2",
    "outbox show 2 --json",
    "outbox export --state sent",
    "reconcile",
    "reconcile --json",
    "reconcile --echo ECHO",
    "reconcile --echo http://127.0.0.1:9",
    "backup BACKUP --force",
    "backup BACKUP --force --json",
    "backup BACKUP",
    "instances withdraw bob.example",
    "instances withdraw bob.example --yes",
    "instances forget alice.example",
    "instances forget alice.example --yes",
    "instances forget alice.example --yes --json",
    "reconcile --echo ECHO",
    "status",
    "status --json",
]
"""Commands one after the other, good ones and wrong ones, as somebody types them."""


def told(text: str, state_dir: Path, echo: Echo) -> str:
    """Give what a command said, without the names, times and sizes that differ between journeys.

    What works by itself works only in a service, so that only its status tells of tasks.
    """
    text = text.replace(str(state_dir), "STATE").replace(echo.url, "ECHO")
    text = re.sub(r'(?m)^task .*\n(  .*\n)*|"tasks":\[.*?\],?', "", text)
    text = re.sub(r"(?m)^state .*", "state", text)  # a long path is cut
    text = re.sub(r'[0-9.]+ MB|"bytes":\d+|"sizes":{.*?}', "SIZE", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)", "INSTANT", text)


TRAVELLER = """
import contextlib, io, json, sys
from ecolyo_worker.cli.app import run

def travel(words):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(words)
    return code, out.getvalue(), err.getvalue()

print(json.dumps([travel(words) for words in json.load(sys.stdin)]))
"""
"""One process for all commands, because starting one takes longer than most of them."""


async def journey(
    options: list[str], state_dir: Path, files: dict[str, str], echo: Echo
) -> list[tuple[int, str, str]]:
    options = ["--state-dir", str(state_dir), *options]
    words = [[files.get(word, word) for word in command.split(" ")] for command in JOURNEY]
    done = await anyio.run_process(
        [sys.executable, "-c", TRAVELLER],
        input=json.dumps([[*command, *options] for command in words]).encode(),
        stderr=None,
    )
    return [
        (code, told(out, state_dir, echo), told(err, state_dir, echo))
        for code, out, err in json.loads(done.stdout)
    ]


async def test_every_command_does_the_same(state_dir: Path, tmp_path: Path, examples: Path) -> None:
    """Each command prints the same and ends with the same code in process and over the socket.

    What the service was told at its start counts, not what the command's own settings say.
    """
    files = prepare(examples, tmp_path)
    async with echo_server() as first, echo_server() as second:
        config = tmp_path / "config.toml"
        config.write_text(f'[dacc]\nurl = "{first.url}"\nrate = 10000.0\n')
        here = {**files, "ECHO": first.url}
        async with Worker(Settings(state_dir=state_dir)).opened():
            pass  # a service has made its state, too, when it is first asked
        alone = await journey(["--config", str(config)], state_dir, here, first)
        other = tmp_path / "other"
        settings = Settings(state_dir=other, dacc=Dacc(url=second.url, rate=10000.0))
        async with service(settings) as worker:
            await Commands(worker).migrate()  # it has told of its first start
            there = await journey([], other, {**files, "ECHO": second.url}, second)
    for command, one, two in zip(JOURNEY, alone, there, strict=True):
        assert one == two, command
    codes = {command: code for command, (code, _, _) in zip(JOURNEY, alone, strict=True)}
    assert set(codes.values()) >= {0, 64, 65}
    assert codes["reconcile --echo ECHO"] == 0


def test_the_journey_leaves_no_command_out() -> None:
    """Every command of the table is taken by the journey above."""
    taken = {"_".join(command.split(" ")[:2]) for command in JOURNEY}
    taken |= {command.split(" ")[0] for command in JOURNEY} | {
        "explain_rule",
        "explain_event",
        "accounts_consent",
        "consumption_chart",
        "examine",
        "migrate_plan",
    }
    assert set(catalogue()) <= taken
