"""Measures ours against a baseline: both by turns in one process, and a ratio of the two.

A ratio says more than a time: whatever slows the machine down slows both.
"""

import gc
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from statistics import median

__all__ = ["ROUNDS", "Rate", "compare", "demand", "tell"]

ROUNDS = 5
_LEAST = 0.5

Rate = Callable[[], Awaitable[float]]
"""Does the work once, on a state of its own, and gives how much of it was done per second."""


async def compare(name: str, baseline: Rate, ours: Rate, unit: str = "events/s") -> None:
    """Run both by turns and print what `tell` does."""
    rates = []
    gc.freeze()  # what a bench has made ready is not the collector's business meanwhile
    for _ in range(ROUNDS):
        gc.collect()
        base = await baseline()
        gc.collect()
        rates.append((await ours(), base))
    tell(name, [one for one, _ in rates], [other for _, other in rates], unit)


def tell(name: str, ours: Sequence[float], baseline: Sequence[float], unit: str) -> float:
    """Print one line of JSON of the figures of each round, and give their ratio.

    `ours` and `baseline` are medians, `ratio` is the median of the rounds' ratios (more is better),
    and `spread` how far these lie apart, as a part of it.
    """
    ratios = [one / other for one, other in zip(ours, baseline, strict=True)]
    line = {
        "name": name,
        "ratio": round(median(ratios), 3),
        "ours": round(median(ours)),
        "baseline": round(median(baseline)),
        "unit": unit,
        "spread": round((max(ratios) - min(ratios)) / median(ratios), 3),
    }
    print(json.dumps(line), flush=True)
    return median(ratios)


def demand(ratio: float) -> None:
    """End with 1 if ours takes more than twice as long as it may; a busy machine takes somewhat."""
    if ratio < _LEAST:
        sys.exit(f"it took {1 / ratio:.1f} times as long as it may")
