"""Every parser takes any bytes, or refuses them in words, with work that grows as they do.

The kept bytes first, then damaged ones; many more of these with PROPERTY_EXAMPLES=100.
"""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.corpus import damaged, keeping, kept
from tests.property.made import tried
from tests.property.parsers import (
    decode_answer,
    parse_answer,
    parse_inputs,
    parse_settings,
    read_settings,
)
from tests.property.steps import steps

Parse = Callable[[bytes], None]

PARSERS: dict[str, Parse] = {
    "inputs": parse_inputs,
    "answers": parse_answer,
    "settings": parse_settings,
}
COUNTED: dict[str, Parse] = {
    "inputs": parse_inputs,
    "answers": decode_answer,
    "settings": read_settings,
}
"""Those of which steps are counted: without what is the same for every input."""

FILES = [(name, path) for name in PARSERS for path in kept(name)]

JSON: dict[str, Callable[[int], bytes]] = {
    "blank lines": lambda n: b"\n" * n + b"{}",
    "blanks": lambda n: b" \t" * n,
    "byte order marks": lambda n: b"\xef\xbb\xbf" * n,
    "small lines": lambda n: b'{"a":1}\n' * n,
    "broken lines": lambda n: b'{"a":\n' * n,
    "glued objects": lambda n: b"{}" * n,
    "a long list": lambda n: b"[" + b",".join([b'{"type":1}'] * n) + b"]",
    "a list that breaks off": lambda n: b'[{"a":1},' * n,
    "lists in lists": lambda n: b"[" * n,
    "objects in objects": lambda n: b'{"a":' * n + b"1" + b"}" * n,
    "braces": lambda n: b"\n}{" * n,
    "quotes": lambda n: b'{"' + b'"' * n,
    "backslashes": lambda n: b'{"a":"' + b"\\" * n + b'"}',
    "escapes": lambda n: b'{"a":"' + b"\\ud800" * n + b'"}',
    "a long text": lambda n: b'{"type":"' + b"x" * n + b'"}',
    "a text without an end": lambda n: b'{"type":"' + b"x\n" * n,
    "a long number": lambda n: b'{"result":' + b"9" * n + b"}",
    "a long fraction": lambda n: b'{"value":0.' + b"9" * n + b"e99999}",
    "many keys": lambda n: b"{" + b",".join(b'"k%d":1' % i for i in range(n)) + b"}",
    "one key again and again": lambda n: b"{" + b",".join([b'"type":"x"'] * n) + b"}",
    "half a character": lambda n: b"\xc3" * n,
    "records": lambda n: b'{"liste_acces":[' + b",".join([b'{"pce":"x"}'] * n) + b"]}",
    "readings": lambda n: (
        b'{"meter_reading":{"usage_point_id":"11111111111111","reading_type":{"unit":"Wh"},'
        b'"interval_reading":['
        + b",".join([b'{"value":"1","date":"2026-10-25 02:00:00"}'] * n)
        + b"]}}"
    ),
}
TOML: dict[str, Callable[[int], bytes]] = {
    "blank lines": lambda n: b"\n" * n,
    "comments": lambda n: b"# x\n" * n,
    "sections": lambda n: b"".join(b"[s%d]\n" % i for i in range(n)),
    "unknown keys": lambda n: b"[dacc]\n" + b"".join(b"k%d = 1\n" % i for i in range(n)),
    "lists of tables": lambda n: b"[[dacc]]\nrate = 1\n" * n,
    "one key again and again": lambda n: b"[dacc]\n" + b"rate = 1\n" * n,
    "a long list": lambda n: b"[dacc]\nrate = [" + b"1,\n" * n + b"]",
    "lists in lists": lambda n: b"x = " + b"[" * n,
    "a long text": lambda n: b'[dacc]\nurl = """' + b"x\n" * n + b'"""',
    "quotes": lambda n: b'x = """' + b'"\n' * n,
    "a long number": lambda n: b"[dacc]\nrate = " + b"9" * n,
    "inline tables": lambda n: b"x = {a = " * n + b"1" + b"}" * n,
}
SHAPES = [
    *(("inputs", shape, 150, make) for shape, make in JSON.items()),
    *(("answers", shape, 25, make) for shape, make in JSON.items()),
    *(("settings", shape, 25, make) for shape, make in TOML.items()),
]


@pytest.mark.parametrize(("parser", "path"), FILES, ids=lambda one: getattr(one, "name", one))
def test_what_is_kept_is_taken_or_refused(parser: str, path: Path) -> None:
    """Whatever was found to break a parser, or might, breaks none any more."""
    PARSERS[parser](path.read_bytes())


@pytest.mark.parametrize("parser", PARSERS)
@tried(40)
@given(st.data())
def test_what_is_kept_and_damaged(parser: str, data: st.DataObject) -> None:
    """The same holds for kept bytes of which pieces are cut, doubled, repeated or replaced."""
    content = data.draw(damaged(parser))
    with keeping(parser, content):
        PARSERS[parser](content)


@cache
def least(parser: str) -> int:
    """Give how many steps a parser takes for nothing."""
    COUNTED[parser](b"")
    return steps(COUNTED[parser], b"")


@pytest.mark.parametrize(
    ("parser", "shape", "size", "make"), SHAPES, ids=[f"{a}: {b}" for a, b, _, _ in SHAPES]
)
def test_work_grows_as_the_input_does(
    parser: str, shape: str, size: int, make: Callable[[int], bytes]
) -> None:
    """Four times as much of what is bad costs about four times the steps, and not sixteen times."""
    parse = COUNTED[parser]
    parse(make(size))  # what is made once is made now
    once, fourfold = (steps(parse, make(n)) - least(parser) for n in (size, 4 * size))
    assert fourfold < 6 * max(once, 100)


def test_what_costs_too_much_is_noticed() -> None:
    """Counting notices a copy of all that came before, made for each line."""

    def copying(given: bytes) -> None:
        head = b""
        for line in given.splitlines(keepends=True):
            head += line

    assert steps(copying, b"x\n" * 400) > 10 * steps(copying, b"x\n" * 100)


def test_what_fails_is_kept(tmp_path: Path) -> None:
    """It is in the corpus then, once for each kind of failure, and fails as before."""
    for content in (b"first", b"smaller"):
        with pytest.raises(ZeroDivisionError), keeping("inputs", content, tmp_path):
            random.Random(1 // 0)
    (path,) = (tmp_path / "inputs").iterdir()
    assert path.read_bytes() == b"smaller"
