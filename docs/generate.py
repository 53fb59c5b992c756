"""Writes the pages of this folder that are made from the package: `make docs`.

    python docs/generate.py [--check]

With `--check` nothing is written; it ends with 1 if a page is not what would be written.
"""

import json
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import ecolyo_worker
from ecolyo_worker import errors as all_errors
from ecolyo_worker.cli.app import app
from ecolyo_worker.cli.manual import Manual, Option, manuals, options_of_every_command
from ecolyo_worker.configuration import SECTIONS, read
from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.exits import EXIT_CODES
from ecolyo_worker.indicators import Definition, Definitions, GroupRule
from ecolyo_worker.measures import ALL
from ecolyo_worker.service.codes import CODES, ErrorCode
from ecolyo_worker.service.metrics import METRICS
from ecolyo_worker.shown import shown
from ecolyo_worker.testing.wrong import KINDS, WRONG, WrongInput, refusal
from ecolyo_worker.vocabulary import EVENTS, LogEvent

sys.path.append(str(Path(ecolyo_worker.__file__).parents[1]))  # where these lie beside it

from bench import report, scale
from tests.faults import matrix

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

ALERTS = """\
## When to be woken

Rules for Prometheus to begin with. `ecolyo-worker status` then tells what is the matter, and what
to do.

```yaml
groups:
  - name: ecolyo-worker
    rules:
      - alert: EcolyoPartHangs
        expr: ecolyo_actor_alive == 0
        for: 5m
        annotations: {summary: "The part {{ $labels.actor }} of the worker gives no sign of life"}
      - alert: EcolyoCannotWrite
        expr: ecolyo_database_writable == 0
        for: 5m
        annotations: {summary: "Events are refused: the database cannot be written"}
      - alert: EcolyoDiskFillsUp
        expr: ecolyo_disk_free_bytes < 1e9
        annotations: {summary: "The disk of the state directory has less than 1 GB left"}
      - alert: EcolyoLogGrows
        expr: ecolyo_database_log_bytes > 256 * 1024 * 1024
        for: 1h
        annotations: {summary: "Something reads the database for long, and its log grows"}
      - alert: EcolyoNightMissed
        expr: time() - ecolyo_actor_next_due_timestamp_seconds{actor="aggregator"} > 3600
        annotations: {summary: "The nightly run should have begun an hour ago"}
      - alert: EcolyoDoesNotDeliver
        expr: ecolyo_outbox_oldest_pending_seconds > 86400
        annotations: {summary: "An indicator has waited for more than a day"}
      - alert: EcolyoRefused
        expr: ecolyo_outbox_rows{state="dead"} > 0
        annotations: {summary: "The DACC refused indicators for good: see How to requeue dead rows"}
```

Whether the process is there at all, Prometheus says itself (`up`). With a Cozy target, a stack that
is down for a day fires `EcolyoDoesNotDeliver` too; choose a longer time.
"""

COMMANDS = """\
# The commands

<!-- Made by `make docs` from ecolyo_worker/cli; do not edit. -->

`ecolyo-worker COMMAND --help` tells the same on a terminal. Data go to stdout, talk to stderr.
A time that you give is civil time of `worker.zone`, such as `2026-11-21T01:00`; with an offset, `Z`
too, it is a true instant. Of what is printed, days and the times of events are civil; a time with a
`Z`, when something was sent, waits until or was logged, is UTC. NAME is an instance's name, such as
`alice.mycozy.cloud`.

While a service runs on the state, the commands ask it, through `control.sock` in the state
directory, and print what they print without one; otherwise they open the state themselves, as its
only owner. As root a command works as whoever owns the state directory.

Every command ends with 0 when all is done, and may end with 64 (usage), 65 (an input is not what it
must be), 69 (something is unavailable), 70 (a bug), 73 (another process owns the state),
78 (settings or state) or 130 (interrupted); [what each asks for](errors.md#exit-codes). What a
command ends with beyond that stands beside it.
"""

ENVIRONMENT = """\
## Environment

| variable | what it is for |
| --- | --- |
| `ECOLYO_CONFIG` | the settings file, where `--config` names none |
| `ECOLYO_SECTION__KEY` | any [setting](settings.md), as in `ECOLYO_DACC__RATE=3` |
| `STATE_DIRECTORY` | systemd's: where everything is kept, if neither an option nor a setting says |
| `XDG_STATE_HOME` | the folder of your state folder, else `~/.local/state` |
| `CREDENTIALS_DIRECTORY` | systemd's: where `dacc-token`, `http-token`, `enedis-client-secret`, \
`grdf-client-secret` and `energy-key` are, without a setting |
| `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID` | systemd's: `run` tells it how it does |
| `NO_COLOR`, `TERM`, `COLUMNS` | how things look |
"""

ERRORS = """\
# What can go wrong

<!-- Made by `make docs` from ecolyo_worker/exits.py, errors.py, service/codes.py and
testing/wrong.py; do not edit. -->

Every error says in words what was found, what is allowed and what to do. Programs go by what stands
here: [exit codes](#exit-codes), [Python's exceptions](#exceptions), [codes of the HTTP
face](#the-http-face), [reasons for which a line is refused](#refused-lines).

"""

EXCEPTIONS = """\
## Exceptions

Each is an `EcolyoError`, in `ecolyo_worker.errors`; those in bold are in `ecolyo_worker` itself. A
host that embeds the worker meets them; over the command line each is its sentence and exit code.
"""

HTTP_ERRORS = """\
## The HTTP face

Every error is `{"error": {"code": "…", "message": "…", "details": […]}}`. Programs go by the code;
the message is for people, and may change. Unless it says otherwise, nothing of the request was
taken. Where an answer does not arrive at all, send the same again: events with an `_id` are stored
once. `POST /v1/events` answers 200 if any event was taken, 422 if all were refused: then, too, the
body is `{"accepted", "known", "refused"}`, and each refused one has its `index`, `field` and
`reason`.

"""

CONTROL = """\
## The control socket

Commands reach a running service through `control.sock`, for the owner of the state alone. There an
error is one of the exceptions above, so that a command ends as it would without a service. Besides:

| what happened | ends with | what to do |
| --- | --- | --- |
| the service does not say within 10 s that it lives, as every 10 s it is asked, \
or very many wait already | 69 | Continue or restart it: \
it is stopped or hangs. Whether it still does what was asked is not known. |
| the service went away while it was asked | 69 | Ask again: what it had stored by then is stored. |
| the service is of another version, whose commands differ | 69 | Use the same, or restart it. |
| the socket is another user's, or others may use it | 78 | Look who made it; it is not asked. |

"""

REFUSED = """\
## Refused lines

`events import`, `instances import` and `consumption import` name each line that they refuse, with
its field and the reason; the HTTP face and `record` do with the index instead. The others are
taken. Each reason is shown by what was found in an example. Without a field it is the whole line.
Besides, an event needs an instance (its own, or that of `--instance` or `?instance=`), a line with
`"consent": null` wants `--yes`, and what is put to an instance's address names no other one.
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
says from which level on; the service logs from `info` on, other commands from `warning`. The
settings `log.format` and `log.level` say the same. A worker in a program of yours logs to the
logger that it was given, else to `ecolyo_worker` of the standard library.

Lines that are alike in certain fields, which the last column names, are logged at once the first
time and then once a minute at most; `left_out` says how many were not. When no more come, the last
of them is told after that minute with the next line of any kind, or when the process ends; `late_s`
says how many seconds ago it was. `outbox show` has every attempt.

Of readings that come the log says nothing: `accounts list` tells up to which day each account has
them, and `/metrics` the same by provider, with the number of answers.

These are all events there are. None holds a token, and none names a person unless `log.instances`
is set: then those that are about one have `instance`, where it is known; with the target `native`
nobody can tell of a row whose it is. Without it her name is also taken out of what the other side
said; it stands there as `{instance}`. Only the words of a bug (`error` of a part that crashed, a
traceback) are nobody's to choose, and may hold anything.
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
    table = _table(["metric", "type", "labels", "what it tells"], rows)
    lines = [METRICS_INTRODUCTION, *table, "", ALERTS.rstrip()]
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


def commands() -> str:
    """Give the page of all commands: a table, then a section for each."""
    found = list(manuals(app))
    headings = ["command", "what it does", "ends with", "beside a running service"]
    rows = [
        [
            f"[{one.name}](#{_anchor(one.name)})",
            one.summary,
            ", ".join(map(str, sorted({0, *one.ends}))),
            one.beside_a_service,
        ]
        for one in found
    ]
    lines = [COMMANDS, *_table(headings, rows), "", "## Options of every command", ""]
    lines += [*_options(options_of_every_command(app)), "", ENVIRONMENT]
    for one in found:
        lines += _manual(one)
    return "\n".join(lines)


def _anchor(heading: str) -> str:
    """Give the name that a heading has in a link."""
    return heading.replace(" ", "-")


def _manual(one: Manual) -> Iterator[str]:
    yield from [f"## {one.name}", "", "```sh", one.usage, "```", "", one.summary, ""]
    if one.more:
        yield from [one.more, ""]
    if one.is_irreversible:
        yield from ["What cannot be undone wants `--yes`.", ""]
    if one.options:
        yield from [*_options(one.options), ""]
    if one.ends:
        yield from [*(f"- Ends with {code}: {when}" for code, when in one.ends.items()), ""]
    if one.examples:
        yield from ["```sh", *one.examples, "```", ""]


def _options(options: tuple[Option, ...]) -> Iterator[str]:
    rows = [
        [
            f"`{one.name}`",
            one.takes or "–",
            one.purpose,
            f"`{one.default}`" if one.default else "required" if one.is_required else "–",
        ]
        for one in options
    ]
    yield from _table(["option", "takes", "what it is for", "default"], rows)


def errors() -> str:
    """Give the page of all that can go wrong: exit codes, exceptions, HTTP codes, refused lines."""
    lines = [ERRORS + "## Exit codes", ""]
    rows = [[str(one.code), one.meaning, one.who, one.advice] for one in EXIT_CODES]
    lines += [*_table(["code", "what happened", "who acts", "what to do"], rows), ""]
    lines += [EXCEPTIONS]
    headings = ["exception", "when it is raised", "who acts", "exit code", "what a host does"]
    lines += [*_table(headings, [_exception(kind) for kind in _exceptions()]), ""]
    rows = [
        [
            f"`{one.name}`",
            str(one.status),
            f"{one.meaning} {_retry(one)}".strip(),
            one.advice,
        ]
        for one in CODES
    ]
    lines += [HTTP_ERRORS + "\n".join(_table(["code", "status", "when", "what to do"], rows)), ""]
    return "\n".join([*lines, CONTROL + REFUSED, *_wrong_inputs()]) + "\n"


def _exceptions() -> Iterator[type[EcolyoError]]:
    found = [getattr(all_errors, name) for name in all_errors.__all__]
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, EcolyoError)]
    return iter(sorted(kinds, key=lambda kind: (kind is not EcolyoError, kind.__name__)))


def _exception(kind: type[EcolyoError]) -> list[str]:
    name = f"`{kind.__name__}`"
    is_public = kind.__name__ in ecolyo_worker.__all__
    words = " ".join((kind.__doc__ or "").split())
    who = kind.reader if kind is not EcolyoError else "–"
    return [f"**{name}**" if is_public else name, words, who, str(kind.exit_code), kind.advice]


def _retry(one: ErrorCode) -> str:
    return "" if one.retry_after_s is None else f"`Retry-After: {one.retry_after_s}`."


def _wrong_inputs() -> Iterator[str]:
    for kind, title in KINDS.items():
        rows = [_wrong(one) for one in WRONG if one.kind == kind]
        yield from ["", f"### {title}", ""]
        yield from _table(["field", "for example", "reason", "what to do"], rows)


def _wrong(one: WrongInput) -> list[str]:
    said = refusal(one)
    told = re.sub(r" \(.*\)", " (…)", said.reason)  # the words of Python or msgspec change
    reason = told if len(told) <= 150 else f"{told[:100]} …"
    field = f"`{said.field}`" if said.field else "–"
    return [field, _code(one.shown), _code(reason), one.advice]


def _code(text: str) -> str:
    """Give text as code, whatever it holds."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def log() -> str:
    """Give the page of all events of the log: a table."""
    rows = [[f"`{one.name}`", one.level, one.meaning, _fields(one)] for one in EVENTS]
    return "\n".join([LOG, *_table(["event", "level", "what happened", "fields"], rows)]) + "\n"


def _fields(event: LogEvent) -> str:
    told = [f"`{name}`: {holds}" for name, holds in event.fields.items()]
    if event.is_personal:
        told.append("`instance`: whose, if `log.instances` is set")
    if event.repeats_by:
        told.append(f"alike by {_words(event.repeats_by)}")
    return "; ".join(told) or "–"


PAGES = {
    "commands.md": commands,
    "errors.md": errors,
    "faults.md": matrix.page,
    "images/bench-ratios.svg": report.pictures_of_ratios,
    "images/bench-where.svg": report.pictures_of_shares,
    "indicators.md": indicators,
    "log.md": log,
    "metrics.md": metrics,
    "performance.md": report.performance,
    "scale.md": scale.scale,
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
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"docs/{name} is written")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
