"""Requests about consumption: import, export and charts."""

from typing import Literal

from msgspec import Struct

from ecolyo_worker.requests.lines import Line
from ecolyo_worker.requests.people import FactsReport

__all__ = [
    "Bar",
    "Chart",
    "ConsumptionChart",
    "ConsumptionExport",
    "ConsumptionImport",
    "ConsumptionInterval",
    "ConsumptionStep",
    "ConsumptionWanted",
    "Fluid",
    "ReadingsReport",
]

Fluid = Literal["electricity", "water", "gas"]


ConsumptionStep = Literal["half-hour", "hour", "day", "month", "year"]


class ReadingsReport(FactsReport, frozen=True):
    """What an import of readings came to."""

    beneath: int
    """How many of those taken lie under fetched readings, which go before them."""


class ConsumptionImport(Struct, frozen=True):
    """Some lines of a file of readings."""

    lines: list[Line]


class ConsumptionWanted(Struct, frozen=True):
    """Which intervals of which consumption; what None is, each request says.

    `begin` and `end` are the first and the last day, as YYYY-MM-DD.
    """

    step: ConsumptionStep
    instance: str | None = None
    fluid: Fluid | None = None
    begin: str | None = None
    end: str | None = None


class ConsumptionExport(ConsumptionWanted, frozen=True):
    """What to give of what homes consumed; None is all."""


class ConsumptionInterval(Struct, frozen=True, omit_defaults=True):
    """What a home consumed in an interval: kWh, of water litres, with three decimals at most.

    `start` is a date-time with its offset for half an hour and an hour, else a day as YYYY-MM-DD, a
    month as YYYY-MM, or a year.
    """

    instance: str
    fluid: Fluid
    step: ConsumptionStep
    start: str
    value: float
    minutes: int | None = None
    """How long it is, where that is not what the step says."""
    partial: bool = False
    """Whether only a part of the interval is known."""


class ConsumptionChart(ConsumptionWanted, frozen=True):
    """What to look at, of one home and one fluid; None is what there is, if there is but one.

    An `account` stands for its home and its fluid, in the place of both.
    """

    account: int | None = None


class Bar(Struct, frozen=True):
    """An interval of a chart; None is a gap: nothing is known of it."""

    start: str
    value: float | None
    partial: bool = False


class Chart(Struct, frozen=True):
    """What a home consumed, interval by interval, without leaving one out."""

    instance: str
    fluid: Fluid
    step: ConsumptionStep
    unit: str
    bars: list[Bar]
