"""What `explain` prints: sentences for a screen of 80 columns, or a line of JSON an instance."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

Cli = Callable[..., Any]

AS_OF = "2026-11-21T01:00:00"


@pytest.fixture
async def counted(cli: Cli, examples: Path, asking: Callable[..., Any]) -> Cli:
    """The worked example, counted, and the command line on it."""
    async with asking() as asked:
        for name, take in (("instances", asked.tell), ("events", asked.record)):
            text = (examples / f"{name}.ndjson").read_bytes()
            await take(*(msgspec.json.decode(line) for line in text.splitlines()))
        await asked.run()
    return cli


BOB = """\
navigation-count-daily, a number for each day, in pages
Which pages are looked at.

Every NavigationEvent counts once, under its page, which is the target.

bob.example, 2026-11-18
  counted by the run as of 2026-11-21T01:00 (it began at 2026-11-21T02:00:00Z)
    1 page=other (pending, outbox row 70)
      page is other: found 'Electricity'; allowed: electricity, gas, eau, water,
        multifluid, faq, legalNotice, consumption, challenges, ecogestures,
        analysis, options
      08:00:30.000 NavigationEvent (bob-10) target Electricity
    2 page=gas (pending, outbox row 71)
      08:01:00.000 NavigationEvent (bob-11) target gas
      08:02:00.000 NavigationEvent (bob-12) target gas
    of types that the measure does not look at: ChallengeLaunchEvent×1,
      ConnectionEvent×1, ConsumptionChangeTimeStepEvent×1,
      ConsumptionCompareEvent×1, KonnectorAttemptEvent×1,
      KonnectorConnectEvent×1
"""

CONNECTED = """\
bob.example, 2026-11-20
  the runs have passed this day
  · water: not connected since 2026-11-20T10:00
    no row: no fluid is connected at the end of the day
"""

ATTEMPTS = """\
bob.example, 2026-10
  counted by the run as of 2026-11-21T01:00 (it began at 2026-11-21T02:00:00Z)
    2 fluid_type=water success=false (pending, outbox row 93)
      2026-10-10T19:06:00.000 KonnectorAttemptEvent (bob-04) target
        eglgrandlyon, result error
      2026-10-12T19:00:00.000 KonnectorAttemptEvent (bob-06) target
        eglgrandlyon, result ERROR
    left out: gas had its first success before the month
      2026-09-15T19:00:00.000 KonnectorAttemptEvent (bob-01) target
        grdfgrandlyon, result success
    left out: gas had its first success before it
      2026-10-12T19:02:00.000 KonnectorAttemptEvent (bob-07) target
        grdfgrandlyon, result error
    of types that the measure does not look at: ChallengeEndEvent×1,
      ChallengeLaunchEvent×1, ConnectionEvent×2
"""

DAVE = """\
dave.example, 2026-11-20
  not counted yet
    left out: it waits: the last consent is to version 0.9.0 on
      2026-01-05T10:00, and aggregation.consent_version is 1.0.0
      10:00:00.000 ConnectionEvent (dave-01) context mobile
      10:01:00.000 NavigationEvent (dave-02) target gas
"""

EVENT = """\
bob.example, counted
  2026-11-18T08:07:00.000 ChallengeLaunchEvent (bob-17) target défi n°2
  it was counted; counting 1 of 2026-11-18, by the run as of 2026-11-21T01:00
    (it began at 2026-11-21T02:00:00Z)
    challenge-launch-daily 2026-11-18: 1 challenge_id=other (pending, outbox row
      72), alone
      challenge_id is other: found 'défi n°2'; allowed: none, or text like
        [A-Z][A-Z_]{0,30}[0-9]{1,6}
    session-duration 2026-11-18: 420 number_pages=3 session_type=any (pending,
      outbox row 73), with 8 more
    event-duration 2026-11-18: left out: it is not the first challenge launched
      in this home
    for the monthly measures, 2026-11 is counted from 2026-12-06 on
      (aggregation.monthly_day)
"""


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("navigation-count-daily 2026-11-18 --instance bob.example", BOB),
        ("konnector-connected-daily 2026-11-20 --instance bob.example", CONNECTED),
        ("konnector-attempts-monthly 2026-10-31 --instance bob.example", ATTEMPTS),
        ("session-duration 2026-11-20 --instance dave.example", DAVE),
        ("--event bob-17", EVENT),
    ],
)
async def test_what_is_printed(counted: Cli, words: str, wanted: str) -> None:
    """A number is told by rule, rows, events and reasons, as here."""
    done = await counted(
        "explain", *words.split(), "--as-of", AS_OF, env={"PYTHONIOENCODING": "utf-8"}
    )
    assert done.returncode == 0, done.stderr.decode()
    printed = re.sub(r"outbox row\s+\d+", "outbox row", done.stdout.decode())
    assert printed.endswith(re.sub(r"outbox row\s+\d+", "outbox row", wanted))


async def test_it_fits_a_screen(counted: Cli) -> None:
    """No line is longer than 80 columns, but for a word that is."""
    done = await counted("explain", "event-duration", "2026-11-19")
    lines = done.stdout.decode().splitlines()
    assert len(lines) > 40
    assert max(len(line) for line in lines) <= 80


async def test_long_lists_are_cut(cli: Cli, asking: Callable[..., Any]) -> None:
    """Of very many events the first ones are printed, and how many more there are."""
    pages = [
        {"type": "NavigationEvent", "eventDate": f"2026-11-20T10:{n:02}", "target": "gas"}
        for n in range(50)
    ]
    async with asking() as asked:
        consent = {"version": "1.0.0", "accepted_at": "2026-11-01T00:00"}
        await asked.tell({"instance": "ann.example", "consent": consent})
        await asked.record(*pages)
    done = await cli("explain", "navigation-count-daily", "2026-11-20")
    assert done.stdout.decode().count("NavigationEvent (") == 20
    assert "and 30 more events; --json gives them all" in done.stdout.decode()
    done = await cli("explain", "navigation-count-daily", "2026-11-20", "--json")
    (line,) = done.stdout.decode().splitlines()
    (counting,) = json.loads(line)["countings"]
    (left,) = [counting["rows"] or counting["absent"]]
    assert sum(len(row.get("events", [row])) for row in left) == 50


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "say which: a measure and a day"),
        ("quiz-stars", "say which: a measure and a day"),
        ("quiz-stars 2026-11-20 --event x", "say which: a measure and a day"),
        ("quiz-star 2026-11-20", "no measure is called 'quiz-star'; did you mean 'quiz-stars'?"),
        ("pages 2026-11-20", "konnector-attempts-monthly"),
        ("quiz-stars 2026-11", "DAY: found '2026-11'; allowed for quiz-stars: a day as YYYY-MM-DD"),
        ("profile-count-monthly x", "allowed for profile-count-monthly: a month as YYYY-MM, or"),
        ("profile-count-monthly 2026-1-1", "a month as YYYY-MM, or any day of it as YYYY-MM-DD"),
        ("quiz-stars 2026-11-20 --instance eve.example", "no instance is called 'eve.example'"),
        ("quiz-stars 2026-11-20 --as-of soon", "--as-of: found 'soon'"),
        ("--event nothing", "no event has the _id 'nothing'"),
    ],
)
async def test_what_cannot_be_explained_is_said(cli: Cli, words: str, message: str) -> None:
    """A wrong question is one sentence on stderr, ends with 64, and prints nothing else."""
    await cli("migrate")
    done = await cli("explain", *words.split())
    assert done.returncode == 64, done.stdout.decode()
    assert message in done.stderr.decode()
    assert done.stdout == b""


async def test_where_nobody_has_anything_the_rule_is_told(counted: Cli) -> None:
    """A day of which nobody has anything is said to be so, below the rule."""
    done = await counted("explain", "quiz-stars", "2025-01-01")
    assert "Each QuizEndEvent with a result of one digit" in done.stdout.decode()
    assert "no instance has anything of 2025-01-01 for quiz-stars" in done.stderr.decode()
