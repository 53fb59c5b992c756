"""The answers of GRDF as points: gas days, and the periods that were published.

Energy is taken as it is given, never as m³ times a coefficient. A gas day runs from 06:00 to 06:00
and has the name of the civil day on which it begins. Of two values for one, the surer one holds.
"""

import contextlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ecolyo_worker.clock import (
    DAY_MS,
    MINUTE_MS,
    civil_datetime,
    civil_from_instant,
    day_of,
    day_start,
    instant_of_civil,
    parse_instant,
    utc_ms,
)
from ecolyo_worker.energy.codes import UNKNOWN, said_in
from ecolyo_worker.energy.decoding import amount, described
from ecolyo_worker.energy.labels import NOT_ASKED, ZONE, label_text, read_day
from ecolyo_worker.energy.points import BadPoint, Decoded, GasDetail, Point, Quality
from ecolyo_worker.energy.stream import Objects
from ecolyo_worker.errors import AnswerUnreadable
from ecolyo_worker.readings import thousandths

__all__ = ["plain", "read_gas_days", "read_gas_periods"]

_Usage = Mapping[str, Any]
_MEASURED = ("mesur", "corrig")
_SIX_MS = 6 * 60 * MINUTE_MS
_HOURS = "allowed: from a time of one day to the same time of the next"


def read_gas_days(objects: Objects, meter: str, days: range) -> Decoded:
    """Read the informative gas days.

    `days` are those asked for, as days since 1970. What is no point is left out and told, what GRDF
    says in between is among the `codes`. Raises `AnswerUnreadable` where nothing can be read, and
    where it is of another meter.
    """
    found = _Found()

    def take(usage: _Usage) -> None:
        _check_word(usage, "type_conso", "informativ")
        with _field("journee_gaziere"):
            day = read_day(usage.get("journee_gaziere"), days)
        if _is_absent(usage):
            found.empty.add(day)
            return
        begin, end = _interval(usage)
        if _civil(end) - _civil(begin) != DAY_MS:
            hours = (utc_ms(end) - utc_ms(begin)) / (60 * MINUTE_MS)
            raise ValueError(f"date_fin_consommation: found {hours:g} hours; {_HOURS}")
        if day_of(_civil(begin)) != day:
            raise ValueError("journee_gaziere: found another day than that on which it begins")
        # However the hours are written, a gas day is one: else it would be there twice.
        found.keep(day, _point(usage, _six_of(day), _six_of(day + 1)))

    return found.of(objects, meter, take)


def read_gas_periods(
    objects: Objects, meter: str, days: range, wanted: range | None = None
) -> Decoded:
    """Read the published periods, which are mostly months, that touch the days asked for.

    Those that touch none of the `wanted` days are left out; default: all are wanted. Otherwise it
    is like `read_gas_days`.
    """
    found = _Found()
    kept = days if wanted is None else wanted

    def take(usage: _Usage) -> None:
        _check_word(usage, "type_conso", "publie")
        if _is_absent(usage):
            return
        begin, end = _interval(usage)
        touched = range(day_of(_civil(begin)), day_of(_civil(end) - 1) + 1)
        if not _touch(touched, days):
            raise ValueError(f"date_debut_consommation: {NOT_ASKED}")
        if _touch(touched, kept):
            found.keep(utc_ms(begin), _point(usage, begin, end))

    return found.of(objects, meter, take)


def _touch(some: range, others: range) -> bool:
    """Tell whether two ranges have a day in common."""
    return max(some.start, others.start) < min(some.stop, others.stop)


def plain(found: object) -> str:
    """Give a word without capitals and accents, to compare it; empty where it is none."""
    if not isinstance(found, str):
        return ""
    letters = unicodedata.normalize("NFKD", found.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


class _Found:
    """What is found while the records of an answer are gone through, in their order."""

    def __init__(self) -> None:
        self.empty: set[int] = set()
        self._points: dict[int, Point] = {}
        self._refused: list[BadPoint] = []
        self._codes: dict[str, None] = {}

    def keep(self, key: int, point: Point) -> None:
        """Take a point, unless a surer one of the same key is there."""
        held = self._points.get(key)
        if held is None or point.quality >= held.quality:
            self._points[key] = point

    def of(self, objects: Objects, meter: str, take: Callable[[_Usage], None]) -> Decoded:
        """Take all records, those that cannot be taken as refused."""
        if objects.broken and not objects.found:
            raise AnswerUnreadable(f"found no record of GRDF: {objects.broken}")
        for place, record in enumerate(objects.found, 1):
            self._read(record, place, meter, take)
        points = sorted(self._points.values(), key=lambda point: point.start)
        return Decoded(
            points=tuple(points),
            refused=tuple(self._refused),
            empty_days=tuple(sorted(self.empty - self._points.keys())),
            codes=tuple(self._codes),
            broken=objects.broken,
        )

    def _read(
        self, record: Mapping[str, Any], place: int, meter: str, take: Callable[[_Usage], None]
    ) -> None:
        is_named = _check_meter(record, meter)
        said = said_in(record)
        if said is not None:
            self._codes[said.code or UNKNOWN] = None
            return
        if "code_statut_traitement" in record:
            return
        usage = record.get("consommation")
        if usage is None and "consommation" in record:
            return
        try:
            take(_checked(usage, is_named=is_named))
        except ValueError as error:
            self._refused.append(BadPoint(_label(usage, place), str(error)))


def _check_meter(record: Mapping[str, Any], meter: str) -> bool:
    """Tell whether a record names its meter; raises `AnswerUnreadable` if it names another."""
    pce = record.get("pce")
    found = pce.get("id_pce") if isinstance(pce, Mapping) else None
    if found not in (None, meter):
        raise AnswerUnreadable("pce.id_pce: found another; allowed: the meter that was asked for")
    return found is not None


def _checked(found: object, *, is_named: bool) -> _Usage:
    """Check that a record is one of consumption of a meter; raises `ValueError`."""
    usage = found if isinstance(found, Mapping) else None
    if usage is None:
        raise ValueError(f"consommation: found {described(found)}; allowed: an object")
    if not is_named:
        raise ValueError("pce.id_pce: found none; allowed: the meter that was asked for")
    flow = usage.get("sens_flux_gaz")
    if flow is not None and plain(flow) != "consommation":
        raise ValueError(f"sens_flux_gaz: found {described(flow)}; allowed: Consommation")
    return usage


def _label(usage: object, place: int) -> str:
    if not isinstance(usage, Mapping):
        return label_text(None, place)
    return label_text(usage.get("journee_gaziere") or usage.get("date_debut_consommation"), place)


def _check_word(usage: _Usage, field: str, beginning: str) -> None:
    """Check how a word begins, where there is one; raises `ValueError`."""
    found = usage.get(field)
    if found is not None and not plain(found).startswith(beginning):
        raise ValueError(f"{field}: found {described(found)}; allowed: what begins {beginning!r}")


def _is_absent(usage: _Usage) -> bool:
    """Tell whether GRDF says itself that it knows nothing."""
    return usage.get("energie") is None or plain(usage.get("type_qualif_conso")).startswith("abs")


def _interval(usage: _Usage) -> tuple[datetime, datetime]:
    begin, end = (_instant(usage, f"date_{side}_consommation") for side in ("debut", "fin"))
    if begin >= end:
        raise ValueError("date_fin_consommation: it is not after date_debut_consommation")
    return begin, end


def _instant(usage: _Usage, field: str) -> datetime:
    found = usage.get(field)
    try:
        instant = parse_instant(found if isinstance(found, str) else "", ZONE)
    except ValueError as error:
        raise ValueError(f"{field}: found {described(found)}; {error}") from None
    if utc_ms(instant) % MINUTE_MS:
        raise ValueError(f"{field}: found {described(found)}; allowed: a whole minute")
    return instant


def _six_of(day: int) -> datetime:
    """Give the instant at which a gas day begins."""
    return instant_of_civil(civil_datetime(day_start(day) + _SIX_MS), ZONE)


def _civil(instant: datetime) -> int:
    try:
        return civil_from_instant(instant, ZONE)
    except OverflowError:
        raise ValueError("date_fin_consommation: it is after the year 9999") from None


def _point(usage: _Usage, begin: datetime, end: datetime) -> Point:
    start = utc_ms(begin)
    with _field("energie"):
        energy = thousandths(amount(usage.get("energie")))
    minutes = (utc_ms(end) - start) // MINUTE_MS
    return Point(start, minutes, energy, _quality(usage), _detail(usage))


def _quality(usage: _Usage) -> Quality:
    """Give how sure a value is; a word that is not known makes it less sure, never surer."""
    is_final = plain(usage.get("statut_conso")).startswith("def")
    is_measured = plain(usage.get("type_qualif_conso")).startswith(_MEASURED)
    return Quality(2 * is_final + is_measured)


def _detail(usage: _Usage) -> GasDetail:
    told = usage.get("coeff_calcul")
    coefficient = told.get("coeff_conversion") if isinstance(told, Mapping) else None
    return GasDetail(_beside(usage.get("volume_brut")), _beside(coefficient))


def _beside(found: object) -> float | None:
    """Give a number that nothing hangs on; None where it is none."""
    try:
        return float(amount(found))
    except ValueError:
        return None


@contextlib.contextmanager
def _field(name: str) -> Iterator[None]:
    """Name the field in what is wrong with it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
