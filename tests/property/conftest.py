"""Who has more examples tried waits longer for them."""

from pathlib import Path

import pytest

from tests.property.made import TIMES_AS_MANY

LONGEST_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each property its time, also where each would take minutes."""
    if TIMES_AS_MANY == 1:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(LONGEST_S * TIMES_AS_MANY), append=False)
