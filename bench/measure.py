"""Measures ours against a baseline: both by turns in one process, and a ratio of the two.

A ratio says more than a time: whatever slows the machine down slows both.
"""

import gc
import json
from collections.abc import Awaitable, Callable
from statistics import median

__all__ = ["compare"]

ROUNDS = 5

Rate = Callable[[], Awaitable[float]]
"""Does the work once, on a state of its own, and gives how much of it was done per second."""


async def compare(name: str, baseline: Rate, ours: Rate, unit: str = "events/s") -> None:
    """Run both by turns and print one line of JSON.

    `ours` and `baseline` are medians, `ratio` is the median of the rounds' ratios (more is better),
    and `spread` how far these lie apart, as a part of it.
    """
    rates = []
    gc.freeze()  # what a bench has made ready is not the collector's business meanwhile
    for _ in range(ROUNDS):
        gc.collect()
        base = await baseline()
        gc.collect()
        rates.append((await ours(), base))
    ratios = [one / other for one, other in rates]
    line = {
        "name": name,
        "ratio": round(median(ratios), 3),
        "ours": round(median(one for one, _ in rates)),
        "baseline": round(median(other for _, other in rates)),
        "unit": unit,
        "spread": round((max(ratios) - min(ratios)) / median(ratios), 3),
    }
    print(json.dumps(line), flush=True)
