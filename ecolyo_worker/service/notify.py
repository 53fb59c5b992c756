"""Says things to the service manager, by the protocol of sd_notify(3).

A message is a datagram of lines such as `READY=1`, sent to the socket that the manager names in the
environment. Nobody answers. Without a name there, nothing is said.
"""

import os
import re
import socket
from collections.abc import Mapping

import anyio

from ecolyo_worker.log import Logger

__all__ = ["Notifier"]

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"
_WATCHDOG_PID = "WATCHDOG_PID"
# The manager reads no more than 4096 bytes of a message.
_LONGEST_VALUE = 1000
# A manager that reads nothing must not hold up the service, least of all its end.
_PATIENCE_S = 1.0
# What systemd counts in has 64 bits.
_NUMBER = re.compile("[0-9]{1,19}")
_LONGEST_SHOWN = 40


class Notifier:
    """The way to the service manager, if there is one."""

    def __init__(self, environ: Mapping[str, str], logger: Logger) -> None:
        """Read from the environment where the manager listens, and what it wants to hear."""
        self._logger = logger
        self._is_broken = False
        named = environ.get(_SOCKET, "")
        self.is_heard = bool(named)
        """Whether a manager listens."""
        self._address = "\0" + named[1:] if named.startswith("@") else named
        self.watchdog_s = self._read_watchdog(environ)
        """Within how many seconds the manager wants to hear a sign of life, again and again."""

    def __repr__(self) -> str:
        return f"<Notifier to {self._address or 'nobody'!r}>"

    async def tell(self, **fields: object) -> None:
        """Send one message, such as `READY=1, STATUS="all is well"`; each value is one line.

        A message that cannot be sent is lost, and the log says so once.
        """
        if not self.is_heard:
            return
        message = "\n".join(f"{name}={_line(str(value))}" for name, value in fields.items())
        try:
            with anyio.fail_after(_PATIENCE_S):
                await self._send(message.encode(errors="replace"))
        except (OSError, ValueError) as error:
            if not self._is_broken:
                reason = str(error) or "it reads nothing"
                self._logger.warning("the service manager is not told anything", reason=reason)
            self._is_broken = True
        else:
            self._is_broken = False

    async def _send(self, message: bytes) -> None:
        if not self._address.startswith(("/", "\0")):
            found = f"{_SOCKET}: found {self._address!r}; allowed: a path, or @ and a name"
            raise ValueError(found)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(self._address)
            while True:
                try:
                    sock.send(message)
                except BlockingIOError:
                    await anyio.wait_writable(sock)
                else:
                    return

    def _read_watchdog(self, environ: Mapping[str, str]) -> float | None:
        """Read how often the manager wants to hear of this process; None if it does not."""
        text = environ.get(_WATCHDOG)
        is_ours = environ.get(_WATCHDOG_PID, str(os.getpid())) == str(os.getpid())
        if not self.is_heard or text is None or not is_ours:
            return None
        if not (_NUMBER.fullmatch(text) and int(text)):
            found = _line(text)[:_LONGEST_SHOWN]
            self._logger.warning(
                "there is no watchdog",
                reason=f"{_WATCHDOG}: found {found!r}; allowed: microseconds",
            )
            return None
        return int(text) / 1_000_000


def _line(text: str) -> str:
    """Make one line of a text, which may come from outside, and cut it."""
    line = "".join(character if character.isprintable() else " " for character in text)
    return line if len(line) <= _LONGEST_VALUE else line[: _LONGEST_VALUE - 1] + "…"
