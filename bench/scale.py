"""The page docs/scale.md: what one process carries, on paper, from the kept results."""

from dataclasses import dataclass

from bench.report import Results, is_trial, machine_of, shown, table
from ecolyo_worker.providers import Enedis, Grdf
from ecolyo_worker.settings import Dacc, Retention

__all__ = ["scale"]

EVENTS_EACH = 20
INDICATORS_EACH = 10
SPREAD_S = 3_600
DAY_S = 86_400
NIGHT_H = 4
DISK_GB = 50
HALF_HOURS_A_YEAR = 17_520
REQUESTS_EACH = 2

INTRODUCTION = """\
# What one process carries

<!-- Made by `make bench-report` from bench/results/latest.ndjson; do not edit. -->

On paper: the figures are those of [How fast it is](performance.md), the rest is arithmetic, and you
can do it anew with your own. One process owns a state directory, so this is also what one state
carries; people can be spread over several of them.
"""

TRIED = """\
**Some of these figures are of trials**, with little work on a machine that had much else to do; the
arithmetic holds, its numbers are worth little before `make bench` has run on a quiet machine.
"""

ASSUMED = f"""\
What is taken for granted: on a day, an active person (one who uses the app) leaves {EVENTS_EACH}
events, which make {INDICATORS_EACH} indicators. Somebody who does not use it that day leaves none
and costs nothing. All of a day's events come within one busy hour; a night may take {NIGHT_H}
hours. The disk has {DISK_GB} GB for the database.
"""

METERS = """\
## Meters

An account of Enedis is asked for its half-hours and its days, so {each} requests a day where all
is there; GRDF for days alone, 1 request.

{rows}

The provider's quota comes first, and it is the application's: more processes do not help. The
database takes {points} half-hours a second, which is a day of {a_second} accounts. A meter's
half-hours grow by {HALF_HOURS:,} × {bytes} bytes = {megabytes} MB a year, and stay until the person
is forgotten.
"""


@dataclass(frozen=True)
class Limit:
    """How many active people a day one thing carries, and how that is reckoned."""

    name: str
    arithmetic: str
    people: float
    remedy: str


def scale() -> str:
    """Give the page."""
    results = Results()
    limits = sorted(_limits(results), key=lambda limit: limit.people)
    first, second = limits[0], limits[1]
    lines = [INTRODUCTION, machine_of(results)]
    if any(is_trial(line) for _, line in results.figures()):
        lines += [TRIED]
    lines += ["## Active people\n", ASSUMED]
    rows = [[one.name, one.arithmetic, _round(one.people), one.remedy] for one in limits]
    lines += table(["limit", "arithmetic", "active people a day", "what moves it"], rows)
    told = (
        f"\nWhat comes first is **{first.name}**, at {_round(first.people)} active people a day;"
        f" then {second.name}, at {_round(second.people)}. How many people that is in all depends"
        " on how many of them use the app on one day: if one in ten does, ten times as many.\n"
    )
    lines += [told, _memory(results), _meters(results)]
    return "\n".join(lines).rstrip() + "\n"


def _limits(results: Results) -> list[Limit]:
    rate, kept, sent_kept = Dacc().rate, Retention().events_days, Retention().sent_days
    drain, http = results.ours("drain"), results.ours("intake_http_500")
    long = results["night_scaling_time"]
    night = 10_000_000 * long["size"] / long["ours"]
    event, sent = results.ours("disk_event"), results.ours("disk_sent")
    each = EVENTS_EACH * event * kept + INDICATORS_EACH * sent * sent_kept
    arithmetic = (
        f"{DISK_GB} GB / ({EVENTS_EACH} × {shown(event)} bytes × {kept} days"
        f" + {INDICATORS_EACH} × {shown(sent)} bytes × {sent_kept} days)"
    )
    at_rate = f"the DACC's rate, as set ({rate:g}/s)"
    of_night = f"{shown(night)} events/s × {NIGHT_H} h × 3,600 s / {EVENTS_EACH}"
    return [
        Limit(
            at_rate,
            f"{rate:g} × {DAY_S:,} s / {INDICATORS_EACH}",
            rate * DAY_S / INDICATORS_EACH,
            "`dacc.rate`, as the DACC allows",
        ),
        Limit(
            "sending as fast as it can",
            f"{shown(drain)}/s × {DAY_S:,} s / {INDICATORS_EACH}",
            drain * DAY_S / INDICATORS_EACH,
            "a faster core; lanes, where the DACC is slow",
        ),
        Limit(
            "taking events in over HTTP",
            f"{shown(http)}/s × {SPREAD_S:,} s / {EVENTS_EACH}",
            http * SPREAD_S / EVENTS_EACH,
            "a faster core",
        ),
        Limit(
            "counting at night",
            of_night,
            night * NIGHT_H * 3_600 / EVENTS_EACH,
            "a faster core, a longer night",
        ),
        Limit(
            "the disk",
            arithmetic,
            DISK_GB * 1e9 / each,
            "a larger disk; `retention.events_days`, `retention.sent_days`",
        ),
    ]


def _memory(results: Results) -> str:
    idle, night = results.ours("idle_service_memory"), results.ours("night_scaling_memory")
    events = 10_000_000 * results["night_scaling_memory"]["size"]
    return (
        f"Memory is no limit: a service takes {shown(idle)} MiB when idle, and the process of a"
        f" night over {events:,.0f} events took {shown(night)} MiB at most."
        " What waits is in the database, not in memory.\n"
    )


def _meters(results: Results) -> str:
    enedis, grdf = Enedis(), Grdf()
    spread_s = enedis.spread.total_seconds()
    hourly = enedis.hourly or 0
    slots = len(enedis.schedule.split()[1].split(","))
    points, each = results.ours("rollup_3y"), results.ours("disk_half_hour")
    grdf_s = grdf.spread.total_seconds()
    hours, years = spread_s / 3600, 3 * HALF_HOURS_A_YEAR
    rows = [
        [
            f"Enedis, {hourly:,} requests an hour",
            f"{hourly:,} × {hours:g} h × {slots} slots / {REQUESTS_EACH}",
            _round(hourly * hours * slots / REQUESTS_EACH),
        ],
        [
            f"GRDF, {grdf.per_second:g} a second",
            f"{grdf.per_second:g} × {grdf_s:,.0f} s",
            _round(grdf.per_second * grdf_s),
        ],
        [
            "storing, in one slot",
            f"{shown(points)}/s × {spread_s:,.0f} s / 48",
            _round(points * spread_s / 48),
        ],
        [
            "the disk, three years each",
            f"{DISK_GB} GB / ({years:,} × {shown(each)} bytes)",
            _round(DISK_GB * 1e9 / (years * each)),
        ],
    ]
    return METERS.format(
        each=REQUESTS_EACH,
        rows="\n".join(table(["limit", "arithmetic", "accounts"], rows)),
        points=shown(points),
        a_second=shown(points / 48),
        HALF_HOURS=HALF_HOURS_A_YEAR,
        bytes=shown(each),
        megabytes=shown(HALF_HOURS_A_YEAR * each / 1e6),
    )


def _round(number: float) -> str:
    """Give a number with two digits that mean something."""
    return f"{float(f'{number:.2g}'):,.0f}"
