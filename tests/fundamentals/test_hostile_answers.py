"""A server that repeats the token it was sent: nothing that is kept or printed holds it."""

import html
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.commands import Commands

from .conftest import PAGES, Request

Filled = Callable[..., Awaitable[None]]
Quick = Callable[..., Settings]

TOKEN = "t0k+en/with<all>\"that\\one'may&write="


def answer(status: int, body: str) -> bytes:
    text = body.encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text


ANSWERS = {
    "plain": lambda token: answer(400, f"no: {token}"),
    "json": lambda token: answer(400, json.dumps({"error": token})),
    "json with slashes": lambda token: answer(400, json.dumps(token).replace("/", "\\/")),
    "html": lambda token: answer(500, f"<p>{html.escape(token)}</p>"),
    "url": lambda token: answer(403, quote(token, safe="")),
    "path": lambda token: answer(404, quote(token)),
    "where it is cut": lambda token: answer(400, "x" * 190 + token),
    "many times": lambda token: answer(400, token * 20),
    "no HTTP": lambda token: f"{token}\r\n\r\n".encode(),
    "no HTTP, cut": lambda token: f"{'x' * 120}{token}\r\n\r\n".encode(),
    "a bad length": lambda token: f"HTTP/1.1 201 X\r\nContent-Length: {token}\r\n\r\n".encode(),
    "a header": lambda token: (
        f"HTTP/1.1 503 X\r\nRetry-After: {token}\r\nContent-Length: 0\r\n\r\n".encode()
    ),
}
"""Ways of a server to say a token."""


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    return path


def pieces(text: str) -> list[str]:
    """Give what must not be found: the token as it may be written, and a half of it."""
    forms = (text, json.dumps(text)[1:-1], html.escape(text), quote(text), quote(text, safe=""))
    return [*forms, text[: len(text) // 2]]


def content(state_dir: Path) -> bytes:
    return b"".join(path.read_bytes() for path in state_dir.iterdir())


def said(request: Request, how: str) -> bytes:
    token = request.headers["authorization"].removeprefix("Bearer ")
    assert token == TOKEN
    return ANSWERS[how](token)


@pytest.mark.parametrize("how", ANSWERS)
async def test_no_answer_brings_the_token_back(
    fill: Filled,
    quick: Quick,
    wire: Any,
    token_file: Path,
    state_dir: Path,
    how: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However a server says it, the token is in no row, reason or log line, nor in any file."""
    await fill("alice.example", PAGES[:1])
    wire.answer = lambda request: said(request, how)
    with caplog.at_level("DEBUG", logger="ecolyo_worker"):
        async with Worker(quick(wire.url, token_file=token_file)).opened() as worker:
            report = await worker.send()
            shown = [report, worker.status(), await Commands(worker).outbox_show(1)]
            held = content(state_dir)
    assert {one.headers["authorization"] for one in wire.requests} == {f"Bearer {TOKEN}"}
    text = "\n".join([*map(str, shown), caplog.text, held.decode("utf-8", "replace")])
    assert [piece for piece in pieces(TOKEN) if piece in text] == []


async def test_no_command_prints_it(fill: Filled, wire: Any, token_file: Path, cli: Any) -> None:
    """Not at the finest log level either; what stands for it tells where it was."""
    await fill("alice.example", PAGES[:1])
    wire.answer = lambda request: said(request, "json")
    env = {"ECOLYO_DACC__URL": wire.url, "ECOLYO_DACC__TOKEN_FILE": str(token_file)}
    printed = ""
    for command in ("send --log-level debug", "outbox list", "outbox show 1", "status"):
        done = await cli(*command.split(), env=env)
        printed += done.stdout.decode() + done.stderr.decode()
    assert "[token]" in printed
    assert [piece for piece in pieces(TOKEN) if piece in printed] == []
