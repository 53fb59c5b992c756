"""For each reason for which an input is refused there is an example, and it is refused so."""

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest

from ecolyo_worker import errors, events, facts, readings
from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.testing.wrong import WRONG, WrongInput, refusal

ALLOWED = (
    "allowed:",
    "known:",
    "it is required",
    "which is the most",
    "that is not UTF-8",
    "no valid",
    "out of the years",
)
REFUSING = {"EventRefused", "FactsRefused", "InputRefused"}


def places(module: ModuleType) -> Iterator[range]:
    """Find the lines of each statement that refuses."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if (
            isinstance(node, ast.Raise)
            and isinstance(node.exc, ast.Call)
            and ast.unparse(node.exc.func) in REFUSING
        ):
            yield range(node.lineno, (node.end_lineno or node.lineno) + 1)


def refused_at(wrong: WrongInput) -> tuple[str, int]:
    """Give the file and the line that refused it."""
    trace = refusal(wrong).__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


@pytest.mark.parametrize("module", [events, facts, readings], ids=lambda module: module.__name__)
def test_every_place_that_refuses_has_an_example(module: ModuleType) -> None:
    """Whoever adds a reason adds an example, with what to do about it."""
    hit = [line for file, line in map(refused_at, WRONG) if file == module.__file__]
    for place in places(module):
        assert any(line in place for line in hit), f"{module.__name__}:{place.start}"


def test_every_example_says_what_was_found_and_what_to_do() -> None:
    """A reason begins with what was found; the advice is a sentence."""
    for wrong in WRONG:
        assert refusal(wrong).reason.startswith(("found ", "unknown key; "))
        assert any(word in refusal(wrong).reason for word in ALLOWED), wrong
        assert wrong.advice.endswith(".")


def test_every_error_says_when_it_is_raised_and_what_a_host_does() -> None:
    """Of each exception the page of errors has words of its own."""
    kinds = [getattr(errors, name) for name in errors.__all__]
    found = [kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, EcolyoError)]
    assert len({kind.__doc__ for kind in found}) == len(found)
    assert all(kind.advice.endswith(".") for kind in found)
    general = [kind for kind in found if kind.advice == EcolyoError.advice]
    assert general == [EcolyoError]
    told = [kind for kind in found if kind is not EcolyoError and kind.reader == "us"]
    assert all("advice" in vars(kind) for kind in told)
