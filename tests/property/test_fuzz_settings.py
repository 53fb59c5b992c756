"""Whatever a settings file holds, reading it ends with settings and words, and never otherwise."""

import tempfile
from pathlib import Path

from cyclopts import CycloptsError
from hypothesis import example, given
from hypothesis import strategies as st

from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.cli.app import app
from ecolyo_worker.configuration import SECTIONS, read
from ecolyo_worker.errors import EcolyoError
from tests.property.made import limits

WORDS = [
    *SECTIONS,
    *("rate", "url", "token_file", "mode", "zone", "schedule", "not_before", "listen", "grace"),
    *(
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "\r\n",
        " ",
        "#",
        '"',
        "'",
        '"""',
        "'''",
    ),
    *("3", "-1", "1e400", "inf", "nan", "true", "2026-11-31", '"15min"', '"x"', "'~nobody/x'"),
    *('"http://u:p@x"', '"* * * * *"', '"{instance}"', "\\u0041", "\x00", "é", "\ufeff", "\ud800"),
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)
LINES = st.lists(
    st.builds(
        "{} = {}\n".format,
        st.sampled_from(
            ["dacc.rate", "[dacc]\nurl", "aggregation.measures_file", "http.token_file", "x.y"]
        ),
        st.sampled_from(
            ['"x"', "3", '"{instance}"', "[1,\n2]", "{ a = 1 }", "nan", '"a\\u0000"', '"~nobody/x"']
        ),
    ),
    max_size=6,
).map("".join)
FILES = st.one_of(st.binary(max_size=60), (TEXTS | LINES).map(lambda t: t.encode(errors="replace")))


@example(b'[aggregation]\nmeasures_file = "a\\u0000"\n', {})
@example(b'dacc.token_file = "~nobody.there/x"\n', {"URL": "http://[::1"})
@example(b"x = " + b"[" * 5000 + b"]" * 5000, {})
@example(b"\xef\xbb\xbf", {"RATE": "[" * 5000})
@limits(300)
@given(FILES, st.dictionaries(st.sampled_from(["RATE", "URL", "MODE", "X"]), TEXTS, max_size=2))
def test_every_file_is_read_or_told(content: bytes, variables: dict[str, str]) -> None:
    """Any bytes in a file and any text in the environment give settings or problems.

    Each problem has words, and a place that is there: a line of the file or a variable.
    """
    environ = {f"ECOLYO_DACC__{name}": text for name, text in variables.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(content)
        reading = read(path, environ)
        problems = check_settings(reading)
    for problem in problems:
        assert problem.message
        assert problem.file == str(path) or problem.variable in environ
        assert problem.line is None or 1 <= problem.line <= content.count(b"\n") + 1


OPTION_WORDS = [
    *("--config", "--state-dir", "--log-level", "--json", "--as-of", "--day", "--days", "--yes"),
    *("events", "import", "aggregate", "send", "poll", "enedis", "accounts", "add", "run", "chart"),
    *("--timeout", "--step", "hour", "1e400", "-1", "2026-02-30", "2026-11-21T01:00:00", "--", "-"),
]


@example(["send", "--timeout", "nan"])
@example(["aggregate", "--as-of", "9999-12-31T23:59:59-14:00"])
@example(["--json", "--no-json", "--json=\ud800"])
@limits(60)
@given(st.lists(st.sampled_from(OPTION_WORDS) | st.text(max_size=6), max_size=6))
def test_every_command_line_is_read_or_told(words: list[str]) -> None:
    """Any words after the program's name are a command with its arguments, or wrong usage."""
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except (CycloptsError, EcolyoError):
        return


@limits(60)
@given(
    st.sampled_from(["worker.state_dir", "log.level", "log.format", "dacc.rate", "worker.zone"]),
    st.text(max_size=8) | st.integers() | st.floats() | st.none() | st.builds(Path),
)
def test_every_option_is_taken_or_told(key: str, value: object) -> None:
    """Whatever an option holds, it is in force or a problem, which names the key."""
    for problem in read(None, {}, {key: value}).problems:
        assert problem.message
        assert key in str(problem)
