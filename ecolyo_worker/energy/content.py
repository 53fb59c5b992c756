"""The content of an answer, which is judged and then decoded, and read once for both."""

from functools import cached_property

from ecolyo_worker.energy.decoding import read_json
from ecolyo_worker.energy.stream import Objects, read_objects

__all__ = ["Content"]


class Content:
    """The bytes of an answer and what they say; it shows none of it."""

    def __init__(self, body: bytes) -> None:
        """Nothing is read before it is asked for."""
        self.body = body

    def __repr__(self) -> str:
        return f"<Content of {len(self.body)} bytes>"

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it."""
        return not self.body.strip()

    @cached_property
    def json(self) -> object:
        """Give it as JSON, as `read_json` does; raises `AnswerUnreadable`."""
        return read_json(self.body)

    @cached_property
    def objects(self) -> Objects:
        """Give the objects in it, however they stand, as GRDF sends them; never raises."""
        return read_objects(self.body)
