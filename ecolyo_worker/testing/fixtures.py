"""What pytest needs to give tests an echo server."""

from collections.abc import Iterator

import pytest

from ecolyo_worker.testing.echo import Echo, EchoProcess

__all__ = ["dacc_echo"]


@pytest.fixture
def dacc_echo() -> Iterator[Echo]:
    """A DACC on this machine that takes all it should, and is the test's own.

    Tests of any kind can have it; its methods are awaited, or run by `asyncio.run`, and a call that
    is not fails the test at its end. One that needs options takes `echo_server` instead.
    """
    with EchoProcess(name="dacc_echo") as echo:
        yield echo
