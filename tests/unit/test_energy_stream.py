"""A stream of JSON is cut into its objects, however they stand, and wherever it is cut itself."""

import json
from typing import Any

import pytest

from ecolyo_worker.energy.stream import Objects, ObjectStream, read_objects
from tests.unit.energy_samples import sample

TWO: list[dict[str, Any]] = [{"a": 1, "b": ['{"', "}\\", '\\"[']}, {"c": {"d": [[], {}]}, "é": "€"}]
LINES = [json.dumps(item, ensure_ascii=False) for item in TWO]
PRETTY = [json.dumps(item, ensure_ascii=False, indent=2) for item in TWO]
WAYS = [
    "\n".join(LINES),
    "\n".join(LINES) + "\n",
    "\r\n".join(LINES) + "\r\n",
    "\n\n \t\r\n".join(["", *LINES, ""]),
    "".join(LINES),
    "".join(PRETTY),
    "\n".join(PRETTY),
    ",\n".join(LINES),
    "\ufeff" + "\n".join(LINES),
    json.dumps(TWO),
    json.dumps({"liste_acces": TWO}),
]


def cut(body: bytes, size: int, **limits: int) -> Objects:
    stream = ObjectStream(**limits)
    for place in range(0, len(body), size):
        stream.feed(body[place : place + size])
    return stream.end()


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("way", WAYS)
def test_objects_are_found_however_they_stand(way: str, size: int) -> None:
    """One a line, blank lines, CRLF, over several lines, glued, in a list; in any chunks."""
    found = cut(way.encode(), size)
    assert json.loads(json.dumps(found.found, default=int)) == TWO
    assert found.broken is None


def test_a_wrapped_list_keeps_what_stands_beside_it() -> None:
    """The object around the records is one more, without them."""
    body = {"liste_acces": TWO, "code_statut_traitement": "0000000000"}
    found = read_objects(json.dumps(body).encode())
    assert found.found[2:] == ({"code_statut_traitement": "0000000000"},)


@pytest.mark.parametrize("tail", ['{"e": 1', '{"e": "', '{"e": "\\', "{", "[{}, "])
def test_of_a_stream_that_breaks_off_the_rest_is_kept(tail: str) -> None:
    """What was whole is there, and that something is missing is told."""
    found = cut((WAYS[0] + tail).encode(), 5)
    assert len(found.found) == 2
    assert found.broken == "it breaks off in the midst of an object"


FIVE: list[dict[str, Any]] = [{"n": n, "in": {"a": ['{"', "}{"], "n": n}} for n in range(5)]
BREAKS = [
    ('": 2, "in"', "", "no valid JSON"),
    (', "in"', ', "in', "no valid JSON"),
    (', "}{"', ', "}{', "a text in it goes on beyond its line"),
    ('"n": 2}}', '"n": ', "an object in it breaks off"),
    ('"n": 2}}', '"n": 2}', "an object in it breaks off"),
    ('"n": 2}}', '"n": 2}}}', "it holds what is no object"),
    ('"n": 2, "in"', '"n": [2, "in"', "an object in it breaks off"),
    ('{"n": 2, "in": {"a": ["{', '{"n": 2, "in": {"a": ["{\\', "goes on beyond its line"),
]


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("end", ["\n", "\r\n", ",\n"])
@pytest.mark.parametrize(("whole", "broken", "words"), BREAKS)
def test_a_line_that_is_broken_costs_itself_alone(
    whole: str, broken: str, words: str, end: str, size: int
) -> None:
    """Cut, or with a sign too much or too few: the others are there, and it is told."""
    lines = [json.dumps(item) for item in FIVE]
    lines[2] = lines[2].replace(whole, broken, 1)
    found = cut(end.join(lines).encode(), size)
    assert [item for item in found.found if item in FIVE and item["n"] != 2] == [
        *FIVE[:2],
        *FIVE[3:],
    ]
    assert words in str(found.broken)


@pytest.mark.parametrize("between", ["\n", "", "\r\n"])
@pytest.mark.parametrize(
    ("whole", "broken"), [("\n}", "\n"), ('"in"', '"in'), ("{", "{{"), (":", "")]
)
def test_so_it_is_with_objects_over_several_lines(whole: str, broken: str, between: str) -> None:
    """Their inner lines are indented; those that begin with one, or end one, are not."""
    texts = [json.dumps(item, indent=1) for item in FIVE]
    texts[2] = texts[2].replace(whole, broken, 1)
    found = cut(between.join(texts).encode(), 3)
    assert [item["n"] for item in found.found if "in" in item] == [0, 1, 3, 4]
    assert found.broken is not None


def test_what_is_within_is_no_line_of_its_own() -> None:
    """As long as all is well a line may begin with an object that is part of another one."""
    text = json.dumps({"liste_acces": TWO, "more": [{"x": 1}]}, indent=0)
    assert "\n{" in text
    assert cut(text.encode(), 5) == Objects((*TWO, {"more": [{"x": 1}]}))


def test_behind_one_that_breaks_off_its_length_is_not_that_of_others() -> None:
    """What is too long with all that follows it is one that breaks off, unless it is alone."""
    body = "\n".join([LINES[0], '{"cut": ', *LINES, *LINES])
    for size in (1, 40, 1000):
        found = cut(body.encode(), size, most_of_one=len(LINES[1].encode()) + 20)
        assert (len(found.found), found.broken) == (5, "an object in it breaks off")


@pytest.mark.parametrize(
    "line", ['{"a":\n', '{"a": "\n', '{"a":[\n', "{{\n", '{"a": "\\\n', "}{\n", '{"a" 1, "b": {\n']
)
@pytest.mark.parametrize("tail", ["", "}"])
def test_lines_that_all_break_off_take_no_time(line: str, tail: str) -> None:
    """Ten thousand of them would take minutes if each were looked through to the end."""
    found = read_objects((line * 10_000 + tail * 10_000 + "\n" + LINES[1]).encode())
    assert found.found[-1:] == ({"c": {"d": [[], {}]}, "é": "€"},)
    assert found.broken is not None


@pytest.mark.parametrize(
    ("junk", "broken"),
    [
        ("oops\n", "it holds what is no object"),
        ("}", "it holds what is no object"),
        ("[1, 2]", "it holds what is no object"),
        ('{"a": }', "found no valid JSON"),
        ('{"a": ]', "found no valid JSON"),
        ("{" + '"a":{' * 90_000 + "}" * 90_001, "found JSON that is nested too deep"),
    ],
)
def test_what_cannot_be_read_is_passed_over(junk: str, broken: str) -> None:
    """The objects before and behind it are there, and that something was wrong is told."""
    found = read_objects((LINES[0] + junk + LINES[1]).encode())
    assert len(found.found) == 2
    assert found.broken is not None
    assert found.broken.startswith(broken)


def test_what_was_wrong_first_is_told() -> None:
    """The rest may well come of it."""
    assert read_objects(b'<html>{"a": ').broken == "it is HTML"


def test_nothing_is_nothing() -> None:
    """A stream without objects has none, and nothing is wrong with it."""
    assert read_objects(b"") == read_objects(b"\r\n\n") == Objects(())


@pytest.mark.parametrize("size", [10, 1000])
def test_an_object_has_a_longest_length(size: int) -> None:
    """What came before one that is too long is kept; nothing behind it is read."""
    body = "\n".join([LINES[0], '{"long": "' + "x" * 500 + '"}', LINES[1]]).encode()
    found = cut(body, size, most_of_one=200)
    assert len(found.found) == 1
    assert found.broken == "one object is longer than 200 bytes"


def test_a_stream_has_a_longest_length() -> None:
    """What came before is kept, and the reader may hang up."""
    stream = ObjectStream(most=100)
    for _ in range(10):
        stream.feed(b'{"a": 1}' * 5)
    assert stream.is_full
    found = stream.end()
    assert (len(found.found), found.broken) == (10, "it is longer than 100 bytes")


def test_keys_lose_a_stray_colon() -> None:
    """One of the keys of GRDF is seen with a second colon in it."""
    found = read_objects(b'{"perim_donnees_techniques:": "Vrai", " a ": {"b: ": []}}')
    assert found.found == ({"perim_donnees_techniques": "Vrai", "a": {"b": []}},)


@pytest.mark.parametrize("name", ["informative-normal", "informative-gap", "rights-with-trailer"])
def test_the_samples_are_the_same_in_chunks(name: str) -> None:
    """Wherever the network cuts them, also within a letter of two bytes."""
    body = sample(f"grdf-{name}.ndjson")
    whole = read_objects(body)
    assert len(whole.found) == len([line for line in body.splitlines() if line.strip()])
    assert cut(body, 1) == cut(body, 13) == whole
