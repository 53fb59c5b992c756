"""The script ``tools/dacc_echo.py`` needs nothing but a Python, and little of the machine."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from urllib.parse import urlsplit

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.dacc.exchange import Ruling
from ecolyo_worker.tools.twins.exchange import Request

TOOLS = Path(__file__).parents[2] / "tools"
INDICATOR = {
    "createdBy": "ecolyo",
    "measureName": "profile-count-monthly",
    "startDate": "2026-11-01",
    "value": 1,
}
# What takes long to import, and it can do without: its first line is there within a second.
SLOW = {"asyncio", "concurrent.futures", "email", "http.client", "http.server", "logging", "ssl"}
SLOW |= {"multiprocessing", "sqlite3", "unittest", "urllib.request", "xml", "zoneinfo"}
MOST_MODULES = 250
# Runs a script as `python SCRIPT` does, and tells at its end which modules there are.
RUN = """
import json, runpy, sys
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def ask(url: str, method: str, path: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().read()
    finally:
        connection.close()


def test_standard_library() -> None:
    """From its start, over an indicator and the page, to its end it imports nothing foreign."""
    # Neither site packages nor what the environment names.
    command = [sys.executable, "-S", "-E", "-c", RUN, str(TOOLS / "dacc_echo.py"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split('"')[1]
        assert ask(url, "POST", "/measure", json.dumps(INDICATOR)) == b'{"ok": true}'
        assert b"nearest" in ask(url, "GET", "/api/wait?n=1&value=3&timeout=0.001")
        assert ask(url, "GET", "/").startswith(b"<!doctype html>")
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=10)
    modules = set(json.loads(told))
    assert "twins.dacc.server" in modules
    known = {*sys.stdlib_module_names, "twins", "__main__"}
    assert {name for name in modules if name.partition(".")[0] not in known} == set()
    assert modules & SLOW == set()
    assert len(modules) < MOST_MODULES


def test_memory() -> None:
    """Ten times as many indicators as it keeps take no more room than they, and are counted."""
    kept = 1_000

    def receive(count: int, echo: EchoServer) -> int:
        for value in range(count):
            indicator = {**INDICATOR, "value": value}
            request = Request("POST", "/measure", body=json.dumps(indicator).encode())
            echo.received.add(Ruling(None, "ok", stored=True, indicator=indicator), request)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        with EchoServer(most_records=kept) as echo:
            nothing, full, much_more = (receive(count, echo) for count in (0, 2 * kept, 8 * kept))
            counts = json.loads(ask(echo.url, "GET", "/api/count"))
            page = ask(echo.url, "GET", "/").decode()
    finally:
        tracemalloc.stop()
    assert much_more - nothing < 1.05 * (full - nothing)
    assert (counts["received"], counts["dropped"]) == (10 * kept, 9 * kept)
    assert f" · dropped {9 * kept}" in page
