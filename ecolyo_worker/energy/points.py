"""The one form that the readings of every provider and generation come to."""

import enum

from msgspec import Struct

__all__ = ["BadPoint", "Decoded", "GasDetail", "Point", "Quality"]


class Quality(enum.IntEnum):
    """How sure a value is: one of a lower rank never replaces one of a higher rank.

    GRDF says both, whether a value is final and whether it was measured; what comes from Enedis, or
    was imported, is as it is.
    """

    PROVISIONAL_ESTIMATED = 0
    PROVISIONAL_MEASURED = 1
    DEFINITIVE_ESTIMATED = 2
    DEFINITIVE_MEASURED = 3

    @property
    def is_estimated(self) -> bool:
        """Whether nobody read a meter for it."""
        return self in (Quality.PROVISIONAL_ESTIMATED, Quality.DEFINITIVE_ESTIMATED)


class GasDetail(Struct, frozen=True, gc=False):
    """What GRDF says beside the energy: it is kept, and never multiplied."""

    volume: float | None
    """m³, as the difference of two indexes."""
    coefficient: float | None
    """kWh for each m³."""


class Point(Struct, frozen=True, gc=False):
    """Energy over an interval.

    `start` is the instant at which it begins, in ms since 1970 in UTC; `amount` is in Wh. What is
    not known is no point.
    """

    start: int
    minutes: int
    amount: int
    quality: Quality = Quality.DEFINITIVE_MEASURED
    gas: GasDetail | None = None


class BadPoint(Struct, frozen=True):
    """A point that was refused. The others of its answer are kept."""

    label: str
    """The time as the provider wrote it, made safe for a screen, or its place (`point 3`)."""
    reason: str
    """The field, what was found, what is allowed."""


class Decoded(Struct, frozen=True):
    """What came out of an answer for one meter and one series.

    `points` are in the order of time, each start once. `empty_days` are those of which the provider
    spoke and gave nothing but nulls.
    """

    points: tuple[Point, ...]
    refused: tuple[BadPoint, ...] = ()
    empty_days: tuple[int, ...] = ()
    """Civil days, as days since 1970."""
    codes: tuple[str, ...] = ()
    """What GRDF said between the points: its codes, each once, in their order."""
    broken: str | None = None
    """Why a part of the answer could not be read, in words; None where all of it was."""
