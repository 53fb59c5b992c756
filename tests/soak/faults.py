"""What may happen in a life of the service, drawn by chance of a seed."""

import random
from collections.abc import Sequence
from typing import Final, Literal, TypeVar

from msgspec import Struct

__all__ = ["Disturbance", "End", "Plan", "draw_echo_faults", "draw_plan", "draw_twin_faults"]

End = Literal["kill", "kill while starting", "term", "term twice", "term then kill"]
Disturbance = Literal[
    "clock", "full disk", "file limit", "slow", "tokens end", "consent ends", "write lock"
]

_Kind = TypeVar("_Kind", bound=str)

_ENDS: Final[dict[End, int]] = {
    "kill": 8, "kill while starting": 2, "term": 6, "term twice": 2, "term then kill": 3
}  # fmt: skip
_DISTURBANCES: Final[dict[Disturbance, int]] = {
    "clock": 5, "full disk": 4, "file limit": 2, "slow": 4, "tokens end": 4, "consent ends": 2,
    "write lock": 3,
}  # fmt: skip
_HOUR_S, _DAY_S = 3600, 86_400
_JUMPS: Final = (_HOUR_S, _DAY_S, 3 * _DAY_S, -_HOUR_S, -_DAY_S)
_OF_ECHO: Final = (
    *("status=503", "status=500", "reset", "drop", "accept-then-drop", "latency=20ms", "garbage"),
    *(
        "html-401",
        "slow-body=5ms",
        "throttle=1",
        "retry-after=1",
        "retry-after-garbage",
        "cozy-502",
    ),
    *("status=302", "forbidden", "cant-connect", "retry-after-date=-30"),
)
_OF_TWIN: Final = (
    *("html-503", "status=500", "reset", "drop", "cut-json", "garbage", "quota-second"),
    *("technical-error", "empty-403", "latency=20ms", "token-expired", "html-200"),
    *("accept-then-drop", "empty-200", "empty-json", "unavailable"),
)
_PLACES: Final = ("", "daily", "curve", "informative", "published", "token")


class Plan(Struct, frozen=True, kw_only=True):
    """A life: what it meets, and how it ends."""

    lasts_s: float
    """How long it works, from when it is ready on; of a start that is killed, from its begin on."""
    end: End
    echo: str
    """In the fault language."""
    twin: str
    place: str = ""
    """Which of the twin's calls meet its faults."""
    disturbances: tuple[Disturbance, ...] = ()
    jump_s: int = 0
    """How far the clock is set, if it is."""
    is_mended: bool = False
    """Whether the clock is set right again within the same life."""
    refuses: bool = False
    """Whether before it a newer program's schema is tried, which must be refused."""

    @property
    def words(self) -> str:
        """Say it in a line."""
        jump = f"clock {self.jump_s:+} s"
        found = [jump if one == "clock" else one for one in self.disturbances]
        twin = f"twin {self.place or 'all'} {self.twin}"
        return ", ".join([self.end, f"echo {self.echo}", twin, *found])


def draw_plan(seed: int, life: int) -> Plan:
    """Draw what happens in the n-th life; the same seed draws the same."""
    draw = random.Random(f"{seed}/{life}")
    end = _weighted(draw, _ENDS)
    return Plan(
        lasts_s=draw.uniform(0.3, 1.5) if end == "kill while starting" else draw.uniform(1, 5),
        end=end,
        echo=draw_echo_faults(draw),
        twin=draw_twin_faults(draw),
        place=draw.choice(_PLACES),
        disturbances=tuple(
            dict.fromkeys(_weighted(draw, _DISTURBANCES) for _ in range(draw.randrange(3)))
        ),
        jump_s=draw.choice(_JUMPS),
        is_mended=draw.random() < 0.5,
        refuses=draw.random() < 0.3,
    )


def draw_echo_faults(draw: random.Random) -> str:
    """Draw what goes wrong at the DACC, in the fault language; it is over after some requests."""
    return _faults(draw, _OF_ECHO)


def draw_twin_faults(draw: random.Random) -> str:
    """Draw the same of Enedis and GRDF. None of it is a lie about what was measured."""
    return _faults(draw, _OF_TWIN)


def _faults(draw: random.Random, known: Sequence[str]) -> str:
    """Let some kinds of fault meet some requests each, and then none."""
    chosen = draw.sample(known, draw.randrange(4))
    found = [f"{one}*{draw.randrange(2, 60)}@{draw.randrange(10, 60)}%" for one in chosen]
    return ",".join([*found, "ok"])


def _weighted(draw: random.Random, weights: dict[_Kind, int]) -> _Kind:
    (chosen,) = draw.choices(list(weights), list(weights.values()))
    return chosen
