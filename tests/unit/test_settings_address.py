"""The DACC's address: which one is taken, and what an error may not repeat."""

from pathlib import Path

import pytest

from ecolyo_worker.configuration import load
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.settings import Dacc

HERE = [
    "http://127.0.0.1:8081",
    "http://127.0.0.1",
    "http://127.8.9.10:8081/",
    "http://localhost:8081/alice",
    "http://LOCALHOST",
    "http://[::1]:8081",
]
ELSEWHERE = [
    "http://dacc.example",
    "http://192.168.1.2:8081",
    "http://0.0.0.0",
    "http://[::]",
    "http://[2001:db8::1]",
    "http://localhost.example",
    "http://127.0.0.1.example",
    "HTTP://dacc.example",
]


@pytest.mark.parametrize("url", ["https://dacc.example", "https://dacc.example:8443/api/", *HERE])
def test_https_and_plain_http_to_this_machine(url: str) -> None:
    """An https address is taken as it is, and so is an http one of this very machine."""
    assert Dacc(url=url).url == url


@pytest.mark.parametrize("url", ELSEWHERE)
def test_plain_http_is_refused(url: str) -> None:
    """Plain http to a host that is not this machine is refused, unless it was allowed."""
    with pytest.raises(ConfigurationError, match=r"^dacc\.url: found .* https, or http to this"):
        Dacc(url=url)
    assert Dacc(url=url, allow_http=True).url == url


@pytest.mark.parametrize(
    ("url", "is_here"),
    [(None, False), ("https://dacc.example", False), ("https://localhost", True)]
    + [(url, True) for url in HERE],
)
def test_what_is_sent_to_this_machine_stays_here(url: str | None, is_here: bool) -> None:
    """An address is of this machine only if its host is loopback, whatever its scheme is."""
    assert Dacc(url=url).is_loopback is is_here


@pytest.mark.parametrize("url", ELSEWHERE)
def test_what_is_allowed_is_not_local_for_that(url: str) -> None:
    """`allow_http` makes no host this machine."""
    assert not Dacc(url=url, allow_http=True).is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "",
        "dacc.example",
        "//dacc.example",
        "/measure",
        "ftp://dacc.example",
        "file:///etc/passwd",
        "https://",
        "https:///measure",
        "https:dacc.example",
        "https://:8443",
        "https://dacc.example:port",
        "https://dacc.example:99999",
        "https://dacc.example:0",
        "https://[::1",
        "https://[nothing]",
        "https://dacc.example/?token=secret",
        "https://dacc.example/?",
        "https://dacc.example/#measure",
        "https://dacc.example/#secret",
        "https://dacc example",
        "https://dacc.example/\n",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """What is no http or https address with a host alone and a path is refused by its key."""
    with pytest.raises(ConfigurationError, match=r"^dacc\.url: found .*; allowed: an http") as told:
        Dacc(url=url, allow_http=True)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://user:sesame@dacc.example",
        "https://sesame@dacc.example",
        "https://:sesame@dacc.example",
        "https://@dacc.example",
        "http://user:sesame@127.0.0.1",
        "http://user:sesame@dacc.example",
        "ftp://user:sesame@dacc.example",
        "user:sesame@dacc.example",
        "https://user:sesame@dacc.example/?sesame",
        "https://user:sesame@dacc.example:port",
        "https://user:sesame@[::1",
        "https://user:sesame@",
        "https://user:ses\name@dacc.example",
        "https://us@er:sesame@dacc.example",
    ],
)
def test_a_password_in_an_address_is_not_repeated(url: str, tmp_path: Path) -> None:
    """An address with a user or a password is refused, and no error says either of them."""
    path = tmp_path / "config.toml"
    path.write_text(f"[dacc]\nurl = {url!r}\n".replace("'", '"'), encoding="utf-8")
    for make in (
        lambda: Dacc(url=url),
        lambda: load(path, {}),
        lambda: load(None, {"ECOLYO_DACC__URL": url}),
    ):
        with pytest.raises(ConfigurationError, match=r"^dacc\.url: found ") as refused:
            make()
        assert not any(word in str(refused.value) for word in ("sesame", "name@", "user:"))
