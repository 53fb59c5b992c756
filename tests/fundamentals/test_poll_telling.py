"""What a worker tells of what it fetches, to everybody and to nobody."""

import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import AccountsList, Coverage, Poll
from ecolyo_worker.secret import Secret
from ecolyo_worker.service.metrics import exposition, observe
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import PCE, PRM, add, settings
from tests.energy_polling import NULLS, ODD, Polling, visit


async def told(worker: Worker) -> str:
    """Give all that is told without asking for secrets."""
    commands = Commands(worker)
    found: list[Any] = [worker.status(), worker.health(), repr(worker.tokens)]
    found += [one async for one in commands.accounts_list(AccountsList())]
    found += [one async for one in commands.coverage(Coverage())]
    found += [one async for one in commands.poll(Poll(forced=True))]
    return msgspec.json.encode(found).decode() + exposition(observe(worker)).decode()


async def test_status_and_metrics_tell_of_readings(polling: Polling) -> None:
    """The last day held, suspect days, pauses with their reason, and requests by their outcome."""
    await polling.twin.set_meter(PRM, "differs", "bad-points")
    await polling.twin.set_meter(ODD, "differs")
    async with polling.worker() as worker:
        await visit(worker, await add(worker, "enedis", ODD))
        await visit(worker, await add(worker, "enedis", PRM))
        await polling.twin.set_fault("quota-hour*1,ok")
        await visit(worker, await add(worker, "grdf", PCE))
        status = worker.status()
        assert status.held_through["enedis"].least == "2026-11-20"
        assert status.suspect_days == 2
        assert "grdf is left alone until 2026-11-21T1" in " ".join(status.advice)
        assert "`ecolyo-worker coverage` tells which" in " ".join(status.advice)
        metrics = exposition(observe(worker)).decode().splitlines()
        for line in (
            'ecolyo_energy_calls_total{provider="enedis",outcome="ok"} 6',
            'ecolyo_energy_calls_total{provider="grdf",outcome="quota"} 1',
            'ecolyo_energy_points_refused_total{provider="enedis"} 6',
            "ecolyo_energy_suspect_days 2",
            'ecolyo_energy_held_through_timestamp_seconds{provider="enedis"} 1795132800.0',
        ):
            assert line in metrics
        await polling.later(hours=3)
        assert worker.status().pauses == {}
        assert "is left alone" not in " ".join(worker.status().advice)


async def test_nothing_points_to_a_home(
    state_dir: Path, energy_twin: Twin, caplog: pytest.LogCaptureFixture
) -> None:
    """No number of a meter and no token is in any line of the log, nor in what is told."""
    caplog.set_level(logging.DEBUG)
    chosen = settings(state_dir, energy_twin, history_days=20, curve_days=7, per_second=100)
    meters = (PRM, ODD, NULLS)
    faults = ("ok", "status=401*1,ok", "cut-json*2,ok", "curve-off*9", "status=500*9")
    async with Worker(chosen).opened() as worker:
        for meter in meters:
            await add(worker, "enedis", meter)
        await add(worker, "grdf", PCE)
        everything = ""
        for fault in (*faults, "consent-revoked"):
            await energy_twin.set_fault(fault)
            everything += await told(worker)
        secrets = [
            await worker.tokens.application("enedis"),
            await worker.tokens.application("grdf"),
        ]
    everything += caplog.text
    assert "needs_consent" in everything
    assert "readings are not given" in everything
    assert all(isinstance(one, Secret) for one in secrets)
    shown = [one.reveal() for one in secrets if isinstance(one, Secret)]
    assert [text for text in (*meters, PCE, *shown) if text in everything] == []
