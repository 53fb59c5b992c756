"""What pytest needs to give tests an echo server, and an energy twin."""

from collections.abc import Iterator

import pytest

from ecolyo_worker.testing.echo import Echo, EchoProcess
from ecolyo_worker.testing.energy import Twin, TwinProcess

__all__ = ["dacc_echo", "energy_twin"]


@pytest.fixture
def dacc_echo() -> Iterator[Echo]:
    """A DACC on this machine that takes all it should, and is the test's own.

    Tests of any kind can have it; its methods are awaited, or run by `asyncio.run`, and a call that
    is not fails the test at its end. One that needs options takes `echo_server` instead.
    """
    with EchoProcess(name="dacc_echo") as echo:
        yield echo


@pytest.fixture
def energy_twin() -> Iterator[Twin]:
    """Enedis and GRDF on this machine, with a few meters and no quotas, the test's own.

    Its methods are awaited, or run by `asyncio.run`, and a call that is not fails the test at its
    end. There are the meters of electricity 11111111111111, 12222222222222 (`holes`, `gaps`,
    `late`, `corrected`) and 13333333333333 (`step-change`, `nulls`), and of gas 23000000000000 and
    GI123456 (`late`, `estimated`). One that needs options takes `energy_server` instead.
    """
    with TwinProcess(("--quota", "off"), name="energy_twin") as twin:
        yield twin
