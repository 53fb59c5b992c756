"""The faults that the worker must survive, by their numbers, and the page that is made of them.

A test of this folder names its rows: `@pytest.mark.fault(41)`. The first paragraph of its docstring
says what the worker does then, and becomes a cell of `docs/faults.md`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

INTRODUCTION = """\
# What goes wrong, and what is done

<!-- Made by `make docs` from tests/faults; do not edit. -->

Each of these faults is brought about by a test, on a real database file and over real sockets. What
the worker does then is told by the test itself: if it did not, the test would be red. Words in
italics say where this kind of machine allows only the nearest thing to the fault.
"""


class Fault(NamedTuple):
    """A row of the matrix."""

    what: str
    nearest: str = ""
    """What is shown instead, where the fault itself cannot be brought about by a test."""


FAULTS: dict[str, dict[int, Fault]] = {
    "Process": {
        1: Fault("killed in intake, before the commit"),
        2: Fault("killed in intake, after the commit and before the receipt"),
        3: Fault("killed in the transaction of the night"),
        4: Fault("killed after that commit, before the sender is woken"),
        5: Fault("killed after rows were claimed, before a request"),
        6: Fault("killed while an answer is awaited"),
        7: Fault("killed after an answer was read, before it is stored"),
        8: Fault("killed in the commit that stores an answer"),
        9: Fault("killed after a token was given, before it is stored"),
        10: Fault("killed while readings are stored"),
        11: Fault("killed in a migration"),
        12: Fault("killed in a backup, or while the file is written anew"),
        13: Fault("killed while old rows are deleted"),
        14: Fault("SIGTERM: idle, under load, with a server slower than `grace`"),
        15: Fault("a second SIGTERM, SIGINT, then SIGKILL"),
        16: Fault("one part raises, again and again"),
        17: Fault(
            "the event loop is blocked",
            "The test stands in for systemd; `tests/process/test_unit_file.py` has systemd itself"
            " end a service that stands still, and start it anew.",
        ),
        18: Fault("the host cancels the task that the worker lives in"),
        19: Fault(
            "killed because memory is used up",
            "The kernel gives the process no more memory (`RLIMIT_AS`); then the test kills it. A"
            " batch of the night is bounded by its people and its events; each event is bounded in"
            " bytes.",
        ),
    },
    "Disk and file": {
        20: Fault("the disk is full when events come in"),
        21: Fault(
            "the disk is full when an answer or a night is stored",
            "A night meets a disk that is full. For an answer SQLite lets the file grow no further,"
            " so that it is full at that very moment.",
        ),
        22: Fault(
            "an I/O error, or a sync that fails",
            "The sync fails by a library between the worker and the kernel.",
        ),
        23: Fault(
            "the directory or the file cannot be written, at the start or later",
            "No disk can be made read-only while a file is written on it: later, SQLite refuses"
            " instead.",
        ),
        24: Fault("the file is no database"),
        25: Fault("bytes inside the file have changed"),
        26: Fault("the write-ahead log is missing, cut, or another database's"),
        27: Fault("the database is replaced or deleted"),
        28: Fault("the schema is newer than the program"),
        29: Fault("much is deleted, and the file would stay as large as it was"),
    },
    "Locks": {
        30: Fault("another process holds the write lock for long"),
        31: Fault("a reader keeps the write-ahead log from being emptied"),
        32: Fault("two workers on one database"),
        33: Fault(
            "a second SQLite library on the file in one process",
            "No program can notice or survive it: shown is that the pages warn of it.",
        ),
        34: Fault(
            "the database on a network file system",
            "None is mounted: shown is what `doctor` says where the kernel's list names one.",
        ),
    },
    "Time": {
        35: Fault("the clock is set an hour, a day, ten years ahead"),
        36: Fault("the clock is set an hour or a day back"),
        37: Fault("the machine sleeps for six hours"),
        38: Fault("the hour that the spring leaves out"),
        39: Fault("the hour that comes twice in autumn"),
        40: Fault("the zone is changed by the settings, or by new zone data"),
    },
    "Network": {
        41: Fault("no connection: refused, no such name, TLS fails"),
        42: Fault("the connection is reset before, in or after an answer's headers"),
        43: Fault("no answer in time"),
        44: Fault("an answer that comes byte by byte"),
        45: Fault("429, with each kind of `Retry-After`"),
        46: Fault("a storm of 500, 502, 503 and 504, then recovery"),
        47: Fault("200 with a page, 204, 202"),
        48: Fault("an answer that is broken, cut, huge, or unpacks to something huge"),
        49: Fault("401 or 403 to an indicator"),
        50: Fault("400, 404, 405, 413, 422"),
        51: Fault("a redirect, to another host"),
        52: Fault("a burst of requests is cancelled"),
        53: Fault("the server closes a kept connection between two requests"),
    },
    "Data": {
        54: Fault("an event that intake takes and counting fails on"),
        55: Fault("input that is huge, deep, no number, no text, no time, or unknown"),
        56: Fault("events twice, late, and in any order"),
        57: Fault(
            "a full queue; a million rows that wait",
            "Not seconds are measured, but the steps that SQLite takes: a start, and the sending of"
            " a row, takes as many with 40,000 rows as with 200. `bench/status_1m` measures the"
            " seconds of a start with a million.",
        ),
        58: Fault("a group value that is not allowed"),
    },
    "Consents of Enedis and GRDF": {
        59: Fault("two tasks renew a token at once"),
        60: Fault("a grant that has ended (`invalid_grant`)"),
        61: Fault("a token revoked early, a wrong clock, no `expires_in`"),
        62: Fault(
            "the quota used up, a maintenance window, a part of a day",
            "`coverage` lists the gaps of an account, day by day. `status` tells the last day"
            " that is held, of all accounts together, why nothing is asked for now, and of how many"
            " days what came cannot be read, or contradicts itself.",
        ),
        63: Fault("a consent that was withdrawn"),
    },
}


class Shown(NamedTuple):
    """A test that shows rows of the matrix."""

    path: Path
    name: str
    says: str
    rows: tuple[int, ...]


def shown() -> Iterator[Shown]:
    """Give the tests of this folder, by their source."""
    for path in sorted(HERE.glob("test_*.py")):
        module = ast.parse(path.read_text(encoding="utf-8"))
        of_all = [row for node in module.body for row in _of_module(node)]
        for node in module.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("test_") and path.name != "test_matrix.py":
                own = [row for mark in node.decorator_list for row in _numbers(mark)]
                says = (ast.get_docstring(node) or "").partition("\n\n")[0]
                yield Shown(path, node.name, " ".join(says.split()), tuple(own or of_all))


def page() -> str:
    """Give the page of all faults: a table for each part."""
    tests = list(shown())
    lines = [INTRODUCTION]
    for part, faults in FAULTS.items():
        lines += [f"## {part}", "", "| # | fault | what is done | shown by |", "| --- " * 4 + "|"]
        for number, fault in faults.items():
            showing = [test for test in tests if number in test.rows]
            says = [test.says for test in showing] + [f"*{fault.nearest}*"] * bool(fault.nearest)
            names = [f"[{_words(test.name)}](../tests/faults/{test.path.name})" for test in showing]
            cells = (str(number), fault.what, "<br>".join(says), "<br>".join(names))
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


def _of_module(node: ast.stmt) -> list[int]:
    """Give the rows that all tests of a module show, as `pytestmark` names them."""
    if not isinstance(node, ast.Assign):
        return []
    is_mark = any(isinstance(one, ast.Name) and one.id == "pytestmark" for one in node.targets)
    return _numbers(node.value) if is_mark else []


def _numbers(mark: ast.expr) -> list[int]:
    if not isinstance(mark, ast.Call) or ast.unparse(mark.func) != "pytest.mark.fault":
        return []
    return [ast.literal_eval(argument) for argument in mark.args]


def _words(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")
