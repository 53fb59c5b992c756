"""Means to test with: the ledger, and what plays the other side.

`dacc_echo` is a pytest fixture: import it into a `conftest.py`, or into a test's module.
"""

from typing import TYPE_CHECKING

from ecolyo_worker.testing.echo import Echo, echo_server

if TYPE_CHECKING:
    from ecolyo_worker.testing.fixtures import dacc_echo

__all__ = ["Echo", "dacc_echo", "echo_server"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import the fixture when it is asked for: `demo` works where there is no pytest."""
        if name == "dacc_echo":
            from ecolyo_worker.testing.fixtures import dacc_echo

            return dacc_echo
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
