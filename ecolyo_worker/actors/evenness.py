"""Whether the wall clock goes as the monotonic one: if not, it was set, or the machine slept."""

from datetime import datetime, timedelta

from ecolyo_worker.clock import Clock

__all__ = ["Evenness"]

# How far the wall clock may be from where the monotonic one says it should be.
_SLACK = timedelta(minutes=5)


class Evenness:
    """How long the wall clock has gone evenly, as far as it was looked at."""

    def __init__(self, clock: Clock) -> None:
        """It knows nothing of the time before the first look."""
        self._clock = clock
        self._seen: tuple[datetime, float] | None = None
        self.lasted_s = 0.0
        """For how many seconds it had gone evenly at the last look."""

    def look(self) -> bool:
        """Look at both clocks; False if the wall clock leapt since the last look, if any."""
        now, passed = self._clock.now(), self._clock.monotonic()
        then, begun = self._seen or (now, passed)
        self._seen = (now, passed)
        is_even = abs(now - then - timedelta(seconds=passed - begun)) <= _SLACK
        self.lasted_s = self.lasted_s + passed - begun if is_even else 0.0
        return is_even
