"""All measures there are: what is made with `measure` in `daily.py` and in `monthly.py`."""

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.indicators import Definitions
from ecolyo_worker.measures import daily, monthly
from ecolyo_worker.measures.period import Day, Measure, Month

__all__ = ["ALL", "CONNECTED", "DAILY", "MONTHLY", "check_fit", "unknown"]


def _measures(module: ModuleType) -> Iterator[Measure[Any]]:
    return (found for found in vars(module).values() if isinstance(found, Measure))


CONNECTED = daily.konnector_connected_daily
"""The one measure that is made for every day, with or without events."""

DAILY: tuple[Measure[Day], ...] = tuple(one for one in _measures(daily) if one is not CONNECTED)
"""The measures of a day's events, in the order in which they are written."""

MONTHLY: tuple[Measure[Month], ...] = tuple(_measures(monthly))
"""The measures of a month, in the order in which they are written."""

ALL = tuple(one for module in (daily, monthly) for one in _measures(module))
"""Daily and monthly ones, in the order in which they are written."""


def check_fit(
    definitions: Definitions, of_day: Iterable[Measure[Day]], of_month: Iterable[Measure[Month]]
) -> None:
    """Raise `ConfigurationError` where a definition and its measure do not fit.

    A measure that is not defined makes no rows, which is no error.
    """
    measures: list[tuple[Measure[Any], str]] = [(one, "day") for one in of_day]
    measures += [(one, "month") for one in of_month]
    for measure, period in measures:
        if measure.name in definitions:
            _check_fit(definitions, measure, period)


def _check_fit(definitions: Definitions, measure: Measure[Any], period: str) -> None:
    definition, place = definitions[measure.name], definitions.place(measure.name)
    if definition.period != period:
        raise ConfigurationError(
            f"{place}: period: found {definition.period!r}; allowed: {period!r}, of which it is"
            " a measure"
        )
    if len(definition.groups) != measure.groups:
        raise ConfigurationError(
            f"{place}: found {len(definition.groups)} groups; allowed: {measure.groups}, which is"
            " what the measure gives"
        )
    if measure.rows == "each" and definition.rows == "count":
        raise ConfigurationError(
            f"{place}: rows: found 'count'; allowed: 'each', for its values must not be added up"
        )


def unknown(definitions: Definitions) -> list[str]:
    """Give the names that are defined and that no measure makes."""
    made = {measure.name for measure in ALL}
    return [definition.name for definition in definitions if definition.name not in made]
