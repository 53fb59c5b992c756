"""What the energy twin answers at each address, in each generation, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ecolyo_worker.tools.energy_twin import EnergyTwin
from tests.integration.energy_http import METER, PCE, Asker, Reply, send

ODD = "14444444444444"
TODAY = "2026-11-21"
OLD = ("v4", "v5")


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    with EnergyTwin(quotas=["off"], today=TODAY) as twin:
        yield Asker(twin.url)


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.code


@pytest.mark.parametrize("generation", OLD)
def test_old_daily(asker: Asker, generation: str) -> None:
    """Daily values of v4 and v5 come as text, in Wh, by local day, the last day left out."""
    reply = asker.enedis("daily", "2026-02-08", "2026-02-10", generation=generation)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")
    reading = reply.content["meter_reading"]
    values = reading.pop("interval_reading")
    assert reading == {
        "usage_point_id": METER,
        "start": "2026-02-08",
        "end": "2026-02-10",
        "quality": "BRUT",
        "reading_type": {
            "unit": "Wh",
            "measurement_kind": "energy",
            "aggregate": "sum",
            "measuring_period": "P1D",
        },
    }
    assert [one["date"] for one in values] == ["2026-02-08", "2026-02-09"]
    assert all(one["value"].isdigit() and len(one) == 2 for one in values)


@pytest.mark.parametrize("generation", OLD)
def test_old_curve(asker: Asker, generation: str) -> None:
    """Points of v4 and v5 have their own step; what they are in comes after them."""
    reply = asker.enedis("curve", "2026-02-08", "2026-02-15", generation=generation)
    reading = reply.content["meter_reading"]
    assert list(reading)[-2:] == ["interval_reading", "reading_type"]
    assert reading["reading_type"] == {
        "unit": "W",
        "measurement_kind": "power",
        "aggregate": "average",
    }
    points = reading["interval_reading"]
    assert len(points) == 7 * 48
    assert {(one["interval_length"], one["measure_type"]) for one in points} == {("PT30M", "B")}


def test_2026(asker: Asker) -> None:
    """In 2026 the names are others and the values the same."""
    daily = asker.enedis("daily", "2026-02-08", "2026-02-12", generation="2026").content
    curve = asker.enedis("curve", "2026-02-08", "2026-02-12", generation="2026").content
    points: list[list[dict[str, Any]]] = []
    for found, kind, unit in ((daily, "EA", "Wh"), (curve, "PA", "W")):
        (size,) = found["grandeur"]
        points.append(size.pop("points"))
        assert size == {"grandeurMetier": "CONS", "grandeurPhysique": kind, "unite": unit}
        assert (found["idPrm"], found["etapeMetier"]) == (METER, "BRUT")
        assert found["periode"] == {"dateDebut": "2026-02-08", "dateFin": "2026-02-12"}
    assert (daily["modeCalcul"], daily["pas"]) == ("DIFF.INDEX", "P1D")
    assert (curve["modeCalcul"], curve.get("pas")) == ("MESURE", None)
    assert points[0] == [
        {"v": str(wh), "d": day} for day, wh in asker.daily("2026-02-08", "2026-02-12").items()
    ]
    old = asker.curve("2026-02-08", "2026-02-12")
    assert points[1] == [
        {"v": one["value"], "d": one["date"], "p": "PT30M", "n": "B"} for one in old
    ]


REFUSED = [
    ("daily", "2026-02-10", "2026-02-10", "v5", 400, "Invalid_request"),
    ("daily", "2026-02-11", "2026-02-10", "2026", 400, "Invalid_request"),
    ("daily", "2026-11-20", "2026-11-22", "v5", 400, "Invalid_request"),
    ("daily", "2026-2-1", "2026-02-10", "v5", 400, "Invalid_request"),
    ("daily", "2026-02-30", "2026-03-10", "v4", 400, "Invalid_request"),
    ("curve", "2026-02-01", "2026-02-09", "v4", 400, "ADAM-DC-0015"),
    ("curve", "2026-02-01", "2026-02-09", "v5", 400, "ADAM-DC-0015"),
    ("curve", "2026-02-01", "2026-02-09", "2026", 400, "ADAM-ERR0126"),
    ("curve", "2024-11-05", "2024-11-08", "v5", 400, "ADAM-DC-0016"),
    ("curve", "2024-11-05", "2024-11-08", "2026", 400, "ADAM-ERR0125"),
    ("daily", "2023-11-05", "2023-11-08", "v5", 400, "ADAM-DC-0016"),
]


@pytest.mark.parametrize(("series", "start", "end", "generation", "status", "code"), REFUSED)
def test_refused_periods(
    asker: Asker, series: str, start: str, end: str, generation: str, status: int, code: str
) -> None:
    """A period that is none, ends after today, is too long or too early is refused by its code."""
    reply = asker.enedis(series, start, end, generation=generation)
    assert told(reply) == (status, code)


def test_greatest_periods(asker: Asker) -> None:
    """A curve of 7 days until today, and the first day of the history, are taken."""
    assert asker.enedis("curve", "2026-11-14", "2026-11-21").status == 200
    assert asker.enedis("curve", "2024-11-06", "2024-11-07").status == 200
    assert asker.enedis("daily", "2023-11-06", "2023-11-07").status == 200
    reply = asker.enedis("daily", "2026-11-20", "2026-11-21")
    assert reply.content["meter_reading"]["interval_reading"][0]["date"] == "2026-11-20"


@pytest.mark.parametrize(
    ("traits", "series", "status", "code"),
    [
        ("revoked", "daily", 403, "ADAM-DC-0008"),
        ("consented=2026-02-02", "daily", 403, "ADAM-DC-0009"),
        ("activated=2026-02-02", "daily", 400, "ADAM-ERR0123"),
        ("production", "curve", 400, "ADAM-ERR0069"),
        ("curve-off", "curve", 400, "ADAM-ERR0075"),
        ("no-curve", "curve", 404, "no_data_found"),
        ("gas", "daily", 404, "STM-ERR-0000019"),
    ],
)
@pytest.mark.parametrize("generation", ["v5", "2026"])
def test_refused_meters(
    asker: Asker, traits: str, series: str, generation: str, status: int, code: str
) -> None:
    """What a meter cannot give is refused, in the form of the generation."""
    asker.api("PUT", f"meters/{ODD}", traits)
    reply = asker.enedis(series, "2026-02-01", "2026-02-03", ODD, generation)
    assert told(reply) == (status, code)
    in_2026 = generation == "2026" and code != "ADAM-ERR0123"
    assert ("message" if in_2026 else "error_description") in reply.content


@pytest.mark.parametrize("traits", ["curve-off", "no-curve"])
def test_days_without_curve(asker: Asker, traits: str) -> None:
    """Without a curve the daily values come all the same."""
    asker.api("PUT", f"meters/{ODD}", traits)
    assert asker.enedis("daily", "2026-02-01", "2026-02-03", ODD).status == 200


def test_after_activation(asker: Asker) -> None:
    """From the day of activation on, data come."""
    asker.api("PUT", f"meters/{ODD}", "activated=2026-02-02")
    assert list(asker.daily("2026-02-02", "2026-02-04", ODD)) == ["2026-02-02", "2026-02-03"]


def test_unknown_meters(asker: Asker) -> None:
    """A meter that there is not, or whose number is none, is refused."""
    unknown = asker.enedis("daily", "2026-02-01", "2026-02-03", "99999999999999")
    assert told(unknown) == (404, "STM-ERR-0000019")
    short = asker.enedis("daily", "2026-02-01", "2026-02-03", "1111")
    assert told(short) == (400, "Invalid_request")
    gas = asker.grdf("2026-02-01", "2026-02-03", "23999999999999")
    assert told(gas) == (404, "1000000006")
    electric = asker.grdf("2026-02-01", "2026-02-03", METER)
    assert told(electric) == (404, "1000000006")


def test_off_the_description_of_2026(asker: Asker) -> None:
    """A parameter of v5 is Enedis' own fault in 2026: 500."""
    path = "/mesure_synchrone_auto/v2/consommation_quotidienne"
    query = {"usage_point_id": METER, "start": "2026-02-01", "end": "2026-02-03"}
    assert asker.get(path, asker.bearer("enedis"), **query).status == 500


def services(asker: Asker, content: str) -> Reply:
    return send(asker.url, "POST", "/subscribed_services/v1", content, asker.bearer("enedis"))


def test_services(asker: Asker) -> None:
    """The number that the page of consent of 2026 gives leads to the meter, until it is revoked."""
    given = asker.get(
        "/dataconnect/v2/oauth2/authorize",
        client_id="app",
        response_type="code",
        state="s0",
        duration="P1Y",
        redirect_uri="http://app.invalid/cb",
    )
    address, _, query = given.headers["Location"].partition("?")
    assert (given.status, address) == (302, "http://app.invalid/cb")
    number, state = (pair.partition("=")[2] for pair in query.split("&"))
    assert state == "s0"
    asked = json.dumps({"autorisationId": int(number), "comptage": False})
    found = services(asker, asked).content
    assert found["nbTotalServices"] == 2
    assert {one["pointId"] for one in found["serviceSouscrit"]} == {METER}
    assert {one["etatCode"] for one in found["serviceSouscrit"]} == {"ACTIF"}
    asker.api("PUT", f"meters/{METER}/consent", "revoked")
    assert services(asker, asked).content == {"nbTotalServices": 0, "serviceSouscrit": []}
    asker.api("PUT", f"meters/{METER}/consent", "given")
    assert services(asker, '{"autorisationId": 1}').content["nbTotalServices"] == 0
    assert services(asker, "[]").status == 500


def test_gas_record(asker: Asker) -> None:
    """A gas day has the fields of a record of GRDF, one record a line."""
    reply = asker.grdf("2026-02-09", "2026-02-11")
    assert reply.headers["Content-Type"] == "application/nd-json"
    first, second = reply.lines
    assert first["pce"] == {"id_pce": PCE}
    assert first["periode"] == {
        "valeur": None,
        "date_debut": "2026-02-09",
        "date_fin": "2026-02-11",
    }
    assert first["statut_restitution"] is None
    assert first["consommation"]["type_conso"] == "Informative Journalier"
    assert first["consommation"]["sens_flux_gaz"] == "Consommation"
    assert second["consommation"]["journee_gaziere"] == "2026-02-10"
    assert "Définitive" in reply.body.decode()


@pytest.mark.parametrize(
    ("period", "first", "n"),
    [
        ("2026-02", "2026-02-01", 28),
        ("2026-W07", "2026-02-09", 7),
        ("2026-041", "2026-02-10", 1),
        ("2025", "2025-01-01", 365),
    ],
)
def test_named_periods(asker: Asker, period: str, first: str, n: int) -> None:
    """A period of gas may be a year, a month, a week or a day of the year."""
    path = f"/adict/v2/pce/{PCE}/donnees_consos_informatives"
    found = asker.get(path, asker.bearer("grdf"), periode=period).lines
    assert (found[0]["consommation"]["journee_gaziere"], len(found)) == (first, n)
    assert found[0]["periode"] == {"valeur": period, "date_debut": None, "date_fin": None}


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"periode": "2026-02", "date_debut": "2026-02-01", "date_fin": "2026-02-02"},
        {"periode": "02-2026"},
        {"periode": "2026-13"},
        {"date_debut": "2026-02-02", "date_fin": "2026-02-01"},
        {"date_debut": "2026-02-02"},
        {"date_debut": "2026-11-20", "date_fin": "2026-11-22"},
        {"date_debut": "2023-11-20", "date_fin": "2023-11-22"},
    ],
)
def test_refused_periods_of_gas(asker: Asker, query: dict[str, str]) -> None:
    """GRDF refuses by 400 what is no period, ends after today, or begins too early."""
    path = f"/adict/v2/pce/{PCE}/donnees_consos_informatives"
    assert asker.get(path, asker.bearer("grdf"), **query).status == 400


@pytest.mark.parametrize(
    ("traits", "series", "code"),
    [
        ("gas,revoked", "informatives", "1000014"),
        ("gas,no-informative", "informatives", "1000010"),
        ("gas,no-published", "publiees", "1000009"),
        ("gas,activated=2026-06-01", "informatives", "1000008"),
    ],
)
def test_errors_in_band(asker: Asker, traits: str, series: str, code: str) -> None:
    """What GRDF cannot tell of a meter it says within an answer of 200."""
    asker.api("PUT", "meters/GI777777", traits)
    reply = asker.grdf("2026-02-01", "2026-03-01", "GI777777", series)
    (record,) = reply.lines
    assert (reply.status, record["consommation"]) == (200, None)
    assert record["statut_restitution"]["code"] == code
    assert record["pce"] == {"id_pce": "GI777777"}


def rights(asker: Asker, content: object = None) -> list[Any]:
    method, body = ("GET", "") if content is None else ("POST", json.dumps(content))
    found = send(asker.url, method, "/adict/v2/droits_acces", body, asker.bearer("grdf")).lines
    assert found.pop() == {
        "code_statut_traitement": "0000000000",
        "message_retour_traitement": "OK",
    }
    return found


def test_rights() -> None:
    """Rights are listed with a trailer, filtered, and revoked once; then no data come."""
    with EnergyTwin(quotas=["off"], today=TODAY) as twin:
        asker = Asker(twin.url)
        assert [one["id_pce"] for one in rights(asker)] == [PCE, "GI123456"]
        (right,) = rights(asker, {"id_pce": [PCE], "etat_droit_acces": ["Active"]})
        path = f"/adict/v2/droit_acces/{right['id_droit_acces']}"
        replies = [send(asker.url, "PATCH", path, "", asker.bearer("grdf")) for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 409]
        assert replies[0].code == "0000000000"
        assert rights(asker, {"id_pce": [PCE], "etat_droit_acces": ["Active"]}) == []
        assert rights(asker, {"id_pce": [PCE]})[0]["etat_droit_acces"] == "Révoquée"
        assert asker.grdf("2026-02-01", "2026-02-02").code == "1000014"
        gone = send(asker.url, "PATCH", "/adict/v2/droit_acces/1", "", asker.bearer("grdf"))
        assert told(gone) == (404, "1000000006")
        many = {"id_pce": [f"{n:014}" for n in range(1001)]}
        reply = send(
            asker.url, "POST", "/adict/v2/droits_acces", json.dumps(many), asker.bearer("grdf")
        )
        assert reply.code == "2000000009"


def test_nothing_there(asker: Asker) -> None:
    """Other addresses, and other methods, find nothing."""
    assert asker.get("/adict/v3/droits_acces").status == 404
    assert send(asker.url, "POST", "/metering_data_dc/v5/daily_consumption").status == 404
