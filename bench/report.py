"""The pages that are made from the kept results: docs/performance.md, docs/scale.md, pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench import drawing
from bench.wanted import WANTED, Figure

__all__ = [
    "Results",
    "is_trial",
    "machine_of",
    "performance",
    "pictures_of_ratios",
    "pictures_of_shares",
    "shown",
    "table",
]

RESULTS = Path(__file__).with_name("results") / "latest.ndjson"

PATHS = {
    "where_intake": "intake, 1,000 callers",
    "where_http": "intake over HTTP",
    "where_night": "a night",
    "where_drain": "sending",
    "where_rollups": "half-hours of a meter",
}

INTRODUCTION = """\
# How fast it is

<!-- Made by `make bench-report` from bench/results/latest.ndjson and bench/wanted.py; do not edit.
-->

`make bench` measures all of this, `make bench-report` writes this page. Each figure is a ratio of
two things that were measured by turns in the same run, five rounds of each (three of the nights of
`night_scaling`, which take minutes), for a ratio says more than a time: what slows the machine down
slows both. The median is told, and the spread: how far the rounds' ratios lie apart, as a part of
it. Where something is fixed, such as a rate that is set, it stands in place of the second. What a
service is good for in people and meters is [a page of its own](scale.md).
"""

BUSY = """\
**These figures were taken while others used the machine** (load {load} on {cores} cores): figures
of time say little, and a miss may be the machine's. Measure on one that does nothing else.
"""

TRIED = """\
**Not measured yet** is what stands here as a trial: fewer than five rounds, or a part of the work,
run only to see that the bench runs. Such a figure is neither met nor missed, and not drawn.
"""

DRAWN = """\
![For each figure, how far it is from what is wanted](images/bench-ratios.svg)

A bar that reaches the line is as wanted; one that ends at 2 × is twice as good. It is cut off at a
tenth and at ten times.
"""

MISSED = """\
## What is missed, and why
"""

WHERE = """\
## Where the time goes

![For each main path, the parts that its time is spent in](images/bench-where.svg)

The parts of a path's time, looked at from outside 100 times a second. Waiting is left out, and so
is what other processes do: the clients, the server that is sent to, the classifier of browsers.
"""

WHERE_TRIED = """\
**These shares are of a trial**, with a part of the work: what is done once weighs too much in them.
"""

PARTS = """\
- *SQL and what it stores* and *transactions and commits* are the database's thread. In them SQLite
  keeps indexes and waits for the disk; more callers share a commit, which is why a thousand of them
  are faster than one.
- *checking events*, *counting*, *making indicators* and *reading answers* are what the package is
  for: plain Python, an event or a point at a time.
- *handing over* is what joins the parts: actors, lanes, and the call into the database's thread and
  back. *event loop and sockets* is asyncio's and anyio's own.
- *HTTP client*, *HTTP server* and *HTTP, its syntax* are httpx and httpcore, uvicorn and starlette,
  h11. Sending is theirs above all: the outbox adds the little that `drain` shows.
"""


class Results:
    """What was measured: the lines that the benches printed, by their names."""

    def __init__(self, path: Path = RESULTS) -> None:
        """Read what is kept."""
        lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
        self._lines: dict[str, dict[str, Any]] = {line["name"]: line for line in lines}
        self.machine = self._lines["machine"]

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._lines[name]

    def ours(self, name: str) -> float:
        """Give what ours came to, in the figure's unit."""
        return float(self._lines[name]["ours"])

    def of(self, figure: Figure) -> dict[str, Any] | None:
        """Give the line of a figure; None if it was not measured."""
        return self._lines.get(figure.name)

    def figures(self) -> Iterator[tuple[Figure, dict[str, Any]]]:
        """Give the figures that were measured, each with its line, in the order of the report."""
        for figure in WANTED:
            if line := self.of(figure):
                yield figure, line

    def shares(self) -> dict[str, dict[str, float]]:
        """Give for each path by its title the shares of its parts."""
        found = {title: self._lines.get(name) for name, title in PATHS.items()}
        return {title: line["shares"] for title, line in found.items() if line}

    @property
    def is_busy(self) -> bool:
        """Whether others used the machine."""
        return bool(self.machine["load"] > self.machine["cores"] / 2)


def performance(results: Results | None = None) -> str:
    """Give the page of what was measured."""
    results = results or Results()
    lines = [INTRODUCTION, machine_of(results)]
    if results.is_busy:
        lines += [BUSY.format(**results.machine)]
    if any(is_trial(line) for _, line in results.figures()):
        lines += [TRIED]
    rows = [_row(figure, results.of(figure)) for figure in WANTED]
    headings = ["name", "what is compared", "reached", "wanted", "", "spread", "ours", "beside it"]
    lines += ["## Figures\n", "\n".join(table(headings, rows)), "", DRAWN]
    if missed := list(_missed(results)):
        lines += [MISSED, "\n".join(missed), ""]
    if shares := results.shares():
        lines += [WHERE]
        lines += [WHERE_TRIED] if results["where_intake"]["size"] != 1 else []
        lines += ["\n".join(_shares(shares)), "", PARTS]
    return "\n".join(lines).rstrip() + "\n"


def machine_of(results: Results) -> str:
    """Tell on what it was measured."""
    return (
        "Measured on {day} with version {version} on {cores} cores ({cpu}), {memory_gib} GiB of"
        " memory, {system}, {disk}, Python {python}, SQLite {sqlite}.\n"
    ).format(**results.machine)


def pictures_of_ratios() -> str:
    """Draw how far each figure is from what is wanted."""
    rows = []
    for figure, line in Results().figures():
        met = figure.is_met(line["ratio"])
        if met is None or is_trial(line):
            continue
        if figure.least is not None:
            rows.append((figure.name, line["ratio"], figure.least, met))
        elif figure.most is not None:
            rows.append((figure.name, figure.most, line["ratio"] or 0.1 * figure.most, met))
    return drawing.ratios(rows)


def pictures_of_shares() -> str:
    """Draw where the time of each path goes."""
    return drawing.shares(Results().shares())


def is_trial(line: dict[str, Any]) -> bool:
    """Whether a line shows only that its bench runs. The long nights have three rounds."""
    least = 3 if line["name"].startswith("night_scaling") else 5
    return bool(line["rounds"] < least or line["size"] != 1)


def _row(figure: Figure, line: dict[str, Any] | None) -> list[str]:
    compared = f"{figure.ours}, beside {figure.baseline}"
    if line is None:
        return [f"`{figure.name}`", compared, "–", figure.wanted, "not measured", "–", "–", "–"]
    met = {True: "met", False: "**missed**", None: "–"}[figure.is_met(line["ratio"])]
    met = f"trial, {line['size']:.0%}" if is_trial(line) else met
    unit = line["unit"]
    found = [f"{shown(line['ours'])} {unit}", f"{shown(line['baseline'])} {unit}"]
    spread = f"{line['spread']:.0%}"
    return [
        f"`{figure.name}`",
        compared,
        f"{line['ratio']:.3g}",
        figure.wanted,
        met,
        spread,
        *found,
    ]


def _missed(results: Results) -> Iterator[str]:
    """Say why figures are missed, once for those with the same reason."""
    reasons: dict[str, list[str]] = {}
    for figure, line in results.figures():
        if figure.is_met(line["ratio"]) is False and not is_trial(line):
            reasons.setdefault(figure.why, []).append(f"`{figure.name}`")
    for why, names in reasons.items():
        yield f"- {', '.join(names)}: {why or 'not looked into yet.'}"


def _shares(paths: dict[str, dict[str, float]]) -> Iterator[str]:
    for title, shares in paths.items():
        told = ", ".join(f"{part} {share:.0%}" for part, share in shares.items() if share >= 0.02)
        yield f"- **{title}**: {told}."


def shown(value: float) -> str:
    """Give a figure as people read it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(headings: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Give the lines of a table."""
    for cells in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(cells)} |"
