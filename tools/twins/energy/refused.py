"""A request that is refused, by the name of its error in ``errors.py``."""

__all__ = ["RefusedError"]


class RefusedError(Exception):
    """What was asked for is refused; ``name`` is one of the errors."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
