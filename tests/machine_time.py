"""The machine's time, of which a test lets some pass at once: no deadline is waited for."""

import asyncio

import pytest

__all__ = ["MachineTime", "machine_time"]


class MachineTime:
    """What the event loop takes for the time, by which all deadlines go.

    It goes on as ever besides, so that a test is no slower and no faster than its machine.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It holds for the loop that runs."""
        loop = asyncio.get_running_loop()
        self._real = loop.time
        self._ahead_s = 0.0
        monkeypatch.setattr(loop, "time", self._now)

    def skip(self, seconds: float) -> None:
        """Let so much time be over."""
        self._ahead_s += seconds

    def _now(self) -> float:
        return self._real() + self._ahead_s


@pytest.fixture
async def machine_time(monkeypatch: pytest.MonkeyPatch) -> MachineTime:
    """The machine's time, to be skipped."""
    return MachineTime(monkeypatch)
