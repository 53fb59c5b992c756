"""What every command has at hand: the options given, the settings, and the way to the commands."""

import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from ecolyo_worker.cli.identity import refuse_astray, refuse_root, take_identity
from ecolyo_worker.cli.logs import Logging, make_logger
from ecolyo_worker.cli.output import Output
from ecolyo_worker.commands import Commands
from ecolyo_worker.configuration import Reading, read
from ecolyo_worker.errors import ConfigurationError, EcolyoError
from ecolyo_worker.service.client import running_service
from ecolyo_worker.settings import Log, LogFormat, LogLevel, Settings
from ecolyo_worker.worker import Worker

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

__all__ = ["Session"]

_Opening = Callable[[Worker], AbstractAsyncContextManager[Worker]]
_BUG = "this is a bug in ecolyo-worker"
_SYSTEM_CONFIG = Path("/etc/ecolyo-worker/config.toml")


class Session(Struct, frozen=True):
    """The options that hold for every command."""

    config: Path | None
    state_dir: Path | None
    log_format: LogFormat | None
    log_level: LogLevel | None
    output: Output
    logging: Logging = msgspec.field(default_factory=Logging)

    def settings(self) -> Settings:
        """Read the settings; raises `ConfigurationError` with all that is wrong."""
        reading = self.read_settings()
        if reading.problems:
            raise ConfigurationError(*reading.problems)
        return reading.settings

    def directory(self) -> Path:
        """Give the state directory, whatever else is wrong with the settings.

        Raises `ConfigurationError` if it cannot be told which one is meant.
        """
        return self._located().settings.directory

    def read_settings(self, file: Path | None = None) -> Reading:
        """Read the settings, of this file if one is named, and tell what is wrong."""
        reading = read(file or self.settings_file(), options=self._options())
        self.logging.settings = reading.settings.log
        return reading

    def settings_file(self) -> Path | None:
        """Give `--config`, `$ECOLYO_CONFIG`, or the system's file if there is one."""
        if self.config is not None:
            return self.config
        if named := os.environ.get("ECOLYO_CONFIG"):
            return Path(named)
        return _SYSTEM_CONFIG if _SYSTEM_CONFIG.exists() else None

    def logger(
        self, level: LogLevel = "warning", told: Collection[str] = ()
    ) -> "FilteringBoundLogger":
        """Make the logger that was asked for, or one of this level.

        `told` are events that the command prints by itself: a person is not told them twice, unless
        a level was asked for, or the command prints JSON.
        """
        log = self._log
        is_plain = log.format == "console" and log.level is None and not self.output.as_json
        silent = frozenset(told if is_plain else ())
        return make_logger(log.format, log.level or level, self.logging.repeats, silent)

    def fail(self, error: EcolyoError) -> None:
        """Say what a command ends with: to a person in words, to a collector as a line of the log.

        So the journal knows that it is an error.
        """
        if self._log.format == "console":
            self.output.error(str(error))
        else:
            self.logger().error("ended by an error", reason=str(error), code=error.exit_code)

    def fail_by_bug(self, error: Exception) -> None:
        """Say where an error came from that nobody expected, as `fail` says the others."""
        if self._log.format == "console":
            traceback.print_exception(error)
            sys.stderr.write(f"error: {_BUG}; the lines above say where\n")
        else:
            self.logger().critical("ended by a bug", reason=_BUG, exc_info=error)

    def worker(self, level: LogLevel = "warning") -> Worker:
        """Make a worker, not opened yet; it logs from `level` on if no other is asked for.

        As root, the process works as the state's owner from here on. Raises `StateRefused` if that
        cannot be.
        """
        settings = self.settings()
        take_identity(settings.directory)
        return self._worker(settings, level)

    @asynccontextmanager
    async def commands(self, told: Collection[str] = ()) -> AsyncIterator[Commands]:
        """Ask the service that runs on the state, or open the state as its owner.

        `told` is as in `logger`.
        """
        async with self._commands(Worker.opened, told) as commands:
            yield commands

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Commands]:
        """Ask the service, or open a state that exists; for a command that must not change it."""
        async with self._commands(Worker.reading) as commands:
            yield commands

    def _worker(self, settings: Settings, level: LogLevel, told: Collection[str] = ()) -> Worker:
        refuse_astray(settings.directory)
        refuse_root(settings.directory)
        return Worker(settings, logger=self.logger(level, told))

    @property
    def _log(self) -> Log:
        """The settings of the log as they were last read; before that, as the options say."""
        return self.logging.settings or Log(
            format=self.log_format or "console", level=self.log_level
        )

    def _options(self) -> dict[str, object]:
        options = {
            "worker.state_dir": self.state_dir,
            "log.format": self.log_format,
            "log.level": self.log_level,
        }
        return {key: value for key, value in options.items() if value is not None}

    @asynccontextmanager
    async def _commands(
        self, opening: _Opening, told: Collection[str] = ()
    ) -> AsyncIterator[Commands]:
        reading = self._located()
        take_identity(reading.settings.directory)
        async with running_service(reading.settings.directory) as commands:
            if commands is not None:
                self._warn(reading)
                yield commands
                return
            if reading.problems:
                raise ConfigurationError(*reading.problems)
            async with opening(self._worker(reading.settings, "warning", told)) as worker:
                yield Commands(worker)

    def _located(self) -> Reading:
        """Read the settings; raises `ConfigurationError` if they do not tell where the state is."""
        reading = self.read_settings()
        if reading.is_lost:
            raise ConfigurationError(*reading.problems)
        return reading

    def _warn(self, reading: Reading) -> None:
        """Say of wrong settings that the service, which was asked all the same, has others."""
        if reading.problems:
            self.output.talk(
                "warning: the settings are wrong, and the running service goes on with those that"
                " it has: `ecolyo-worker check-config` tells all\n"
                + "\n".join(str(problem) for problem in reading.problems)
            )
