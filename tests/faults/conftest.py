"""What tests of faults share with the fundamentals: people, workers, and servers to fail."""

from tests.fundamentals.conftest import agree as agree
from tests.process.conftest import run as run
