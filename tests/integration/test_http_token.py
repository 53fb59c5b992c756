"""The HTTP face's token: whom it lets in, and when it changes."""

import grp
import hmac
import io
import os
from pathlib import Path

import anyio
import httpx
import pytest
import structlog

from ecolyo_worker import ConfigurationError, Settings, Worker
from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.configuration import read
from ecolyo_worker.service import asgi
from ecolyo_worker.service.server import HttpFace
from ecolyo_worker.settings import Http
from ecolyo_worker.testing.ledger import assert_balanced

from .conftest import TOKEN, Serve, Served

ALICE = "/v1/instances/alice.example"
CONSENT = {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"}


def replace(path: Path, text: bytes | None) -> None:
    """Write a file as if in another second, or remove it."""
    path.unlink()
    if text is not None:
        path.write_bytes(text)
        os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer é"]
)
async def test_without_the_token_nobody_comes_in(served: Served, shown: str) -> None:
    """Whoever does not show the token gets 401, wherever under /v1, and no method changes that."""
    headers = {b"authorization": shown.encode()}
    async with served.client(token=None) as client:
        for method, path in [("GET", "/v1/status"), ("PUT", ALICE), ("GET", "/v1/nowhere")]:
            done = await client.request(method, path, headers=headers, json={"consent": CONSENT})
            assert (done.status_code, done.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client.get("/v1/status")).status_code == 401
        for path in ("/livez", "/readyz"):
            assert (await client.get(path)).status_code == 200
    assert served.worker.status().instances == 0


async def test_a_new_token_holds_at_once(served: Served, token_file: Path) -> None:
    """When the token's file changes, the new one is asked for, and the old one is worth nothing."""
    replace(token_file, b"another-one")
    async with served.client() as old, served.client(token="another-one") as new:
        assert (await old.get("/v1/status")).status_code == 401
        assert (await new.get("/v1/status")).status_code == 200
        replace(token_file, None)
        done = await new.get("/v1/status")
        assert (done.status_code, done.json()["error"]["code"]) == (503, "misconfigured")
        assert str(token_file) not in done.text


async def test_several_tokens_are_good_at_once(serve: Serve, token_file: Path) -> None:
    """While clients change one by one, the old and the new token are good, each on its line."""
    replace(token_file, f"another-one\r\n\n  {TOKEN}".encode())
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out), processors=[structlog.processors.KeyValueRenderer()]
    )
    told = "place=2 event='a client shows a token below the first'\n"
    async with serve(logger=logger) as served, served.client(token="another-one") as new:
        async with served.client() as old, served.client(token="third") as stranger:
            assert (await new.get("/v1/status")).status_code == 200
            assert "below" not in out.getvalue()
            for _ in range(2):
                assert (await old.get("/v1/status")).status_code == 200
            assert (await stranger.get("/v1/status")).status_code == 401
            assert out.getvalue().count(told) == 1
            replace(token_file, b"another-one\nthird")
            os.utime(token_file, ns=(2, 2))
            assert (await old.get("/v1/status")).status_code == 401
            assert (await stranger.get("/v1/status")).status_code == 200
            assert out.getvalue().count(told) == 2
        assert (await new.get("/v1/status")).status_code == 200


SHOWN = [b"", b"t", TOKEN[:-1].encode(), b"x" * 5000, b"\xff\xfe", "é".encode(), b"x y"]


async def test_tokens_are_compared_in_constant_time(
    served: Served, token_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is shown is compared with all tokens, as bytes, in a time that tells nothing."""
    replace(token_file, f"{TOKEN}\nsecond".encode())
    compared: list[tuple[object, object]] = []
    compare = hmac.compare_digest

    def spied(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spied)
    async with served.client(token=None) as client:
        for shown in SHOWN:
            headers = {b"authorization": (b"Bearer " + shown).strip()}
            assert (await client.get("/v1/status", headers=headers)).status_code == 401
    assert compared == [(shown, one) for shown in SHOWN for one in (TOKEN.encode(), b"second")]


NO_TOKENS = [b"", b"\n", b"two words", "é".encode(), b"\xff", b"x" * 8193]
TOO_MANY = b"\n".join(b"token-%d" % number for number in range(9))
TOO_LONG = b"good\n" + b"x" * 8193


@pytest.mark.parametrize("content", [*NO_TOKENS, TOO_MANY, TOO_LONG, b"good\n" + b"\n" * 70_000])
async def test_what_is_no_token_lets_nobody_in(
    served: Served, token_file: Path, content: bytes
) -> None:
    """A file that holds no token is refused at a start; later it lets nobody in, with nothing."""
    replace(token_file, content)
    for shown in (b"", content.strip().partition(b"\n")[0], TOKEN.encode()):
        headers = {b"authorization": (b"Bearer " + shown).strip()}
        async with served.client(token=None) as client:
            done = await client.get("/v1/status", headers=headers)
        assert (done.status_code, done.json()["error"]["code"]) == (503, "misconfigured")
    with pytest.raises(ConfigurationError, match=r"^http\.token_file: .* must hold one token"):
        HttpFace(served.worker)


async def test_a_host_can_guard_it_itself(state_dir: Path) -> None:
    """Mounted in a host's application it wants a token too, unless the host says it guards it."""
    worker = Worker(Settings(state_dir=state_dir))
    with pytest.raises(ConfigurationError, match=r"http\.token_file: found none"):
        asgi(worker)
    transport = httpx.ASGITransport(asgi(worker, is_guarded=True))
    async with worker, httpx.AsyncClient(transport=transport, base_url="http://host") as client:
        assert (await client.get("/v1/status")).status_code == 200


async def test_tcp_without_a_token_does_not_begin(state_dir: Path) -> None:
    """To listen on TCP without a token is refused at the start, with what to do."""
    settings = Settings(state_dir=state_dir, http=Http(listen="127.0.0.1:0"))
    async with Worker(settings) as worker:
        with pytest.raises(ConfigurationError, match=r"http\.token_file: found none; .*write"):
            HttpFace(worker)


async def test_the_token_may_be_a_credential(
    state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systemd's credential `http-token` is the token where no file is named."""
    (tmp_path / "http-token").write_text(TOKEN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    transport = httpx.ASGITransport(asgi(worker := Worker(Settings(state_dir=state_dir))))
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with (
        worker,
        httpx.AsyncClient(transport=transport, base_url="http://h", headers=headers) as client,
    ):
        assert (await client.get("/v1/status")).status_code == 200


async def test_a_unix_socket_asks_for_no_token(state_dir: Path, tmp_path: Path) -> None:
    """On a Unix socket the file's mode decides: it is its owner's alone, and goes at the end."""
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    path = deep / "http.sock"
    settings = Settings(state_dir=state_dir, http=Http(listen=f"unix:{path}"))
    async with Worker(settings) as worker:
        face = HttpFace(worker)
        async with anyio.create_task_group() as running:
            await running.start(face.run)
            assert path.stat().st_mode & 0o777 == 0o600
            short = tmp_path / "s"
            short.symlink_to(deep)
            transport = httpx.AsyncHTTPTransport(uds=str(short / "http.sock"))
            async with httpx.AsyncClient(transport=transport, base_url="http://h") as client:
                assert (await client.get("/v1/status")).status_code == 200
            face.stop()
        assert not path.exists()
    await assert_balanced(state_dir)


async def test_a_unix_socket_lets_a_group_in(state_dir: Path, tmp_path: Path) -> None:
    """It has the mode and the group that the settings say, from the moment that it listens."""
    group = a_group()
    http = Http(listen=f"unix:{tmp_path}/s", socket_mode="0660", socket_group=group.gr_name)
    async with Worker(Settings(state_dir=state_dir, http=http)) as worker:
        face = HttpFace(worker)
        async with anyio.create_task_group() as running:
            await running.start(face.run)
            found = (tmp_path / "s").stat()
            assert (found.st_mode & 0o777, found.st_gid) == (0o660, group.gr_gid)
            face.stop()


def a_group() -> grp.struct_group:
    """Give a group that this process may give its files to: another than its own if it can."""
    mine = set(os.getgroups()) - {os.getegid()}
    others = [one for one in grp.getgrall() if one.gr_gid in mine or os.geteuid() == 0]
    return next((one for one in others if one.gr_gid != os.getegid()), grp.getgrgid(os.getegid()))


@pytest.mark.parametrize("name", ["no-such-group", "", "x" * 1000])
def test_an_unknown_group_is_a_wrong_setting(state_dir: Path, name: str) -> None:
    """A group that is not there is named by `check-config`, and no face is made with it."""
    http = Http(listen="unix:/run/s", socket_group=name)
    worker = Worker(Settings(state_dir=state_dir, http=http))
    with pytest.raises(
        ConfigurationError, match=r"^http\.socket_group: found .*; allowed: a group"
    ):
        HttpFace(worker)
    environ = {"ECOLYO_HTTP__LISTEN": "unix:/run/s", "ECOLYO_HTTP__SOCKET_GROUP": name}
    (problem,) = check_settings(read(None, environ))
    assert (problem.key, problem.place) == ("http.socket_group", "$ECOLYO_HTTP__SOCKET_GROUP")


@pytest.mark.parametrize("mode", ["660", "0666", "0000"])
def test_a_mode_is_octal(mode: str) -> None:
    """A mode has three octal digits, and may begin with a zero, as chmod takes it."""
    assert Http(socket_mode=mode).socket_mode == mode
    for wrong in (f"1{mode}", "u=rw", "888", f"{mode}\n", f"0o{mode}"):
        with pytest.raises(ConfigurationError, match=r"^http\.socket_mode"):
            Http(socket_mode=wrong)
