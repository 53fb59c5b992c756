"""The script ``tools/energy_twin.py`` as developers run it: bare, options, lines, its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.energy_http import METER, Asker, send

SCRIPT = Path(__file__).parents[2] / "tools" / "energy_twin.py"
# Without site packages and what the environment names, and with warnings as errors.
COMMAND = [sys.executable, "-S", "-E", "-W", "error"]
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


@dataclass
class Script:
    first_line: str
    asker: Asker
    process: subprocess.Popen[str]

    def end(self) -> tuple[list[str], str]:
        """Stop it as systemd would; give its other lines, and what it said on stderr."""
        self.process.send_signal(signal.SIGTERM)
        # Not `communicate`, which would pass over what came with the first line.
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        printed, errors = self.process.stdout.read(), self.process.stderr.read()
        self.process.wait(timeout=10)
        assert self.process.returncode == 0
        return printed.splitlines(), errors


@contextmanager
def running(*options: str, how: tuple[str, ...] = ()) -> Iterator[Script]:
    process = subprocess.Popen(
        [*COMMAND, *how, str(SCRIPT), "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            yield Script(first, Asker(first.split('"')[1]), process)
        finally:
            process.kill()


def ended(*options: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, str(SCRIPT), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def test_standard_library() -> None:
    """From its start, over tokens and data of all kinds, to its end it imports nothing foreign."""
    with running("--quota", "off", how=("-c", RUN)) as script:
        assert script.asker.enedis("curve", "2026-02-01", "2026-02-02").status in (200, 400)
        assert script.asker.grdf("2026-02-01", "2026-02-02").status == 200
        _, told = script.end()
    modules = set(json.loads(told))
    assert "twins.energy.server" in modules
    known = {*sys.stdlib_module_names, "twins", "__main__"}
    assert {name for name in modules if name.partition(".")[0] not in known} == set()
    assert "zoneinfo" not in modules


def test_configuration() -> None:
    """Its first line has both addresses; what follows is for the configuration."""
    with running() as script:
        url = script.asker.url
        assert script.first_line == f'url = "{url}"  # of Enedis; of GRDF: {url}/adict/v2\n'
        lines, _ = script.end()
    found = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))
    assert found["enedis"] == {
        "base_url": url,
        "authorize_url": f"{url}/dataconnect/v2/oauth2/authorize",
        "token_url": f"{url}/oauth2/v3/token",
    }
    assert found["grdf"] == {
        "base_url": f"{url}/adict/v2",
        "authorize_url": f"{url}/openam/oauth2/realms/externeGrdf/authorize",
        "token_url": f"{url}/oauth2/aus5y2ta2uEHjCWIR417/v1/token",
    }


def test_reader_that_is_gone() -> None:
    """Whoever reads the first line alone, and closes, is served all the same."""
    with running() as script:
        assert script.process.stdout is not None
        script.process.stdout.close()
        for _ in range(3):
            assert script.asker.get("/livez").status == 200
        script.asker.bearer("enedis")
        assert script.asker.get("/livez").status == 200
        script.process.send_signal(signal.SIGTERM)
        assert script.process.wait(timeout=10) == 0


def test_options_and_lines() -> None:
    """Meters, today, faults and quotas are options; each request is a line."""
    options = (
        *("--meter", "11111111111111:pt60m", "--meter", "GI000001"),
        *("--today", "2026-02-11T00:30", "--seed", "3", "--fault", "ok,reset", "--quota", "v5=1/h"),
        *("--fault-for", "curve=no-data", "--expires-in", "60", "--ready-at", "00:00"),
    )
    with running(*options) as script:
        asker = script.asker
        token = asker.token("/oauth2/v3/token", grant_type="client_credentials").content
        assert token["expires_in"] == "60"
        assert asker.enedis("daily", "2026-02-10", "2026-02-11", generation="2026").status == 200
        with pytest.raises(ConnectionError):
            asker.enedis("daily", "2026-02-10", "2026-02-11", generation="2026")
        assert asker.enedis("curve", "2026-02-10", "2026-02-11").status == 404
        assert asker.enedis("curve", "2026-02-10", "2026-02-11").status == 429
        assert len(asker.enedis("curve", "2026-02-10", "2026-02-11", generation="v4").body) > 2000
        assert asker.api("GET", "meters").content["meters"] == [f"{METER}:pt60m", "GI000001:gas"]
        send(asker.url, "GET", "/elsewhere")
        lines, errors = script.end()
    assert errors == ""
    shown = [line.split("  ", 1)[1].split() for line in lines if not line.startswith("#")]
    period = "2026-02-10…2026-02-11"
    assert shown == [
        ["enedis", "token", "-", "-", "200"],
        ["enedis", "token", "-", "-", "200"],
        ["enedis", "2026", "daily", "…1111", period, "200"],
        ["enedis", "2026", "daily", "…1111", period, "fault:", "reset"],
        ["enedis", "v5", "curve", "…1111", period, "fault:", "no-data"],
        ["enedis", "v5", "curve", "…1111", period, "429", "quota-hour"],
        ["enedis", "v4", "curve", "…1111", period, "200"],
        ["-", "nothing", "-", "-", "404"],
    ]


def test_busy_port() -> None:
    """A port in use is said in one sentence, with status 1."""
    with running() as script:
        port = script.asker.url.rpartition(":")[2]
        result = ended("--port", port)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"energy_twin: cannot listen on 127.0.0.1, port {port}: Address already in use\n"
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fault", "resett"], "'resett' is no fault; did you mean reset? "),
        (["--fault-for", "reset"], "'reset' names no place; allowed is as in curve=no-data*2"),
        (["--fault-for", "here=reset"], "'here' is no place; allowed are daily, curve, "),
        (["--meter", "1:holes"], "'1' is no meter; allowed are 14 digits"),
        (["--meter", "11111111111111:hols"], "'hols' is nothing that a meter has; did you mean ho"),
        (["--quota", "5"], "'5' is no quota; allowed are off, "),
        (["--today", "2026-02-30"], "'2026-02-30' is no day; allowed are days"),
        (["--expires-in", "0"], "'0' is no life of a token; allowed are seconds from 1 to "),
        (["--ready-at", "8h"], "'8h' is no time; allowed is as in 08:00"),
        (["--port", "x"], "'x' is no port; allowed are 0 to 65535"),
    ],
)
def test_wrong_usage(options: list[str], words: str) -> None:
    """What it does not understand ends it with 64, and says what is allowed."""
    result = ended("--port", "0", *options)
    assert (result.returncode, result.stdout) == (64, "")
    assert words in result.stderr


def test_help() -> None:
    """Its help has all tables: addresses, meters, faults, places, quotas and the API."""
    told = ended("--help").stdout
    for words in ("/adict/v2/droits_acces", "step-change", "quota-nonsense", "A place is", "/h"):
        assert words in told
    assert "GET /api/calls" in told
