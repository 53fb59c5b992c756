"""What the tests of the energy decoders share: the samples, and answers made by hand."""

import json
from pathlib import Path
from typing import Any

from ecolyo_worker.clock import instant_text, parse_day
from ecolyo_worker.energy import enedis
from ecolyo_worker.energy.decoding import read_json
from ecolyo_worker.energy.points import Decoded

__all__ = [
    "METER",
    "curve",
    "daily",
    "days",
    "new",
    "old",
    "point",
    "read_curve",
    "read_daily",
    "sample",
    "seen",
]

METER = "11111111111111"
SAMPLES = Path(__file__).parents[1] / "data" / "energy"


def sample(name: str) -> bytes:
    """Give a sample answer."""
    return (SAMPLES / name).read_bytes()


def read_daily(body: bytes, meter: str, asked: range) -> Decoded:
    """Decode the text of an answer of days."""
    return enedis.read_daily(read_json(body), meter, asked)


def read_curve(body: bytes, meter: str, asked: range) -> Decoded:
    """Decode the text of an answer of the load curve."""
    return enedis.read_curve(read_json(body), meter, asked)


def days(first: str, end: str) -> range:
    """Give civil days, without the last one."""
    return range(parse_day(first), parse_day(end))


def old(points: list[Any], unit: str | None = None, meter: Any = METER) -> bytes:
    """Give an answer in the shape of v4 and v5."""
    told = {} if unit is None else {"reading_type": {"unit": unit}}
    inner = {"usage_point_id": meter, "interval_reading": points, **told}
    return json.dumps({"meter_reading": inner}).encode()


def new(points: list[Any], unit: str = "W", meter: Any = METER, **more: Any) -> bytes:
    """Give an answer in the shape of 2026."""
    kind = "PA" if unit == "W" else "EA"
    quantity = {"grandeurMetier": "CONS", "grandeurPhysique": kind, "unite": unit, **more}
    return json.dumps({"idPrm": meter, "grandeur": [quantity | {"points": points}]}).encode()


def point(date: Any, value: Any = "100", length: Any = "PT30M") -> dict[str, Any]:
    """Give a point of a load curve, in the shape of v4 and v5."""
    return {"value": value, "date": date, "interval_length": length}


def curve(*labels: str, length: str = "PT30M") -> list[dict[str, Any]]:
    """Give points of a load curve with these labels, of 2 W, 4 W and so on."""
    return [point(label, str(2 * n), length) for n, label in enumerate(labels, 1)]


def daily(date: Any, value: Any = "8038") -> dict[str, Any]:
    """Give a day, in the shape of v4 and v5."""
    return {"value": value, "date": date}


def seen(found: Decoded) -> list[tuple[str, int, int]]:
    """Give (start, minutes, Wh) of each point."""
    return [(instant_text(point.start), point.minutes, point.amount) for point in found.points]
