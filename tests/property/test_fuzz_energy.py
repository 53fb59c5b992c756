"""Whatever Enedis or GRDF answer: points that fit, or a refusal in words that name no meter."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from ecolyo_worker.clock import DAY_MS, MINUTE_MS, parse_day, utc_ms
from ecolyo_worker.energy.answers import Asked, Provider, read_answer
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.decoding import read_json
from ecolyo_worker.energy.enedis import read_curve, read_daily
from ecolyo_worker.energy.grdf import read_gas_days, read_gas_periods
from ecolyo_worker.energy.points import Decoded
from ecolyo_worker.energy.rights import read_rights
from ecolyo_worker.energy.stream import ObjectStream, read_objects
from ecolyo_worker.energy.tokens import read_token
from ecolyo_worker.errors import AnswerUnreadable
from tests.property.made import tried

SAMPLES = Path(__file__).parents[1] / "data" / "energy"
BODIES = [path.read_bytes() for path in sorted(SAMPLES.glob("*.*json"))]
METERS = ["11111111111111", "23000000000000"]
SECRETS = [*METERS, "22222222222222", "GI999055", "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0"]
DAYS = range(parse_day("2026-02-08"), parse_day("2026-10-27"))
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SERIES: list[tuple[Provider, Asked]] = [
    ("enedis", "daily"),
    ("enedis", "curve"),
    ("enedis", "token"),
    ("grdf", "gas_days"),
    ("grdf", "rights"),
    ("grdf", "revocation"),
]
WORDS = [
    *("meter_reading", "interval_reading", "grandeur", "points", "reading_type", "unit", "pce"),
    *("value", "date", "interval_length", "v", "d", "p", "idPrm", "usage_point_id", "id_pce"),
    *("consommation", "energie", "journee_gaziere", "statut_restitution", "code", "error"),
    *("fault", "message", "liste_acces", "access_token", "expires_in", "nextAccessTime"),
]
TEXTS = [
    *("2026-10-25 02:00:00", "2026-02-10", "PT30M", "W", "Wh", "kWh", "1e400", "-1", "106", "NaN"),
    *("2026-03-29 02:30:00", "9999-12-31 23:30:00", "0001-01-01T00:30:00+14:00", "\ud800", "é"),
    *("2026-Feb-11 07:00:00+0000 UTC", "9999-12-31T23:59:59-14:00", "Définitive", *SECRETS),
]


def values() -> st.SearchStrategy[Any]:
    """Give what JSON may hold, with words that mean something."""
    numbers = st.integers() | st.floats() | st.sampled_from([10**30, 11111111111111, 106, 0])
    scalars = st.none() | st.booleans() | numbers | st.sampled_from(TEXTS) | st.text(max_size=5)
    keys = st.sampled_from(WORDS) | st.text(max_size=3)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Give a sample in which one place has another value."""
    body = draw(st.sampled_from(BODIES))
    try:
        found = json.loads(body)
    except ValueError:
        found = [json.loads(line) for line in body.splitlines() if line.strip()]
    place = found
    for _ in range(draw(st.integers(0, 6))):
        inner = place if isinstance(place, list) else list(place.values())
        deeper = [item for item in inner if isinstance(item, dict | list) and item]
        if not deeper:
            break
        place = draw(st.sampled_from(deeper))
    key = draw(st.sampled_from(range(len(place)) if isinstance(place, list) else sorted(place)))
    place[key] = draw(values())
    return json.dumps(found).encode()


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """Give a sample that is cut, or has other bytes in it."""
    body = draw(st.sampled_from(BODIES))
    place = draw(st.integers(0, len(body)))
    return body[:place] + draw(st.binary(max_size=4)) + body[place + draw(st.integers(0, 99)) :]


@st.composite
def with_one_broken_line(draw: st.DrawFn) -> tuple[list[Any], bytes, bytes]:
    """Give records, a line that is cut or has stray signs, and the stream of all."""
    inner = st.recursive(
        st.integers() | st.text(alphabet='{}[]",:\\\n é', max_size=4),
        lambda deeper: (
            st.lists(deeper, max_size=3) | st.dictionaries(st.text("a{", max_size=2), deeper)
        ),
        max_leaves=6,
    )
    records = [{"record": n, "holds": draw(inner)} for n in range(draw(st.integers(1, 6)))]
    lines = [json.dumps(record) for record in records]
    number = draw(st.integers(0, len(lines) - 1))
    line = lines[number]
    place = draw(st.integers(0, len(line)))
    rest = draw(st.sampled_from(["", line[place:], line[place + 1 :]]))
    lines[number] = line[:place] + draw(st.text('{}[]",:\\', max_size=2)) + rest
    del records[number]
    stream = draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    return records, lines[number].encode(), stream.encode()


def bodies() -> st.SearchStrategy[bytes]:
    """Give answers of all sorts."""
    made = values().map(lambda value: json.dumps(value).encode())
    return st.binary(max_size=60) | made | mutated() | torn()


def hides(text: str) -> None:
    """No meter, no token."""
    for secret in SECRETS:
        assert secret not in text
        assert secret.upper() not in text


def fits(found: Decoded, *, is_short: bool) -> None:
    """Points follow each other, lie in the days asked for, and are whole and not negative."""
    ends = 0
    for point in found.points:
        assert point.start >= ends or not is_short
        assert point.minutes > 0
        assert 0 <= point.amount <= 10**9
        ends = point.start + point.minutes * MINUTE_MS
    starts = [point.start for point in found.points]
    assert starts == sorted(set(starts))
    edges = range((DAYS.start - 1) * DAY_MS, (DAYS.stop + 1) * DAY_MS)
    assert all(start in edges for start in starts) or not is_short
    assert all(day in DAYS for day in found.empty_days)
    hides(repr(found.refused) + repr(found.codes) + repr(found.broken))


@tried(300)
@given(bodies(), st.sampled_from(METERS))
@example(b'{"meter_reading":' * 50_000, METERS[0])
@example(b'{"liste_acces":[[[]],{"pce":[]}]}', METERS[1])
@example(b"9" * 5000, METERS[0])
def test_any_answer_is_points_or_unreadable(body: bytes, meter: str) -> None:
    """Nothing else is raised, and no text names a meter."""
    for read in (read_daily, read_curve):
        try:
            fits(read(read_json(body), meter, DAYS), is_short=True)
        except AnswerUnreadable as refused:
            hides(str(refused))
    objects = read_objects(body)
    for read_gas, is_short in ((read_gas_days, True), (read_gas_periods, False)):
        try:
            fits(read_gas(objects, meter, DAYS), is_short=is_short)
        except AnswerUnreadable as refused:
            hides(str(refused))


@tried(200)
@given(bodies(), st.sampled_from([200, 204, 302, 400, 403, 404, 429, 503]), st.sampled_from(SERIES))
def test_any_answer_means_something(
    body: bytes, status: int, series: tuple[Provider, Asked]
) -> None:
    """Nothing is raised, no text names a meter or a token, and no wait is longer than a day."""
    provider, asked = series
    meaning = read_answer(
        provider, asked, status, {"retry-after": body.hex()[:9]}, Content(body), NOW
    )
    hides(repr(meaning))
    assert meaning.until is None or 0 < meaning.until - utc_ms(NOW) <= DAY_MS
    try:
        hides(repr(read_rights(read_objects(body), METERS[1]).refused))
        hides(repr(read_token(body)))
    except AnswerUnreadable as refused:
        hides(str(refused))


@tried(200)
@given(with_one_broken_line())
def test_a_broken_line_costs_itself_alone(made: tuple[list[Any], bytes, bytes]) -> None:
    """All other records are found, in their order; what is wrong is told, and only that."""
    others, line, stream = made
    found = read_objects(stream)
    assert [record for record in found.found if record in others] == others
    assert (found.broken is None) == (read_objects(line).broken is None)


@tried(200)
@given(
    bodies() | with_one_broken_line().map(lambda made: made[2]),
    st.lists(st.integers(0, 400), max_size=6),
)
def test_where_a_stream_is_cut_changes_nothing(body: bytes, cuts: list[int]) -> None:
    """The same objects are found, and the same is wrong with the rest."""
    stream = ObjectStream()
    edges = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    for begin, end in pairwise(edges):
        stream.feed(body[begin:end])
    assert repr(stream.end()) == repr(read_objects(body))
