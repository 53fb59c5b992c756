"""The pictures of the page in docs/ show what it shows; this test makes them when it is told to.

Fonts differ between machines: so the words are compared that were on the page, which stand in the
picture's file, and the colours of what is there, in a coarse grid.
"""

import base64
import json
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from ecolyo_worker.tools.dacc_echo import EchoServer

DOCS = Path(__file__).parents[2] / "docs"
FOLDER = DOCS / "images"
NAMES = ["empty", "first", "full", "detail", "metabase", "dark"]
SIZE = (1360, 850)
STALE = "run `make screenshots`, and look at them"
ALLOWED = 2.0
"""How far a part of the grid may be from the other's, in the mean, of 255."""
GRID = """async (picture) => {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const size = {resizeWidth: 34, resizeHeight: 21, resizeQuality: "high"};
  const small = await createImageBitmap(image, size);
  const context = new OffscreenCanvas(34, 21).getContext("2d");
  context.drawImage(small, 0, 0);
  return [...context.getImageData(0, 0, 34, 21).data];
}"""
WRITTEN = os.environ.get("SCREENSHOTS") == "write"
# Only for pictures that are kept it matters which address they show.
PORT = 8081 if WRITTEN else 0

Indicator = dict[str, Any]
Post = Callable[..., int]


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer(label="my desk", seed=1, port=PORT) as server:
        yield server


def indicator(measure: str, day: int, value: object, **groups: str) -> Indicator:
    numbered = {f"group{n + 1}": dict([group]) for n, group in enumerate(groups.items())}
    date = f"2026-11-{day:02}"
    named = {"createdBy": "ecolyo", "measureName": measure, "startDate": date, "value": value}
    return {**named, **numbered}


def of_a_day(day: int) -> Iterator[Indicator]:
    """Give what a few people's day makes, the same each time."""
    for n, page in zip(range(5), cycle(["consumption", "challenges", "ecogesture"])):
        yield indicator("navigation-count-daily", day, 2 + n, page=page)
    for n, device in zip(range(7), cycle(["mobile", "desktop", "mobile"])):
        yield indicator("connection-count-daily", day, 1 + n % 3, device=device)
    for slug in ("enedissgegrandlyon", "grdfgrandlyon", "eglgrandlyon"):
        states = {"slug": slug, "event_type": "refresh", "status": "success"}
        yield indicator("konnector-event-daily", day, 1, **states)
    yield indicator("quiz-stars", day, 4, challenge_id="CHALLENGE0004", quiz_id="QUIZ0004")
    yield indicator("session-duration", day, 312, number_pages="4", session_type="any")


def send_all(echo: EchoServer, post: Post) -> None:
    """Let five days arrive by all wire forms, with all that can be wrong at the end."""
    v1, v2 = "remote/cc.cozycloud.dacc", "remote/cc.cozycloud.dacc_v2"
    ways = cycle(["/measure", f"/alice/{v1}", f"/bob/{v2}", f"/carol/{v2}"])
    for day in range(16, 21):
        for n, content in enumerate(of_a_day(day)):
            deliver(post, {**content, "value": content["value"] + n % 2}, next(ways))
    feature = {"page": "electricity", "feature": "ConsumptionChangeTimeStepEvent"}
    clicks = indicator("navigation-action-daily", 20, 3, **feature, params="month")
    deliver(post, clicks, f"/alice/{v1}")
    deliver(post, clicks, f"/alice/{v1}")
    echo.faults.replace("status=503,cozy-502,accept-then-cant-connect")
    for _ in range(3):
        deliver(post, indicator("session-duration", 20, 45, number_pages="2", session_type="any"))
    deliver(post, indicator("quiz-stars", 20, "four", challenge_id="CHALLENGE0005", quiz_id="Q1"))
    leaky = {"slug": "12345678901234", "event_type": "connexion", "status": "success"}
    deliver(post, indicator("konnector-event-daily", 20, 1, **leaky), f"/bob/{v2}")
    for content in list(of_a_day(20))[:4]:
        deliver(post, {**content, "value": 9})


def deliver(post: Post, content: Indicator, way: str = "/measure") -> None:
    envelope = {"data": json.dumps(content), **({"path": "measure"} if "_v2" in way else {})}
    post(envelope if "remote" in way else content, way, Authorization="Bearer made-up-token")


@pytest.fixture
def keep(browser: Browser, echo: EchoServer) -> Callable[[Page, str], None]:
    """Keep a picture of a page in docs/ if that is wanted; else the one kept must show the same."""

    def take(page: Page, name: str) -> None:
        page.mouse.move(0, 0)
        # What has just arrived fades for a moment.
        drawn = page.screenshot(animations="disabled")
        words = shown(page, echo.port)
        path = FOLDER / f"{name}.png"
        if WRITTEN:
            path.write_bytes(with_words(drawn, words))
        assert size(path) == SIZE
        assert words_of(path.read_bytes()) == words, STALE
        assert distance(browser, path.read_bytes(), drawn) < ALLOWED, STALE

    return take


def shown(page: Page, port: int) -> str:
    """Give the lines in sight in any order, without what differs each time, and with one port."""
    text = page.locator("body").inner_text()
    text = re.sub(r"\d\d:\d\d:\d\d(\.\d+)?|\d+(?=\s+busiest second)", "…", text)
    return "\n".join(sorted(text.replace(f":{port}", ":8081").splitlines()))


def with_words(png: bytes, words: str) -> bytes:
    """Put words into a PNG file, behind its head."""
    chunk = b"iTXtDescription\0\0\0\0\0" + words.encode()
    length, check = struct.pack(">I", len(chunk) - 4), struct.pack(">I", zlib.crc32(chunk))
    return png[:33] + length + chunk + check + png[33:]


def words_of(png: bytes) -> str:
    """Give the words that were put into a PNG file."""
    (length,) = struct.unpack(">I", png[33:37])
    assert png[37:41] == b"iTXt", STALE
    return png[41 : 41 + length].removeprefix(b"Description\0\0\0\0\0").decode()


def distance(browser: Browser, one: bytes, other: bytes) -> float:
    """Give how far the colours of two pictures are from each other in the mean."""
    page = browser.new_page()
    grids = [page.evaluate(GRID, base64.b64encode(png).decode()) for png in (one, other)]
    page.close()
    return fmean(abs(a - b) for a, b in zip(*grids, strict=True))


def size(path: Path) -> tuple[int, int]:
    """Give the width and the height of a PNG file."""
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_pictures(
    page: Page, echo: EchoServer, post: Post, keep: Callable[[Page, str], None]
) -> None:
    """The page as it is can be pictured: empty, full, with a request open, and its cells."""
    keep(page, "empty")
    send_all(echo, post)
    expect(page.locator("#memory")).to_have_text(re.compile("^96 requests listed"))
    expect(page.locator("#count-received b")).to_have_text("93")
    keep(page, "full")
    page.locator("#spacer .line", has_text="leak").click()
    expect(page.locator("#detail")).to_contain_text("Leak: a number of 14 digits")
    keep(page, "detail")
    page.keyboard.press("Escape")
    page.locator("#plan").click()
    page.get_by_label("A button sets its fault").select_option("for the next 3 requests")
    page.get_by_role("button", name="status=503", exact=True).click()
    expect(page.locator("#plan")).to_have_text("Faults: status=503*3")
    page.get_by_role("tab", name="What Metabase would show").click()
    expect(page.locator("#cell-rows tr").first).to_be_visible()
    keep(page, "metabase")


def test_picture_of_the_tutorial(page: Page, post: Post, keep: Callable[[Page, str], None]) -> None:
    """So can it be with the one indicator that the tutorial makes, opened."""
    content = indicator("navigation-count-daily", 1, 1, page="electricity")
    post(json.dumps({**content, "startDate": "2026-03-02"}, separators=(",", ":")), "/measure")
    page.locator("#spacer .line").click()
    expect(page.locator("#detail")).to_contain_text("electricity")
    keep(page, "first")


def test_picture_in_the_dark(
    browser: Browser, echo: EchoServer, post: Post, keep: Callable[[Page, str], None]
) -> None:
    """So can it be where the system is dark."""
    send_all(echo, post)
    with browser.new_context(
        color_scheme="dark", viewport={"width": SIZE[0], "height": SIZE[1]}
    ) as context:
        page = context.new_page()
        page.goto(f"{echo.url}/")
        page.locator("#spacer .line", has_text="dup").first.click()
        expect(page.locator("#detail")).to_contain_text("Duplicate: the same as request")
        keep(page, "dark")


@pytest.mark.parametrize("name", NAMES)
def test_documented(name: str) -> None:
    """Each picture stands in a page, with words for who does not see it."""
    pages = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")]
    assert any(re.search(rf"!\[[^]]{{9,}}\]\([./]*images/{name}\.png\)", text) for text in pages)
