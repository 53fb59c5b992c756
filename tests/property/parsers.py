"""The parsers as a fuzzer sees them: bytes in; whatever is not refused in our own words raises."""

import io
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.cli.files import chunks, read_lines
from ecolyo_worker.clock import DAY_MS, parse_day, utc_ms
from ecolyo_worker.configuration import read
from ecolyo_worker.energy.answers import Asked, Provider, read_answer
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.decoding import read_json
from ecolyo_worker.energy.enedis import read_curve, read_daily
from ecolyo_worker.energy.grdf import read_gas_days, read_gas_periods
from ecolyo_worker.energy.rights import read_rights
from ecolyo_worker.energy.stream import ObjectStream, read_objects
from ecolyo_worker.energy.tokens import read_token
from ecolyo_worker.errors import AnswerUnreadable, CommandRefused, InputRefused
from ecolyo_worker.events import check_event, decode_object, event_document
from ecolyo_worker.facts import check_facts
from ecolyo_worker.readings import check_reading
from ecolyo_worker.remote import outcome
from ecolyo_worker.service.bodies import split_events
from ecolyo_worker.service.web import Refused

__all__ = ["decode_answer", "parse_answer", "parse_inputs", "parse_settings", "read_settings"]

ZONE = ZoneInfo("Europe/Paris")
METER = "11111111111111"
DAYS = range(parse_day("2026-02-08"), parse_day("2026-10-27"))
NOW = datetime(2026, 11, 22, tzinfo=UTC)
LONGEST_REASON = 4000
SERIES: list[tuple[Provider, Asked]] = [
    *(("enedis", "daily"), ("enedis", "curve"), ("enedis", "token")),
    *(("grdf", "gas_days"), ("grdf", "rights"), ("grdf", "revocation"), ("grdf", "token")),
]  # fmt: skip


def parse_inputs(content: bytes) -> None:
    """Take bytes as the body of a request and as a file: of events, of facts and of readings."""
    for is_ndjson in (True, False):
        try:
            for text in split_events(content, is_ndjson=is_ndjson):
                _line(text)
        except Refused as refused:
            _short(refused.message)
    try:
        for lines in chunks(read_lines(io.BytesIO(content))):
            for line in lines:
                _line(line.text)
    except (CommandRefused, InputRefused) as refused:
        _short(str(refused))


def _line(text: bytes) -> None:
    try:
        found = decode_object(text)
    except InputRefused as refused:
        _said(refused)
        return
    try:
        msgspec.json.encode(event_document(check_event(found, ZONE, "wall")))
    except InputRefused as refused:
        _said(refused)
    for check in (check_facts, check_reading):
        try:
            msgspec.json.encode(check(found, ZONE))
        except InputRefused as refused:
            _said(refused)


def _short(words: str) -> None:
    """What is said does not grow with what came in."""
    assert len(words) < LONGEST_REASON


def _said(refused: InputRefused) -> None:
    _short(json.dumps([refused.field, refused.reason]))
    msgspec.json.encode([refused.field, refused.reason])


def parse_answer(content: bytes) -> None:
    """Take bytes as the answer of the DACC, of Enedis, of GRDF, and of whoever gives tokens."""
    for status in (201, 400, 502, 503):
        headers = {"retry-after": content[:30].decode("latin-1")}
        judged = outcome.read_answer(status, headers, content, NOW.timestamp())
        assert len(judged.text.encode()) <= 200
        assert judged.retry_after is None or judged.retry_after >= 0
    for provider, asked in SERIES:
        for status in (200, 400, 429):
            meaning = read_answer(provider, asked, status, {}, Content(content), NOW)
            assert meaning.until is None or 0 < meaning.until - utc_ms(NOW) <= DAY_MS
    decode_answer(content)


def decode_answer(content: bytes) -> None:
    """Take bytes as readings, rights and tokens, whole and in small pieces."""
    objects = read_objects(content)
    stream = ObjectStream()
    for place in range(0, len(content), 7):
        stream.feed(content[place : place + 7])
    assert repr(stream.end()) == repr(objects)
    for read_one in (
        lambda: read_daily(read_json(content), METER, DAYS),
        lambda: read_curve(read_json(content), METER, DAYS),
        lambda: read_gas_days(objects, METER, DAYS),
        lambda: read_gas_periods(objects, METER, DAYS),
        lambda: read_rights(objects, METER),
        lambda: read_token(content),
    ):
        try:
            read_one()
        except AnswerUnreadable as refused:
            _hides(str(refused))


def _hides(words: str) -> None:
    assert METER not in words


def read_settings(content: bytes) -> None:
    """Read bytes as a settings file, without looking at what the settings name."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        read(Path(file.name), {})


def parse_settings(content: bytes) -> None:
    """Take bytes as a settings file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_bytes(content)
        reading = read(path, {}, {"log.level": "info"})
        problems = check_settings(reading)
    for problem in problems:
        assert problem.message
        assert problem.line is None or 1 <= problem.line <= content.count(b"\n") + 1
