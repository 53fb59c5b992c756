"""Means to test with: the ledger, and what plays the other side.

`dacc_echo` and `energy_twin` are pytest fixtures: import them into a `conftest.py`, or into a
test's module.
"""

from typing import TYPE_CHECKING

from ecolyo_worker.testing.echo import Echo, echo_server
from ecolyo_worker.testing.energy import Twin, energy_server

if TYPE_CHECKING:
    from ecolyo_worker.testing.fixtures import dacc_echo, energy_twin

__all__ = ["Echo", "Twin", "dacc_echo", "echo_server", "energy_server", "energy_twin"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a fixture when it is asked for: `demo` works where there is no pytest."""
        if name in ("dacc_echo", "energy_twin"):
            from ecolyo_worker.testing import fixtures

            return getattr(fixtures, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
