"""Measures ours against a baseline: both by turns in one process, and a ratio of the two.

A ratio says more than a time: whatever slows the machine down slows both.
"""

import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from statistics import median

__all__ = ["ROUNDS", "SIZE", "Rate", "compare", "demand", "sized", "tell"]

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
"""How often each is measured; the environment may say it."""

SIZE = float(os.environ.get("BENCH_SIZE", "1"))
_LEAST = 0.5

Rate = Callable[[], Awaitable[float]]
"""Does the work once, on a state of its own, and gives how much of it was done per second."""


def sized(count: int, least: int = 1) -> int:
    """Give how many to measure with: so many, or the part of them that `BENCH_SIZE` says.

    With a small part, figures mean nothing; it shows that a bench runs.
    """
    return max(round(count * SIZE), least)


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

    `ours` and `baseline` are medians, `ratio` is the median of the rounds' ratios, and `spread` how
    far these lie apart, as a part of it. Which ratios are wanted stands in `wanted`.
    """
    ratios = [one / other for one, other in zip(ours, baseline, strict=True)]
    line = {
        "name": name,
        "ratio": _short(median(ratios)),
        "ours": _short(median(ours)),
        "baseline": _short(median(baseline)),
        "unit": unit,
        "spread": _short((max(ratios) - min(ratios)) / (median(ratios) or 1)),
    }
    print(json.dumps(line), flush=True)
    return median(ratios)


def _short(value: float) -> float:
    """Give a figure with as many digits as it is worth: four."""
    return float(f"{value:.4g}")


def demand(ratio: float) -> None:
    """End with 1 if ours takes more than twice as long as it may; a busy machine takes somewhat.

    A trial, with a part of the work, says nothing of that.
    """
    if ratio < _LEAST and SIZE == 1:
        sys.exit(f"it took {1 / ratio:.1f} times as long as it may")
