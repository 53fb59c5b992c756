"""What the command line tells of itself is whole, and true."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
from cyclopts import App

from ecolyo_worker import errors, exits
from ecolyo_worker.cli import app as application
from ecolyo_worker.cli.app import READING_ORDER, app, run
from ecolyo_worker.cli.manual import Manual, manuals, options_of_every_command
from ecolyo_worker.errors import EcolyoError

ROOT = Path(__file__).parents[2]
MANUALS = {one.name: one for one in manuals(app)}


def command(name: str) -> App:
    found = app
    for word in name.split():
        found = found[word]
    return found


def test_the_help_has_the_order_of_the_readme() -> None:
    """Help, README and page tell of the commands in one order."""
    (table,) = re.findall(
        r"^## Commands\n(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    rows = re.findall(r"^\| (`[a-z].*?) \| ", table, re.MULTILINE)
    words = [word.split()[0] for row in rows for word in re.findall(r"`([a-z -]+)`", row)]
    groups = {name for name in READING_ORDER if app[name].default_command is None}
    known = [word for word in words if word in READING_ORDER]
    listed = [name for name in known if name in groups or name in MANUALS]
    assert list(dict.fromkeys(listed)) == [n for n in READING_ORDER if not n.startswith("-")]
    assert list(dict.fromkeys(name.split()[0] for name in MANUALS)) == list(READING_ORDER)


@pytest.mark.parametrize("one", MANUALS.values(), ids=MANUALS)
def test_every_option_says_what_it_is_for(one: Manual) -> None:
    """Each command and option has a sentence; what takes text says of which kind it is."""
    assert one.summary.endswith(".")
    for option in (*one.options, *options_of_every_command(app)):
        assert option.purpose.endswith(".")
        assert option.takes != "text" or option.is_argument


@pytest.mark.parametrize("one", MANUALS.values(), ids=MANUALS)
def test_every_example_can_be_typed(one: Manual) -> None:
    """An example is a command of that name, with options that there are, on one line."""
    for example in one.examples:
        program, *words = shlex.split(example)
        assert (program, len(example) <= 78) == ("ecolyo-worker", True)
        words = [word for word in words if word != "--json"]  # of every command
        found, _, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        assert found is command(one.name).default_command


@pytest.mark.parametrize("one", MANUALS.values(), ids=MANUALS)
def test_who_asks_the_service_is_told(one: Manual) -> None:
    """A command asks a running service if it has its commands of the session, and else not."""
    function = command(one.name).default_command
    assert function is not None
    code = inspect.unwrap(function).__code__
    asks = not {"commands", "reading"}.isdisjoint(code.co_names)
    assert (one.beside_a_service == "asks the service") is asks


def test_every_exit_code_is_of_the_table() -> None:
    """What errors, commands and the edge end with is in the table, and nothing else is."""
    told = [item.code for item in exits.EXIT_CODES]
    named = [
        value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)
    ]
    assert told == sorted(told) == sorted(named)
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind)]
    ends = {kind.exit_code for kind in kinds if issubclass(kind, EcolyoError)}
    assert ends | {code for one in MANUALS.values() for code in one.ends} <= set(told)


def test_no_exit_code_is_written_as_a_number() -> None:
    """The command line has no number of its own: it ends with names of the table."""
    for path in Path(application.__file__).parent.glob("*.py"):
        assert not re.search(r"return [1-9]|= (64|65|69|7\d)\b", path.read_text()), path


@pytest.mark.parametrize("name", ["send", "instances consent"])
def test_the_help_has_one_form(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """A command of a group has its options under the same title as another."""
    assert run([*name.split(), "--help"]) == 0
    titles = re.findall(r"^╭─ (.*?) ─", capsys.readouterr().out, re.MULTILINE)
    assert titles[-2:] == ["Options", "Options of every command"]


def test_the_help_ends_with_what_is_the_commands_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options come before those of every command; exit codes and an example close it."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["send", "--help"]) == 0
    text = capsys.readouterr().out
    own, general, end = (
        text.index(words) for words in ("--timeout SECONDS", "--config PATH", "Ends with 75: Only")
    )
    assert own < general < end < text.index(" ecolyo-worker send --until-empty --timeout 60 ")
    assert "[default: False]" not in text
