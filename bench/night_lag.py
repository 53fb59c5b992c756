"""What others notice of a night over a million events: how long `record` takes meanwhile.

Ours: the 99th percentile of `worker.record(instance, event)`, called a hundred times a second while
the night runs. Baseline: the same calls on the same worker when it does nothing else.

`night_lag_loop` is the longest time, in ms, for which the event loop stood still in such a night,
beside the 50 that are allowed.
"""

import tempfile
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any

import anyio

from bench.measure import ROUNDS, sized, tell
from bench.nights import EVENTS_EACH, NIGHT, SETTINGS, Ticker, copied, make_state
from bench.usage import make_events
from ecolyo_worker import Worker

EVENTS = sized(1_000_000, 100 * EVENTS_EACH)  # a shorter night is over before there were calls
IDLE_S = sized(5_000, 100) / 1000
EVERY_S = 0.01
ALLOWED_MS = 50.0

_EVENTS = make_events(20_000, seed=2, start=NIGHT)


async def measured(worker: Worker, during: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Record events while something is done; give the 99th percentile, and the longest pause.

    Both in ms. Calls begin by the clock, whether or not the one before has ended.
    """
    took_ms: list[float] = []
    ticker = Ticker()

    async def record(name: str, event: dict[str, Any]) -> None:
        begin = perf_counter()
        await worker.record(name, {key: event[key] for key in event if key != "_id"})
        took_ms.append((perf_counter() - begin) * 1000)

    async with anyio.create_task_group() as done, anyio.create_task_group() as beside:
        begin = perf_counter()

        async def call() -> None:
            for number in count():
                await anyio.sleep(max(begin + number * EVERY_S - perf_counter(), 0))
                done.start_soon(record, *_EVENTS[number % len(_EVENTS)])

        beside.start_soon(ticker.tick)
        beside.start_soon(call)
        await during()
        beside.cancel_scope.cancel()
    return quantiles(took_ms, n=100)[98], ticker.longest_ms


async def one_round(state: Path) -> tuple[float, float, float]:
    """Give both percentiles, that of the night first, and the longest pause of the night."""
    with copied(state) as directory:
        async with Worker(SETTINGS.replace(state_dir=directory)) as worker:
            idle_ms, _ = await measured(worker, lambda: anyio.sleep(IDLE_S))
            night_ms, pause_ms = await measured(worker, lambda: worker.run_once(NIGHT))
    return night_ms, idle_ms, pause_ms


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ecolyo-bench-") as directory:
        state = Path(directory) / "state"
        await make_state(state, EVENTS)
        rounds = [await one_round(state) for _ in range(ROUNDS)]
    nights, idles, pauses = ([one[place] for one in rounds] for place in range(3))
    tell("night_lag_p99", nights, idles, "ms")
    tell("night_lag_loop", pauses, [ALLOWED_MS] * len(pauses), "ms")


if __name__ == "__main__":
    anyio.run(main)
