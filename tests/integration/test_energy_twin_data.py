"""The data of the energy twin, read over a socket and summed by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pytest

from ecolyo_worker.tools.energy_twin import EnergyTwin
from tests.integration.energy_http import METER, PCE, Asker, wh_by_day

STEPPED = "13333333333333"
ODD = "14444444444444"
# Each trait is tried on this meter: 16 to 22 February 2026 is a week from Monday to Sunday.
MONDAY, WEEK_END = "2026-02-16", "2026-02-23"


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    with EnergyTwin(quotas=["off"], today="2026-11-21") as twin:
        yield Asker(twin.url)


def odd(asker: Asker, traits: str, meter: str = ODD) -> None:
    assert asker.api("PUT", f"meters/{meter}", traits).status == 200


@pytest.mark.parametrize(
    ("traits", "minutes"),
    [
        ("", {30}),
        ("pt5m", {5}),
        ("pt10m", {10}),
        ("pt15m", {15}),
        ("pt20m", {20}),
        ("pt60m", {60}),
        ("step-change", {30, 60, 15, 10}),
    ],
)
def test_sums(asker: Asker, traits: str, minutes: set[int]) -> None:
    """By any step, the curve of each day adds up to its daily value, to the Wh."""
    odd(asker, traits)
    points = asker.curve(MONDAY, WEEK_END, ODD)
    assert wh_by_day(points) == asker.daily(MONDAY, WEEK_END, ODD)
    assert {point["interval_length"] for point in points} == {f"PT{n}M" for n in minutes}
    assert points[-1]["date"] == f"{WEEK_END} 00:00:00"


def test_half_hours_are_whole_wh(asker: Asker) -> None:
    """Half an hour's power is an even number of W, and the labels are ends of half-hours."""
    points = asker.curve("2026-02-10", "2026-02-11")
    assert [point["date"] for point in points[:2]] == ["2026-02-10 00:30:00", "2026-02-10 01:00:00"]
    assert len(points) == 48
    assert {int(point["value"]) % 2 for point in points} == {0}


@pytest.mark.parametrize(("meter", "points"), [(METER, (46, 50)), (STEPPED, None)])
def test_changes_of_the_clock(asker: Asker, meter: str, points: tuple[int, int] | None) -> None:
    """The spring day has 46 half-hours, the autumn day 50 with two labels twice; both add up."""
    spring = asker.curve("2026-03-29", "2026-03-30", meter)
    autumn = asker.curve("2026-10-25", "2026-10-26", meter)
    assert wh_by_day(spring) == asker.daily("2026-03-29", "2026-03-30", meter)
    assert wh_by_day(autumn) == asker.daily("2026-10-25", "2026-10-26", meter)
    labels = Counter(point["date"][11:16] for point in autumn)
    assert [label for label, n in labels.items() if n == 2] == ["02:00", "02:30"]
    assert not {"02:00", "02:30"} & {point["date"][11:16] for point in spring}
    if points:
        assert (len(spring), len(autumn)) == points


def test_seasons(asker: Asker) -> None:
    """There is more in winter than in summer, and a week-end is another than a working day."""
    january = asker.daily("2026-01-05", "2026-02-02")
    july = asker.daily("2026-07-06", "2026-08-03")
    assert sum(january.values()) > 1.2 * sum(july.values())
    weekend = [wh for day, wh in july.items() if datetime.fromisoformat(day).weekday() > 4]
    assert sum(weekend) / 8 > 1.03 * (sum(july.values()) - sum(weekend)) / 20


def test_three_years_add_up(asker: Asker) -> None:
    """Three years of days come in one call; weeks of curve from a whole year add up to them."""
    asker.api("PUT", "today", "2026-01-01")
    try:
        daily = asker.daily("2023-01-01", "2026-01-01")
        assert len(daily) == 1096
        assert all(wh > 0 for wh in daily.values())
        asker.api("PUT", "today", "2024-12-30")
        points = [
            point
            for month in range(1, 13)
            for week in (1, 8, 15)
            for point in asker.curve(f"2024-{month:02}-{week:02}", f"2024-{month:02}-{week + 7:02}")
        ]
        assert len(points) == 12 * 21 * 48
        assert wh_by_day(points).items() <= daily.items()
    finally:
        asker.api("PUT", "today", "2026-11-21")


def test_holes_and_gaps(asker: Asker) -> None:
    """Of Tuesdays four points are absent, Wednesdays wholly; the daily values tell the truth."""
    odd(asker, "holes,gaps")
    daily, curve = asker.daily(MONDAY, WEEK_END, ODD), asker.curve(MONDAY, WEEK_END, ODD)
    assert sorted(daily) == ["2026-02-16", "2026-02-17", *(f"2026-02-{n}" for n in range(19, 23))]
    days = Counter(point["date"][:10] for point in curve if point["date"][11:] != "00:00:00")
    assert days["2026-02-17"] == 43
    assert days["2026-02-18"] == 0
    assert wh_by_day(curve)["2026-02-17"] < daily["2026-02-17"]
    assert asker.enedis("daily", "2026-02-18", "2026-02-19", ODD).code == "no_data_found"


def test_late(asker: Asker) -> None:
    """A day is there from 08:00 of the next day on; Thursdays of a late meter three days later."""
    odd(asker, "late")

    def there(today: str) -> list[str]:
        asker.api("PUT", "today", today)
        reply = asker.enedis("daily", "2026-02-18", today[:10], ODD)
        reading = reply.content.get("meter_reading", {"interval_reading": []})
        return [one["date"][8:] for one in reading["interval_reading"]]

    try:
        assert there("2026-02-20T07:59") == ["18"]
        assert there("2026-02-21T07:59") == ["18"]
        assert there("2026-02-21T08:00") == ["18", "20"]
        assert there("2026-02-23T07:59") == ["18", "20", "21"]
        assert there("2026-02-23T08:00") == ["18", "19", "20", "21", "22"]
    finally:
        asker.api("PUT", "today", "2026-11-21")


def test_corrected(asker: Asker) -> None:
    """A Monday comes too low, with a curve as low, and is corrected four days later."""
    odd(asker, "corrected")
    found = []
    try:
        for today in ("2026-02-20", "2026-02-21"):
            asker.api("PUT", "today", today)
            daily = asker.daily(MONDAY, "2026-02-17", ODD)
            assert wh_by_day(asker.curve(MONDAY, "2026-02-17", ODD)) == daily
            found.append(daily[MONDAY])
    finally:
        asker.api("PUT", "today", "2026-11-21")
    assert found[0] < found[1]


def test_coarse_days(asker: Asker) -> None:
    """Fridays are all null, Saturdays without curve, Sundays differ from it by 2 Wh."""
    odd(asker, "nulls,daily-only,differs")
    daily, curve = asker.daily(MONDAY, WEEK_END, ODD), asker.curve(MONDAY, WEEK_END, ODD)
    nulls = [point["date"] for point in curve if point["value"] is None]
    assert (len(nulls), nulls[0], nulls[-1]) == (48, "2026-02-20 00:30:00", "2026-02-21 00:00:00")
    sums = wh_by_day(point for point in curve if point["value"] is not None)
    assert "2026-02-21" not in sums
    assert daily["2026-02-22"] == sums["2026-02-22"] + 2
    assert len(daily) == 7


def test_odd_points(asker: Asker) -> None:
    """A Sunday may begin with what is no energy; afternoons may come first; autumn may have 48."""
    odd(asker, "bad-points")
    values = [one["value"] for one in asker.curve("2026-02-22", WEEK_END, ODD)]
    assert values[:3] == ["-12", "abc", "33"]
    odd(asker, "unsorted")
    points = asker.curve("2026-02-22", WEEK_END, ODD)
    assert points[0]["date"] == "2026-02-22 12:30:00"
    assert len(points) == 48
    odd(asker, "autumn-48")
    labels = [one["date"] for one in asker.curve("2026-10-25", "2026-10-26", ODD)]
    assert (len(labels), len(set(labels))) == (48, 48)


def test_nobody_lives_there(asker: Asker) -> None:
    """All values of an empty home are 0, which is no hole."""
    odd(asker, "zero")
    assert set(asker.daily(MONDAY, WEEK_END, ODD).values()) == {0}
    assert {point["value"] for point in asker.curve(MONDAY, WEEK_END, ODD)} == {"0"}


def test_same_seed() -> None:
    """The same seed gives the same data after a restart and whatever was asked before."""
    bodies = []
    for seed, before in ((7, True), (7, False), (8, False)):
        with EnergyTwin(quotas=["off"], today="2026-11-21", seed=seed) as twin:
            asker = Asker(twin.url)
            if before:
                asker.daily("2025-01-01", "2025-06-01")
                asker.grdf("2025-01-01", "2025-02-01")
            curve = asker.enedis("curve", MONDAY, WEEK_END, generation="2026").body
            bodies.append((curve, asker.grdf(MONDAY, WEEK_END).body))
    assert bodies[0] == bodies[1]
    assert bodies[0][0] != bodies[2][0]
    assert bodies[0][1] != bodies[2][1]


def test_gas_days(asker: Asker) -> None:
    """Gas days go from 06:00 to 06:00, their volumes are differences of indexes."""
    days = asker.grdf(MONDAY, WEEK_END).lines
    assert [day["consommation"]["journee_gaziere"] for day in days] == [
        f"2026-02-{n}" for n in range(16, 23)
    ]
    for day, following in pairwise(days):
        used, end = day["consommation"], day["releve_fin"]["index_brut_fin"]["valeur_index"]
        begin = day["releve_debut"]["index_brut_debut"]["valeur_index"]
        assert used["volume_brut"] == end - begin
        assert following["releve_debut"]["index_brut_debut"]["valeur_index"] == end
        assert used["date_fin_consommation"].endswith("T06:00:00+01:00")
        exact = used["volume_brut"] * used["coeff_calcul"]["coeff_conversion"]
        assert abs(used["energie"] - exact) < 2 * 11.5
    energies = [day["consommation"]["energie"] for day in days]
    assert any(
        kwh != round(day["consommation"]["volume_brut"] * 11.27)
        for kwh, day in zip(energies, days, strict=True)
    )


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 23), ("2026-10-24", 25)])
def test_gas_at_changes_of_the_clock(asker: Asker, day: str, hours: int) -> None:
    """The gas day of the Saturday before a change has 23 or 25 hours, told by the offsets."""
    following = f"{day[:-2]}{int(day[-2:]) + 1}"
    (one,) = asker.grdf(day, following).lines
    begin, end = (
        datetime.fromisoformat(one["consommation"][f"date_{which}_consommation"])
        for which in ("debut", "fin")
    )
    assert (end - begin).total_seconds() == hours * 3600


def test_gas_by_temperature(asker: Asker) -> None:
    """Much more gas is used in winter, and the coefficient changes within the year."""
    january = asker.grdf("2026-01-01", "2026-02-01").lines
    july = asker.grdf("2026-07-01", "2026-08-01").lines
    sums = [sum(one["consommation"]["energie"] for one in month) for month in (january, july)]
    assert sums[0] > 3 * sums[1]
    volume_m3 = sum(one["consommation"]["volume_brut"] for one in january)
    assert sums[0] / volume_m3 == pytest.approx(11.12, rel=0.03)
    coefficients = {
        one["consommation"]["coeff_calcul"]["coeff_conversion"] for one in january + july
    }
    assert len(coefficients) > 3


def test_provisional_then_final(asker: Asker) -> None:
    """Gas days come after two days, provisional; from the 3rd of the next month on they are final.

    Then the month is published, too, and is the sum of its days.
    """
    try:
        asker.api("PUT", "today", "2026-03-02T12:00")
        before = asker.grdf("2026-02-01", "2026-03-02").lines
        assert len(before) == 28
        assert {one["consommation"]["statut_conso"] for one in before} == {"Provisoire"}
        none = asker.grdf("2026-02-01", "2026-03-01", series="publiees")
        assert none.lines[0]["statut_restitution"]["code"] == "1000008"
        asker.api("PUT", "today", "2026-03-03")
        after = asker.grdf("2026-02-01", "2026-03-01").lines
        (month,) = asker.grdf("2026-02-01", "2026-03-01", series="publiees").lines
    finally:
        asker.api("PUT", "today", "2026-11-21")
    assert {one["consommation"]["statut_conso"] for one in after} == {"Définitive"}
    used = month["consommation"]
    assert used["energie"] == sum(one["consommation"]["energie"] for one in after)
    assert used["volume_brut"] == sum(one["consommation"]["volume_brut"] for one in after)
    assert (used["journee_gaziere"], used["type_conso"]) == (None, "Publiée")


def test_odd_gas(asker: Asker) -> None:
    """Gas may be estimated, corrected when it is final, late, or absent."""
    odd(asker, "gas,estimated,corrected,late,gaps", PCE)
    try:
        asker.api("PUT", "today", "2026-02-24")
        first = {
            one["consommation"]["journee_gaziere"]: one["consommation"]
            for one in asker.grdf("2026-02-09", "2026-02-24").lines
        }
        asker.api("PUT", "today", "2026-03-03")
        last = {
            one["consommation"]["journee_gaziere"]: one["consommation"]
            for one in asker.grdf("2026-02-09", "2026-02-24").lines
        }
    finally:
        asker.api("PUT", "today", "2026-11-21")
        odd(asker, "gas", PCE)
    assert first["2026-02-12"]["type_qualif_conso"] == "Estimé"
    assert last["2026-02-12"]["type_qualif_conso"] == "Mesuré"
    assert first["2026-02-16"]["energie"] == last["2026-02-16"]["energie"] - 1
    assert {"2026-02-11", "2026-02-18"}.isdisjoint(last)
    assert last["2026-02-19"]["statut_conso"] == "Définitive"
    assert "2026-02-22" in first
    assert "2026-02-23" not in first


def test_wavering_gas(asker: Asker) -> None:
    """What was final may come as provisional again, on Sundays, with the value of before."""
    odd(asker, "gas,wavering,corrected", PCE)
    found = []
    try:
        for today in ("2026-02-19", "2026-03-07", "2026-03-08", "2026-03-09"):
            asker.api("PUT", "today", today)
            used = asker.grdf("2026-02-16", "2026-02-17").lines[0]["consommation"]
            found.append((used["statut_conso"], used["energie"]))
    finally:
        asker.api("PUT", "today", "2026-11-21")
        odd(asker, "gas", PCE)
    kwh = found[1][1]
    first, last = ("Provisoire", kwh - 1), ("Définitive", kwh)
    assert found == [first, last, first, last]


def test_leap_day(asker: Asker) -> None:
    """The 29th of February is a day as any other."""
    asker.api("PUT", "today", "2024-03-05")
    try:
        daily = asker.daily("2024-02-28", "2024-03-02")
        assert sorted(daily) == ["2024-02-28", "2024-02-29", "2024-03-01"]
        assert wh_by_day(asker.curve("2024-02-28", "2024-03-02")) == daily
        assert len(asker.grdf("2024-02-28", "2024-03-02").lines) == 3
    finally:
        asker.api("PUT", "today", "2026-11-21")
