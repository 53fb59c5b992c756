"""The tree that mutmut changes: decorated functions are plain ones with a call below them."""

from tests.mutation_tree import undecorated

DECORATED = '''\
class Month:
    @property
    def days(self) -> int:
        """Give the days."""
        return 31

    @staticmethod
    def name() -> str:
        return "May"


@measure(
    "days",
    groups=0,
)
def days(month: Month) -> int:
    return month.days
'''
PLAIN = '''\
class Month:
    def days(self) -> int:
        """Give the days."""
        return 31
    days = property(days)

    @staticmethod
    def name() -> str:
        return "May"


def days(month: Month) -> int:
    return month.days
days = measure('days', groups=0)(days)
'''


def test_a_decorator_is_a_call_below_its_function() -> None:
    """What mutmut would pass over is written so that it does not; all else stays as it is."""
    assert undecorated(DECORATED) == PLAIN
    assert undecorated(PLAIN) == PLAIN
