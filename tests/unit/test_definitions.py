"""The definitions file: another one may be used, and a wrong one is told what is wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker.clock import DAY_MS, parse_day
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.events import Event
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import (
    ALL,
    Facts,
    Rules,
    count,
    count_connected,
    unknown,
)

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
        ("", ": measure: found None; allowed: a table [[measure]] for each measure"),
        ("measure = []\nversion = 1\n", ": unknown key: 'version'; known: measure"),
        ("[[measures]]\n", ": unknown key: 'measures'; did you mean 'measure'?"),
        ("[[measure]\n", ":1:10: is not TOML: a name behind [[ has no ]] behind it"),
        ("measure = 'all'\n", ": measure: found 'all'; allowed: a table [[measure]]"),
        ("measure = [1]\n", ":1: measure 1: found 1; allowed: a table"),
        ('[[measure]]\nname = "x"\n', ":1: measure 'x': purpose is missing; allowed: text"),
        (
            measure("x") + "\n# more\n" + measure("x"),
            ":10: measure 'x': name: another definition above has it, too",
        ),
    ],
)
def test_a_wrong_file_is_named(written: Written, text: str, words: str) -> None:
    """A file that cannot be used is refused by its path, with what is wrong in it."""
    path = written(text)
    with pytest.raises(ConfigurationError) as refused:
        Definitions.load(path)
    assert str(refused.value).startswith(f"{path}{words}")


TEXT = "text of 1 to 100 characters"
WORDS = "a list of texts of 1 to 100 characters"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (measure(""), "measure 2: name: found ''; allowed: " + TEXT),
        (measure("x" * 101), f"name: found '{'x' * 101}'; allowed: " + TEXT),
        (measure(purpose=""), "purpose: found ''; allowed: text that says so in words"),
        (measure(unit=""), "unit: found ''; allowed: text that says so in words"),
        (measure(period="week"), "period: found 'week'; allowed: 'day' or 'month'"),
        (measure(rows="sum"), "rows: found 'sum'; allowed: 'count' or 'each'"),
        (measure(perod="day"), "unknown key: 'perod'; did you mean 'period'?"),
        (measure(colour="red"), "unknown key: 'colour'; known: name, purpose, unit, period"),
        (measure(groups="example = '1'"), "example: found '1'; allowed: a number"),
        (measure(groups="example = nan"), "example: found nan; allowed: a number below 1e10"),
        (measure(groups="example = 0.125"), "example: found 0.125; allowed: a number below"),
        (measure(groups="group1 = 'device'"), "group1: found 'device'; allowed: a table"),
        (measure(groups="group4 = { key = 'x' }"), "unknown key: 'group4'; did you mean 'group"),
        (measure(groups="group2 = { key = 'x' }"), "its groups must begin with group1"),
        (
            measure(groups="group1 = { key = 'x' }\ngroup3 = { key = 'y' }"),
            "its groups must begin with group1, without a gap",
        ),
    ],
)
def test_a_wrong_definition_is_named(written: Written, wrong: str, words: str) -> None:
    """What is wrong with a measure is told with its line, its name, the key and what is allowed."""
    path = written(measure("quiz-stars", "") + wrong)
    with pytest.raises(ConfigurationError) as refused:
        Definitions.load(path)
    assert str(refused.value).startswith(f"{path}:8: measure ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("values = ['y']", ".key is missing; allowed: " + TEXT),
        ("key = ''", ".key: found ''; allowed: " + TEXT),
        (f"key = '{'x' * 101}'", f".key: found '{'x' * 101}'; allowed: " + TEXT),
        ("key = 'x', value = ['y']", "; did you mean 'values'?"),
        ("key = 'x', values = 'y'", ".values: found 'y'; allowed: " + WORDS),
        ("key = 'x', values = [1]", ".values: found [1]; allowed: " + WORDS),
        ("key = 'x', values = ['']", ".values: found ['']; allowed: " + WORDS),
        (f"key = 'x', values = ['{'y' * 101}']", "allowed: " + WORDS),
        ("key = 'x', values = [' y']", ".values: found ' y'; allowed: no white space around it"),
        ("key = 'x', values = ['y', 'y']", ".values: found 'y'; allowed: each word once"),
        ("key = 'x', subset = ['a:b']", ".subset: found 'a:b'; allowed: words without ':'"),
        ("key = 'x', subset = ['a', 'b', 'a']", ".subset: found 'a'; allowed: each word once"),
        ("key = 'x', pattern = '[a-z'", ".pattern: found '[a-z'; allowed: a regular expression: "),
        ("key = 'x', pattern = '('", ".pattern: found '('; allowed: a regular expression: "),
        ("key = 'x', pattern = 'a{99999999999}'", "the repetition number is too large"),
        ("key = 'x', pattern = 3", ".pattern: found 3; allowed: a regular expression"),
        ("key = 'x', up_to = 9", ": up_to and above go together"),
        ("key = 'x', above = '9+'", ": up_to and above go together"),
        ("key = 'x', up_to = -1, above = '0+'", ".up_to: found -1; allowed: a whole number from"),
        ("key = 'x', up_to = '9', above = '9+'", ".up_to: found '9'; allowed: a whole number"),
        ("key = 'x', up_to = 9, above = ''", ".above: found ''; allowed: " + TEXT),
        (f"key = 'x', up_to = 9, above = '{'y' * 101}'", "allowed: " + TEXT),
        ("key = 'x', meaning = ''", ".meaning: found ''; allowed: text that says so in words"),
        ("key = 'x', values = ['y'], example = 'z'", ".example: found 'z'; allowed: a value that"),
    ],
)
def test_a_wrong_group_is_named(written: Written, group: str, words: str) -> None:
    """What is wrong with a group is told with its measure, the group and the key."""
    path = written(measure(groups=f"group1 = {{ {group} }}"))
    with pytest.raises(ConfigurationError) as refused:
        Definitions.load(path)
    assert str(refused.value).startswith(f"{path}:1: measure 'connection-count-daily': ")
    assert "group1" in str(refused.value)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "pattern", [r"[*+]{1,3}", r"a\+b\*", r"[]+]?", r"[^\]*]", r"(a|b{2,4}){0,9}"]
)
def test_a_pattern_with_an_end_is_taken(written: Written, pattern: str) -> None:
    """Signs of repetition that are characters are none."""
    Definitions.load(written(measure(groups=f"group1 = {{ key = 'x', pattern = '{pattern}' }}")))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, and one that is not text, are refused by their path."""
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name, words in [("absent.toml", "cannot be read"), ("bytes.toml", "is not TOML: ")]:
        with pytest.raises(ConfigurationError) as refused:
            Definitions.load(tmp_path / name)
        assert str(refused.value).startswith(f"{tmp_path / name}:")
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


GIVES = "which is what the measure gives"
OF_WHICH = "of which it is a measure"
EACH = "rows: found 'count'; allowed: 'each', for its values must not be added up"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("connection-count-daily", {"groups": ""}, f"found 0 groups; allowed: 1, {GIVES}"),
        ("session-duration", {}, f"found 1 groups; allowed: 2, {GIVES}"),
        ("konnector-connected-daily", {"groups": ""}, f"found 0 groups; allowed: 1, {GIVES}"),
        (
            "navigation-count-daily",
            {"groups": DEVICE + "\n" + DEVICE.replace("group1", "group2")},
            f"found 2 groups; allowed: 1, {GIVES}",
        ),
        (
            "navigation-count-daily",
            {"period": "month"},
            f"period: found 'month'; allowed: 'day', {OF_WHICH}",
        ),
        (
            "konnector-connected-daily",
            {"period": "month"},
            f"period: found 'month'; allowed: 'day', {OF_WHICH}",
        ),
        ("summary-subscription-monthly", {}, f"period: found 'day'; allowed: 'month', {OF_WHICH}"),
        ("summary-subscription-monthly", {"period": "month"}, EACH),
        (
            "quiz-stars",
            {"groups": DEVICE + "\n" + DEVICE.replace("group1", "group2")},
            EACH,
        ),
    ],
)
def test_a_definition_that_does_not_fit_its_measure_is_refused(
    written: Written, name: str, text: dict[str, str], words: str
) -> None:
    """Groups, period and rows that are not the measure's are refused before anything is counted."""
    path = written(measure(name, **text))
    with pytest.raises(ConfigurationError) as refused:
        Rules(Definitions.load(path))
    assert str(refused.value) == f"{path}:1: measure '{name}': {words}"


def test_every_measure_is_defined_and_made_once(definitions: Definitions) -> None:
    """The package's file defines what its functions make, and no two of them make the same."""
    made = [one.name for one in ALL]
    assert sorted(made) == sorted(definition.name for definition in definitions)
    assert unknown(definitions) == []


def test_the_shipped_file_says_what_everything_means(definitions: Definitions) -> None:
    """Each group has a meaning and an example, for the documentation."""
    for definition in definitions:
        for rule in definition.groups:
            assert rule.meaning, (definition.name, rule.key)
            assert rule.example, (definition.name, rule.key)


def test_the_number_of_groups_of_an_unknown_measure_is_free(written: Written) -> None:
    """A definition that no measure of ours fills may have any groups, and is told."""
    definitions = Definitions.load(written(measure("something-else", "") + measure()))
    Rules(definitions)
    assert unknown(definitions) == ["something-else"]
