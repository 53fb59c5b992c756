"""The codes of the HTTP face are those of one table, and what it says of bounds is so."""

import ast
from pathlib import Path

from ecolyo_worker import service
from ecolyo_worker.service import codes
from ecolyo_worker.service.codes import CODES, ErrorCode
from ecolyo_worker.service.web import Bounds

PACKAGE = Path(service.__file__).parent


def test_every_code_is_given_and_no_other() -> None:
    """Outside of the table no code is made, and each of it is used."""
    used = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ErrorCode"):
                assert path.name == "codes.py", path
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "codes":
                used.add(node.attr)
    table = {name for name, value in vars(codes).items() if isinstance(value, ErrorCode)}
    assert used == table == {name for name in codes.__all__ if name.isupper()} - {"CODES"}
    assert len(CODES) == len(table)


def test_a_code_and_a_status_mean_one_thing() -> None:
    """No two errors look alike to a program; what may be tried again says when."""
    assert len({(one.name, one.status) for one in CODES}) == len(CODES)
    asked_again = {one.name for one in CODES if one.retry_after_s is not None}
    assert asked_again == {"busy", "not_ready", "unavailable"}
    assert asked_again == {one.name for one in CODES if "Retry-After" in one.advice}


def test_the_numbers_that_are_told_hold() -> None:
    """Sizes, times and crowds in the words of the table are the bounds in force."""
    bounds = Bounds()
    assert f"{bounds.body_bytes >> 20} MiB" in codes.TOO_LARGE.meaning
    assert f"{bounds.head_bytes >> 10} KiB" in codes.HEAD_TOO_LARGE.meaning
    assert f"{bounds.head_lines} lines" in codes.HEAD_TOO_LARGE.meaning
    assert f"{bounds.head_s:g} s" in codes.TOO_SLOW.meaning
    assert f"{bounds.body_s:g} s" in codes.TOO_SLOW.meaning
    assert f"{bounds.connections} connections" in codes.BUSY.meaning
    assert f"{bounds.free_bytes >> 20} MiB" in codes.DISK_FULL.meaning
    assert f"{bounds.ready_s:g} s" in codes.DATABASE_BUSY.meaning
