"""How fast the echo server's page filters 10,000 indicators, beside the 200 ms that it may take."""

import json
import shutil
import sys

from playwright.sync_api import Page, expect, sync_playwright

from bench.measure import ROUNDS, demand, sized, tell
from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.dacc.received import Received

MANY = sized(10_000)
ALLOWED_MS = 200
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# From the key that is pressed to the lines laid out anew.
FILTER = """async (words) => {
  const input = document.querySelector("#filter");
  const begin = performance.now();
  for (const word of words) {
    input.value = word;
    input.dispatchEvent(new Event("input"));
    document.querySelector("#list").getBoundingClientRect();
  }
  return (performance.now() - begin) / words.length;
}"""
WORDS = ["quiz", "group:quiz0999 measure:stars", "verdict:ok -value:1", "nothing", ""]


def fill(received: Received) -> None:
    """Let so many different indicators have come."""
    for value in range(MANY):
        groups = {
            "group1": {"challenge_id": "CHALLENGE0001"},
            "group2": {"quiz_id": f"Q{value:05}"},
        }
        named = {"createdBy": "ecolyo", "measureName": "quiz-stars", "startDate": "2026-11-20"}
        content = {**named, "value": value, **groups}
        ruling = Ruling(None, "ok", stored=True, text=json.dumps(content), indicator=content)
        received.add(ruling)


def measured(page: Page) -> float:
    """Give how many times in a second the list is filtered."""
    return 1000 / float(page.evaluate(FILTER, WORDS))


def main() -> None:
    """Measure, and print what came of it."""
    path = shutil.which("chromium")
    if path is None:
        sys.exit("there is no Chromium: install Debian's package, apt-get install chromium")
    with EchoServer() as echo, sync_playwright() as playwright:
        fill(echo.received)
        page = playwright.chromium.launch(executable_path=path, args=FLAGS).new_page()
        page.goto(f"{echo.url}/")
        expect(page.locator("#memory")).to_have_text(f"{MANY:,} requests listed", timeout=30_000)
        found = [measured(page) for _ in range(ROUNDS)]
    demand(tell("page_filter", found, [1000 / ALLOWED_MS] * ROUNDS, "filters/s"))


if __name__ == "__main__":
    main()
