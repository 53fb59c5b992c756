"""The words to the service manager: datagrams of lines, and never any harm to the service."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import CapturingLogger

from ecolyo_worker.service.notify import Notifier


@pytest.fixture
def logger() -> CapturingLogger:
    return CapturingLogger()


def notifier(environ: dict[str, str], logger: CapturingLogger) -> Notifier:
    return Notifier(environ, structlog.wrap_logger(logger, processors=[]))


def logged(logger: CapturingLogger) -> list[tuple[str, str]]:
    return [(call.kwargs["event"], call.kwargs["reason"]) for call in logger.calls]


async def test_a_message_is_lines_of_a_datagram(manager: Any, logger: CapturingLogger) -> None:
    """Each message is one datagram, each field one line of it."""
    told = notifier(manager.environ, logger)
    await told.tell(READY=1, STATUS="working")
    await told.tell(WATCHDOG=1)
    assert manager.heard() == [{"READY": "1", "STATUS": "working"}, {"WATCHDOG": "1"}]


async def test_an_abstract_socket_is_found(logger: CapturingLogger) -> None:
    """A name that begins with @ is a socket without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0ecolyo-test-{os.getpid()}")
        told = notifier({"NOTIFY_SOCKET": f"@ecolyo-test-{os.getpid()}"}, logger)
        await told.tell(READY=1)
        assert sock.recv(4096) == b"READY=1"


async def test_a_value_stays_one_line(manager: Any, logger: CapturingLogger) -> None:
    """What comes from outside cannot say anything of its own, and is cut before it is too long."""
    told = notifier(manager.environ, logger)
    await told.tell(STATUS="native is paused:\nMAINPID=1\r\n\ud800" + "é" * 5000)
    (message,) = manager.heard()
    assert list(message) == ["STATUS"]
    assert message["STATUS"].startswith("native is paused: MAINPID=1   ")
    assert len(message["STATUS"]) == 1000


async def test_without_a_manager_nothing_is_told(logger: CapturingLogger) -> None:
    """A service that nobody manages tells nobody, and does not complain."""
    told = notifier({"WATCHDOG_USEC": "1000"}, logger)
    await told.tell(READY=1)
    assert (told.is_heard, told.watchdog_s, logger.calls) == (False, None, [])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/nowhere/notify", "No such file"),
        ("/nowhere/" + "n" * 200, "AF_UNIX path too long"),
        ("vsock:2:1", "NOTIFY_SOCKET: found 'vsock:2:1'; allowed: a path, or @ and a name"),
    ],
)
async def test_a_manager_that_is_gone_does_no_harm(
    name: str, reason: str, logger: CapturingLogger
) -> None:
    """What cannot be told is lost; the log says so once, however often it happens."""
    told = notifier({"NOTIFY_SOCKET": name}, logger)
    await told.tell(READY=1)
    await told.tell(WATCHDOG=1)
    ((event, found),) = logged(logger)
    assert event == "the service manager is not told anything"
    assert reason in found


async def test_a_manager_that_reads_again_is_told(tmp_path: Path, logger: CapturingLogger) -> None:
    """A manager that reads nothing holds the service up for a second, and later hears again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        told = notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, logger)
        sent = 0
        while not logger.calls:
            await told.tell(WATCHDOG=sent)
            sent += 1
        assert logged(logger) == [
            ("the service manager is not told anything", "it reads nothing"),
        ]
        for number in range(sent - 1):
            assert sock.recv(4096) == b"WATCHDOG=%d" % number
        await told.tell(READY=1)
        assert sock.recv(4096) == b"READY=1"


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_that_of_this_process(
    more: dict[str, str], seconds: float | None, logger: CapturingLogger
) -> None:
    """There is a watchdog if the manager says how patient it is, and means this very process."""
    told = notifier({"NOTIFY_SOCKET": "@nobody", **more}, logger)
    assert (told.watchdog_s, logger.calls) == (seconds, [])


@pytest.mark.parametrize("text", ["", "0", "soon", "-1", "1.5", "٣", "9" * 5000])
def test_a_watchdog_that_makes_no_sense_is_told(text: str, logger: CapturingLogger) -> None:
    """A patience that is no number of microseconds is named in the log."""
    told = notifier({"NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": text}, logger)
    assert told.watchdog_s is None
    assert logged(logger) == [
        ("there is no watchdog", f"WATCHDOG_USEC: found {text[:40]!r}; allowed: microseconds")
    ]
