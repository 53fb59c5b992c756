"""From usage events in a file to a DACC that has them: the whole way, by the command line."""

import hashlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ecolyo_worker import Settings
from ecolyo_worker.testing import Echo, echo_server
from ecolyo_worker.testing.ledger import assert_balanced

from .conftest import service

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

AS_OF = "2026-11-21T01:00:00"
# The waiting times of the settings, made short; and a rate that does not hold a test up.
QUICK = {
    "ECOLYO_DACC__RATE": "500",
    "ECOLYO_DACC__BACKOFF_BASE": "100ms",
    "ECOLYO_DACC__UNKNOWN_RETRY": "100ms",
    "ECOLYO_DACC__ATTEMPT_TIMEOUT": "5s",
}


def to(echo: Echo, **more: str) -> dict[str, str]:
    return {**QUICK, "ECOLYO_DACC__URL": echo.url, **more}


def expected(examples: Path) -> Counter[str]:
    """The bodies that must come of the example, as the text that is sent."""
    lines = (examples / "expected.ndjson").read_text().splitlines()
    bodies = [json.loads(line)["indicator"] for line in lines]
    return Counter(json.dumps(body, separators=(",", ":"), ensure_ascii=False) for body in bodies)


async def import_example(cli: Cli, examples: Path) -> None:
    for kind in ("instances", "events", "consumption"):
        done = await cli(kind, "import", examples / f"{kind}.ndjson")
        assert done.returncode == 0, done.stderr.decode()


async def received(echo: Echo) -> Counter[str]:
    return Counter(await echo.bodies())


async def test_preview_is_the_worked_example(cli: Cli, examples: Path) -> None:
    """`preview` gives exactly the worked example: all fifteen measures, with its people."""
    await import_example(cli, examples)
    done = await cli("preview", "--as-of", AS_OF, "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = [json.loads(line) for line in (examples / "expected.ndjson").read_text().splitlines()]
    as_text = [
        Counter(json.dumps(line, sort_keys=True) for line in side) for side in (lines, wanted)
    ]
    assert as_text[0] == as_text[1]
    assert len(lines) == 112
    assert len({line["indicator"]["measureName"] for line in lines}) == 15


async def test_preview_prints_the_bytes_that_are_sent(cli: Cli, examples: Path) -> None:
    """An indicator in a preview is byte for byte what the DACC gets."""
    await import_example(cli, examples)
    done = await cli("preview", "--as-of", AS_OF, "--json")
    shown = Counter(
        line.split('"indicator":', 1)[1].removesuffix("}")
        for line in done.stdout.decode().splitlines()
    )
    assert shown == expected(examples)


def digests(state_dir: Path) -> dict[str, str]:
    """Give a digest of each file of a state, but of the lock that says who has it open."""
    files = {path for path in state_dir.iterdir() if path.is_file()} - {state_dir / "owner.lock"}
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


async def test_preview_changes_no_byte(cli: Cli, examples: Path, state_dir: Path) -> None:
    """A preview leaves each file of the state as it is, alone and beside a running service."""
    await import_example(cli, examples)
    alone = digests(state_dir)
    assert len((await cli("preview", "--as-of", AS_OF, "--json")).stdout.splitlines()) == 112
    assert digests(state_dir) == alone
    async with service(Settings(state_dir=state_dir)):
        served = digests(state_dir)
        done = await cli("preview", "--as-of", AS_OF, "--json")
        assert len(done.stdout.splitlines()) == 112
        assert digests(state_dir) == served
    assert {"ecolyo.db"} < alone.keys() < served.keys()


async def test_everything_arrives_and_twice_changes_nothing(
    cli: Cli, examples: Path, state_dir: Path, dacc_echo: Echo
) -> None:
    """Import, count and send put exactly the example into the DACC, however often it is done."""
    for _ in range(2):
        await import_example(cli, examples)
        assert (await cli("aggregate", "--as-of", AS_OF)).returncode == 0
        sent = await cli("send", "--until-empty", env=to(dacc_echo))
        assert sent.returncode == 0, sent.stderr.decode()
        assert await received(dacc_echo) == expected(examples)
    ledger = await assert_balanced(state_dir, dacc_echo.url)
    done = await cli("reconcile", "--echo", dacc_echo.url)
    assert done.returncode == 0
    assert done.stdout.decode().strip() == (
        "events 87 · indicators 112 · attempts 112 · received 112 · duplicates 0 · missing 0"
        " · maybe delivered 0"
    )
    assert ledger.recounted == 9


async def test_a_dacc_that_fails_gets_everything_all_the_same(
    cli: Cli, examples: Path, state_dir: Path
) -> None:
    """Refusals, a reset and a lost answer delay rows and kill none; the one double is counted."""
    await import_example(cli, examples)
    await cli("aggregate", "--as-of", AS_OF)
    async with echo_server("--fault", "status=503*2,reset,accept-then-drop,ok") as echo:
        sent = await cli("send", "--until-empty", env=to(echo))
        assert sent.returncode == 0, sent.stderr.decode()
        counts = await echo.count()
        bodies = await received(echo)
        ledger = await assert_balanced(state_dir, echo.url)
    doubles = bodies - expected(examples)
    assert not expected(examples) - bodies
    assert counts["unknown"] == 1
    assert doubles.total() == ledger.duplicates == 1
    # The reset came after the request was written, so it may have been delivered for all we know.
    assert ledger.maybe_delivered == 2
    status = json.loads((await cli("status", "--json")).stdout)
    assert status["outbox"]["sent"] == 112
    assert status["outbox"]["dead"] == 0


async def test_another_token_makes_the_outbox_wait(
    cli: Cli, examples: Path, tmp_path: Path, state_dir: Path
) -> None:
    """A refused token holds rows back and says so; the right one in the file lets all go."""
    token = tmp_path / "token"
    token.write_text("yesterday")
    await import_example(cli, examples)
    await cli("aggregate", "--as-of", AS_OF)
    async with echo_server("--token", "today") as echo:
        env = to(echo, ECOLYO_DACC__TOKEN_FILE=str(token))
        sent = await cli("send", "--until-empty", env=env)
        assert sent.returncode == 75
        assert "does not accept the token" in sent.stderr.decode()
        status = await cli("status", env=env)
        assert "112 pending" in status.stdout.decode()
        assert (
            "native is paused: the DACC does not accept the token (401:" in status.stdout.decode()
        )
        await echo.expect_nothing()
        rows = (await cli("outbox", "list", "--json")).stdout.splitlines()
        assert {json.loads(row)["counted_attempts"] for row in rows} == {0}
        token.write_text("today\n")
        sent = await cli("send", "--until-empty", env=env)
        assert sent.returncode == 0, sent.stderr.decode()
        assert await received(echo) == expected(examples)
        ledger = await assert_balanced(state_dir, echo.url)
    # Each lane may have found out for itself that the token is wrong.
    assert 113 <= ledger.attempts <= 112 + 4
    assert b"paused" not in (await cli("status", env=env)).stdout


async def test_without_an_address_indicators_wait(cli: Cli, examples: Path) -> None:
    """Without `dacc.url` nothing is lost and `send` says what is missing."""
    await import_example(cli, examples)
    await cli("aggregate", "--as-of", AS_OF)
    sent = await cli("send", "--until-empty")
    assert sent.returncode == 75
    assert "dacc.url is not set" in sent.stderr.decode()


@pytest.mark.parametrize("secret", ["today", "yesterday"])
async def test_no_token_is_ever_printed(
    cli: Cli, examples: Path, tmp_path: Path, secret: str
) -> None:
    """No command prints the token, right or wrong, not even at the finest log level."""
    token = tmp_path / "token"
    token.write_text(f"tok-{secret}-en")
    await import_example(cli, examples)
    await cli("aggregate", "--as-of", AS_OF)
    async with echo_server("--token", "tok-today-en") as echo:
        env = to(echo, ECOLYO_DACC__TOKEN_FILE=str(token))
        printed = b""
        for command in (("send", "--log-level", "debug"), ("status",), ("outbox", "list")):
            done = await cli(*command, env=env)
            printed += done.stdout + done.stderr
    assert f"tok-{secret}-en".encode() not in printed
