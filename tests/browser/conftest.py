"""The system's Chromium, driven by playwright, and an echo server to look at."""

import http.client
import json
import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ecolyo_worker.tools.dacc_echo import EchoServer

MISSING = "there is no Chromium: install Debian's package, apt-get install chromium"
# As root it has no sandbox of its own; the others keep it from asking its makers anything.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000

Post = Callable[..., int]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module; none is a skip, and a failure where `REQUIRE_BROWSER` is set.

    It ends with its module, for its driver keeps an event loop that others would collide with.
    """
    path = shutil.which("chromium")
    if path is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(label="my desk", seed=1) as server:
        yield server


@pytest.fixture
def post(echo: EchoServer) -> Post:
    """Send an indicator as the worker does; give the status of the answer, 0 for none."""

    def send(indicator: object, path: str = "/measure", **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = indicator if isinstance(indicator, str) else json.dumps(indicator)
        try:
            own = {"Content-Type": "application/json", "User-Agent": "ecolyo-worker/0.1.0"}
            connection.request("POST", path, body.encode(), {**own, **named})
            answer = connection.getresponse()
            answer.read()
        except ConnectionError:
            return 0
        finally:
            connection.close()
        return answer.status

    return send


@pytest.fixture
def page(browser: Browser, echo: EchoServer) -> Iterator[Page]:
    """The page, live; a script that fails, or anything that its policy forbids, fails the test."""
    complaints: list[str] = []
    with browser.new_context(viewport={"width": 1360, "height": 850}) as context:
        opened = context.new_page()
        opened.set_default_timeout(PATIENCE_MS)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda message: complaints.append(message.text))
        opened.goto(f"{echo.url}/")
        expect(opened.locator("#connection")).to_have_text("live")
        yield opened
    # Chromium itself tells of each answer that is an error, as tests provoke them.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []
