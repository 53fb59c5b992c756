"""The three targets: what stands on the wire, and where each person's rows go."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.requests import OutboxDocument
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import Echo
from ecolyo_worker.testing.ledger import assert_balanced

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]
Rows = Callable[..., Awaitable[list[OutboxDocument]]]

PAGES = ("electricity", "gas", "water", "faq", "options", "analysis")


@pytest.mark.parametrize(
    ("target", "doctype", "path", "more"),
    [
        ("cozy-v1", None, "/remote/cc.cozycloud.dacc", {}),
        ("cozy-v2", None, "/remote/cc.cozycloud.dacc_v2", {"path": "measure"}),
        ("cozy-v1", "cc.cozycloud.dacc.dev", "/remote/cc.cozycloud.dacc.dev", {}),
        (
            "cozy-v2",
            "cc.cozycloud.dacc.dev_v2",
            "/remote/cc.cozycloud.dacc.dev_v2",
            {"path": "measure"},
        ),
    ],
)
async def test_a_cozy_envelope_holds_the_indicator_as_text(
    fill: Filled,
    quick: Quick,
    rows: Rows,
    wire: Any,
    target: Any,
    doctype: Any,
    path: str,
    more: Any,
) -> None:
    """A Cozy target posts the indicator's own bytes as a text, and no key but what it must have."""
    await fill("alice.example", PAGES[:1])
    async with Worker(quick(wire.url, target=target, doctype=doctype)).opened() as worker:
        (row,) = await rows(worker)
        assert row.indicator is not None
        assert (await worker.send()).outcomes == {"delivered": 1}
    (request,) = wire.requests
    assert request.path == path
    assert json.loads(request.body) == {"data": bytes(row.indicator).decode(), **more}
    assert request.headers["content-type"] == "application/json"


async def test_each_person_has_an_address_and_a_token(
    fill: Filled, quick: Quick, wire: Any, tmp_path: Path
) -> None:
    """`{instance}` in the address and in the token's path stands for each person's."""
    for name in ("alice.example", "bob.example:8080"):
        await fill(name, PAGES[:2])
        (tmp_path / name).write_text(f"token-of-{name}")
    settings = quick(wire.url + "/{instance}", target="cozy-v2", token_file=tmp_path / "{instance}")
    async with Worker(settings).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 4}
    seen = {(one.path.split("/")[1], one.headers["authorization"]) for one in wire.requests}
    assert seen == {
        (name, f"Bearer token-of-{name}") for name in ("alice.example", "bob.example:8080")
    }


async def test_one_token_may_be_for_all(
    fill: Filled, quick: Quick, wire: Any, tmp_path: Path
) -> None:
    """Without `{instance}` in its path the same token goes to every stack."""
    (tmp_path / "token").write_text("shared")
    await fill("alice.example", PAGES[:1])
    await fill("bob.example", PAGES[:1])
    settings = quick(wire.url + "/{instance}", target="cozy-v1", token_file=tmp_path / "token")
    async with Worker(settings).opened() as worker:
        await worker.send()
    assert [one.headers["authorization"] for one in wire.requests] == ["Bearer shared"] * 2


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_host_gives_each_destination(
    fill: Filled, quick: Quick, wire: Any, *, is_async: bool
) -> None:
    """A function of the host's, async or not, gives each person's address and token."""

    def plain(name: str) -> tuple[str, str]:
        return f"{wire.url}/{name}", f"t-{name}"

    async def awaited(name: str) -> tuple[str, str]:
        return plain(name)

    await fill("alice.example", PAGES[:1])
    settings = quick(None, target="cozy-v2")
    function = awaited if is_async else plain
    async with Worker(settings, destination=function).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 1}
        assert worker.status().advice == []
    (request,) = wire.requests
    assert request.path == "/alice.example/remote/cc.cozycloud.dacc_v2"
    assert request.headers["authorization"] == "Bearer t-alice.example"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (LookupError("unknown person"), "the host gives no destination: LookupError: unknown"),
        (("http://stack.example", "t"), "https, or http to this machine"),
        (("https://x:y@stack.example", "t"), "found a user name or password in it"),
        (("https://stack.example", "two words"), "the token that the host gives must be"),
        ("https://stack.example", "the host gives no destination: ValueError"),
        ((1, 2), "that is no (url, token) of texts"),
    ],
)
async def test_what_a_host_gives_wrongly_holds_one_person_back(
    fill: Filled, quick: Quick, wire: Any, rows: Rows, answer: Any, words: str
) -> None:
    """An error of the host's function pauses that person's rows with its words; others go on."""

    def function(name: str) -> Any:
        if name == "bob.example":
            return wire.url, None
        if isinstance(answer, Exception):
            raise answer
        return answer

    await fill("alice.example", PAGES[:1])
    await fill("bob.example", PAGES[:1])
    settings = quick(None, target="cozy-v2")
    async with Worker(settings, destination=function).opened() as worker:
        report = await worker.send()
        assert report.outcomes["delivered"] == 1
        assert words in (report.reason or "")
        (waiting,) = await rows(worker, "pending")
        assert (waiting.counted_attempts, waiting.maybe_delivered) == (0, 0)
        assert worker.status().destination_states == {"ready": 1, "paused": 1, "open": 0}


REFUSED = b"HTTP/1.1 401 NO\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "source", "words"),
    [
        ("native", "none", "; name a file with the right one in dacc.token_file"),
        ("cozy-v2", "none", "dacc.token_file, of a path with {instance} in it if each person has"),
        ("native", "file", "; tried again at once when the token file changes"),
        ("cozy-v2", "file", "; tried again at once when the token file changes"),
        ("native", "credential", "; hand the right one over as the credential dacc-token, and"),
        ("cozy-v2", "host", "; tried again at once when the host gives another one"),
    ],
)
async def test_what_to_do_about_a_refused_token_fits_where_it_comes_from(
    fill: Filled, quick: Quick, wire: Any, tmp_path: Path, monkeypatch: Any,
    target: str, source: str, words: str,
) -> None:  # fmt: skip
    """What is advised can be done: a file to name or change, a credential, or the host's turn."""
    (tmp_path / "dacc-token").write_text("wrong")
    if source == "credential":
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = {"token_file": tmp_path / "dacc-token"} if source == "file" else {}
    function = (lambda _: (wire.url, "wrong")) if source == "host" else None
    wire.answer = lambda _: REFUSED
    await fill("alice.example", PAGES[:1])
    settings = quick(wire.url, target=target, **file)
    async with Worker(settings, destination=function).opened() as worker:
        assert (await worker.send()).outcomes == {"unauthorized": 1}
        (advice,) = worker.status().advice
        assert words in advice
        if source != "host":
            assert "the host" not in advice


async def test_a_proxy_of_the_environment_is_not_used(
    fill: Filled, quick: Quick, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Indicators and tokens go where the settings say, whatever proxy the environment names."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    await fill(pages=("gas",))
    async with Worker(quick(echo.url)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 1}


async def test_a_host_function_wants_a_cozy_target() -> None:
    """The native target has one address for all, so that a function for each is refused."""
    with pytest.raises(ConfigurationError, match="set it to cozy-v1 or cozy-v2"):
        Worker(Settings(), destination=lambda name: (f"https://{name}", None))


async def test_a_change_of_the_target_moves_what_waits(
    state_dir: Path, fill: Filled, quick: Quick, wire: Any, echo: Echo
) -> None:
    """After a change of target or address all that waits goes there, and no pause holds it."""
    wire.answer = lambda _: b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    await fill("alice.example", PAGES[:2])
    await fill("bob.example", PAGES[:2])
    async with Worker(quick(wire.url)).opened() as worker:
        await worker.send()
        assert worker.status().destination_states["paused"] == 1
    before = len(wire.requests)
    async with Worker(quick(wire.url + "/{instance}", target="cozy-v1")).opened() as worker:
        assert worker.status().destination_states == {"ready": 2, "paused": 0, "open": 0}
        await worker.send()
    assert {one.path.split("/")[1] for one in wire.requests[before:]} == {
        "alice.example",
        "bob.example",
    }
    async with Worker(quick(echo.url)).opened() as worker:
        assert (await worker.send()).outcomes == {"delivered": 4}
        assert worker.status().destination_states == {"ready": 1, "paused": 0, "open": 0}
    await assert_balanced(state_dir, echo.url)


async def test_a_finished_row_ties_nothing_to_a_person(
    state_dir: Path, fill: Filled, quick: Quick, echo: Echo
) -> None:
    """With a destination for each person, what was sent no longer says which it was."""
    await fill("alice.example", PAGES[:2])
    async with Worker(quick(echo.url + "/{instance}", target="cozy-v2")).opened() as worker:
        await worker.send()
        found = await worker.database.read(
            lambda connection: connection.execute(
                "SELECT DISTINCT state, instance, destination, shuffle FROM outbox"
            ).fetchall()
        )
    assert found == [("sent", None, None, 0)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"url": "https://{instance}/"}, "dacc.url: found {instance} in it; allowed: with the tar"),
        ({"token_file": Path("/t/{instance}")}, "dacc.token_file: found {instance} in it"),
        ({"url": "https://{person}/", "target": "cozy-v1"}, "an http or https address without"),
        ({"url": "{instance}", "target": "cozy-v1"}, "an http or https address without"),
        ({"url": "http://{instance}", "target": "cozy-v2"}, "https, or http to this machine"),
        ({"url": "https://{instance}@x.example", "target": "cozy-v2"}, "a user name or password"),
    ],
)
def test_an_address_for_each_person_is_checked(fields: Any, words: str) -> None:
    """`{instance}` stands in a proper address, over TLS, and only where each person has one."""
    with pytest.raises(ConfigurationError) as refused:
        Dacc(**fields)
    assert words in str(refused.value)
    assert "invalid" not in str(refused.value)


def test_an_address_for_each_person_on_this_machine_is_local() -> None:
    """What stands in the path leaves a loopback address what it is; as a host it does not."""
    assert Dacc(url="http://127.0.0.1:8081/{instance}", target="cozy-v1").is_loopback
    assert not Dacc(url="https://{instance}", target="cozy-v1").is_loopback
