"""Whatever texts come in, from events and from hosts, only what the definitions allow leaves."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecolyo_worker.commands import Commands
from ecolyo_worker.events import EVENT_TYPES
from ecolyo_worker.indicators import Definitions, GroupRule
from ecolyo_worker.requests import EventsImport, Line
from tests.property.allowed import SHIPPED, Judge, may_leave, sent_as
from tests.property.made import NUMBERS, WORDS, limits, odd_texts
from tests.property.model import Person
from tests.property.worked import agree, assert_as_modelled, bodies, opened, states

pytestmark = pytest.mark.timeout(600)  # a failure is told in its smallest form

ALICE = "alice.mycozy.example"
ACCEPTED = datetime(2026, 10, 1)
NIGHTS = (datetime(2026, 10, 31, 1), datetime(2026, 11, 6, 1))
PATTERNS = [
    "[A-Z][A-Z_]{0,3}[0-9]{1,6}",
    "a|bc",
    "[0-9]+$",
    r"\d{1,3}",
    "(?i:gas)",
    "x*",
    "[^:]{2,}",
]
SHIPPED_RULES = [rule for name in Judge().measures for rule in Judge().rules(name)]


def words() -> st.SearchStrategy[str]:
    """Give words that a definitions file may hold."""
    plain = st.characters(exclude_categories=["Cs", "Cc"])
    made = st.text(plain, min_size=1, max_size=5).filter(lambda text: text == text.strip())
    return st.sampled_from([*WORDS, "none", "other", "Ö"]) | made


@st.composite
def made_rules(draw: st.DrawFn, key: str = "key") -> dict[str, Any]:
    """Give what a group may be, by any of the four ways or several."""
    rule: dict[str, Any] = {"key": key}
    if draw(st.booleans()):
        rule["values"] = draw(st.lists(words(), max_size=4, unique=True))
    if draw(st.booleans()):
        rule["pattern"] = draw(st.sampled_from(PATTERNS))
    if draw(st.booleans()):
        parts = words().filter(lambda text: ":" not in text)
        rule["subset"] = draw(st.lists(parts, max_size=4, unique=True))
    if draw(st.booleans()):
        rule |= {"up_to": draw(st.integers(0, 12)), "above": draw(words())}
    return rule


@st.composite
def rules_and_texts(draw: st.DrawFn) -> tuple[dict[str, Any], str]:
    """Give a rule, and a text that it allows, nearly allows, or that has nothing to do with it."""
    rule = draw(st.sampled_from(SHIPPED_RULES) | made_rules())
    known = [*rule.get("values", ()), *rule.get("subset", ()), *NUMBERS, rule.get("above", "")]
    known += [":".join(rule.get("subset", ())), "A" * 32 + "0", "a" * 41, "9" * 11]
    surrogates = st.text(st.characters(), max_size=4)
    return rule, draw(odd_texts(known) | surrogates)


@limits(400)
@given(rules_and_texts())
@example(({"key": "page", "pattern": "a|bc"}, "axyz"))
@example(({"key": "page", "pattern": "a|bc"}, "xbc"))
@example(({"key": "page", "pattern": "[a-z]+"}, "gas\nx"))
@example(({"key": "page", "values": ["gas"]}, "\x1cgas\u2028"))
@example(({"key": "page", "up_to": 10, "above": "10+"}, "٣"))
@example(({"key": "page", "up_to": 10, "above": "10+"}, "11\n"))
@example(({"key": "page", "up_to": 10, "above": "10+"}, "1\x0011"))
@example(({"key": "page", "subset": ["a", "b"]}, "b:a"))
@example(({"key": "page", "subset": ["a", "b"]}, "a:"))
@example(({"key": "page", "pattern": "[^:]{2,}"}, "x" * 101))
def test_a_rule_lets_out_what_it_says(case: tuple[dict[str, Any], str]) -> None:
    """A text is sent as it is only where the rule has it, else by the word that is said for it."""
    raw, text = case
    rule = msgspec.convert(raw, GroupRule)
    assert rule.check(text) == sent_as(raw, text)
    assert may_leave(raw, rule.check(text))
    assert rule.allows(text) == may_leave(raw, text)


@st.composite
def odd_events(draw: st.DrawFn, known: list[str] | None = None) -> list[dict[str, Any]]:
    """Give one event of each type, and some more, with odd texts wherever there may be a text."""
    kinds = [*EVENT_TYPES, *draw(st.lists(st.sampled_from(EVENT_TYPES), max_size=8))]
    odd = st.sampled_from(draw(st.lists(odd_texts(known), min_size=1, max_size=20)))
    found = []
    for n, kind in enumerate(draw(st.permutations(kinds))):
        texts: dict[str, str] = {
            key: draw(odd) for key in ("target", "context", "result", "startDate")
        }
        if kind == "ConnectionEvent":  # every new name of a browser is slow to classify
            texts["context"] = "mobile"
        if kind == "KonnectorAttemptEvent":
            slug = draw(st.sampled_from(["enedis", " egl-x", "grdf"]))
            texts["target"] = (slug + texts["target"])[:256]
        at = f"2026-10-30T{n // 60:02}:{n % 60:02}"
        found.append({"_id": f"id-{n}-of-it", "type": kind, "eventDate": at, **texts})
    return found


async def counted(found: list[dict[str, Any]], judge: Judge, directory: Path) -> list[bytes]:
    """Take events in, count their day and their month, and give the bodies, which are modelled."""
    person = Person(judge)
    settings = {}
    if judge.text != SHIPPED:
        settings["measures_file"] = directory / "measures.toml"
        settings["measures_file"].write_text(judge.text)
    async with opened(directory / "state", **settings) as worker:
        await agree(worker, {ALICE: person}, ACCEPTED)
        lines = [
            Line(n, json.dumps({**event, "aggregated": False}).encode())
            for n, event in enumerate(found)
        ]
        report = await Commands(worker).events_import(EventsImport(lines, ALICE))
        assert not report.refused
        person.receive({**event, "aggregated": False} for event in found)
        for night in NIGHTS:
            await worker.run_once(night)
            person.night(night)
        made = await assert_as_modelled(worker, {ALICE: person})
    assert all(event["_id"].encode() not in body for event in found for body in made)
    return made


@limits(12)
@given(odd_events())
async def test_no_text_of_an_event_leaves(found: list[dict[str, Any]]) -> None:
    """Through the whole way, every value of every row is one that the shipped file allows."""
    with TemporaryDirectory() as directory:
        made = await counted(found, Judge(), Path(directory))
    assert len({json.loads(body)["measureName"] for body in made}) >= 9


@st.composite
def files_and_events(draw: st.DrawFn) -> tuple[Judge, list[dict[str, Any]]]:
    """Give another definitions file, with the same measures and keys, and events it is about."""
    shipped = Judge()
    places = [f"group{n}" for n in (1, 2, 3)]
    measures = [
        item | {place: draw(made_rules(item[place]["key"])) for place in places if place in item}
        for item in shipped.measures.values()
    ]
    judge = Judge("\n".join(_toml(draw(st.permutations(measures)))))
    rules = [rule for name in judge.measures for rule in judge.rules(name)]
    known = {word for rule in rules for word in (*rule.get("values", ()), *rule.get("subset", ()))}
    return judge, draw(odd_events(sorted(known)))


def _toml(measures: list[dict[str, Any]]) -> Iterator[str]:
    for item in measures:
        yield "[[measure]]"
        for key, value in item.items():
            if isinstance(value, dict):
                pairs = (f"{key} = {_quoted(inner)}" for key, inner in value.items())
                yield f"{key} = {{ {', '.join(pairs)} }}"
            else:
                yield f"{key} = {_quoted(value)}"


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@limits(12)
@given(files_and_events())
async def test_another_file_allows_what_it_says(
    case: tuple[Judge, list[dict[str, Any]]],
) -> None:
    """What leaves by a host's own definitions is what these allow, and nothing by the shipped."""
    judge, found = case
    with TemporaryDirectory() as directory:
        await counted(found, judge, Path(directory))


@limits(12)
@given(st.lists(odd_texts(["Mozilla/5.0 (iPhone)", "Chrome 120"]), min_size=1, max_size=12))
async def test_a_browser_leaves_as_its_kind_of_device(contexts: list[str]) -> None:
    """Whatever a browser calls itself, it is counted, and leaves as mobile or desktop."""
    with TemporaryDirectory() as directory:
        async with opened(Path(directory)) as worker:
            await agree(worker, {ALICE: Person()}, ACCEPTED)
            await worker.record(
                ALICE,
                [
                    {"type": "ConnectionEvent", "eventDate": "2026-10-30T09:00", "context": text}
                    for text in contexts
                ],
            )
            await worker.run_once(NIGHTS[0])
            made = [json.loads(body) for body in await bodies(worker)]
            assert {state for _, state in await states(worker, ALICE)} == {"counted"}
    devices = [found for found in made if found["measureName"] == "connection-count-daily"]
    assert {found["group1"]["device"] for found in devices} <= {"mobile", "desktop"}
    assert sum(found["value"] for found in devices) == len(contexts)


@limits(20)
@given(
    st.sampled_from(["_id", "type", "target", "context", "result", "startDate"]),
    odd_texts(),
    st.sampled_from(["\ud800", "\udfff", "\udc00\ud800"]),
)
async def test_half_a_surrogate_pair_is_refused(field: str, text: str, half: str) -> None:
    """What is no text is refused, as an escape in JSON or in a host's hands; the rest is taken."""
    bad = {"type": "NavigationEvent", "eventDate": "2026-10-30T09:00", field: text + half}
    good = bad | {"type": "NavigationEvent", field: "DuelEndEvent"}
    lines = [Line(n, json.dumps(found).encode()) for n, found in enumerate((bad, good))]
    with TemporaryDirectory() as directory:
        async with opened(Path(directory)) as worker:
            report = await Commands(worker).events_import(EventsImport(lines, ALICE))
            assert (report.accepted, [item.line for item in report.refused]) == (1, [0])
            receipt = await worker.record(ALICE, [bad, good | {"_id": "another"}])
            assert (receipt.accepted, [item.field for item in receipt.refused]) == (1, [field])


def test_the_shipped_file_is_read_as_the_package_reads_it() -> None:
    """Both readings of the file have the same measures, groups and words."""
    ours = {d.name: [rule.key for rule in d.groups] for d in Definitions.load()}
    theirs = Judge()
    assert ours == {name: [rule["key"] for rule in theirs.rules(name)] for name in theirs.measures}
