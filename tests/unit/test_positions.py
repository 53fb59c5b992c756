"""On which line a key of a TOML text stands."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecolyo_worker.positions import Positions

TEXT = '''\
# [not.a.section]
top = 1

[ one . "two" ]   # a comment with = and [brackets]
'key' = "]\\" # no comment"
long = """
key = 3
[three]
\\""""""
"a=b".c = 1979-05-27 07:32:00
list = [ # with a comment
    "]", [1,
    { x = 1, "y z" = "}" }],
]
[[three]]
name = 'first'
[[three.four]]
name = \'\'\'
[[three]]\'\'\'\'\'
[[three]]
[three.four]
inline = { a.b = 1, c = { d = [ ] } }
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("one",), 4),
        (("one", "two"), 4),
        (("one", "two", "key"), 5),
        (("one", "two", "long"), 6),
        (("one", "two", "a=b", "c"), 10),
        (("one", "two", "list"), 11),
        (("one", "two", "list", 1), 12),
        (("one", "two", "list", 1, 1, "y z"), 13),
        (("three",), 15),
        (("three", 0, "name"), 16),
        (("three", 0, "four", 0, "name"), 18),
        (("three", 1), 20),
        (("three", 1, "four", "inline", "a", "b"), 22),
        (("three", 1, "four", "inline", "c", "d"), 22),
        (("one", "two", "absent"), 4),
        (("absent",), None),
    ],
)
def test_a_key_has_its_line(path: tuple[str | int, ...], line: int | None) -> None:
    """Keys in each of TOML's forms are found, and an unknown one has the line of what it is in."""
    assert tomllib.loads(TEXT)
    assert Positions(TEXT).line(*path) == line


def test_nesting_has_no_end() -> None:
    """Keys before what is nested too deep have their line, the others none, and nothing breaks."""
    text = f"a = 1\nb = {'[' * 5000}{']' * 5000}\nc = 3\n"
    assert Positions(text).line("a") == 1
    assert Positions(text).line("c") in {3, None}


NAMES = st.sampled_from(["a", "b", "c-d", '"e.f"', "'g ]'", '"\\u0068"'])
VALUES = st.recursive(
    st.sampled_from(
        [
            "1",
            "-2.5e3",
            "true",
            "1979-05-27T07:32:00Z",
            '"# x"',
            "'[y]'",
            '"""\nz = 1\n"""',
            "''''''",
        ]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ # x\n" + ",\n".join(items) + "\n]"),
        st.tuples(NAMES, inner).map(lambda pair: f"{{ {pair[0]} = {pair[1]} }}"),
    ),
    max_leaves=4,
)


@given(st.lists(st.tuples(st.sampled_from(["", "[s]", "[[t]]"]), NAMES, VALUES), max_size=6))
def test_every_value_stands_where_it_is_said_to(pieces: list[tuple[str, str, str]]) -> None:
    """For any mixture of sections, names and values, a text cut before a key's line lacks the key.

    Cut behind the key, it has it.
    """
    text = "".join(f"{head}\n{name} = {value} # end\n" for head, name, value in pieces)
    try:
        whole = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a name stands twice
    positions, lines = Positions(text), text.splitlines(keepends=True)
    for path in _paths(whole):
        line = positions.line(*path)
        assert line is not None
        assert not _has(_begun("".join(lines[: line - 1])), path)
        ends = range(line, len(lines) + 1)
        end = next(n for n in ends if _begun("".join(lines[:n])) is not None)
        assert _has(_begun("".join(lines[:end])), path)


def _paths(found: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Give the paths of all keys, but of those within a value."""
    if isinstance(found, dict) and len(path) < 2:
        return [p for key, item in found.items() for p in _paths(item, (*path, key))]
    if isinstance(found, list) and path == ("t",):
        return [p for n, item in enumerate(found) for key in item for p in [(*path, n, key)]]
    return [path]


def _begun(text: str) -> Any:
    """Give what a text says that may end within a value; None then."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _has(found: Any, path: tuple[str | int, ...]) -> bool:
    for part in path:
        try:
            found = found[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
