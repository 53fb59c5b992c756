"""Which days `poll` fetches where a first or a last one is named, or none."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.requests import Poll, PolledAccount
from tests.energy_accounts import PCE, PRM, add
from tests.energy_polling import Polling, asked, gaps, visit


async def poll(worker: Worker, **request: Any) -> list[PolledAccount]:
    """Do it, and give how it ended for each account."""
    found = [step async for step in Commands(worker).poll(Poll(**request))]
    return [step.account for step in found if step.account is not None]


async def test_a_last_day_alone_reaches_back_as_the_settings_say(polling: Polling) -> None:
    """`--to` without `--from` fetches what a plain `poll` does, but for the days after it."""
    async with polling.worker() as worker:
        await add(worker, "enedis", PRM)
        await add(worker, "grdf", PCE)
        await poll(worker, end="2026-11-15")
    assert await asked(polling.twin, "daily") == [("2026-09-22", "2026-11-16", 1)]
    assert await asked(polling.twin, "curve") == [
        ("2026-11-09", "2026-11-16", 1),
        ("2026-11-07", "2026-11-09", 1),
    ]
    assert await asked(polling.twin, "informative") == [("2026-09-22", "2026-11-16", 1)]


async def test_nothing_is_asked_that_no_provider_keeps(polling: Polling) -> None:
    """A first day of long ago ends where the provider does: no request is refused."""
    async with polling.worker(per_second=100) as worker:
        gas = msgspec.structs.replace(worker.settings.grdf, history_days=1110)
        worker.settings = worker.settings.replace(grdf=gas)
        await add(worker, "enedis", PRM)
        await add(worker, "grdf", PCE)
        ends = await poll(worker, begin="2015-01-01")
        assert [end.outcome for end in ends] == ["done", "done"]
    calls = await polling.twin.calls()
    assert {call["series"] for call in calls} == {"daily", "curve", "informative", "published"}
    assert {status for call in calls for status in call["statuses"]} == {"200"}
    assert await polling.twin.count(PRM) == 4 + 107


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"begin": "2026-11-30"}, "--from 2026-11-30 is not before today"),
        ({"begin": "2026-11-21", "end": "2026-12-01"}, "--from 2026-11-21 is not before today"),
        (
            {"begin": "2026-11-09", "end": "2026-11-08"},
            "--from 2026-11-09 --to 2026-11-08: no day lies between them",
        ),
        (
            {"end": "2026-01-01"},
            (
                "--to 2026-01-01 is before 2026-09-22, the first day that is fetched by the"
                " settings: name an earlier one by --from"
            ),
        ),
        (
            {"provider": "enedis", "begin": "2015-11-20", "end": "2015-12-10"},
            (
                "--to 2015-12-10 is before 2023-11-07, the first day that is kept where it is"
                " fetched from: name a later one"
            ),
        ),
    ],
)
async def test_days_that_cannot_be_are_named_as_they_were_given(
    polling: Polling, request_: dict[str, str], said: str
) -> None:
    """A refusal names no option that was not given, and says what would do."""
    async with polling.worker() as worker:
        with pytest.raises(CommandRefused) as refused:
            await poll(worker, **request_)
    assert str(refused.value) == said


async def test_days_that_only_another_provider_keeps_are_not_said_to_be_there(
    polling: Polling,
) -> None:
    """GRDF keeps five years, Enedis three: of its account that is told, or refused if named."""
    old = {"begin": "2022-01-01", "end": "2022-01-31"}
    async with polling.worker() as worker:
        electricity = await add(worker, "enedis", PRM)
        await add(worker, "grdf", PCE)
        (first, second) = await poll(worker, **old)
        assert (first.outcome, second.outcome) == ("refused", "done")
        assert first.reason == (
            "These days are before 2023-11-07, the first day that can be fetched for it."
        )
        with pytest.raises(CommandRefused, match="--to 2022-01-31 is before 2023-11-07"):
            await poll(worker, account=electricity.id, **old)
        assert await polling.twin.count(PRM) == 0


async def test_gas_days_are_whole_where_the_clock_changes(polling: Polling) -> None:
    """A gas day ends at six: it is 23 or 25 hours long on other days than the civil one."""
    polling.clock.jump(datetime(2026, 11, 1, 10, tzinfo=UTC))
    async with polling.worker() as worker:
        account = await add(worker, "grdf", PCE)
        await visit(worker, account)
        found = await gaps(worker, account, "gas_days")
        assert {found[day].state for day in ("2026-10-24", "2026-10-25")} == {"provisional"}
