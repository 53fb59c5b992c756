"""Another definitions file, by `aggregation.measures_file`: what it changes, what is refused."""

import json
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import pytest

import ecolyo_worker
from ecolyo_worker.testing import echo_server

SHIPPED = (Path(ecolyo_worker.__file__).parent / "measures" / "measures.toml").read_text()

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]
Using = Callable[[str | None], dict[str, str]]

REST = "purpose = 'p'\nunit = 'u'\nperiod = 'month'\nrows = 'each'\n"


@pytest.fixture
def using(tmp_path: Path) -> Using:
    """Write another definitions file, and give the setting that points to it."""

    def write(text: str | None) -> dict[str, str]:
        path = tmp_path / "measures.toml"
        if text is not None:
            path.write_text(text)
        return {"ECOLYO_AGGREGATION__MEASURES_FILE": str(path)}

    return write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ": cannot be read: No such file or directory"),
        ("[[measure]\n", ":1:10: is not TOML: a name behind [[ has no ]] behind it"),
        ("[[measure]]\nnam = 'x'\n", ":1: measure 1: unknown key: 'nam'; did you mean 'name'?"),
        ("[[measure]]\nname = 'quiz-stars'\n" + REST, ":1: measure 'quiz-stars': period: found"),
    ],
)
async def test_a_file_that_cannot_be_used_is_a_wrong_setting(
    cli: Cli, using: Using, text: str | None, words: str
) -> None:
    """A command ends with 78, and names the setting, the file, the place and what is allowed."""
    env = using(text)
    done = await cli("migrate", env=env)
    assert done.returncode == 78
    (path,) = env.values()
    assert f"aggregation.measures_file: {path}{words}" in done.stderr.decode()
    assert done.stdout == b""


async def test_a_measure_that_nothing_makes_is_told(cli: Cli, using: Using) -> None:
    """A name that no function has, misspelt perhaps, is a warning: all else works."""
    done = await cli("migrate", env=using(SHIPPED.replace('"quiz-stars"', '"quiz-star"')))
    assert done.returncode == 0
    assert "defined measures that nothing makes" in done.stderr.decode()
    assert "quiz-star" in done.stderr.decode()
    assert (await cli("migrate")).stderr == b""


QUIZ_STARS = SHIPPED[SHIPPED.index('[[measure]]\nname = "quiz-stars"') :].split("\n\n[[measure]]")[
    0
]
CHANGED = (
    SHIPPED.replace('"gas", "eau",', '"gas", "eau", "oil",')  # one more page
    .replace('key = "device"', 'key = "kind"')  # a group renamed
    .replace(QUIZ_STARS, "")  # a measure removed
)
AS_OF = "2026-11-21T01:00:00"


async def record(cli: Cli, event: Callable[..., dict[str, Any]]) -> None:
    """Let Alice agree, connect, look at a page that is new and one that is not, do a quiz."""
    agreed = ("--version", "1.0.0", "--at", "2026-11-01T00:00:00")
    await cli("instances", "consent", "alice.example", *agreed)
    events = [
        event("ConnectionEvent", "2026-11-20T10:00", context="mobile"),
        event("NavigationEvent", "2026-11-20T10:01", target="oil"),
        event("NavigationEvent", "2026-11-20T10:02", target="attic"),
        event("QuizEndEvent", "2026-11-20T10:03", target="QUIZ0001", result="4"),
    ]
    text = "\n".join(json.dumps(one) for one in events)
    done = await cli("events", "import", "-", "--instance", "alice.example", stdin=text.encode())
    assert done.returncode == 0, done.stderr.decode()


def groups(bodies: list[str], measure: str) -> list[dict[str, str]]:
    found = [json.loads(body) for body in bodies]
    return [one["group1"] for one in found if one["measureName"] == measure]


async def test_another_file_holds_for_all(
    cli: Cli, using: Using, event: Callable[..., dict[str, Any]]
) -> None:
    """A page more, a measure less, another key: for preview, count, sender and echo alike."""
    assert CHANGED.count("[[measure]]") == SHIPPED.count("[[measure]]") - 1
    env = using(CHANGED)
    await record(cli, event)
    shown = await cli("preview", "--as-of", AS_OF, "--json", env=env)
    previewed = [
        line.split('"indicator":', 1)[1].removesuffix("}")
        for line in shown.stdout.decode().splitlines()
    ]
    assert groups(previewed, "connection-count-daily") == [{"kind": "mobile"}]
    pages = [{"page": "oil"}, {"page": "other"}]
    assert groups(previewed, "navigation-count-daily") == pages
    assert groups(previewed, "quiz-stars") == []
    await cli("aggregate", "--as-of", AS_OF, env=env)
    (path,) = env.values()
    async with echo_server("--strict", "--measures", path) as echo:
        done = await cli("send", "--until-empty", env={**env, "ECOLYO_DACC__URL": echo.url})
        assert done.returncode == 0, done.stderr.decode()
        records = await echo.indicators()
        ledger = await cli("reconcile", "--echo", echo.url, env=env)
    assert ledger.returncode == 0, ledger.stdout.decode()
    assert {record["verdict"] for record in records} == {"ok"}
    assert Counter(record["body"] for record in records) == Counter(previewed)


async def test_an_echo_of_other_definitions_refuses(
    cli: Cli, using: Using, event: Callable[..., dict[str, Any]]
) -> None:
    """The echo server goes by its own file: what is not defined there, or has another key, is dead.

    Rows that the worker's new file no longer allows do not even reach it.
    """
    await record(cli, event)
    await cli("aggregate", "--as-of", AS_OF)  # by the package's own file
    env = using(CHANGED)
    (path,) = env.values()
    async with echo_server("--measures", path) as echo:
        to = {"ECOLYO_DACC__URL": echo.url}
        await cli("send", "--until-empty", env=to)
        rows = (await cli("outbox", "list", "--state", "dead", "--json")).stdout.splitlines()
        answers = {row["measure"]: row["answer"] for row in map(json.loads, rows)}
        assert set(answers) == {"connection-count-daily", "quiz-stars"}
        assert "Group1 key does not match measure definition: device" in str(answers)
        assert "No measure definition found for: quiz-stars" in str(answers)
        refused = (await echo.count())["refused"]
        await cli("outbox", "retry", "--all")
        await cli("send", "--until-empty", env={**env, **to})
        assert (await echo.count())["refused"] == refused == 2
    rows = (await cli("outbox", "list", "--state", "dead", "--json")).stdout.splitlines()
    again = [json.loads(row)["answer"] for row in rows]
    assert len(again) == 2
    assert all(answer.startswith("no longer in the definitions: ") for answer in again)


async def test_an_echo_of_a_wrong_file_says_so(cli: Cli, using: Using) -> None:
    """The echo server ends with 64 and a sentence for a definitions file that it cannot use."""
    (path,) = using("[[measure]]").values()
    script = Path(ecolyo_worker.__file__).parent / "tools" / "dacc_echo.py"
    done = await anyio.run_process([sys.executable, script, "--measures", path], check=False)
    assert (done.returncode, done.stdout) == (64, b"")
    assert done.stderr.decode().startswith(f"dacc_echo: --measures: {path}: is no definitions fil")


async def test_status_tells_which_values_were_not_allowed(
    cli: Cli, using: Using, event: Callable[..., dict[str, Any]]
) -> None:
    """What was sent as `other` is counted by measure and group, and what was too large by measure.

    A day's events, the connected row and a month's rows all count; the names come from the
    definitions alone.
    """
    without_examples = re.sub(r'^example = "electricity.*\n', "", SHIPPED, flags=re.MULTILINE)
    env = using(without_examples.replace('["electricity", "water", "gas"]', '["water", "gas"]'))
    env["ECOLYO_DACC__URL"] = "http://127.0.0.1:9"  # a time to come is for trials here only
    await record(cli, event)
    connected = {"fluid": "electricity", "connected": True, "since": "2026-11-19T00:00:00"}
    facts = {"instance": "alice.example", "konnectors": [connected]}
    await cli("instances", "import", "-", stdin=json.dumps(facts).encode())
    ends = {"target": "alice@example.org", "startDate": "1600-01-01T00:00:00"}
    ended = json.dumps(event("DuelEndEvent", "2026-11-20T11:00", **ends))
    await cli("events", "import", "-", "--instance", "alice.example", stdin=ended.encode())
    done = await cli("aggregate", "--as-of", "2026-12-06T01:00:00", env=env)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads((await cli("status", "--json")).stdout)
    assert found["other_values"] == {
        "konnector-connected-daily.categories": 17,
        "event-duration.params": 1,
        "fluid-data-granularity-monthly.fluid_type": 1,
        "navigation-count-daily.page": 2,
    }
    assert list(found["other_values"].values()) == [17, 2, 1, 1]
    assert found["too_large"] == {"event-duration": 1}
    lines = (await cli("status")).stdout.decode().splitlines()
    assert all(len(line) <= 80 for line in lines if line.startswith("values"))
    assert [line for line in lines if line.startswith("values")] == [
        "values    21 sent as other: konnector-connected-daily.categories 17, 3 more",
        "values    1 too large: event-duration 1",
    ]
