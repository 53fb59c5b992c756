"""On a screen of 80 columns no name is broken: what has no place stands under its row."""

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

AS_OF = ("--as-of", "2026-11-21T01:00:00")
LONG = "a-very-long-name-of-a-person.and-of-a-domain.example"


@pytest.fixture
async def full(cli: Cli, examples: Path) -> None:
    """The worked example, and a person with a long name."""
    for kind in ("instances", "consumption", "events"):
        await cli(kind, "import", examples / f"{kind}.ndjson")
    await cli("instances", "consent", LONG, "--version", "1.0.0", "--at", "2026-11-01T00:00")
    page = b'{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "target": "gas"}'
    await cli("events", "import", "-", "--instance", LONG, stdin=page)


async def printed(cli: Cli, columns: int, *command: str) -> list[str]:
    return (await cli(*command, env={"COLUMNS": str(columns)})).stdout.decode().splitlines()


@pytest.mark.usefixtures("full")
async def test_a_list_of_rows_breaks_no_name(cli: Cli) -> None:
    """Each row's state, measure and day stand whole in one line, and its answer in the next."""
    await cli("aggregate", *AS_OF)
    await cli("send", "--timeout", "1", env={"ECOLYO_DACC__URL": "http://127.0.0.1:9"})
    lines = await printed(cli, 80, "outbox", "list")
    rows = list(map(json.loads, (await cli("outbox", "list", "--json")).stdout.splitlines()))
    tried = [row for row in rows if row["answer"]]
    assert (len(rows), len(tried) > 0) == (113, True)
    assert max(map(len, lines)) <= 80
    for row in rows:
        start = rf" *{row['id']}  {row['state']}  {row['measure']} +{row['start_date']} "
        (at,) = (n for n, line in enumerate(lines) if re.match(start, line))
        following = " ".join(line.strip() for line in lines[at + 1 : at + 3])
        words = f"next try: {row['next_try']} · answer: {row['answer']}"
        assert following.startswith(words) is (row in tried)


@pytest.mark.usefixtures("full")
async def test_a_list_of_events_breaks_no_name(cli: Cli) -> None:
    """An event's time, type and state stand whole in one line; the rest is named beneath it."""
    lines = await printed(cli, 80, "events", "list")
    events = list(map(json.loads, (await cli("events", "list", "--json")).stdout.splitlines()))
    rows = [n for n, line in enumerate(lines) if re.match(r"\d{4}-", line)]
    assert (len(rows), max(map(len, lines)) <= 80) == (len(events), True)
    for found, at, end in zip(events, rows, [*rows[1:], len(lines)], strict=True):
        assert lines[at].split()[:2] == [found["eventDate"], found["type"]]
        assert lines[at].split()[-1] == found["state"]
        beneath = " ".join(line.strip() for line in lines[at + 1 : end])
        assert f"id: {found['_id']}" in beneath
        assert f"instance: {found['instance']}" in beneath


@pytest.mark.usefixtures("full")
@pytest.mark.parametrize("columns", [60, 80])
async def test_a_preview_breaks_no_name(cli: Cli, columns: int) -> None:
    """Groups go under their row, and the person too where her name is long."""
    lines = await printed(cli, columns, "preview", *AS_OF)
    found = (await cli("preview", *AS_OF, "--json")).stdout.splitlines()
    made = [json.loads(line)["indicator"] for line in found]
    whole = [line for line in lines if re.match(r"[a-z-]+  +2026-\d\d-\d\d +[-0-9.]+$", line)]
    assert [line.split()[:2] for line in whole] == [
        [m["measureName"], m["startDate"]] for m in made
    ]
    assert max(len(line) for line in lines if not line.startswith("as of ")) <= columns
    text = " ".join(line.strip() for line in lines)
    assert f"instance: {LONG} · groups: page=gas" in text


@pytest.mark.usefixtures("full")
async def test_where_there_is_room_a_row_is_a_line(cli: Cli) -> None:
    """Into a pipe, and on a wide screen, nothing goes under its row."""
    wide = await printed(cli, 200, "preview", *AS_OF)
    assert (await cli("preview", *AS_OF)).stdout.decode().splitlines() == wide
    assert len(wide) == 1 + 113 + 1
    assert wide[0].split() == ["instance", "measure", "start", "date", "value", "groups"]
