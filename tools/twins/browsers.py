"""What pages of others may do in a developer's browser: nothing with a stand-in of this machine.

A page of anybody can have a browser ask ``127.0.0.1``, and a name of his can be made to mean that
address (DNS rebinding). The one is known by ``Origin``, the other by ``Host``.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .exchange import answer_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .exchange import Answer

__all__ = ["is_loopback", "turned_away"]


def is_loopback(host: str) -> bool:
    """Say whether a name or an address means this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def turned_away(headers: Mapping[str, str], listens_on: str) -> Answer | None:
    """Give the answer to a request that a page of somebody else asked for; None to any other one.

    ``listens_on`` is the host that the stand-in was told: only on loopback must ``Host`` be so too.
    """
    host = headers.get("host", "")
    name = _name(host)
    if name is None or (host and is_loopback(listens_on) and not is_loopback(name)):
        return _refusal("it is asked under a name that is not of this machine; use 127.0.0.1")
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return _refusal("a page of another origin asked for it; open the page of this address")
    return None


def _name(host: str) -> str | None:
    """Give the name in a ``Host``, without its port; None if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return None


def _refusal(words: str) -> Answer:
    return answer_json(403, {"error": words})
