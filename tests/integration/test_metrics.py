"""`/metrics`: numbers for anybody, in Prometheus' text format, and nothing of a person in them."""

import json
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from msgspec import Struct

from ecolyo_worker import Settings, StoreUnavailable, Worker
from ecolyo_worker.commands import Commands
from ecolyo_worker.requests import AccountAdd, InstancesImport, Line
from ecolyo_worker.service import asgi
from ecolyo_worker.service.metrics import METRICS
from ecolyo_worker.settings import Aggregation, Dacc
from ecolyo_worker.testing import echo_server
from ecolyo_worker.testing.clock import SteppedClock

from .conftest import TOKEN, Serve

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
CONSENT = {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"}
AT = "2026-11-20T10:00"

_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
_LABEL = re.compile(rf'({_NAME})="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)')
_BASE_UNITS = ("_seconds", "_bytes")

Key = tuple[tuple[str, str], ...]


class Family(Struct):
    """A metric as it was told: its type, its help, and its samples by their labels."""

    kind: str
    meaning: str
    samples: dict[Key, float]


def parse(text: str) -> dict[str, Family]:
    """Read the text format, and fail at whatever is not just so."""
    assert text.endswith("\n")
    lines = iter(text[:-1].split("\n"))
    families: dict[str, Family] = {}
    name = ""
    for line in lines:
        if line.startswith("# HELP "):
            name, meaning = line.removeprefix("# HELP ").split(" ", 1)
            assert re.fullmatch(_NAME, name), line
            assert name not in families, f"{name} comes twice"
            kind = next(lines).removeprefix(f"# TYPE {name} ")
            assert kind in {"counter", "gauge"}, kind
            families[name] = Family(kind, meaning, {})
            continue
        match = _SAMPLE.fullmatch(line)
        assert match is not None, f"no sample: {line!r}"
        assert match[1] == name, f"{line!r} stands under {name}"
        key = tuple(_labels(match[2] or ""))
        assert key not in families[name].samples, f"{line!r} comes twice"
        families[name].samples[key] = float(match[3])
    return families


def _labels(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _LABEL.match(text, position)
        assert match is not None, text[position:]
        assert not match[1].startswith("__"), text
        yield match[1], re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), match[2])
        position = match.end()


async def scrape(worker: Worker) -> dict[str, Family]:
    transport = httpx.ASGITransport(asgi(worker, is_guarded=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        found = await client.get("/metrics")
        assert found.status_code == 200, found.text
        return parse(found.text)


def one(found: dict[str, Family], name: str, **labels: str) -> float:
    return found[name].samples[tuple(labels.items())]


async def test_anybody_may_read_them(serve: Serve) -> None:
    """They are told without a token, as the text format's own type, over a socket."""
    async with serve() as served, served.client(token=None) as client:
        found = await client.get("/metrics")
        assert found.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert one(parse(found.text), "ecolyo_actor_alive", actor="intake") == 1
        assert TOKEN not in found.text
        assert (await client.head("/metrics")).content == b""


async def test_the_page_tells_all_of_them(state_dir: Path) -> None:
    """What is told is what the reference page documents, with the same labels, and no more."""
    documented = {
        name: (kind, re.findall(r"`(\w+)`", labels), meaning)
        for name, kind, labels, meaning in re.findall(
            r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE
        )
    }
    async with Worker(Settings(state_dir=state_dir)) as worker:
        found = await scrape(worker)
    assert list(found) == list(documented)
    for name, family in found.items():
        kind, labels, meaning = documented[name]
        assert (family.kind, family.meaning) == (kind, meaning)
        assert {tuple(label for label, _ in key) for key in family.samples} <= {tuple(labels)}


def test_the_rules_for_alerts_ask_for_metrics_that_there_are() -> None:
    """Every name and label in the rules of the page is one of the metrics'."""
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    (rules,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    asked = re.findall(r"(ecolyo_\w+)(?:\{(\w+)=)?", rules)
    labels = {metric.name: {"", *metric.labels} for metric in METRICS}
    assert len(asked) == rules.count("alert:")
    assert [one for one in asked if one[1] not in labels.get(one[0], ())] == []


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_rules(metric: Any) -> None:
    """Counters, and they alone, end with `_total`; units are base units, and end the name."""
    assert re.fullmatch(r"ecolyo(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|kib|mb|percent)(_|$)", metric.name)
    for unit in _BASE_UNITS:
        assert unit not in metric.name or metric.name.endswith(unit)
    assert metric.meaning.endswith(".")
    assert not set("\\\n|") & set(metric.meaning)


async def test_they_tell_what_there_is(state_dir: Path) -> None:
    """Events, indicators, attempts and what is lost of values are told as the status has them."""
    async with echo_server("--fault", "ok*3,status=503,status=400,ok*999") as echo:
        dacc = Dacc(url=echo.url, rate=1000)
        async with Worker(Settings(state_dir=state_dir, dacc=dacc)).opened() as worker:
            await fill(worker)
            await worker.run_once(datetime(2026, 11, 21, 1, 0))
            before = await scrape(worker)
            await worker.send(timeout_s=0)
            await worker.send()
            found, status = await scrape(worker), worker.status()
    assert one(before, "ecolyo_outbox_rows", state="pending") == sum(status.outbox.values()) > 1
    assert one(before, "ecolyo_indicators_made_total") == sum(status.outbox.values())
    assert found["ecolyo_events"].samples == keyed("state", status.events)
    assert found["ecolyo_outbox_rows"].samples == keyed("state", status.outbox)
    assert found["ecolyo_destinations"].samples == keyed("state", status.destination_states)
    assert one(found, "ecolyo_events_accepted_total") == 3
    assert one(found, "ecolyo_instances") == 1
    assert sum(found["ecolyo_attempts_total"].samples.values()) == status.attempts
    assert one(found, "ecolyo_attempts_total", outcome="delivered") == status.outbox["sent"]
    assert one(found, "ecolyo_attempts_total", outcome="rejected") == status.outbox["dead"] == 1
    other = {"measure": "navigation-count-daily", "group": "page"}
    assert one(found, "ecolyo_values_other_total", **other) == 1
    assert sum(found["ecolyo_values_other_total"].samples.values()) == 1


def keyed(label: str, counts: dict[str, int]) -> dict[Key, float]:
    return {((label, name),): count for name, count in counts.items()}


async def fill(
    worker: Worker, name: str = "alice.example", own_page: str = "Alice's own page"
) -> None:
    fact = {"instance": name, "consent": CONSENT}
    await Commands(worker).instances_import(InstancesImport([Line(1, json.dumps(fact).encode())]))
    pages = ("gas", "water", own_page)
    await worker.record(
        name, [{"type": "NavigationEvent", "eventDate": AT, "target": page} for page in pages]
    )


async def test_counters_survive(state_dir: Path) -> None:
    """What is counted for ever goes on after a restart, and when people are forgotten."""
    settings = Settings(state_dir=state_dir)
    async with Worker(settings).opened() as worker:
        await fill(worker)
        await worker.run_once(datetime(2026, 11, 21, 1, 0))
        before = await scrape(worker)
        await worker.forget("alice.example")
    async with Worker(settings).opened() as worker:
        after = await scrape(worker)
    lasting = [metric.name for metric in METRICS if "survives" in metric.meaning]
    for name in lasting:
        for key, number in before[name].samples.items():
            assert after[name].samples[key] >= number
    assert sum(after["ecolyo_events"].samples.values()) == 0
    assert one(after, "ecolyo_events_accepted_total") == 3
    assert one(after, "ecolyo_indicators_made_total") == one(before, "ecolyo_indicators_made_total")
    assert one(after, "ecolyo_removed_total", what="events.counted") == 3


async def test_how_long_the_oldest_waits(state_dir: Path) -> None:
    """The oldest row's wait grows with the clock, and so do the next run's time and the build."""
    clock = SteppedClock(datetime(2026, 11, 21, 1, 0, tzinfo=UTC))
    async with Worker(Settings(state_dir=state_dir), clock=clock).opened() as worker:
        assert one(await scrape(worker), "ecolyo_outbox_oldest_pending_seconds") == 0
        await fill(worker)
        await worker.run_once(datetime(2026, 11, 21, 1, 0))
        await clock.step(clock.now() + timedelta(hours=2))
        found = await scrape(worker)
        assert one(found, "ecolyo_outbox_oldest_pending_seconds") == 7200
        success = found["ecolyo_actor_last_success_timestamp_seconds"].samples
        assert set(success.values()) == {(clock.now() - timedelta(hours=2)).timestamp()}
        (key,) = found["ecolyo_build_info"].samples
        assert [name for name, _ in key] == ["version", "schema", "python", "sqlite"]
        assert found["ecolyo_mode"].samples == keyed("mode", {"off": 0, "local": 0, "on": 1})


async def test_when_the_next_run_is(state_dir: Path) -> None:
    """The time at which the aggregator is next due is that of the schedule."""
    clock = SteppedClock(datetime(2026, 11, 20, 12, 0, tzinfo=UTC))
    async with Worker(Settings(state_dir=state_dir), clock=clock) as worker:
        await clock.sleepers(len(worker.health()) - 1)
        found = await scrape(worker)
    due = one(found, "ecolyo_actor_next_due_timestamp_seconds", actor="aggregator")
    assert datetime.fromtimestamp(due, UTC) == datetime(2026, 11, 21, 0, 0, tzinfo=UTC)


async def test_the_files_and_the_disk(state_dir: Path) -> None:
    """Sizes are those of the files; a transaction that cannot be written shows until one can."""

    def limit(connection: sqlite3.Connection, pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        found = await scrape(worker)
        files = [anyio.Path(state_dir / name) for name in ("ecolyo.db", "ecolyo.db-wal")]
        sizes = [(await file.stat()).st_size for file in files]
        names = ("ecolyo_database_bytes", "ecolyo_database_log_bytes")
        assert [one(found, name) for name in names] == sizes
        assert one(found, "ecolyo_database_free_bytes") == worker.status().sizes.free
        assert one(found, "ecolyo_disk_free_bytes") > 0
        assert one(found, "ecolyo_database_writable") == 1
        await worker.database.run(limit, 1)
        many = [{"type": "NavigationEvent", "eventDate": AT, "target": "x" * 200}] * 999
        with pytest.raises(StoreUnavailable):
            await worker.record("alice.example", many)
        assert one(await scrape(worker), "ecolyo_database_writable") == 0
        await worker.database.run(limit, 2**30)
        await worker.database.probe()
        assert one(await scrape(worker), "ecolyo_database_writable") == 1


async def test_nothing_of_a_person_is_in_them(state_dir: Path) -> None:
    """No name, no text and no address stands in them, with a destination for each person either."""
    async with echo_server("--fault", "status=401*99") as echo:
        dacc = Dacc(url=f"{echo.url}/{{instance}}", target="cozy-v2", rate=1000)
        async with Worker(Settings(state_dir=state_dir, dacc=dacc)).opened() as worker:
            await fill(worker)
            await worker.run_once(datetime(2026, 11, 21, 1, 0))
            await worker.send()
            assert "alice" in str(worker.status())
            found = await scrape(worker)
    assert not re.search(r"(?i)alice|127\.0\.0\.1|own page|http", str(found))


async def test_many_people_make_no_more_samples(state_dir: Path) -> None:
    """Of one person and of thirty, each with a destination, an account and pages, there are alike.

    Their names and labels are the same ones: no label grows with what there is.
    """
    found = []
    async with echo_server("--fault", "status=401*99") as echo:
        dacc = Dacc(url=f"{echo.url}/{{instance}}", target="cozy-v2", rate=1000)
        for people in (1, 30):
            settings = Settings(state_dir=state_dir / str(people), dacc=dacc)
            async with Worker(settings).opened() as worker:
                for person in range(people):
                    name, meter = f"p{person}.example", f"111111111111{person:02}"
                    await fill(worker, name, f"own page of {name}")
                    await Commands(worker).accounts_add(AccountAdd("enedis", name, meter))
                await worker.run_once(datetime(2026, 11, 21, 1, 0))
                await worker.send()
                told = await scrape(worker)
            assert sum(told["ecolyo_destinations"].samples.values()) == people
            assert sum(told["ecolyo_accounts"].samples.values()) == people
            other = {"measure": "navigation-count-daily", "group": "page"}
            assert one(told, "ecolyo_values_other_total", **other) == people
            found.append({name: set(family.samples) for name, family in told.items()})
    assert found[0] == found[1]


async def test_labels_are_escaped(state_dir: Path, tmp_path: Path) -> None:
    """A measure of one's own may be called anything; it is one line of the format all the same."""
    name = 'a"b\\c\nd'
    own = tmp_path / "own.toml"
    shipped = (Path(__file__).parents[2] / "ecolyo_worker/measures/measures.toml").read_text(
        "utf-8"
    )
    own.write_text(shipped.replace('"navigation-count-daily"', json.dumps(name)), encoding="utf-8")
    settings = Settings(state_dir=state_dir, aggregation=Aggregation(measures_file=own))
    async with Worker(settings).opened() as worker:
        found = await scrape(worker)
    assert one(found, "ecolyo_values_too_large_total", measure=name) == 0


async def test_before_the_start_there_are_none(state_dir: Path) -> None:
    """A worker that was never entered has no numbers: 503, as everything else."""
    transport = httpx.ASGITransport(asgi(Worker(Settings(state_dir=state_dir)), is_guarded=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        done = await client.get("/metrics")
    assert (done.status_code, done.json()["error"]["code"]) == (503, "unavailable")
