"""What GRDF answers to a call for data or for rights: objects, one a line."""

from __future__ import annotations

import calendar
import json
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

from ..exchange import Answer
from .errors import text_of, treated
from .gas import gas_day, index_m3, published_on
from .history import Period, days
from .paris import gas_day_begin
from .refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .gas import GasDay
    from .history import View
    from .meters import Meter
    from .routes import Call

__all__ = ["about", "answer", "right_id", "rights"]

# Days of gas come a day after those of electricity.
_DAYS_AFTER = 2
_INFORMATIVE_YEARS, _PUBLISHED_YEARS = 3, 5
_MOST_PCE = 1000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PERIOD = re.compile(r"(?P<year>[0-9]{4})(?:-(?:W(?P<week>[0-9]{2})|(?P<number>[0-9]{2,3})))?")
_MONDAY, _THURSDAY, _SUNDAY = 0, 3, 6
_NDJSON = "application/nd-json"
_OTHER = "29999999999999"
_READ_NORMALLY = {
    "raison_releve": "RNO",
    "libelle_raison_releve": "Relevé normal",
    "qualite_releve": "Mesure",
    "statut_releve": "Normal",
}


def answer(call: Call, view: View | None) -> Answer:
    """Answer a call for data of a meter; raises RefusedError.

    Without a ``view`` there is no such meter.
    """
    period = _period(call)
    if view is None or not view.meter.is_gas:
        raise RefusedError("unknown-meter")
    if view.meter.revoked:
        raise RefusedError("consent-revoked")
    if view.has(f"no-{call.series}"):
        raise RefusedError(f"no-{call.series}")
    _check_depth(call, view, period)
    make = _published if call.series == "published" else _informative
    found = [{**about(call), **record} for record in make(view, period)]
    if not found:
        raise RefusedError("no-data")
    return _spoilt(found, view.meter) if call.series == "informative" else _lines(found)


def about(call: Call) -> dict[str, object]:
    """Give what every record tells of the request: the meter, and the period that was asked for."""
    if "periode" in call.given:
        asked: dict[str, object] = {"valeur": call.start, "date_debut": None, "date_fin": None}
    else:
        asked = {"valeur": None, "date_debut": call.start, "date_fin": call.end}
    return {"pce": {"id_pce": call.meter}, "periode": asked}


def right_id(ident: str) -> str:
    """Give the number of the right to a meter's data."""
    digits = "".join(char for char in ident if char.isdigit())
    return f"6f0b6c1e-0000-4000-8000-{digits[-12:]:0>12}"


def rights(meters: Iterable[Meter], body: bytes, *, filtered: bool) -> Answer:
    """Tell the rights to meters, ended by a trailer; ``filtered`` as the body says.

    Raises RefusedError.
    """
    wanted = _wanted(body) if filtered else {}
    if len(wanted.get("id_pce", ())) > _MOST_PCE:
        return treated(400, "2000000009", "(plus de 1000 PCE)")
    records = [_right(meter) for meter in meters if meter.is_gas]
    found = [one for one in records if all(one[name] in wanted[name] for name in wanted)]
    trailer: dict[str, object] = {
        "code_statut_traitement": "0000000000",
        "message_retour_traitement": "OK",
    }
    return _lines([*found, trailer])


def _wanted(body: bytes) -> Mapping[str, list[object]]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        raise RefusedError("invalid-request") from None
    names = ("id_pce", "role_tiers", "etat_droit_acces", "statut_controle_preuve")
    if not isinstance(found, dict) or not all(isinstance(one, list) for one in found.values()):
        raise RefusedError("invalid-request")
    return {name: found[name] for name in names if found.get(name)}


def _period(call: Call) -> Period:
    by_days = {"date_debut", "date_fin"} & set(call.given)
    if bool(by_days) == ("periode" in call.given):
        raise RefusedError("invalid-request")
    try:
        period = _named(call.start) if not by_days else _between(call)
    except ValueError:
        raise RefusedError("invalid-request") from None
    if period.begin >= period.end:
        raise RefusedError("invalid-request")
    return period


def _between(call: Call) -> Period:
    if not (_DAY.fullmatch(call.start) and _DAY.fullmatch(call.end)):
        raise ValueError(call.start)
    return Period(date.fromisoformat(call.start), date.fromisoformat(call.end))


def _named(text: str) -> Period:
    """Read a year, a month (2026-02), a week (2026-W07) or a day of the year (2026-041)."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, week, number = int(match["year"]), match["week"], match["number"]
    if week:
        begin = date.fromisocalendar(year, int(week), 1)
        return Period(begin, begin + timedelta(days=7))
    if number is None:
        return Period(date(year, 1, 1), date(year + 1, 1, 1))
    if len(number) == 2:
        begin = date(year, int(number), 1)
        return Period(begin, begin + timedelta(days=calendar.monthrange(year, begin.month)[1]))
    begin = date(year, 1, 1) + timedelta(days=int(number) - 1)
    return Period(begin, begin + timedelta(days=1))


def _check_depth(call: Call, view: View, period: Period) -> None:
    today = view.now.date()
    if "periode" not in call.given and period.end > today:
        raise RefusedError("invalid-request")
    years = _PUBLISHED_YEARS if call.series == "published" else _INFORMATIVE_YEARS
    # The 29th of February has no day of its own in other years.
    if period.begin < today.replace(year=today.year - years, day=min(today.day, 28)):
        raise RefusedError("too-early")


def _informative(view: View, period: Period) -> Iterator[dict[str, object]]:
    if view.has("half-yearly"):
        return
    relapsed = view.has("wavering") and view.now.weekday() == _SUNDAY
    for day in days(*period):
        if not view.came(day, _DAYS_AFTER):
            continue
        final = view.now.date() >= published_on(day) and not relapsed
        gas = gas_day(view.seed, view.meter, day)
        estimated = view.has("estimated") and day.weekday() == _THURSDAY and not final
        low = view.has("corrected") and day.weekday() == _MONDAY and not final
        following = day + timedelta(days=1)
        yield {
            "releve_debut": {"date_releve": None, **_indexes("debut", day, gas.begin_m3)},
            "releve_fin": {
                "date_releve": gas_day_begin(following).isoformat(),
                **_indexes("fin", following, gas.end_m3),
            },
            "consommation": {
                **_consumed(day, following, gas, zero=None, converted=None),
                "energie": max(0, gas.kwh - low),
                "type_qualif_conso": "Estimé" if estimated else "Mesuré",
                "sens_flux_gaz": "Consommation",
                "statut_conso": "Définitive" if final else "Provisoire",
                "journee_gaziere": str(day),
                "type_conso": "Informative Journalier",
            },
            "statut_restitution": None,
        }


def _published(view: View, period: Period) -> Iterator[dict[str, object]]:
    """Give the months, or half-years, that lie within a period and are published."""
    months = 6 if view.has("half-yearly") else 1
    begin = period.begin if _is_read(period.begin, months) else _next_reading(period.begin, months)
    while (end := _next_reading(begin, months)) <= period.end:
        if view.now.date() >= published_on(end - timedelta(days=1)):
            yield _month(view, begin, end)
        begin = end


def _is_read(day: date, months: int) -> bool:
    """Say whether a meter is read on the morning of a day, which is so in April at the latest."""
    return day.day == 1 and (day.month - 4) % months == 0


def _next_reading(day: date, months: int) -> date:
    day = _next_month(day)
    while not _is_read(day, months):
        day = _next_month(day)
    return day


def _month(view: View, begin: date, end: date) -> dict[str, object]:
    gas = [gas_day(view.seed, view.meter, day) for day in days(begin, end)]
    mean = round(sum(day.coefficient for day in gas) / len(gas), 2)
    whole = gas[0]._replace(
        end_m3=index_m3(view.seed, view.meter, end),
        coefficient=mean,
        kwh=sum(day.kwh for day in gas),
    )
    at_begin, at_end = (gas_day_begin(day).isoformat() for day in (begin, end))
    return {
        "releve_debut": {
            "date_releve": at_begin,
            **_READ_NORMALLY,
            **_indexes("debut", begin, whole.begin_m3),
        },
        "releve_fin": {
            "date_releve": at_end,
            **_READ_NORMALLY,
            **_indexes("fin", end, whole.end_m3),
        },
        "consommation": {
            **_consumed(begin, end, whole, zero=False, converted=0),
            "energie": whole.kwh,
            "type_qualif_conso": "Mesuré",
            "sens_flux_gaz": "Consommation",
            "statut_conso": "Définitive",
            "journee_gaziere": None,
            "type_conso": "Publiée",
        },
        "bordereau_publication": {
            "date_debut_bordereau": None,
            "date_fin_bordereau": None,
            "nb_jour_gazier": None,
        },
        "statut_restitution": None,
    }


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _indexes(which: str, day: date, shown_m3: int) -> dict[str, object]:
    at = gas_day_begin(day).isoformat()
    return {
        f"index_brut_{which}": {"valeur_index": shown_m3, "horodate_Index": at},
        f"index_converti_{which}": {"valeur_index": None, "horodate_Index": None},
    }


def _consumed(
    begin: date, end: date, gas: GasDay, *, zero: bool | None, converted: int | None
) -> dict[str, object]:
    return {
        "date_debut_consommation": gas_day_begin(begin).isoformat(),
        "date_fin_consommation": gas_day_begin(end).isoformat(),
        "flag_retour_zero": zero,
        "volume_brut": gas.end_m3 - gas.begin_m3,
        "coeff_calcul": {
            "coeff_pta": None,
            "valeur_pcs": None,
            "coeff_conversion": gas.coefficient,
        },
        "volume_converti": converted,
    }


def _right(meter: Meter) -> dict[str, object]:
    begin = str(meter.begin("consented") or "2026-01-02")
    perimeter = {
        "perim_donnees_informatives": "Faux" if "no-informative" in meter.traits else "Vrai",
        "perim_donnees_contractuelles": "Faux",
        "perim_donnees_techniques": "Vrai",
        "perim_donnees_publiees": "Faux" if "no-published" in meter.traits else "Vrai",
        "perim_donnees_conso_debut": "2020-01-01",
        "perim_donnees_conso_fin": "2036-01-01",
        "perim_donnees_inj_debut": None,
        "perim_donnees_inj_fin": None,
    }
    return {
        "id_droit_acces": right_id(meter.ident),
        "id_pce": meter.ident,
        "role_tiers": "AUTORISE_CONTRAT_FOURNITURE",
        "raison_sociale_du_tiers": "MON APPLI",
        "nom_titulaire": "DURAND",
        "raison_sociale_du_titulaire": None,
        "courriel_titulaire": "d@example.org",
        "code_postal": "69003",
        "numero_telephone_mobile_titulaire": None,
        **perimeter,
        "date_creation": f"{begin} 10:11:12",
        "date_debut_droit_acces": begin,
        "date_fin_droit_acces": "2036-01-01",
        "etat_droit_acces": "Révoquée" if meter.revoked else "Active",
        "date_revocation": None,
        "source_revocation": "TITULAIRE" if meter.revoked else None,
        "date_passage_a_obsolete": None,
        "source_passage_a_obsolete": None,
        "date_fin_autorisation": None,
        "date_passage_a_refuse": None,
        "source_passage_a_refuse": None,
        "parcours": "CLIENT_CONNECT",
        "statut_controle_preuve": None,
        "date_limite_transmission_preuve": None,
    }


def _spoilt(records: list[dict[str, object]], meter: Meter) -> Answer:
    """Tell days, of which what is told of one may be cut, or name another meter."""
    torn, foreign = (str(meter.begin(name)) for name in ("torn", "foreign"))
    texts = []
    for record in records:
        usage = record["consommation"]
        day = usage["journee_gaziere"] if isinstance(usage, dict) else None
        told = {**record, "pce": {"id_pce": _OTHER}} if day == foreign else record
        text = text_of(told)
        texts.append(text[: len(text) // 2] if day == torn else text)
    return Answer(200, "".join(f"{text}\n" for text in texts).encode(), _NDJSON)


def _lines(records: Iterable[Mapping[str, object]]) -> Answer:
    return Answer(200, "".join(f"{text_of(one)}\n" for one in records).encode(), _NDJSON)
