"""Log lines: one each, whatever their texts hold, and never a secret."""

import copy
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest

from ecolyo_worker.cli.logs import Repeats, make_logger
from ecolyo_worker.secret import Secret
from ecolyo_worker.settings import LogFormat
from ecolyo_worker.testing.clock import FakeClock

FORMATS = get_args(LogFormat)
PRIORITIES = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}
HOSTILE = (
    "one\nERROR two", "\r<3>x", "\x1b[2J\x1b]0;owned\x07", "\x9b31m", "a\u2028b\u2029c",
    "\u202egnp.exe", "\x00", "\x0b\x0c\x1c\x85", "\ud800",
)  # fmt: skip


class Odd:
    """A value that is no text, and shows itself on two lines."""

    def __repr__(self) -> str:
        return "first\n\x1b[31msecond"


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize("value", [*HOSTILE, [HOSTILE[0]], {"key": HOSTILE[2]}, Odd()])
def test_a_text_from_outside_stays_in_its_line(
    log_format: LogFormat, value: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing in a field begins a line of its own, or commands the terminal."""
    make_logger(log_format, "info").info("an event", answer=value)
    text = printed(capsys)
    assert text.endswith("\n")
    assert text[:-1].isprintable(), ascii(text)
    if log_format == "json" and isinstance(value, str):
        assert json.loads(text)["answer"] == value


@pytest.mark.parametrize("level", PRIORITIES)
def test_the_journal_knows_the_priority_of_each_line(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line begins with its priority, those of a traceback too."""
    with pytest.raises(LookupError) as caught:
        show(Secret("s3cr3t"))
    getattr(make_logger("journal", "debug"), level)("it broke", exc_info=caught.value)
    first, *trace = printed(capsys).splitlines()
    assert first == f"{PRIORITIES[level]}event='it broke'"
    assert len(trace) > 3
    for line in trace:
        assert line.startswith(PRIORITIES[level])
        assert line.isprintable()


def show(secret: Secret) -> None:
    headers = {"Authorization": f"Bearer {secret.reveal()}"}
    raise LookupError(f"{len(headers)} header\nsecond line\x1b[31m")


@pytest.mark.parametrize("log_format", FORMATS)
def test_a_secret_is_in_no_line(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as a field, nor in a traceback through those who have it at hand."""
    secret = Secret("s3cr3t")
    logger = make_logger(log_format, "info")
    logger.info("an event", token=secret, several=[secret], named={"token": secret})
    with pytest.raises(LookupError) as caught:
        show(secret)
    logger.error("it broke", exc_info=caught.value)
    text = printed(capsys)
    assert "Secret(…)" in text.encode().decode(
        "unicode_escape" if log_format == "json" else "utf-8"
    )
    assert "LookupError" in text
    assert "s3cr3t" not in text


@pytest.mark.parametrize("text", [repr, str, format, "{0!s:>30}".format, "%s".__mod__, ascii])
def test_a_secret_shows_itself_to_nobody(text: Callable[[Secret], str]) -> None:
    """Whatever makes text of it gets the same."""
    assert "s3cr3t" not in text(Secret("s3cr3t"))


@pytest.mark.parametrize(
    "give", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, msgspec.json.encode]
)
def test_a_secret_is_no_data(give: Callable[[Secret], object]) -> None:
    """It is neither pickled nor copied nor encoded."""
    with pytest.raises(TypeError) as caught:
        give(Secret("s3cr3t"))
    assert "s3cr3t" not in str(caught.value)


def test_what_repeats_is_told_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """The first like line comes at once, the next after a minute, with how many were left out."""
    clock = FakeClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    logger = make_logger("json", "info", Repeats(clock.monotonic))
    for second in range(150):
        fail(logger, second)
        clock.advance(1)
    lines = [json.loads(line) for line in printed(capsys).splitlines()]
    found = [(line["row"], line.get("left_out")) for line in lines]
    assert found == [(0, None), (60, 59), (120, 59)]


def test_the_end_of_a_burst_is_told_with_the_next_line(capsys: pytest.CaptureFixture[str]) -> None:
    """After the minute, any line brings the last one left out, its count, and how old it is."""
    clock = FakeClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    logger = make_logger("json", "info", Repeats(clock.monotonic))
    for second in range(10):
        fail(logger, second)
        clock.advance(1)
    logger.info("run finished", days=1, indicators=1)
    clock.advance(50)
    logger.info("run finished", days=2, indicators=2)
    logger.info("run finished", days=3, indicators=3)
    lines = [json.loads(line) for line in printed(capsys).splitlines()]
    assert [line.get("row") or line.get("days") for line in lines] == [None, 1, 9, 2, 3]
    told = {"outcome": "failed", "answer": "503", "left_out": 8, "late_s": 51.0, "level": "info"}
    assert told.items() <= lines[2].items()


def test_the_end_of_a_burst_is_told_when_all_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """What was left out is told at the end, once, by the logger that left it out."""
    clock = FakeClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    repeats = Repeats(clock.monotonic)
    logger = make_logger("json", "info", repeats)
    other = make_logger("journal", "info", repeats)
    for row in range(2):
        fail(logger, row)
        fail(other, row, answer="500")
    printed(capsys)
    repeats.tell_rest()
    repeats.tell_rest()
    first, second = printed(capsys).splitlines()
    assert (json.loads(first)["row"], json.loads(first)["late_s"]) == (1, 0.0)
    assert "left_out" not in first
    assert second.startswith("<6>event='indicator not delivered' row=1")


def fail(logger: Any, row: int, answer: str = "503") -> None:
    logger.info("indicator not delivered", row=row, outcome="failed", answer=answer)


def test_what_differs_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Another answer is another line, and events that tell of a change are all logged."""
    clock = FakeClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    logger = make_logger("json", "info", Repeats(clock.monotonic))
    for row, answer in enumerate(("503", "500", "503")):
        fail(logger, row, answer)
        logger.warning("destination is held back", destination=1, reason=answer)
    lines = [json.loads(line) for line in printed(capsys).splitlines()]
    assert [line["event"][:9] for line in lines].count("indicator") == 2
    assert [line["event"][:11] for line in lines].count("destination") == 3


def test_what_repeats_is_remembered_within_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    """A flood of ever other lines makes room of the oldest ones, which are then told anew."""
    clock = FakeClock(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    logger = make_logger("json", "info", Repeats(clock.monotonic))
    for number in [*range(1000), 999, 0]:
        fail(logger, number, str(number))
    rows = [json.loads(line)["row"] for line in printed(capsys).splitlines()]
    assert rows == [*range(1000), 0]
    for number in range(1000, 1256):  # what is forgotten is told before
        fail(logger, number, str(number))
    lines = [json.loads(line) for line in printed(capsys).splitlines()]
    assert [line["row"] for line in lines if "late_s" in line] == [999]
