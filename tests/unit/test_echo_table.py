"""The echo server stands alone, so it has the measures' group keys once more: the same ones."""

from ecolyo_worker.indicators import Definitions
from ecolyo_worker.tools.twins.dacc.indicator import GROUP_KEYS


def test_both_sides_know_the_same_measures() -> None:
    """Every measure has the same group keys, in the same order, here and in the echo server."""
    ours = {d.name: [rule.key for rule in d.groups] for d in Definitions.load()}
    theirs = {name: [key for key in keys if key] for name, keys in GROUP_KEYS.items()}
    assert theirs == ours
    assert len(ours) == 15
