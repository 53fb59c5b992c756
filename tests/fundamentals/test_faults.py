"""Every fault that a DACC or a stack can have, alone and mixed: it ends, and then all is there."""

import random
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.sender import SendReport
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.ledger import Ledger, assert_balanced

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

PAGES = ("electricity", "gas", "water", "faq")
TARGETS = ("native", "cozy-v1", "cozy-v2")
NOW = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
WEEK_S = 7 * 86_400

# An attempt may take so long. What is late comes later still, what is slow well before.
TIMEOUT_S = 0.3
PATIENT_S = 10.0
PROMPT = [
    *("html-401", "cozy-502", "status=503", "retry-after=30", "latency=20ms", "slow-body=2ms"),
    *("drop", "reset", "garbage", "accept-then-drop"),
]
LATE = ["latency=400ms", "slow-body=40ms"]
# More than the breaker lets pass.
TIMES = 6
SEEDS, SEEDS_OF_A_TEST = 100, 10


@pytest.fixture
async def two_people(state_dir: Path, fill: Filled) -> Path:
    """A state with four rows that wait, no two of which are equal."""
    await fill("alice.example", PAGES[:2])
    await fill("bob.example", PAGES[2:])
    return state_dir


def patient(quick: Quick, echo: Echo, target: str, timeout_s: float) -> Settings:
    """Give settings whose waits are long, for they take no time.

    Only a pause for the token's sake is shorter than in real life: it is spent in looking at it.
    """
    url = echo.url if target == "native" else echo.url + "/{instance}"
    waits = {
        "attempt_timeout": timedelta(seconds=timeout_s),
        "auth_retry": timedelta(minutes=1),
        "backoff_base": timedelta(seconds=30),
        "unknown_retry": timedelta(minutes=15),
    }
    return quick(url, target=target, **waits)


async def send_all(settings: Settings, seed: int = 1) -> SendReport:
    """Send until nothing waits, on a clock of its own, and check that nothing does."""
    chance = random.Random(seed)
    async with Worker(settings, clock=FakeClock(NOW), random=chance).opened() as worker:
        report = await worker.send(until_empty=True, timeout_s=WEEK_S)
        assert (report.waiting, worker.status().outbox["sent"]) == (0, len(PAGES))
    return report


def check_arrived(ledger: Ledger, counts: dict[str, Any]) -> None:
    """Check that each row arrived, and that both sides count the same doubles."""
    assert (ledger.indicators, ledger.missing) == (len(PAGES), 0)
    assert ledger.duplicates == counts["duplicates"] == counts["received"] - len(PAGES)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("fault", "timeout_s", "outcome", "counted", "doubles"),
    [
        ("html-401", PATIENT_S, "unauthorized", False, False),
        ("cozy-502", PATIENT_S, "unauthorized", False, False),
        ("status=503", PATIENT_S, "unavailable", False, False),
        ("retry-after=30", PATIENT_S, "throttled", False, False),
        ("latency=20ms", PATIENT_S, "delivered", False, False),
        ("latency=2s", TIMEOUT_S, "unknown", True, True),
        ("slow-body=2ms", PATIENT_S, "delivered", False, False),
        ("slow-body", TIMEOUT_S, "unknown", True, True),
        ("drop", PATIENT_S, "unknown", True, False),
        ("reset", PATIENT_S, "unknown", True, False),
        ("garbage", PATIENT_S, "unknown", True, False),
        ("accept-then-drop", PATIENT_S, "unknown", True, True),
    ],
)
async def test_each_fault_passes(
    two_people: Path,
    quick: Quick,
    rows: Rows,
    target: str,
    fault: str,
    timeout_s: float,
    outcome: str,
    *,
    counted: bool,
    doubles: bool,
) -> None:
    """Of some faults of a kind nothing stays behind; only what was stored unseen is doubled."""
    failing = 0 if outcome == "delivered" else TIMES
    async with echo_server("--fault", f"{fault}*{TIMES}") as echo:
        settings = patient(quick, echo, target, timeout_s)
        report = await send_all(settings)
        counts = await echo.count()
        ledger = await assert_balanced(two_people, echo.url)
    assert counts["faults"] == {fault.partition("=")[0]: failing or len(PAGES)}
    found = Counter(report.outcomes)
    if timeout_s == TIMEOUT_S:
        # A machine that stalls makes an attempt late before it has begun, which harms nobody.
        del found["unavailable"]
    assert found == Counter(delivered=len(PAGES)) + Counter({outcome: failing})
    async with Worker(settings).opened() as worker:
        assert sum(row.counted_attempts for row in await rows(worker)) == TIMES * counted
    check_arrived(ledger, counts)
    assert counts["duplicates"] == TIMES * doubles


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


def unknown_ends(counts: dict[str, Any], *, late: bool) -> int:
    """Give how many requests were stored, or may have been, without their sender knowing it."""
    names = ["accept-then-drop", *(["latency", "slow-body"] if late else [])]
    return sum(counts["faults"].get(name, 0) for name in names)


async def pass_through(
    seed: int, waiting: Path, settings: Settings, api: httpx.AsyncClient
) -> None:
    """Send a copy of what waits through a mixture of faults, and check what came of it."""
    state_dir = waiting.with_name(f"seed-{seed}")
    shutil.copytree(waiting, state_dir)
    (await api.delete("/api/indicators")).raise_for_status()
    (await api.put("/api/fault", content=mixture(seed))).raise_for_status()
    await send_all(settings.replace(state_dir=state_dir), seed)
    counts = (await api.get("/api/count")).json()
    check_arrived(await assert_balanced(state_dir, str(api.base_url)), counts)
    assert counts["duplicates"] <= unknown_ends(counts, late=is_late(seed))


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_OF_A_TEST))
async def test_mixed_faults_pass(two_people: Path, quick: Quick, first: int) -> None:
    """Whatever comes in whatever order, all arrives; no double but by an end that was unknown."""
    async with (
        echo_server("--seed", str(first)) as echo,
        httpx.AsyncClient(base_url=echo.url, trust_env=False, verify=False) as api,
    ):
        for seed in range(first, first + SEEDS_OF_A_TEST):
            timeout_s = TIMEOUT_S if is_late(seed) else PATIENT_S
            settings = patient(quick, echo, TARGETS[seed % 3], timeout_s)
            try:
                await pass_through(seed, two_people, settings, api)
            except BaseException as error:
                error.add_note(f"seed {seed}: {mixture(seed)}")
                raise
