"""Writes the pages of this folder that are made from the package: `make docs`.

    python docs/generate.py [--check]

With `--check` nothing is written; it ends with 1 if a page is not what would be written.
"""

import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from ecolyo_worker.configuration import SECTIONS, read
from ecolyo_worker.indicators import Definition, Definitions, GroupRule
from ecolyo_worker.measures import ALL
from ecolyo_worker.service.metrics import METRICS
from ecolyo_worker.shown import shown
from ecolyo_worker.vocabulary import EVENTS, LogEvent

HERE = Path(__file__).parent
EXAMPLE_DATES = {"day": "2026-11-20", "month": "2026-11-01"}
ROWS = {
    "count": "what has equal groups is added up to one",
    "each": "each value is one of its own",
}

INTRODUCTION = """\
# The indicators

<!-- Made by `make docs` from ecolyo_worker/measures; do not edit. -->

An indicator is one number for one measure, one start date and one set of groups. That is all that
is sent to the DACC: these measures, these groups, these values. They are defined in
`ecolyo_worker/measures/measures.toml`; the setting `aggregation.measures_file` may name another
file, and `tools/dacc_echo.py --measures` takes the same one. A measure that is not defined makes no
rows.

White space around a group value is cut off. A value that is not allowed is sent as `other`, and
`status` counts it; one that is absent is `none` where that is allowed. The start date is the day,
or the first day of the month. [How to add one](how-to/add-an-indicator.md) is a page of its own.
"""

METRICS_INTRODUCTION = """\
# The metrics

<!-- Made by `make docs` from ecolyo_worker/service/metrics.py; do not edit. -->

`GET /metrics` of the HTTP face tells these in Prometheus' text format. It asks for no token:
nothing in it names a person, an address or a text. A label is a state, an outcome, a part of the
worker, or a measure and a group key of [the definitions](indicators.md). What survives a restart
is kept in the database; every other counter begins at 0 again.
"""


SETTINGS = """\
# The settings

<!-- Made by `make docs` from ecolyo_worker/settings.py; do not edit. -->

They stand in a TOML file: `--config FILE`, else `$ECOLYO_CONFIG`, else
`/etc/ecolyo-worker/config.toml` if it is there. Any key may also stand in the environment, which
wins over the file: `dacc.rate` is `ECOLYO_DACC__RATE`. A duration is a number with a unit of ms, s,
min, h or d, such as `"15min"`.
Secrets stand in files of their own, which the settings name, or are passed by systemd as the
credentials `dacc-token`, `http-token`, `enedis-client-secret`, `grdf-client-secret`,
`grdf-revocation-secret` and `energy-key`.

`ecolyo-worker check-config` tells everything that is wrong with a file, `ecolyo-worker config show
--origin` what holds and where it comes from.
"""


LOG = """\
# The log

<!-- Made by `make docs` from ecolyo_worker/vocabulary.py; do not edit. -->

Each line is an event with its fields, on stderr: for a person, with `--log-format json` one object
for each, with `--log-format journal` one with the priority that the journal reads. `--log-level`
says from which level on; the service logs from `info` on, other commands from `warning`. A worker
in a program of yours logs to the logger that it was given, else to `ecolyo_worker` of the standard
library.

Lines that are alike in certain fields, which the last column names, are logged at once the first
time and then once a minute at most; `left_out` says how many were not. `outbox show` has every
attempt.

These are all events there are. None holds a token. What broke (`error`) and what the other side
answered (`answer`, `reason`) are not always in the worker's own words, and may name a person.
"""


def indicators() -> str:
    """Give the page of all indicators: a table, then a section for each."""
    definitions = Definitions.load()
    rules = {measure.name: measure.rule for measure in ALL}
    lines = [INTRODUCTION]
    headings = ["measure", "what it tells", "period", "unit", "groups"]
    lines += _table(headings, [_summary(one) for one in definitions])
    for one in definitions:
        lines += ["", *_section(one, rules.get(one.name, ""), _example(definitions, one))]
    return "\n".join(lines) + "\n"


def metrics() -> str:
    """Give the page of all metrics, as a table."""
    rows = [
        [f"`{one.name}`", one.kind, ", ".join(f"`{label}`" for label in one.labels), one.meaning]
        for one in METRICS
    ]
    lines = [METRICS_INTRODUCTION, *_table(["metric", "type", "labels", "what it tells"], rows)]
    return "\n".join(lines) + "\n"


def _summary(definition: Definition) -> list[str]:
    keys = ", ".join(rule.key for rule in definition.groups) or "–"
    name = f"[{definition.name}](#{definition.name})"
    return [name, definition.purpose, definition.period, definition.unit, keys]


def _section(definition: Definition, rule: str, example: str) -> Iterator[str]:
    yield from [f"## {definition.name}", "", definition.purpose, ""]
    if rule:
        yield from [*rule.splitlines(), ""]
    yield f"Period: {definition.period}. Unit: {definition.unit}. Rows: {ROWS[definition.rows]}."
    if definition.groups:
        rows = [
            [f"group{n}", f"`{rule.key}`", rule.meaning or "", _allowed(rule)]
            for n, rule in enumerate(definition.groups, 1)
        ]
        yield from ["", *_table(["group", "key", "meaning", "allowed"], rows)]
    yield from ["", "```json", example, "```"]


def _example(definitions: Definitions, definition: Definition) -> str:
    groups = [rule.example or next(iter(rule.values), "other") for rule in definition.groups]
    made = definitions.indicator(
        definition.name,
        EXAMPLE_DATES[definition.period],
        Decimal(str(definition.example)),
        groups,
    )
    return made.encode().decode()


def _allowed(rule: GroupRule) -> str:
    """Say in words what a group allows."""
    ways = [_words(rule.values)] if rule.values else []
    if rule.pattern is not None:
        ways.append(f"text like `{rule.pattern}`")
    if rule.subset:
        ways.append(f"one or several of {_words(rule.subset)}, in this order, joined by `:`")
    if rule.up_to is not None:
        ways.append(f"0 to {rule.up_to}; more is `{rule.above}`")
    return "; or ".join(ways) or "nothing but `other`"


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _table(headings: list[str], rows: list[list[str]]) -> Iterator[str]:
    for cells in (headings, ["---"] * len(headings), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def settings() -> str:
    """Give the page of all settings: a table for each section."""
    lines = [SETTINGS]
    defaults = {item.key: item.value for item in shown(read(None, {}))}
    for name, section in SECTIONS.items():
        rows = []
        for key, value in defaults.items():
            if key.startswith(f"{name}."):
                field = key.partition(".")[2]
                purpose, takes = section.describe(field)
                default = "–" if value is None else f"`{json.dumps(value)}`"
                words, like, pattern = takes.partition(" like ")
                takes = f"{words}{like}`{pattern}`" if like else takes
                rows.append([f"`{field}`", purpose, takes, default])
        headings = ["key", "what it is for", "takes", "default"]
        lines += [f"## {name}", "", *_table(headings, rows), ""]
    return "\n".join(lines)


def log() -> str:
    """Give the page of all events of the log: a table."""
    rows = [[f"`{one.name}`", one.level, one.meaning, _fields(one)] for one in EVENTS]
    return "\n".join([LOG, *_table(["event", "level", "what happened", "fields"], rows)]) + "\n"


def _fields(event: LogEvent) -> str:
    told = [f"`{name}`: {holds}" for name, holds in event.fields.items()]
    if event.repeats_by:
        told.append(f"alike by {_words(event.repeats_by)}")
    return "; ".join(told) or "–"


PAGES = {
    "indicators.md": indicators,
    "log.md": log,
    "metrics.md": metrics,
    "settings.md": settings,
}


def main(arguments: list[str]) -> int:
    """Write the pages, or tell which are stale; give the exit code."""
    stale = 0
    for name, make in PAGES.items():
        path, text = HERE / name, make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments == ["--check"]:
            stale += 1
            print(f"docs/{name} is stale: run `make docs`", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"docs/{name} is written")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
