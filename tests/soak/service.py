"""The service as operators run it, `ecolyo-worker run`, but on a clock that is set from outside.

    python -m tests.soak.service ROOT ECHO_URL TWIN_URL

On SIGUSR1 it reads again how far its clock is ahead.
"""

import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from ecolyo_worker.cli.output import Output
from ecolyo_worker.cli.service import run
from ecolyo_worker.cli.session import Session
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.providers import Enedis, Grdf
from ecolyo_worker.settings import Aggregation, Dacc, Http, LogLevel, Retention, Settings
from ecolyo_worker.testing.clock import FastClock
from ecolyo_worker.testing.energy import Twin
from ecolyo_worker.worker import Worker
from tests.energy_accounts import BACK

__all__ = ["SPEED", "SetClock", "settings"]

SPEED: Final = 5000
"""How many times as fast as the machine's the clock runs: a day takes 17 seconds."""


class _Setting(Struct):
    """What the clock's file says."""

    begin: datetime
    start: float
    """The machine's monotonic clock when it was `begin`; all processes have the same."""
    ahead_s: float = 0


class SetClock(FastClock):
    """A `Clock` that is the same in each process that reads its file, and can be set wrong."""

    def __init__(self, file: Path) -> None:
        """Read from the file what time it is."""
        self._file = file
        found = self._read()
        passed = (SystemClock().monotonic() - found.start) * SPEED
        super().__init__(found.begin + timedelta(seconds=passed), SPEED)
        self.set_again()

    @classmethod
    def made(cls, file: Path, begin: datetime) -> "SetClock":
        """Let it be `begin` now."""
        file.write_bytes(msgspec.json.encode(_Setting(begin, SystemClock().monotonic())))
        return cls(file)

    def now(self) -> datetime:
        """Return the instant that it says, right or wrong."""
        return super().now() + timedelta(seconds=self.ahead_s)

    def set_ahead(self, seconds: float) -> None:
        """Let it be wrong by so many seconds, for whoever reads its file from now on."""
        changed = msgspec.structs.replace(self._read(), ahead_s=seconds)
        part = self._file.with_suffix(".part")
        part.write_bytes(msgspec.json.encode(changed))
        part.rename(self._file)
        self.set_again()

    def set_again(self) -> None:
        """Read how wrong it is to be."""
        self.ahead_s = self._read().ahead_s

    def _read(self) -> _Setting:
        return msgspec.json.decode(self._file.read_bytes(), type=_Setting)


class _TimedSession(Session, frozen=True, kw_only=True):
    clock: SetClock
    chosen: Settings

    def worker(self, level: LogLevel = "warning") -> Worker:
        return Worker(self.chosen, clock=self.clock, logger=self.logger(level))


def settings(root: Path, echo: str, twin: str) -> Settings:
    """Give the settings of the service that lives in a directory, and of whoever looks at it."""
    secret_file = root / "client-secret"
    secret_file.write_text("made-up\n")
    asked = Twin(twin)
    tiny, kept_days = timedelta(milliseconds=1), 40
    application: dict[str, Any] = {
        "client_id": "soak",
        "client_secret_file": secret_file,
        "redirect_uri": BACK,
        "attempt_timeout": timedelta(seconds=2),
        "history_days": 40,
        "per_second": 100,
        "per_hour": 1_000_000,
    }
    return Settings(
        state_dir=root / "disk" / "state",
        grace=timedelta(seconds=5),
        aggregation=Aggregation(monthly_day=1),
        dacc=Dacc(
            url=echo,
            rate=20.0,
            attempt_timeout=timedelta(seconds=2),
            backoff_base=tiny,
            backoff_cap=tiny,
            auth_retry=tiny,
            unknown_retry=tiny,
        ),
        enedis=Enedis(
            **application,
            generation="v4",
            base_url=twin,
            authorize_url=asked.v4_authorize_url,
            token_url=asked.v4_token_url,
            curve_days=20,
        ),
        grdf=Grdf(
            **application,
            base_url=asked.grdf_url,
            authorize_url=asked.grdf_authorize_url,
            token_url=asked.grdf_token_url,
        ),
        http=Http(listen=f"unix:{root / 'http.sock'}"),
        retention=Retention(events_days=kept_days, sent_days=kept_days),
    )


def main(root: Path, echo: str, twin: str) -> int:
    """Run until a signal; give the exit code as the command line does."""
    clock = SetClock(root / "clock")
    signal.signal(signal.SIGUSR1, lambda *_: clock.set_again())
    session = _TimedSession(
        *(None, None, "json", None),
        Output(as_json=False),
        clock=clock,
        chosen=settings(root, echo, twin),
    )

    async def serve() -> None:
        await run(session=session)

    try:
        anyio.run(serve)
    except EcolyoError as error:
        session.fail(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
