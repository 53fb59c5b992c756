"""Each command of the table answers over the control socket what it answers in process."""

import json
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker import requests as ask
from ecolyo_worker.catalogue import Command, catalogue
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.providers import Enedis
from ecolyo_worker.settings import Dacc
from ecolyo_worker.store.migrations import MigrationPlan
from ecolyo_worker.testing import Echo, echo_server

from .conftest import commands_of, lines, service

NIGHT = "2026-11-21T01:00:00"
DAY = "2026-11-20"
ALICE, BOB = "alice.example", "bob.example"
CONSENT = {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"}
PAGES = ("gas", "water", "electricity", "faq", "options", "elsewhere")
PRM = "11111111111111"
EVENT = {"type": "NavigationEvent", "eventDate": f"{DAY}T10:00"}
BAD = {"type": "NoEvent", "instance": ALICE}
READING = {"instance": ALICE, "fluid": "gas", "step": "day", "start": DAY, "value": 8.038}
DEAD = -1
"""Stands for the id of the row that is dead."""

CASES: dict[str, list[Any]] = {
    "accounts_add": [
        ask.AccountAdd("enedis", BOB, PRM),
        ask.AccountAdd("grdf", "carol.example"),
        ask.AccountAdd("enedis", ALICE, PRM),
        ask.AccountAdd("grdf", ALICE, PRM[1:]),
        ask.AccountAdd("enedis", "A/b"),
    ],
    "accounts_authorize": [1, 99, 2**70],
    "accounts_consent": [
        ask.AccountConsent(2, meter="GI123456"),
        ask.AccountConsent(2, callback="state=guessed"),
        ask.AccountConsent(2, id_token="a.b"),
        ask.AccountConsent(2),
    ],
    "accounts_list": [
        ask.AccountsList(),
        ask.AccountsList(ALICE, with_meters=True),
        ask.AccountsList("nobody.example"),
    ],
    "accounts_remove": [
        ask.AccountRemove(1),
        ask.AccountRemove(2, keeps_data=True),
        ask.AccountRemove(99),
    ],
    "aggregate": [
        ask.Aggregate("2026-11-22T01:00:00"),
        ask.Aggregate(NIGHT, day=DAY),
        ask.Aggregate("2026-12-07T01:00:00", month="2026-11"),
        ask.Aggregate(day="yesterday"),
    ],
    "backup": [None],
    "consumption_chart": [
        ask.ConsumptionChart("day"),
        ask.ConsumptionChart("half-hour", ALICE, "gas", "2026-10-01", "2026-10-02"),
        ask.ConsumptionChart("month", "carol.example"),
        ask.ConsumptionChart("day", account=2),
        ask.ConsumptionChart("day", ALICE, account=2),
        ask.ConsumptionChart("day", account=99),
        ask.ConsumptionChart("day", begin="x"),
    ],
    "consumption_export": [
        ask.ConsumptionExport("day"),
        ask.ConsumptionExport("year", ALICE, "water", "2026-10-01", "2026-10-02"),
        ask.ConsumptionExport("day", "carol.example"),
    ],
    "consumption_import": [
        ask.ConsumptionImport(lines(READING, {**READING, "fluid": "oil"}, {})),
        ask.ConsumptionImport([]),
    ],
    "events_import": [
        ask.EventsImport(lines({**EVENT, "_id": "new"}, {**EVENT, "_id": "gas"}, BAD), ALICE),
        ask.EventsImport([ask.Line(7, b"\xff{"), ask.Line(9, b"")], "A/b"),
    ],
    "events_list": [
        ask.EventsList(),
        ask.EventsList(ALICE, DAY, "counted"),
        ask.EventsList("nobody.example"),
        ask.EventsList(day="20.11.2026"),
    ],
    "coverage": [
        ask.Coverage(),
        ask.Coverage(1, 2025),
        ask.Coverage(99),
        ask.Coverage(year=1),
    ],
    "examine": [ask.Examine(60.0), ask.Examine(0.0)],
    "explain": [
        ask.Explain("navigation-count-daily", DAY),
        ask.Explain("navigation-count-daily", "2026-11-21", ALICE, "2026-11-22T01:00:00"),
        ask.Explain("navigation", DAY),
        ask.Explain("navigation-count-daily", "2026-11"),
    ],
    "explain_event": [
        ask.ExplainEvent("gas"),
        ask.ExplainEvent("waits", ALICE),
        ask.ExplainEvent("\ud800"),
    ],
    "explain_rule": ["navigation-count-daily", "quiz-stars", "nothing"],
    "instances_consent": [
        ask.GiveConsent(BOB, "1.0.0", "2026-11-01T10:00:00"),
        ask.GiveConsent(BOB, "1.0.0"),
        ask.GiveConsent("Bob", "1.0.0"),
        ask.GiveConsent(BOB, "one"),
    ],
    "instances_forget": [ALICE, "nobody.example", "é"],
    "instances_import": [
        ask.InstancesImport(lines({"instance": "carol.example"}, {"instance": "C"}, BAD)),
        ask.InstancesImport(lines({"instance": ALICE, "consent": None})),
        ask.InstancesImport(lines({"instance": ALICE, "consent": None}), withdrawing=True),
    ],
    "instances_list": [None],
    "instances_show": [ALICE, "nobody.example"],
    "instances_withdraw": [ALICE, "nobody.example"],
    "migrate": [None],
    "migrate_plan": [None],
    "outbox_discard": [DEAD, 1, 10**30],
    "outbox_export": [ask.OutboxExport(), ask.OutboxExport("dead", day=DAY)],
    "outbox_list": [ask.OutboxList(), ask.OutboxList("pending")],
    "outbox_retry": [ask.Retry(DEAD), ask.Retry(), ask.Retry(1), ask.Retry(999)],
    "outbox_show": [DEAD, 1, 999, -(2**70)],
    "poll": [
        ask.Poll("grdf"),
        ask.Poll(account=1, begin="2026-11-18", end="2026-11-19", forced=True),
        ask.Poll("enedis", begin="2026-11-19", end="2026-11-18"),
        ask.Poll(account=99),
    ],
    "preview": [
        ask.Preview("2026-11-22T01:00:00"),
        ask.Preview("2026-11-22T01:00:00", instance=ALICE),
        ask.Preview("soon"),
    ],
    "reconcile": [ask.Reconcile(), ask.Reconcile("http://127.0.0.1:9")],
    "send": [
        ask.Send(),
        ask.Send(until_empty=True, timeout=0.2),
        ask.Send(timeout=0.0),
        ask.Send(timeout=float("nan")),
    ],
    "status": [None],
    "version": [None],
}
"""What each command is asked, once so that it is done and once so that it is refused."""


class StoppedClock(SystemClock):
    """A clock at which it is always the same moment; its sleeps take their time."""

    def now(self) -> datetime:
        return datetime(2026, 11, 21, 1, 0, tzinfo=UTC)


def settings(state_dir: Path, echo: Echo) -> Settings:
    secret = state_dir.with_name("client-secret")
    secret.write_text("secret")
    return Settings(
        state_dir=state_dir,
        dacc=Dacc(url=echo.url, rate=10_000, concurrency=1),
        enedis=Enedis(client_id="ecolyo", client_secret_file=secret, base_url="http://127.0.0.1:9"),
    )


def chance() -> dict[str, Any]:
    """Give the same time and the same random numbers to every worker."""
    return {"clock": StoppedClock(), "random": random.Random(7)}


async def prepare(state_dir: Path, echo: Echo) -> None:
    """Make a state in which there is something of everything."""
    await echo.set_fault("ok*2,status=400,status=503,ok*999")
    async with Worker(settings(state_dir, echo), **chance()).opened() as own:
        commands = Commands(own)
        facts = [{"instance": name, "consent": CONSENT} for name in (ALICE, BOB)]
        await commands.instances_import(ask.InstancesImport(lines(*facts)))
        await commands.consumption_import(ask.ConsumptionImport(lines(READING)))
        await commands.accounts_add(ask.AccountAdd("enedis", ALICE, PRM))
        await commands.accounts_add(ask.AccountAdd("grdf", ALICE))
        await own.record(ALICE, [{**EVENT, "_id": page, "target": page} for page in PAGES])
        await own.run_once(datetime.fromisoformat(NIGHT))
        await own.send()
        await own.record(ALICE, {**EVENT, "_id": "waits", "eventDate": "2026-11-21T00:30"})
        states = own.status().outbox
        assert states["sent"] > 2
        assert (states["dead"], states["pending"]) == (1, 1)
    await echo.set_fault("ok")


@asynccontextmanager
async def here(state_dir: Path, echo: Echo) -> AsyncIterator[Commands]:
    """The commands in process."""
    async with Worker(settings(state_dir, echo), **chance()).opened() as own:
        yield Commands(own)


@asynccontextmanager
async def there(state_dir: Path, echo: Echo) -> AsyncIterator[Commands]:
    """The same commands, over the socket."""
    async with service(settings(state_dir, echo), **chance()), commands_of(state_dir) as commands:
        yield commands


async def asked(commands: Commands, command: Command, request: Any, into: list[Any]) -> None:
    """Ask a command, and add what it gave, or what it raised, to a list."""
    method = getattr(commands, command.name)
    arguments = [] if command.request is None else [await meant(commands, request)]
    try:
        if command.is_stream:
            async for item in method(*arguments):
                into.append(item)  # noqa: PERF401  what came before an error counts
        else:
            into.append(alike(await method(*arguments)))
    except EcolyoError as error:
        into.append((type(error), str(error), vars(error)))


def alike(answer: Any) -> Any:
    """Leave out what no two answers share: how much room the disk has, the state of a page."""
    if isinstance(answer, ask.ConsentPage):
        url = answer.url.rpartition("state=")[0]
        return msgspec.structs.replace(answer, url=url)
    is_plan = isinstance(answer, MigrationPlan)
    return msgspec.structs.replace(answer, free_bytes=0) if is_plan else answer


async def meant(commands: Commands, request: Any) -> Any:
    """Put the id of the dead row where it is meant."""
    if DEAD not in (request, getattr(request, "id", None)):
        return request
    (row,) = [row async for row in commands.outbox_list(ask.OutboxList("dead"))]
    return row.id if request == DEAD else ask.Retry(row.id)


@pytest.fixture(scope="module")
async def echo() -> AsyncIterator[Echo]:
    async with echo_server() as server:
        yield server


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def template(tmp_path_factory: pytest.TempPathFactory, echo: Echo) -> Path:
    """A state to copy, because making it takes longer than asking for it."""
    path = tmp_path_factory.mktemp("parity") / "state"
    await prepare(path, echo)
    return path


@pytest.mark.parametrize("command", catalogue().values(), ids=catalogue())
async def test_a_command_answers_the_same(
    command: Command, template: Path, state_dir: Path, echo: Echo
) -> None:
    """On the same state at the same moment, both ways give equal structs, or the same errors."""
    answers: list[list[Any]] = []
    for way in (here, there):
        shutil.copytree(template, state_dir)
        found: list[Any] = []
        async with way(state_dir, echo) as commands:
            for request in CASES[command.name]:
                await asked(commands, command, request, found)
            # What it left behind is the same, too.
            found.append(await commands.status())
            found += [row async for row in commands.outbox_list(ask.OutboxList())]
            found += [item async for item in commands.events_list(ask.EventsList())]
        answers.append(found)
        shutil.rmtree(state_dir)
    one, two = answers
    assert [type(item) for item in one] == [type(item) for item in two]
    assert one == two


def test_no_command_is_without_a_case() -> None:
    """Whoever adds a command says here what it is asked; whoever takes one away, too."""
    assert set(CASES) == set(catalogue())
    asks = {name: [type(one) for one in cases if one is not None] for name, cases in CASES.items()}
    for command in catalogue().values():
        assert set(asks[command.name]) == ({command.request} - {None}), command.name


async def test_many_lines_are_told_by_their_own_numbers(
    cli: Any, state_dir: Path, tmp_path: Path, echo: Echo
) -> None:
    """A file of several pieces goes over the socket, and each refusal names the file's line."""
    texts = [json.dumps({**EVENT, "_id": str(n), "instance": ALICE}) for n in range(1300)]
    wrong = (3, 499, 500, 501, 1000, 1299)
    for line in wrong:
        texts[line - 1] = "{}"
    path = anyio.Path(tmp_path / "events.ndjson")
    await path.write_text("\n".join(texts))
    async with there(state_dir, echo) as commands:
        done = await cli("events", "import", path, "--json")
        assert (await commands.status()).events["waiting"] == 1300 - len(wrong)
    report = json.loads(done.stdout)
    assert done.returncode == 65
    assert (report["accepted"], report["known"]) == (1300 - len(wrong), 0)
    assert [item["line"] for item in report["refused"]] == list(wrong)
