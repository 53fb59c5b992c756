"""What Enedis answers to a call for data: of v4, v5 and 2026, one and the same in two shapes."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING

from ..exchange import Answer
from .errors import text_of
from .history import Period, days
from .refused import RefusedError

if TYPE_CHECKING:
    from .history import CurvePoint, View
    from .meters import Meter
    from .routes import Call

__all__ = ["answer", "consent_asked", "services"]

LONGEST_CURVE = timedelta(days=7)
CURVE_MONTHS, DAILY_MONTHS = 24, 36
MORE_DAYS = 15
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_METER = re.compile("[0-9]{14}")
_PARAMETERS_2026 = {"pointId", "dateDebut", "dateFin"}


def answer(call: Call, view: View | None) -> Answer:
    """Answer a call for data of a meter; raises RefusedError.

    Without a ``view`` there is no such meter.
    """
    if call.family == "2026" and set(call.given) != _PARAMETERS_2026:
        # What is off its description, it takes for its own fault.
        raise RefusedError("technical-error")
    period = _period(call)
    if view is None or view.meter.is_gas:
        raise RefusedError("unknown-meter")
    _check_consent(view.meter, period)
    _check_series(call, view)
    _check_period(call, view, period)
    readings = _daily(view, period) if call.series == "daily" else _curve(view, period)
    if not readings:
        raise RefusedError("no-data")
    told = _told_2026 if call.family == "2026" else _told
    return Answer(200, text_of(told(call, readings)).encode())


def services(meter: Meter | None, consent: int) -> Answer:
    """Tell the services of a consent of 2026; none where there is no such consent, or no more."""
    found: list[dict[str, object]] = []
    if meter is not None and not meter.revoked:
        found = [_service(meter, consent, code) for code in ("CDC", "ENERGIE")]
    content = {"nbTotalServices": len(found), "serviceSouscrit": found}
    return Answer(200, text_of(content).encode())


def consent_asked(body: bytes) -> int:
    """Give the number of the consent whose services are asked for; raises RefusedError."""
    try:
        found = json.loads(body)
    except ValueError:
        raise RefusedError("technical-error") from None
    number = found.get("autorisationId") if isinstance(found, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        raise RefusedError("technical-error")
    return number


def _period(call: Call) -> Period:
    if not (_METER.fullmatch(call.meter) and _DAY.fullmatch(call.start)):
        raise RefusedError("invalid-request")
    try:
        period = Period(date.fromisoformat(call.start), date.fromisoformat(call.end))
    except ValueError:
        raise RefusedError("invalid-request") from None
    if period.begin >= period.end:
        raise RefusedError("invalid-request")
    return period


def _check_consent(meter: Meter, period: Period) -> None:
    if meter.revoked:
        raise RefusedError("consent-revoked")
    consented = meter.begin("consented")
    if consented and period.begin < consented:
        raise RefusedError("before-consent")


def _check_series(call: Call, view: View) -> None:
    if view.has("production"):
        raise RefusedError("wrong-direction")
    if call.series == "curve" and view.has("curve-off"):
        raise RefusedError("curve-off")


def _check_period(call: Call, view: View, period: Period) -> None:
    today = view.now.date()
    if period.end > today:
        raise RefusedError("invalid-request")
    if call.series == "curve" and period.end - period.begin > LONGEST_CURVE:
        raise RefusedError("too-long")
    months = CURVE_MONTHS if call.series == "curve" else DAILY_MONTHS
    if period.begin < _months_before(today, months) - timedelta(days=MORE_DAYS):
        raise RefusedError("too-early")
    activated = view.meter.begin("activated")
    if activated and period.begin < activated:
        raise RefusedError("before-activation")


def _months_before(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    first = date(year, month + 1, 1)
    following = (first + timedelta(days=31)).replace(day=1)
    return first.replace(day=min(day.day, (following - first).days))


def _daily(view: View, period: Period) -> list[dict[str, object]]:
    found = ((day, view.daily_wh(day)) for day in days(*period))
    return [{"value": str(wh), "date": str(day)} for day, wh in found if wh is not None]


def _curve(view: View, period: Period) -> list[dict[str, object]]:
    return [_reading(point) for day in days(*period) for point in view.curve(day)]


def _reading(point: CurvePoint) -> dict[str, object]:
    return {
        "value": point.watts,
        "date": point.label,
        "interval_length": f"PT{point.minutes}M",
        "measure_type": "B",
    }


def _told(call: Call, readings: list[dict[str, object]]) -> dict[str, object]:
    energy = {
        "unit": "Wh",
        "measurement_kind": "energy",
        "aggregate": "sum",
        "measuring_period": "P1D",
    }
    power = {"unit": "W", "measurement_kind": "power", "aggregate": "average"}
    reading = {
        "usage_point_id": call.meter,
        "start": call.start,
        "end": call.end,
        "quality": "BRUT",
        "interval_reading": readings,
        "reading_type": energy if call.series == "daily" else power,
    }
    return {"meter_reading": reading}


def _told_2026(call: Call, readings: list[dict[str, object]]) -> dict[str, object]:
    daily = call.series == "daily"
    names = {"value": "v", "date": "d", "interval_length": "p", "measure_type": "n"}
    points = [{names[name]: value for name, value in one.items()} for one in readings]
    size = {
        "grandeurMetier": "CONS",
        "grandeurPhysique": "EA" if daily else "PA",
        "unite": "Wh" if daily else "W",
        "points": points,
    }
    return {
        "idPrm": call.meter,
        "etapeMetier": "BRUT",
        "periode": {"dateDebut": call.start, "dateFin": call.end},
        "modeCalcul": "DIFF.INDEX" if daily else "MESURE",
        **({"pas": "P1D"} if daily else {}),
        "grandeur": [size],
    }


def _service(meter: Meter, consent: int, measures: str) -> dict[str, object]:
    return {
        "id": consent * 10 + (measures == "CDC"),
        "injection": False,
        "soutirage": True,
        "serviceCode": "ACCES",
        "dateDebut": str(meter.begin("consented") or "2026-01-01"),
        "dateFin": None,
        "etatCode": "ACTIF",
        "etatLibelle": "Actif",
        "pointId": meter.ident,
        "mesuresTypeCode": measures,
        "mesuresPas": f"PT{meter.step_min}M" if measures == "CDC" else "P1D",
        "autorisation": {"autorisationId": consent, "autorisationType": "EXPLICITE"},
    }
