"""A secret: text of a type that cannot be printed."""

import json
from functools import cached_property
from typing import NoReturn
from urllib.parse import quote, quote_plus

__all__ = ["Secret", "fits_header"]


class Secret:
    """Some text that shows itself only to the one who asks for it by name."""

    def __init__(self, text: str) -> None:
        """Keep the text."""
        self._text = text

    def reveal(self) -> str:
        """Give the text."""
        return self._text

    def mask(self, text: bytes) -> bytes:
        """Give a text without this one in it, also where it is written as JSON, HTML or a URL."""
        for form in self._forms:
            text = text.replace(form, b"[token]")
        return text

    @cached_property
    def _forms(self) -> list[bytes]:
        """The ways in which others may write it, the longest first."""
        import html  # half a MiB, for who has secrets and sends

        text = self._text
        as_json = json.dumps(text)[1:-1]
        forms = {
            text,
            as_json,
            as_json.replace("/", "\\/"),
            repr(text)[1:-1],
            html.escape(text),
            quote(text),
            quote(text, safe=""),
            quote_plus(text),
        }
        return sorted((form.encode() for form in forms), key=len, reverse=True)

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


def fits_header(text: str) -> bool:
    """Tell whether a token can stand in a header: printable ASCII without blanks, not too long."""
    return text.isascii() and text.isprintable() and 0 < len(text) <= 8192 and " " not in text
