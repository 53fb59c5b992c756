"""`accounts`: added, listed, consented to and removed, with a twin of Enedis and GRDF."""

import io
import json
import os
import pty
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint
from anyio.streams.text import TextReceiveStream

from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import BACK, PCE, PRM, SECRET, visit

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

ALICE = "alice.example"


@pytest.fixture
def environment(tmp_path: Path, energy_twin: Twin) -> dict[str, str]:
    """Settings for the twin."""
    file = tmp_path / "client-secret"
    file.write_text(SECRET)
    both = {"CLIENT_ID": "ecolyo", "CLIENT_SECRET_FILE": str(file), "REDIRECT_URI": BACK}
    enedis = {"BASE_URL": energy_twin.url, "AUTHORIZE_URL": energy_twin.authorize_url}
    grdf = {
        "BASE_URL": energy_twin.grdf_url,
        "AUTHORIZE_URL": energy_twin.grdf_authorize_url,
        "TOKEN_URL": energy_twin.grdf_token_url,
    }
    return {
        **{f"ECOLYO_ENEDIS__{key}": value for key, value in {**both, **enedis}.items()},
        **{f"ECOLYO_GRDF__{key}": value for key, value in {**both, **grdf}.items()},
    }


def words(done: CompletedProcess[bytes]) -> str:
    return done.stdout.decode() + done.stderr.decode()


async def listed(cli: Cli, *options: str) -> list[dict[str, Any]]:
    done = await cli("accounts", "list", "--json", *options)
    assert done.returncode == 0, words(done)
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_a_person_consents_and_leaves(
    cli: Cli, environment: dict[str, str], energy_twin: Twin
) -> None:
    """From the account to its meter and back: each step says what is next, none shows a meter."""
    added = await cli("accounts", "add", "grdf", "--instance", ALICE, env=environment)
    assert "account 1 of alice.example at grdf: new\n" in words(added)
    assert "next: ecolyo-worker accounts authorize 1" in words(added)
    page = await cli("accounts", "authorize", "1", env=environment)
    assert "accounts authorize 1 --callback ADDRESS" in words(page)
    callback = await visit(page.stdout.decode().strip(), pce=PCE)
    agreed = await cli("accounts", "authorize", "1", "--callback", callback, env=environment)
    assert agreed.stdout.decode() == (
        "account 1 of alice.example at grdf: meter_known, meter …000\n"
    )
    again = await cli("accounts", "authorize", "1", "--callback", callback, env=environment)
    assert again.returncode == 64
    assert "not the answer to the page" in words(again)
    refused = await cli("accounts", "remove", "1", env=environment)
    assert (refused.returncode, "say --yes" in words(refused)) == (64, True)
    await energy_twin.fail_next(1, "unavailable", "rights")
    failed = await cli("accounts", "remove", "1", "--yes", env=environment)
    assert failed.returncode == 75
    assert "is not removed yet, and nothing is fetched: GRDF" in words(failed)
    (account,) = await listed(cli)
    assert (account["state"], account["word"]) == ("removing", "VENDOR_DOWN")
    gone = await cli("accounts", "remove", "1", "--yes", env=environment)
    assert gone.stdout.decode() == "account 1 is removed: 1 row\n"
    assert await listed(cli) == []
    everything = [added, page, agreed, again, refused, failed, gone]
    assert not any(PCE in words(done) or SECRET in words(done) for done in everything)


async def test_meters_are_shown_when_asked_for(cli: Cli, environment: dict[str, str]) -> None:
    """A list has the last digits, of JSON too; in full only by an option that says so."""
    for meter, instance in ((PRM, ALICE), ("12222222222222", "bob.example")):
        added = await cli(
            "accounts", "add", "enedis", "--instance", instance, "--meter", meter, env=environment
        )
        assert added.returncode == 0, words(added)
    assert [one["meter"] for one in await listed(cli)] == ["…111", "…222"]
    assert [one["meter"] for one in await listed(cli, "--instance", ALICE)] == ["…111"]
    assert [one["meter"] for one in await listed(cli, "--with-meters")][:1] == [PRM]
    table = words(await cli("accounts", "list"))
    assert "…111" in table
    assert PRM not in table


@pytest.mark.parametrize(
    ("provider", "meter", "said"),
    [
        ("enedis", PRM[1:], "found 13 digits (a zero at the front may be lost"),
        ("enedis", "GI123456", "found 8 characters that are not all digits; allowed: 14 digits"),
        ("grdf", "GI12345", "allowed: 14 digits, or GI and 6 digits"),
        ("enedis", "", "found 0 characters"),
    ],
)
async def test_a_wrong_meter_is_refused_with_its_likely_cause(
    cli: Cli, environment: dict[str, str], provider: str, meter: str, said: str
) -> None:
    """The error tells the length and what is allowed, and not the number."""
    done = await cli(
        "accounts", "add", provider, "--instance", ALICE, "--meter", meter, env=environment
    )
    assert done.returncode == 65
    assert said in words(done)
    assert len(meter) < 13 or meter not in words(done)


async def test_an_id_token_comes_in_a_file(
    cli: Cli, environment: dict[str, str], tmp_path: Path
) -> None:
    """What its claims name is the account's meter; a file that is not there is named."""
    claims = "eyJ1c2FnZV9wb2ludF9pZCI6ICIxMTExMTExMTExMTExMSJ9"
    token = anyio.Path(tmp_path / "token")
    add = ("accounts", "add", "enedis", "--instance", ALICE, "--id-token-file", token)
    assert "token: cannot be read" in words(await cli(*add, env=environment))
    await token.write_text(f"e30.{claims}.e30\n")
    done = await cli(*add, env=environment)
    assert "meter_known, meter …111" in words(done), words(done)
    twice = await cli(*add, env=environment)
    assert (twice.returncode, "for this meter already" in words(twice)) == (64, True)


async def test_it_listens_for_the_browser(
    cli: Cli,
    environment: dict[str, str],
    state_dir: Path,
    free_tcp_port: int,
    overheard: list[str],
) -> None:
    """With an address of this machine the answer is taken as the browser comes.

    Others are not: a page of anybody that leads the browser there does not end the waiting.
    """
    back = f"http://127.0.0.1:{free_tcp_port}/back"
    env = {**environment, "ECOLYO_ENEDIS__REDIRECT_URI": back}
    await cli("accounts", "add", "enedis", "--instance", ALICE, env=env)
    command = [sys.executable, "-m", "ecolyo_worker", "accounts", "authorize", "1"]
    command += ["--state-dir", str(state_dir)]
    async with await anyio.open_process(command, env={**_plain(), **env}) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        stdout, stderr = TextReceiveStream(process.stdout), TextReceiveStream(process.stderr)
        url = (await stdout.receive()).strip()
        overheard.append(await stderr.receive())
        assert "this waits at" in overheard[-1]
        callback = await visit(url, usage_point_id=PRM, redirect_uri=back)
        async with httpx.AsyncClient(trust_env=False) as browser:
            doubled = f"{callback.removeprefix(f'http://127.0.0.1:{free_tcp_port}')}&state=x"
            forged = ("/back?code=c", "/back?code=c&state=guessed", "/back?state=%ff%00", doubled)
            for other in ("/favicon.ico", "/back", *forged):
                elsewhere = await _patient(browser, f"http://127.0.0.1:{free_tcp_port}{other}")
                assert elsewhere.status_code == 404
            answer = await browser.get(callback)
        assert "Thank you" in answer.text
        assert re.search(r"meter_known, meter …111", await stdout.receive())
        assert await process.wait() == 0
        overheard.extend([text async for text in stderr])


async def test_an_address_is_pasted_into_a_terminal(
    cli: Cli, environment: dict[str, str], state_dir: Path, overheard: list[str]
) -> None:
    """Where nothing can listen, the line that is typed is what the page led back to."""
    await cli("accounts", "add", "enedis", "--instance", ALICE, env=environment)
    command = [sys.executable, "-m", "ecolyo_worker", "accounts", "authorize", "1"]
    command += ["--state-dir", str(state_dir)]
    ours, theirs = pty.openpty()
    with closing(io.FileIO(ours, "w")) as keyboard, closing(io.FileIO(theirs)):
        env = {**_plain(), **environment}
        async with await anyio.open_process(command, stdin=theirs, env=env) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            stdout, stderr = TextReceiveStream(process.stdout), TextReceiveStream(process.stderr)
            with anyio.fail_after(60):
                url = (await stdout.receive()).strip()
                overheard.append(await stderr.receive())
                assert "paste the address" in overheard[-1]
                callback = await visit(url, usage_point_id=PRM)
                keyboard.write(f"{callback}\n".encode())
                assert await process.wait() == 0
            assert "meter_known, meter …111" in await stdout.receive()
            overheard.extend([text async for text in stderr])
    (account,) = await listed(cli)
    assert account["state"] == "meter_known"


async def _patient(browser: httpx.AsyncClient, url: str) -> httpx.Response:
    """Ask until somebody listens."""
    with anyio.fail_after(30):
        while True:
            try:
                return await browser.get(url)
            except httpx.ConnectError:
                await checkpoint()


def _plain() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith("ECOLYO_")}


async def test_forgetting_revokes_first(
    cli: Cli, environment: dict[str, str], energy_twin: Twin
) -> None:
    """A person who is forgotten has her consent at GRDF revoked, or is told that it was not."""
    add = ("accounts", "add", "grdf", "--instance")
    for name, meter in ((ALICE, PCE), ("bob.example", "GI123456")):
        assert (await cli(*add, name, "--meter", meter, env=environment)).returncode == 0
    gone = await cli("instances", "forget", ALICE, "--yes", "--json", env=environment)
    assert json.loads(gone.stdout)["unrevoked"] == 0
    assert json.loads(gone.stdout)["rows"]["accounts"] == 1
    assert await energy_twin.count(series="right") == 1
    await energy_twin.set_fault("drop*9", "rights")
    told = await cli("instances", "forget", "bob.example", "--yes", env=environment)
    assert told.returncode == 0
    assert "1 consent at GRDF could not be revoked (PCE …456)" in words(told)
    assert "the holder can end it in the account at GRDF" in words(told)
    assert await listed(cli) == []


async def test_a_right_that_another_needs_is_told(
    cli: Cli, environment: dict[str, str], energy_twin: Twin
) -> None:
    """Who removes or forgets one of several accounts of a PCE reads that the right stays."""
    for name in (ALICE, "bob.example", "claire.example"):
        add = ("accounts", "add", "grdf", "--instance", name, "--meter", PCE)
        assert (await cli(*add, env=environment)).returncode == 0
    gone = await cli("accounts", "remove", "1", "--yes", env=environment)
    assert "its right at GRDF is not revoked: another account here is asked for" in words(gone)
    told = await cli("instances", "forget", "bob.example", "--yes", env=environment)
    assert "1 consent at GRDF not revoked: somebody else's account here is asked" in words(told)
    assert await energy_twin.count(series="right") == 0
    gone = await cli("accounts", "remove", "3", "--yes", env=environment)
    assert "not revoked" not in words(gone)
    assert await energy_twin.count(series="right") == 1


async def test_no_revocation_where_that_is_asked(
    cli: Cli, environment: dict[str, str], energy_twin: Twin
) -> None:
    """With --no-revoke an account goes though GRDF cannot be asked."""
    await cli("accounts", "add", "grdf", "--instance", ALICE, "--meter", PCE, env=environment)
    done = await cli("accounts", "remove", "1", "--yes", "--no-revoke", "--json", env=environment)
    assert json.loads(done.stdout)["removed"]
    assert await energy_twin.count() == 0
