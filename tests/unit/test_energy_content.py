"""What an answer says is read once, for its meaning and for its points, and shown to nobody."""

from datetime import UTC, datetime

import pytest

from ecolyo_worker.energy.answers import read_answer
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.decoding import read_json
from ecolyo_worker.energy.reading import read_points
from ecolyo_worker.errors import AnswerUnreadable
from tests.unit.energy_samples import METER, days, sample

NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)


def test_an_answer_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was parsed to judge an answer is what its points are made of."""
    parsed = []

    def read(body: bytes) -> object:
        parsed.append(body)
        return read_json(body)

    monkeypatch.setattr("ecolyo_worker.energy.content.read_json", read)
    content = Content(sample("enedis-v5-curve-normal.json"))
    assert read_answer("enedis", "curve", 200, {}, content, NOW).kind == "ok"
    found = read_points("curve", content, METER, days("2026-02-10", "2026-02-11"))
    assert len(found.points) == 48
    assert parsed == [content.body]


def test_content_is_never_shown() -> None:
    """Only its length is; what is no JSON stays so, however often it is asked for."""
    content = Content(METER.encode() + b"{")
    for _ in range(2):
        with pytest.raises(AnswerUnreadable):
            _ = content.json
    assert content.objects.broken
    assert repr(content) == "<Content of 15 bytes>"
