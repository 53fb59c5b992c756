"""What is logged is what the vocabulary has."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ecolyo_worker
from ecolyo_worker.vocabulary import EVENTS

PACKAGE = Path(ecolyo_worker.__file__).parent
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Find each call that logs: of any `….logger`, `logger` or `….logger(…)`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = node.func.value
                of = of.func if isinstance(of, ast.Call) else of
                if ast.unparse(of).endswith("logger") and node.func.attr in LEVELS:
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node


def logged() -> Iterator[tuple[str, str, str, list[str]]]:
    """Give the place, event, level and fields of each; an event is a literal, or one of two."""
    for place, call in calls():
        (event,) = call.args
        names = (event.body, event.orelse) if isinstance(event, ast.IfExp) else (event,)
        assert isinstance(call.func, ast.Attribute)
        for name in names:
            assert isinstance(name, ast.Constant), place
            fields = [keyword.arg or "**" for keyword in call.keywords]
            yield place, str(name.value), call.func.attr, fields


def test_every_line_is_of_the_vocabulary() -> None:
    """Each call in the package logs an event of the table, at its level, with its fields."""
    known = {event.name: event for event in EVENTS}
    found = list(logged())
    assert len(found) >= len(EVENTS)
    for place, name, level, fields in found:
        assert name in known, place
        assert (level, sorted(fields)) == (known[name].level, sorted(known[name].fields)), place


def test_every_event_is_logged() -> None:
    """The table has no event that nothing logs, and none twice."""
    assert sorted(event.name for event in EVENTS) == sorted({name for _, name, _, _ in logged()})
