"""What GRDF answers becomes gas days and published periods; what it says beside them is told."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ecolyo_worker.clock import day_text
from ecolyo_worker.energy.grdf import read_gas_days, read_gas_periods
from ecolyo_worker.energy.points import Decoded, GasDetail, Quality
from ecolyo_worker.energy.stream import read_objects
from ecolyo_worker.errors import AnswerUnreadable
from tests.unit.energy_samples import days, sample, seen

METER = "23000000000000"
OTHER = "GI999055"
YEAR = days("2026-01-01", "2027-01-01")
FEBRUARY = days("2026-02-09", "2026-02-13")
START = "2026-02-09T06:00:00+01:00"


def record(consumption: Any = None, **fields: Any) -> dict[str, Any]:
    """Give the record of 9 February 2026, with other fields of what was consumed."""
    [first, *_] = sample("grdf-informative-normal.ndjson").splitlines()
    found: dict[str, Any] = json.loads(first)
    found["consommation"] |= fields
    return found if consumption is None else found | {"consommation": consumption}


def read(*records: Any, asked: range = FEBRUARY) -> Decoded:
    body = "\n".join(json.dumps(item) for item in records)
    return read_gas_days(read_objects(body.encode()), METER, asked)


def published(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sample("grdf-published-month.ndjson"))
    found["consommation"] |= fields
    return found


def read_periods(*records: Any, asked: range = YEAR) -> Decoded:
    body = "\n".join(json.dumps(item) for item in records)
    return read_gas_periods(read_objects(body.encode()), METER, asked)


def test_gas_days_are_taken_as_given() -> None:
    """KWh are those that GRDF gives, to the Wh; volume and coefficient stand beside them."""
    found = read_gas_days(read_objects(sample("grdf-informative-normal.ndjson")), METER, FEBRUARY)
    assert seen(found) == [
        ("2026-02-09T05:00:00Z", 1440, 71_000),
        ("2026-02-10T05:00:00Z", 1440, 88_000),
        ("2026-02-11T05:00:00Z", 1440, 82_000),
        ("2026-02-12T05:00:00Z", 1440, 76_000),
    ]
    assert found.points[0].gas == GasDetail(volume=6.0, coefficient=11.27)
    assert [point.quality for point in found.points] == [
        Quality.DEFINITIVE_MEASURED,
        *[Quality.PROVISIONAL_MEASURED] * 3,
    ]
    assert (found.refused, found.codes, found.broken) == ((), (), None)


def test_a_gap_is_told_by_its_code() -> None:
    """What GRDF says between the days is no point; an estimated day is known as such."""
    found = read_gas_days(read_objects(sample("grdf-informative-gap.ndjson")), METER, YEAR)
    assert [amount for _, _, amount in seen(found)] == [79_000, 68_000, 90_000]
    assert found.codes == ("1000008",)
    assert found.points[-1].quality is Quality.PROVISIONAL_ESTIMATED
    assert found.points[-1].quality.is_estimated


@pytest.mark.parametrize(
    ("name", "start", "hours"),
    [("spring", "2026-03-28T05:00:00Z", 23), ("autumn", "2026-10-24T04:00:00Z", 25)],
)
def test_a_gas_day_is_as_long_as_the_clocks_make_it(name: str, start: str, hours: int) -> None:
    """It runs from 06:00 to 06:00 by the clocks: 23 or 25 hours when they are changed."""
    found = read_gas_days(read_objects(sample(f"grdf-{name}.ndjson")), METER, YEAR)
    assert [(at, minutes) for at, minutes, _ in seen(found)] == [(start, hours * 60)]


@pytest.mark.parametrize("hour", ["06:00:00+01:00", "06:00:00+02:00", "00:00:00", "23:00:00+01:00"])
def test_a_gas_day_is_that_of_its_name(hour: str) -> None:
    """However its hours are written, it is one interval from 06:00 on, so that it is there once."""
    begin, end = (f"2026-02-{day:02}T{hour}" for day in (9, 10))
    fields = {"date_debut_consommation": begin, "date_fin_consommation": end}
    found = read(record(**fields), asked=FEBRUARY)
    assert [(at, minutes) for at, minutes, _ in seen(found)] == [("2026-02-09T05:00:00Z", 1440)]


def test_a_published_month_is_a_period() -> None:
    """It has no gas day, and may be as long as it is."""
    found = read_periods(published())
    assert seen(found) == [("2026-01-01T05:00:00Z", 31 * 1440, 2_053_000)]
    assert found.points[0].quality is Quality.DEFINITIVE_MEASURED


@pytest.mark.parametrize(
    "wire", [lambda text: text, lambda text: text.replace("\n", "\r\n"), lambda text: text + text]
)
def test_days_are_the_same_however_they_are_sent(wire: Callable[[str], str]) -> None:
    """With CRLF, and with each line twice, the days are those of the sample."""
    body = sample("grdf-informative-normal.ndjson").decode()
    found = read_gas_days(read_objects(wire(body).encode()), METER, FEBRUARY)
    assert found == read_gas_days(read_objects(body.encode()), METER, FEBRUARY)


def test_days_may_be_printed_over_lines_and_glued() -> None:
    """The sandbox does so."""
    lines = sample("grdf-informative-normal.ndjson").splitlines()
    body = "".join(json.dumps(json.loads(line), indent=2) for line in lines)
    assert "}{" in body
    assert len(read_gas_days(read_objects(body.encode()), METER, FEBRUARY).points) == 4


def test_of_a_stream_that_breaks_off_the_days_before_are_kept() -> None:
    """And it is told that something is missing."""
    body = sample("grdf-informative-normal.ndjson").rstrip()[:-40]
    found = read_gas_days(read_objects(body), METER, FEBRUARY)
    assert len(found.points) == 3
    assert found.broken == "it breaks off in the midst of an object"


def test_a_surer_value_is_not_replaced_by_a_lesser_one() -> None:
    """Provisional 88, then definitive 87, then provisional 88 again: it is 87."""
    first = record(energie=88, statut_conso="Provisoire")
    final = record(energie=87, statut_conso="Définitive")
    found = read(first, final, first)
    assert [amount for _, _, amount in seen(found)] == [87_000]
    assert found.points[0].quality is Quality.DEFINITIVE_MEASURED


def test_of_equally_sure_values_the_later_one_holds() -> None:
    """Within a status, measured goes before estimated; else the newest."""
    estimated = record(energie=1, type_qualif_conso="Estimé")
    measured, corrected = record(energie=2), record(energie=3, type_qualif_conso="Corrigé")
    for records, amount in (
        ((measured, estimated), 2000),
        ((estimated, measured), 2000),
        ((measured, corrected), 3000),
        ((corrected, measured), 2000),
    ):
        assert [energy for _, _, energy in seen(read(*records))] == [amount]


@pytest.mark.parametrize(
    ("status", "kind", "quality"),
    [
        ("Définitive", "Mesuré", Quality.DEFINITIVE_MEASURED),
        ("DEFINITIVE", "mesure", Quality.DEFINITIVE_MEASURED),
        ("Définitif", "Mesurée", Quality.DEFINITIVE_MEASURED),
        ("De\u0301finitive ", "Corrigé", Quality.DEFINITIVE_MEASURED),
        ("Définitive", "Estimé", Quality.DEFINITIVE_ESTIMATED),
        ("Provisoire", "Mesuré", Quality.PROVISIONAL_MEASURED),
        ("Provisoire", "ESTIME", Quality.PROVISIONAL_ESTIMATED),
        (None, None, Quality.PROVISIONAL_ESTIMATED),
        ("?", ["Mesuré"], Quality.PROVISIONAL_ESTIMATED),
    ],
)
def test_how_sure_a_value_is(status: Any, kind: Any, quality: Quality) -> None:
    """With and without accents and capitals; what is not known is not sure."""
    found = read(record(statut_conso=status, type_qualif_conso=kind))
    assert [point.quality for point in found.points] == [quality]


@pytest.mark.parametrize(
    ("energy", "amount"),
    [
        (8, 8000),
        ("8", 8000),
        (8.1, 8100),
        (0.007, 7),
        (71.10000000000001, 71_100),
        (8.0005, 8001),
        (0, 0),
        (1_000_000, 10**9),
    ],
)
def test_kwh_are_wh_in_decimal(energy: Any, amount: int) -> None:
    """No binary fraction comes in between; a half of a Wh is rounded up."""
    assert [wh for _, _, wh in seen(read(record(energie=energy)))] == [amount]


@pytest.mark.parametrize(
    ("volume", "coefficient", "detail"),
    [
        (12, {"coeff_conversion": 11.27}, GasDetail(12.0, 11.27)),
        (None, None, GasDetail(None, None)),
        ("6", {"coeff_conversion": "11.27"}, GasDetail(6.0, 11.27)),
        (-1, {"coeff_conversion": True}, GasDetail(None, None)),
        ([], [], GasDetail(None, None)),
    ],
)
def test_what_stands_beside_the_energy_may_be_missing(
    volume: Any, coefficient: Any, detail: GasDetail
) -> None:
    """Nothing is computed from it, so that a bad one costs no day."""
    found = read(record(volume_brut=volume, coeff_calcul=coefficient))
    assert [point.gas for point in found.points] == [detail]


@pytest.mark.parametrize(
    "fields", [{"energie": None}, {"energie": 0, "type_qualif_conso": "Absence de Données"}]
)
def test_a_day_without_a_value_is_empty(fields: dict[str, Any]) -> None:
    """Null, or what GRDF itself calls absent, is no zero."""
    found = read(record(**fields))
    assert (found.points, found.refused) == ((), ())
    assert [day_text(day) for day in found.empty_days] == ["2026-02-09"]
    assert read(record(**fields), record()).empty_days == ()


def test_a_record_of_nothing_is_passed_over() -> None:
    """Without consumption, and without a word why."""
    found = read({**record(), "consommation": None}, {"code_statut_traitement": "0000000000"})
    assert (found.points, found.refused, found.codes) == ((), (), ())


BAD: list[tuple[dict[str, Any], str]] = [
    ({"energie": -1}, "energie: found the number -1; allowed: a number from 0"),
    ({"energie": "x"}, "energie: found the text 'x'"),
    ({"energie": True}, "energie: found true"),
    ({"energie": 10**30}, "energie: found a number of many digits"),
    ({"energie": float("nan")}, "energie: found the number NaN"),
    ({"energie": {}}, "energie: found an object"),
    ({"energie": METER}, "energie: found a text of 14 characters"),
    ({"journee_gaziere": "2026-02-10"}, "journee_gaziere: found another day"),
    ({"journee_gaziere": None}, "journee_gaziere: found nothing; allowed: a day"),
    ({"journee_gaziere": "2026-02-30"}, "journee_gaziere: there is no such day"),
    ({"journee_gaziere": "2026-02-08"}, "journee_gaziere: the day was not asked for"),
    ({"date_debut_consommation": None}, "date_debut_consommation: found nothing"),
    ({"date_fin_consommation": "soon"}, "date_fin_consommation: found the text 'soon'"),
    ({"date_fin_consommation": 5}, "date_fin_consommation: found the number 5"),
    ({"date_fin_consommation": START}, "date_fin_consommation: it is not after"),
    ({"date_fin_consommation": "2026-02-09T07:00:00+01:00"}, "found 1 hours; allowed: from a"),
    ({"date_fin_consommation": "2026-02-11T06:00:00+01:00"}, "found 48 hours"),
    ({"date_fin_consommation": "2026-02-10T06:00:30+01:00"}, "allowed: a whole minute"),
    ({"date_fin_consommation": "9999-12-31T23:59:00Z"}, "after the year 9999"),
    (
        {"sens_flux_gaz": "Production"},
        "found the text 'Production'; allowed: Consommation",
    ),
    (
        {"type_conso": "Publiée"},
        "type_conso: found the text 'Publiée'; allowed: what begins 'info",
    ),
]


@pytest.mark.parametrize(("fields", "words"), BAD)
def test_what_is_no_gas_day_is_refused(fields: dict[str, Any], words: str) -> None:
    """It names the field; the other days are kept."""
    other = record(
        journee_gaziere="2026-02-12",
        date_debut_consommation="2026-02-12T06:00:00+01:00",
        date_fin_consommation="2026-02-13T06:00:00+01:00",
    )
    found = read(record(**fields), other)
    assert [start for start, _, _ in seen(found)] == ["2026-02-12T05:00:00Z"]
    [refused] = found.refused
    assert words in refused.reason
    assert METER not in refused.reason


@pytest.mark.parametrize("junk", [{}, {"consommation": []}, {"consommation": "x"}, record([])])
def test_a_record_that_is_none_is_refused(junk: dict[str, Any]) -> None:
    """It is named by its place."""
    found = read(record(), junk)
    assert len(found.points) == 1
    assert [bad.label for bad in found.refused] == ["point 2"]


def test_a_day_without_the_name_of_its_meter_is_refused() -> None:
    """Nobody knows whose it is."""
    found = read(record(), {**record(energie=1), "pce": {}})
    assert [amount for _, _, amount in seen(found)] == [71_000]
    assert "pce.id_pce: found none" in found.refused[0].reason


@pytest.mark.parametrize("pce", [OTHER, int(METER), "", [METER]])
def test_an_answer_of_another_meter_is_refused_as_a_whole(pce: Any) -> None:
    """Nobody's readings are stored as another's; the error names neither."""
    with pytest.raises(AnswerUnreadable) as refused:
        read(record(), {**record(), "pce": {"id_pce": pce}})
    assert str(refused.value).startswith("pce.id_pce: found another")
    assert METER not in str(refused.value)
    assert OTHER not in str(refused.value)


@pytest.mark.parametrize("body", [b"<html>503</html>", b"oops", b'{"pce":', b"\xff\xfe"])
def test_an_answer_without_any_record_is_unreadable(body: bytes) -> None:
    """There is nothing to keep of it."""
    with pytest.raises(AnswerUnreadable, match="found no record of GRDF"):
        read_gas_days(read_objects(body), METER, FEBRUARY)


def test_an_answer_of_nothing_has_no_days() -> None:
    """It is for others to say what an empty answer means."""
    assert read_gas_days(read_objects(b""), METER, FEBRUARY) == Decoded(())


def test_the_codes_of_errors_are_given_in_their_order() -> None:
    """Each once, in one spelling; a record with one is no point, whatever stands beside it."""
    found = read_gas_days(read_objects(sample("grdf-errors.ndjson") * 2), METER, FEBRUARY)
    assert found.codes == ("1000014", "2000100", "1000000006", "400", "INVALID-TOKEN")
    told = record() | {"statut_restitution": {"code": 1000008, "message": None}}
    found = read(told)
    assert (found.points, found.codes) == ((), ("1000008",))


PERIODS = [
    ({"date_debut_consommation": "2025-12-20T06:00:00+01:00"}, YEAR, True),
    ({"date_fin_consommation": "2026-01-02T06:00:00+01:00"}, YEAR, True),
    ({}, days("2026-01-31", "2026-03-01"), True),
    ({}, days("2026-02-01", "2026-03-01"), True),  # until 06:00 of the first of February
    ({}, days("2026-02-02", "2026-03-01"), False),
    ({"date_fin_consommation": "2026-02-01T00:00"}, days("2026-02-01", "2026-03-01"), False),
    ({}, days("2025-12-01", "2026-01-02"), True),
    ({}, days("2025-12-01", "2026-01-01"), False),
    ({"type_conso": "Informative Journalier"}, YEAR, False),
    ({"date_fin_consommation": "2026-01-01T06:00:00+01:00"}, YEAR, False),
    ({"energie": -5}, YEAR, False),
]


@pytest.mark.parametrize(("fields", "asked", "is_taken"), PERIODS)
def test_periods_that_touch_the_days_are_taken(
    fields: dict[str, Any], asked: range, is_taken: bool
) -> None:
    """A reading is not made at the edge of a window, so its period may reach beyond it."""
    found = read_periods(published(**fields), asked=asked)
    assert (len(found.points), len(found.refused)) == (is_taken, not is_taken)


@pytest.mark.parametrize(
    ("wanted", "is_kept"),
    [(days("2025-12-01", "2026-01-02"), True), (days("2025-12-01", "2026-01-01"), False)],
)
def test_a_period_of_another_window_is_left_out(wanted: range, is_kept: bool) -> None:
    """What was asked for, and touches none of the wanted days, is neither kept nor refused."""
    body = json.dumps(published()).encode()
    found = read_gas_periods(read_objects(body), METER, YEAR, wanted)
    assert (len(found.points), found.refused) == (is_kept, ())


def test_a_month_in_two_periods_is_two() -> None:
    """They follow each other, and neither replaces the other."""
    middle = "2026-01-16T06:00:00+01:00"
    halves = published(date_fin_consommation=middle), published(date_debut_consommation=middle)
    assert len(read_periods(*halves).points) == 2
    assert read_periods(published(energie=None)) == Decoded(())
