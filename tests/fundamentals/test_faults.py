"""Every fault that a DACC or a stack can have, alone and mixed: it ends, and then all is there."""

import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Never

import anyio
import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.sender import SendReport
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import Ledger, assert_balanced
from ecolyo_worker.tools.twins.faults import FORMS
from tests.machine_time import MachineTime

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

PAGES = ("electricity", "gas", "water", "faq")
TARGETS = ("native", "cozy-v1", "cozy-v2")
NATIVE, V1, V2 = ("native",), ("cozy-v1",), ("cozy-v2",)
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
WEEK_S = 7 * 86_400

# What is late comes later than any attempt may take, which is not waited for.
TIMEOUT_S = 30.0
PROMPT = [
    *("html-401", "cozy-502", "status=503", "retry-after=30", "latency=20ms", "slow-body=2ms"),
    *("drop", "reset", "garbage", "accept-then-drop"),
    *("expired-token", "invalid-jwt", "forbidden", "bad-doctype", "no-token-at-stack"),
    *("cant-connect", "accept-then-cant-connect"),
    *("throttle", "throttle=30", "retry-after-date=30", "retry-after-garbage"),
]
STORED_UNSEEN = ("accept-then-drop", "accept-then-cant-connect")
LATE = ["latency=1min", "slow-body=1min"]
# More than the breaker lets pass.
TIMES = 6
SEEDS, SEEDS_OF_A_TEST = 100, 10


@pytest.fixture
async def two_people(state_dir: Path, fill: Filled) -> Path:
    """A state with four rows that wait, no two of which are equal."""
    await fill("alice.example", PAGES[:2])
    await fill("bob.example", PAGES[2:])
    return state_dir


def patient(quick: Quick, echo: Echo, target: str, concurrency: int = 4) -> Settings:
    """Give settings whose waits are long, for they take no time.

    Only a pause for the token's sake is shorter than in real life: it is spent in looking at it.
    """
    url = echo.url if target == "native" else echo.url + "/{instance}"
    waits = {
        "attempt_timeout": timedelta(seconds=TIMEOUT_S),
        "auth_retry": timedelta(minutes=1),
        "backoff_base": timedelta(seconds=30),
        "unknown_retry": timedelta(minutes=15),
    }
    return quick(url, target=target, concurrency=concurrency, **waits)


async def pass_deadlines(echo: Echo, machine_time: MachineTime) -> Never:
    """Let the time of an attempt be over as soon as the server holds another answer back.

    Only one attempt may be under way at a time: which one hangs is not told.
    """
    held = 0
    while True:
        faults = (await echo.count())["faults"]
        found = faults.get("latency", 0) + faults.get("slow-body", 0)
        if found > held:
            machine_time.skip(TIMEOUT_S)
        held = found


async def send_all(
    settings: Settings, echo: Echo, machine_time: MachineTime | None = None, seed: int = 1
) -> SendReport:
    """Send until nothing waits, on a clock of its own, and check that nothing does.

    With the machine's time, no answer that comes too late is waited for.
    """
    chance = random.Random(seed)
    async with (
        Worker(settings, clock=FakeClock(NOW), random=chance).opened() as worker,
        anyio.create_task_group() as waiting,
    ):
        if machine_time is not None:
            waiting.start_soon(pass_deadlines, echo, machine_time)
        report = await worker.send(until_empty=True, timeout_s=WEEK_S)
        waiting.cancel_scope.cancel()
        assert (report.waiting, worker.status().outbox["sent"]) == (0, len(PAGES))
    return report


def check_arrived(ledger: Ledger, counts: dict[str, Any]) -> None:
    """Check that each row arrived, and that both sides count the same doubles."""
    assert (ledger.indicators, ledger.missing) == (len(PAGES), 0)
    assert ledger.duplicates == counts["duplicates"] == counts["received"] - len(PAGES)


class Alone(NamedTuple):
    """A fault, and what an attempt that meets it ends with."""

    fault: str
    outcome: str
    counted: bool = False
    doubles: bool = False
    late: bool = False
    """Whether its answers come too late."""
    targets: tuple[str, ...] = TARGETS
    """Where it is tried: what a stack says is nothing that a DACC does."""


ALONE = [
    Alone("html-401", "unauthorized"),
    Alone("cozy-502", "unauthorized"),
    Alone("expired-token", "unauthorized", targets=V1),
    Alone("invalid-jwt", "unauthorized", targets=V2),
    Alone("forbidden", "unauthorized", targets=V1),
    Alone("bad-doctype", "misconfigured", targets=V2),
    Alone("no-token-at-stack", "misconfigured", targets=V1),
    Alone("cant-connect", "unknown", counted=True, targets=V2),
    Alone("accept-then-cant-connect", "unknown", counted=True, doubles=True, targets=V1),
    Alone("status=503", "unavailable"),
    Alone("throttle", "throttled", targets=NATIVE),
    Alone("throttle=30", "throttled", targets=V1),
    Alone("retry-after=30", "throttled"),
    Alone("retry-after-date=30", "throttled", targets=V2),
    Alone("retry-after-garbage", "throttled", targets=NATIVE),
    Alone("latency=20ms", "delivered"),
    Alone("latency=1min", "unknown", counted=True, doubles=True, late=True),
    Alone("slow-body=2ms", "delivered"),
    Alone("slow-body=1min", "unknown", counted=True, doubles=True, late=True),
    Alone("drop", "unknown", counted=True),
    Alone("reset", "unknown", counted=True),
    Alone("garbage", "unknown", counted=True),
    Alone("accept-then-drop", "unknown", counted=True, doubles=True),
]


def test_every_fault_is_here() -> None:
    """Each fault that the echo server knows is tried alone, and in the mixtures."""
    known = FORMS.keys() - {"ok"}
    assert {case.fault.partition("=")[0] for case in ALONE} == known
    assert {fault.partition("=")[0] for fault in PROMPT + LATE} == known


@pytest.mark.parametrize(
    ("target", "case"),
    [
        pytest.param(target, case, id=f"{target}-{case.fault}-{case.outcome}")
        for case in ALONE
        for target in case.targets
    ],
)
async def test_each_fault_passes(
    two_people: Path,
    quick: Quick,
    rows: Rows,
    machine_time: MachineTime,
    target: str,
    case: Alone,
) -> None:
    """Of some faults of a kind nothing stays behind; only what was stored unseen is doubled."""
    fault, outcome = case.fault, case.outcome
    failing = 0 if outcome == "delivered" else TIMES
    async with echo_server("--fault", f"{fault}*{TIMES}") as echo:
        settings = patient(quick, echo, target, concurrency=1 if case.late else 4)
        report = await send_all(settings, echo, machine_time if case.late else None)
        counts = await echo.count()
        ledger = await assert_balanced(two_people, echo.url)
    assert counts["faults"] == {fault.partition("=")[0]: failing or len(PAGES)}
    assert report.outcomes == Counter(delivered=len(PAGES)) + Counter({outcome: failing})
    async with Worker(settings).opened() as worker:
        assert sum(row.counted_attempts for row in await rows(worker)) == TIMES * case.counted
    check_arrived(ledger, counts)
    assert counts["duplicates"] == TIMES * case.doubles


def mixture(seed: int) -> str:
    """Give some faults in a row, each for a few requests, or for some of them."""
    draw = random.Random(seed)
    names = PROMPT + LATE if is_late(seed) else PROMPT

    def item() -> str:
        chance = draw.choice(("", "", "@30%", "@60%"))
        return f"{draw.choice(names)}*{draw.randint(1, 3)}{chance}"

    return ",".join(item() for _ in range(draw.randint(2, 6)))


def is_late(seed: int) -> bool:
    """Say whether a mixture may have answers that come too late; to wait for them takes time."""
    return seed % 5 == 0


def unknown_ends(counts: dict[str, Any]) -> int:
    """Give how many requests were stored by a fault that does not let their sender know it."""
    return sum(counts["faults"].get(name, 0) for name in STORED_UNSEEN)


async def pass_through(
    seed: int,
    waiting: Path,
    settings: Settings,
    api: httpx.AsyncClient,
    echo: Echo,
    machine_time: MachineTime | None,
) -> None:
    """Send a copy of what waits through a mixture of faults, and check what came of it."""
    state_dir = waiting.with_name(f"seed-{seed}")
    shutil.copytree(waiting, state_dir)
    (await api.delete("/api/indicators")).raise_for_status()
    (await api.put("/api/fault", content=mixture(seed))).raise_for_status()
    report = await send_all(settings.replace(state_dir=state_dir), echo, machine_time, seed)
    counts = (await api.get("/api/count")).json()
    check_arrived(await assert_balanced(state_dir, str(api.base_url)), counts)
    assert counts["duplicates"] <= report.outcomes.get("unknown", 0)
    if not is_late(seed):  # of the others, the sender alone knows which answers came too late
        assert counts["duplicates"] <= unknown_ends(counts)


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_OF_A_TEST))
async def test_mixed_faults_pass(
    two_people: Path, quick: Quick, machine_time: MachineTime, first: int
) -> None:
    """Whatever comes in whatever order, all arrives; no double but by an end that was unknown."""
    async with (
        echo_server("--seed", str(first)) as echo,
        httpx.AsyncClient(base_url=echo.url, trust_env=False, verify=False) as api,
    ):
        for seed in range(first, first + SEEDS_OF_A_TEST):
            late = is_late(seed)
            settings = patient(quick, echo, TARGETS[seed % 3], concurrency=1 if late else 4)
            try:
                skipped = machine_time if late else None
                await pass_through(seed, two_people, settings, api, echo, skipped)
            except BaseException as error:
                error.add_note(f"seed {seed}: {mixture(seed)}")
                raise
