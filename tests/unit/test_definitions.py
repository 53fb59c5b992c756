"""The definitions file: another one may be used, and a wrong one is told what is wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker.clock import DAY_MS, parse_day
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.events import Event
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import Facts, Rules, count, count_connected

Store = Callable[..., Sequence[Event]]

NIGHT = parse_day("2026-11-21") * DAY_MS
DEVICE = 'group1 = { key = "device", values = ["mobile", "desktop"] }'


def measure(name: str = "connection-count-daily", groups: str = DEVICE, **changes: str) -> str:
    fields = {"purpose": "p", "unit": "u", "period": "day", "rows": "count", **changes}
    lines = [f'{key} = "{value}"' for key, value in fields.items()]
    return "\n".join(["[[measure]]", f'name = "{name}"', *lines, groups, ""])


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Write a definitions file and give its path."""

    def write(text: str) -> Path:
        path = tmp_path / "measures.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


Written = Callable[[str], Path]


def test_another_file_may_be_used(written: Written) -> None:
    """A file of one's own defines the measures that there are, and what they allow."""
    definitions = Definitions.load(
        written(measure(groups='group1 = { key = "kind", values = [] }'))
    )
    assert [definition.name for definition in definitions] == ["connection-count-daily"]
    assert "connection-count-daily" in definitions
    assert "quiz-stars" not in definitions
    assert definitions["connection-count-daily"].groups[0].key == "kind"
    assert definitions["connection-count-daily"].check(["mobile"]) == ("other",)
    with pytest.raises(KeyError):
        definitions["quiz-stars"]


def test_a_digest_tells_definitions_apart(written: Written, definitions: Definitions) -> None:
    """Equal definitions have one digest, and any change of them gives another."""
    texts = [measure(), measure(unit="v"), measure("quiz-stars"), measure(rows="each")]
    digests = [Definitions.load(written(text)).digest for text in texts]
    assert len({definitions.digest, *digests}) == 5
    assert Definitions.load(written("# the same\n" + measure())).digest == digests[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "measure"),
        ("measure = []\nversion = 1\n", "version"),
        ("[[measure]\n", "line 1"),
        ("measure = 'all'\n", "array"),
        (measure() + measure(), "two definitions have the same name"),
        (measure(""), "length >= 1"),
        (measure("x" * 101), "length <= 100"),
        (measure(period="week"), "period"),
        (measure(rows="sum"), "rows"),
        (measure(colour="red"), "colour"),
        ('[[measure]]\nname = "x"\n', "purpose"),
        (measure(groups="group1 = 'device'"), "group1"),
        (measure(groups="group4 = { key = 'x' }"), "group4"),
        (measure(groups="group1 = { values = ['x'] }"), "key"),
        (measure(groups="group1 = { key = '' }"), "length >= 1"),
        (measure(groups=f"group1 = {{ key = '{'x' * 101}' }}"), "length <= 100"),
        (measure(groups="group1 = { key = 'x', value = ['y'] }"), "value"),
        (measure(groups="group1 = { key = 'x', values = 'y' }"), "array"),
        (measure(groups="group1 = { key = 'x', values = [1] }"), "Expected `str`"),
        (measure(groups="group1 = { key = 'x', values = [''] }"), "length >= 1"),
        (measure(groups=f"group1 = {{ key = 'x', values = ['{'y' * 101}'] }}"), "length <= 100"),
        (measure(groups="group1 = { key = 'x', pattern = '[a-z' }"), "no regular expression"),
        (measure(groups="group1 = { key = 'x', pattern = '(' }"), "x: pattern '('"),
        (measure(groups="group1 = { key = 'x', pattern = 'a{99999999999}' }"), "no regular"),
        (measure(groups="group1 = { key = 'x', pattern = 3 }"), "Expected `str"),
        (measure(groups="group1 = { key = 'x', up_to = 9 }"), "up_to and above go together"),
        (measure(groups="group1 = { key = 'x', above = '9+' }"), "up_to and above go together"),
        (measure(groups="group1 = { key = 'x', up_to = -1, above = '0+' }"), ">= 0"),
        (measure(groups="group1 = { key = 'x', up_to = '9', above = '9+' }"), "Expected `int"),
        (measure(groups="group1 = { key = 'x', up_to = 9, above = '' }"), "length >= 1"),
        (
            measure(groups=f"group1 = {{ key = 'x', up_to = 9, above = '{'y' * 101}' }}"),
            "length <= 100",
        ),
        (measure(groups="group2 = { key = 'x' }"), "must begin with group1"),
        (
            measure(groups="group1 = { key = 'x' }\ngroup3 = { key = 'y' }"),
            "connection-count-daily: its groups must begin with group1",
        ),
    ],
)
def test_a_wrong_file_is_named(written: Written, text: str, words: str) -> None:
    """A file that cannot be used is refused by its path, with what is wrong in it."""
    path = written(text)
    with pytest.raises(ConfigurationError) as refused:
        Definitions.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert words in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, and one that is not text, are refused by their path."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name, words in [("absent.toml", "cannot be read"), ("bytes.toml", "utf-8")]:
        with pytest.raises(ConfigurationError) as refused:
            Definitions.load(tmp_path / name)
        assert str(refused.value).startswith(f"{tmp_path / name}: ")
        assert words in str(refused.value)


EVENTS: list[dict[str, Any]] = [
    {"type": "ConnectionEvent", "eventDate": "2026-11-20T10:00", "context": "mobile"},
    {"type": "ConnectionEvent", "eventDate": "2026-11-20T10:01", "context": "mobile"},
    {"type": "NavigationEvent", "eventDate": "2026-11-20T10:02", "target": "gas"},
]


def rows_of(path: Path, store: Store) -> list[tuple[str, Any, Any]]:
    counted = count(Facts(acceptance=0), store(*EVENTS), NIGHT, Rules(Definitions.load(path)))
    made = [row.indicator for row in counted.rows]
    return [(item.measure_name, item.value, item.group1) for item in made]


def test_a_measure_without_definition_makes_no_row(written: Written, store: Store) -> None:
    """What the file does not define is not made, and its events are counted all the same."""
    path = written(measure())
    assert rows_of(path, store) == [("connection-count-daily", 2, {"device": "mobile"})]
    rules = Rules(Definitions.load(path))
    counted = count(Facts(acceptance=0), store(*EVENTS), NIGHT, rules)
    assert set(counted.fates.values()) == {"counted"}
    assert count_connected(("gas",), parse_day("2026-11-20"), rules) == ()


def test_the_file_says_how_rows_are_made(written: Written, store: Store) -> None:
    """With `each` every observation is a row of its own, under the file's group key."""
    groups = 'group1 = { key = "kind", values = ["mobile"] }'
    path = written(measure(rows="each", groups=groups))
    assert rows_of(path, store) == [("connection-count-daily", 1, {"kind": "mobile"})] * 2


@pytest.mark.parametrize(
    ("name", "groups", "words"),
    [
        ("connection-count-daily", "", "has 0 groups, the measure gives 1"),
        ("session-duration", DEVICE, "has 1 groups, the measure gives 2"),
        ("konnector-connected-daily", "", "konnector-connected-daily: its definition has 0"),
        ("navigation-count-daily", DEVICE + "\n" + DEVICE.replace("group1", "group2"), "has 2"),
    ],
)
def test_another_number_of_groups_is_refused(
    written: Written, name: str, groups: str, words: str
) -> None:
    """A definition whose groups the measure does not fill is refused before anything is counted."""
    definitions = Definitions.load(written(measure(name, groups)))
    with pytest.raises(ConfigurationError, match=words):
        Rules(definitions)


def test_the_number_of_groups_of_an_unknown_measure_is_free(written: Written) -> None:
    """A definition that no measure of ours fills may have any groups."""
    Rules(Definitions.load(written(measure("something-else", ""))))
