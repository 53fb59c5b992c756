"""Energy accounts in `status`, `/metrics` and `doctor`; no meter is in any of them."""

import json
import re
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import msgspec
import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.checks.energy import check_energy
from ecolyo_worker.checks.finding import Finding
from ecolyo_worker.clock import parse_day
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.providers import Enedis, Energy, Grdf
from ecolyo_worker.service.metrics import exposition, observe
from ecolyo_worker.store import accounts, cursors, instances, quotas
from ecolyo_worker.store.accounts import Trouble
from ecolyo_worker.store.quotas import Pause
from tests.energy_accounts import NOW, PCE, PRM

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

LOST = Trouble("the consent is gone", "USER_ACTION_NEEDED.OAUTH_OUTDATED")


def fill(connection: sqlite3.Connection) -> None:
    """Make active accounts that are held to different days, and others in trouble."""
    person = instances.identify(connection, "alice.example")
    meters: list[tuple[Provider, str, str]] = [
        ("enedis", PRM, "2026-11-20"),
        ("enedis", "12222222222222", "2026-11-12"),
        ("grdf", PCE, "2026-11-18"),
        ("enedis", "13333333333333", "2026-01-01"),
    ]
    ident = 0
    for provider, meter, day in meters:
        ident = accounts.add(connection, person, provider, meter, NOW, consented=True) or 0
        accounts.hold(connection, ident, parse_day(day), NOW)
        accounts.hold(connection, ident, parse_day("2026-01-01"), NOW)
        accounts.move(connection, ident, "active", NOW)
    accounts.move(connection, ident, "needs_consent", NOW, LOST)
    left = accounts.add(connection, person, "grdf", "GI123456", NOW, consented=True) or 0
    accounts.leave(connection, left, NOW, keeps_data=False)


async def test_the_status_tells_of_accounts(cli: Cli, state_dir: Path) -> None:
    """How many are in each state, up to which day the active ones are held, and what to do."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        assert worker.status().held_through == {}
        await worker.database.run(fill)
        text = exposition(observe(worker)).decode()
    assert 'ecolyo_accounts{state="active"} 3\n' in text
    assert 'ecolyo_accounts{state="removing"} 1\n' in text
    done = await cli("status")
    screen = done.stdout.decode()
    assert "accounts  3 active, 1 needs_consent, 1 removing\n" in screen
    assert "held to   enedis 2026-11-12 to 2026-11-20, grdf 2026-11-18\n" in screen
    assert "! energy accounts that need a consent: 1; `ecolyo-worker accounts list`" in screen
    found = json.loads((await cli("status", "--json")).stdout)
    assert found["accounts"]["active"] == 3
    assert found["held_through"] == {
        "enedis": {"least": "2026-11-12", "most": "2026-11-20"},
        "grdf": {"least": "2026-11-18", "most": "2026-11-18"},
    }
    listed = (await cli("accounts", "list")).stdout.decode()
    assert re.search(r"enedis .* needs_consent .*the consent is gone\n", listed)
    everything = text + screen + json.dumps(found) + listed
    assert not any(meter in everything for meter in (PRM, PCE, "GI123456"))


async def test_without_accounts_the_screen_says_nothing_of_them(cli: Cli) -> None:
    """Nobody who fetches nothing reads of it."""
    await cli("migrate")
    assert "\naccounts" not in (await cli("status")).stdout.decode()


async def advised(cli: Cli) -> list[Finding]:
    """Let `doctor` look, and give what it says of accounts beyond their settings."""
    done = await cli("doctor", "--json")
    assert done.returncode == 0, done.stdout
    told = [msgspec.json.decode(line, type=Finding) for line in done.stdout.splitlines()]
    assert not [one for one in told if one.check == "sending"]
    return [one for one in told if one.check == "energy accounts"][1:]


@pytest.mark.parametrize(
    ("state", "result", "words", "advice"),
    [
        ("active", "ok", "are active: 1", ""),
        ("new", "note", "wait for their first consent,", "ecolyo-worker accounts authorize ID"),
        ("needs_consent", "note", "need a consent,", "ecolyo-worker accounts authorize ID"),
        (
            "suspended",
            "note",
            "are suspended,",
            "number is wrong: `ecolyo-worker accounts remove ID`",
        ),
        ("removing", "note", "for their consent to be revoked: 1", "--no-revoke"),
    ],
)
async def test_the_doctor_says_what_to_do_of_each_state(
    cli: Cli, state_dir: Path, state: Any, result: str, words: str, advice: str
) -> None:
    """What only its person can change, or goes on by itself, is good to know: no fault."""

    def make(connection: sqlite3.Connection) -> None:
        person = instances.identify(connection, "alice.example")
        ident = accounts.add(connection, person, "grdf", PCE, NOW, consented=True) or 0
        accounts.move(connection, ident, state, NOW, None if state == "active" else LOST)

    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.database.run(make)
    (one,) = await advised(cli)
    assert (one.result, words in one.found) == (result, True)
    assert advice in (one.advice or "")
    assert ("`ecolyo-worker accounts list` tells" in (one.advice or "")) is (state != "active")


async def test_the_doctor_tells_of_a_provider_that_is_left_alone(cli: Cli, state_dir: Path) -> None:
    """It says until when, and why; a pause that is over is none."""
    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.database.run(quotas.pause, "enedis", Pause(32_503_680_000_000, "it is down"))
        await worker.database.run(quotas.pause, "grdf", Pause(1_000, "it was down"))
    (one,) = await advised(cli)
    assert (one.result, one.found) == (
        "note",
        "enedis is left alone until 3000-01-01T00:00:00Z: it is down",
    )
    assert "`ecolyo-worker poll enedis`" in (one.advice or "")


async def test_the_doctor_leaves_what_does_not_pass_to_its_reason(
    cli: Cli, state_dir: Path
) -> None:
    """Of a series that was given up it does not say that it may pass."""
    words = "This series is not asked for any more."

    def make(connection: sqlite3.Connection) -> None:
        person = instances.identify(connection, "alice.example")
        ident = accounts.add(connection, person, "enedis", PRM, NOW, consented=True) or 0
        accounts.move(
            connection, ident, "active", NOW, Trouble(words, "UNKNOWN_ERROR.PARTIAL_SYNC")
        )

    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.database.run(make)
    told = [one for one in await advised(cli) if words in one.found]
    assert [one.result for one in told] == ["note"]
    assert told[0].advice == (
        "`ecolyo-worker accounts list` tells which account; the reason says what to do"
    )


async def test_the_doctor_tells_of_days_in_doubt(cli: Cli, state_dir: Path) -> None:
    """Days whose half-hours do not come to their value are told by the command that names them."""

    def make(connection: sqlite3.Connection) -> None:
        person = instances.identify(connection, "alice.example")
        ident = accounts.add(connection, person, "enedis", PRM, NOW, consented=True) or 0
        cursors.begin(connection, ident, "curve")
        query = "INSERT INTO open_days VALUES (?, 'curve', 20000, 'suspect', 'they differ', NULL)"
        connection.execute(query, (ident,))

    async with Worker(Settings(state_dir=state_dir)).opened() as worker:
        await worker.database.run(make)
    (one,) = await advised(cli)
    assert (one.result, one.found[-3:]) == ("note", ": 1")
    assert one.advice == "`ecolyo-worker coverage` tells which"


def found(settings: Settings) -> list[tuple[str, str]]:
    return [(one.result, one.found) for one in check_energy(settings)]


def test_the_doctor_looks_at_what_accounts_need(tmp_path: Path) -> None:
    """Secrets and the key: whether they are there, and nobody else's to read."""
    state: dict[str, Any] = {"state_dir": tmp_path}
    assert [result for result, _ in found(Settings(**state))] == ["note"]
    missing = Settings(**state, grdf=Grdf(client_id="ecolyo"))
    assert [result for result, _ in found(missing)] == ["failed", "note"]
    assert "there is no secret of ecolyo" in found(missing)[0][1]
    secret, key = tmp_path / "secret", tmp_path / "energy.key"
    secret.write_text("s3cret")
    secret.chmod(0o604)
    chosen = Settings(**state, enedis=Enedis(client_id="e", client_secret_file=secret))
    assert [result for result, _ in found(chosen)] == ["failed", "note"]
    secret.chmod(0o600)
    assert [result for result, _ in found(chosen)] == ["ok", "note"]
    key.write_text("00" * 32)
    key.chmod(0o640)
    assert found(chosen)[1] == ("failed", f"{key}: others can read the key of the tokens")
    key.chmod(0o600)
    assert [result for result, _ in found(chosen)] == ["ok", "ok"]
    key.write_text("00")
    assert found(chosen)[1][0] == "failed"
    elsewhere = chosen.replace(energy=Energy(key_file=tmp_path / "other.key"))
    assert found(elsewhere)[1][1].startswith(f"{tmp_path / 'other.key'}: the key of the tokens is")
    assert "s3cret" not in str(found(chosen))


def test_the_doctor_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where accounts are set up and cryptography is missing, it says what to install."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    settings: dict[str, Any] = {"state_dir": tmp_path, "enedis": Enedis(client_id="e")}
    (first, *_) = list(check_energy(Settings(**settings)))
    assert (first.result, first.advice) == ("failed", 'pip install "ecolyo-worker[energy]"')
