"""`http.listen`: what is an address, and what is not."""

from pathlib import Path

import pytest

from ecolyo_worker import ConfigurationError
from ecolyo_worker.service.listen import Tcp, Unix, parse_listen


@pytest.mark.parametrize(
    ("text", "address", "is_loopback"),
    [
        ("127.0.0.1:8787", Tcp("127.0.0.1", 8787), True),
        ("localhost:8787", Tcp("127.0.0.1", 8787), True),
        ("[::1]:8787", Tcp("::1", 8787), True),
        ("0.0.0.0:80", Tcp("0.0.0.0", 80), False),
        ("[2001:db8::1]:80", Tcp("2001:db8::1", 80), False),
        ("127.0.0.1:0", Tcp("127.0.0.1", 0), True),
    ],
)
def test_a_tcp_address(text: str, address: Tcp, is_loopback: bool) -> None:
    """A numeric address with a port is taken, and knows whether only this machine reaches it."""
    assert parse_listen(text) == address
    assert address.is_loopback is is_loopback


def test_a_unix_address() -> None:
    """What begins with `unix:` and goes on with an absolute path is a socket's file."""
    assert parse_listen("unix:/run/x/http.sock") == Unix(Path("/run/x/http.sock"))


def test_nothing_is_no_address() -> None:
    """An empty setting means that there is no HTTP face."""
    assert parse_listen("") is None


@pytest.mark.parametrize(
    "text",
    [
        *("8787", ":8787", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1"),
        *("127.0.0.1:٣", "example.org:80", "::1:8787", "[::1]", "[127.0.0.1]:80", "300.1.1.1:80"),
        *("unix:", "unix:http.sock", "unix:/", "unix:/x\0y", "http://127.0.0.1:80", " ", "tcp:1"),
    ],
)
def test_nonsense_is_named(text: str) -> None:
    """Anything else is refused with the setting's name, what was found and what is allowed."""
    with pytest.raises(ConfigurationError, match=r"^http\.listen: found .*; allowed: an address"):
        parse_listen(text)
