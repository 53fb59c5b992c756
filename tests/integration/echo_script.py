"""The script ``tools/dacc_echo.py``, run by a bare interpreter, and asked over a socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.integration.echo_asking import GOOD

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCRIPT = Path(__file__).parents[2] / "tools" / "dacc_echo.py"
# Without site packages and with warnings as errors: the bare interpreter must do.
COMMAND = [sys.executable, "-S", "-W", "error", str(SCRIPT)]
ABSENT = object()
JSON = "application/json"


@dataclass
class Reply:
    status: int
    content_type: str | None
    text: str
    headers: Mapping[str, str]

    @property
    def content(self) -> Any:
        return json.loads(self.text)


@dataclass
class Script:
    first_line: str
    url: str
    process: subprocess.Popen[str]

    def send(
        self,
        method: str,
        path: str,
        body: str | bytes | None = None,
        content_type: str | None = JSON,
        token: str | None = None,
    ) -> Reply:
        headers = {"Content-Type": content_type, "Authorization": token}
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        try:
            connection.request(method, path, body, {k: v for k, v in headers.items() if v})
            answer = connection.getresponse()
            text = answer.read().decode()
            headers_back = dict(answer.getheaders())
            return Reply(answer.status, headers_back.get("Content-Type"), text, headers_back)
        finally:
            connection.close()

    def post(self, indicator: object, path: str = "/measure", token: str | None = None) -> Reply:
        return self.send("POST", path, json.dumps(indicator), token=token)

    def records(self) -> Any:
        return self.send("GET", "/api/indicators").content

    def end(self) -> list[str]:
        """Stop it as systemd would; give the lines that it printed after the first."""
        self.process.send_signal(signal.SIGTERM)
        printed, errors = self.process.communicate(timeout=10)
        assert (self.process.returncode, errors) == (0, "")
        return printed.splitlines()


@contextmanager
def running(*options: str) -> Iterator[Script]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    with process:
        try:
            assert process.stdout is not None
            first_line = process.stdout.readline()
            assert first_line.startswith('url = "http://'), first_line
            yield Script(first_line, first_line.split('"')[1], process)
        finally:
            process.kill()


def ended(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=10, check=False
    )


def changed(**fields: object) -> dict[str, object]:
    return {name: value for name, value in {**GOOD, **fields}.items() if value is not ABSENT}


def enveloped(text: str, **more: object) -> dict[str, object]:
    return {"data": text, **more}
