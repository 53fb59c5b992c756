"""Tokens of energy accounts: got once for all, renewed in time, on disk before they are used."""

import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
import structlog

from ecolyo_worker import Settings, Worker
from ecolyo_worker.actors.series import End
from ecolyo_worker.actors.tokens import NoToken
from ecolyo_worker.commands import Commands
from ecolyo_worker.secret import Secret
from ecolyo_worker.store.accounts import Account
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import PCE, PRM, SECRET, add, again, consent, settings
from tests.energy_polling import Polling, visit

LIFE_S = 12_600
EARLY_S = 300
LOST = "an energy account needs a consent"

Opened = Callable[[Settings], AbstractAsyncContextManager[Worker]]


class Open:
    """Opens workers on one clock, and keeps what they log."""

    def __init__(self) -> None:
        self.clock = FakeClock(datetime(2026, 11, 21, 9, tzinfo=UTC))
        self.lines: list[Any] = []

    @asynccontextmanager
    async def __call__(self, chosen: Settings) -> AsyncIterator[Worker]:
        logger = structlog.wrap_logger(None, processors=[self._take])
        async with Worker(chosen, clock=self.clock, logger=logger).opened() as worker:
            yield worker

    def _take(self, _logger: object, level: str, line: Any) -> Any:
        self.lines.append({"level": level, **line})
        sys.stderr.write(f"{line}\n")  # it is searched for secrets at the end of the test
        raise structlog.DropEvent

    def told(self, event: str) -> list[Any]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def opened() -> Open:
    return Open()


async def bearers(worker: Worker, *accounts: Account) -> list[Any]:
    """Ask for the tokens of accounts, all at once."""
    found: list[Any] = [None] * len(accounts)

    async def ask(place: int, account: Account) -> None:
        got = await worker.tokens.bearer(account)
        found[place] = got.reveal() if isinstance(got, Secret) else got

    async with anyio.create_task_group() as all_at_once:
        for place, account in enumerate(accounts):
            all_at_once.start_soon(ask, place, account)
    return found


async def bearer(worker: Worker, account: Account) -> Secret:
    found = await worker.tokens.bearer(account)
    assert isinstance(found, Secret), found
    return found


async def requests(twin: Twin) -> dict[tuple[str, int], int]:
    """Count the requests for tokens, by grant and status."""
    found: dict[tuple[str, int], int] = {}
    for one in await twin.token_requests():
        key = (one["grant"], one["status"])
        found[key] = found.get(key, 0) + one["count"]
    return found


def shreds(directory: Path, *texts: str | bytes) -> list[str | bytes]:
    """Tell which of some texts stand in any file below a directory."""
    files = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    wanted = {text: text if isinstance(text, bytes) else text.encode() for text in texts}
    return [text for text, content in wanted.items() if any(content in file for file in files)]


async def test_ten_accounts_need_one_request(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """Whoever asks, however many at once, gets the one token; before its end a single next one."""
    async with opened(settings(state_dir, energy_twin)) as worker:
        ten = [await add(worker, "enedis", f"{n:014}") for n in range(10)]
        (first,) = set(await bearers(worker, *ten))
        opened.clock.advance(LIFE_S - EARLY_S - 1)
        assert set(await bearers(worker, *ten)) == {first}
        assert await requests(energy_twin) == {("client_credentials", 200): 1}
        opened.clock.advance(2)
        (second,) = set(await bearers(worker, *ten))
        assert second != first
        assert await requests(energy_twin) == {("client_credentials", 200): 2}
    async with opened(settings(state_dir, energy_twin)) as worker:
        assert await bearers(worker, ten[0]) == [second]
    assert await requests(energy_twin) == {("client_credentials", 200): 2}
    assert shreds(state_dir, first, second, SECRET) == []


async def test_both_providers_have_their_own(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """Enedis of v5 and GRDF give one token each, to the application."""
    async with opened(settings(state_dir, energy_twin, "v5")) as worker:
        one, two = await add(worker, "enedis", PRM), await add(worker, "grdf", PCE)
        assert len({*await bearers(worker, one, two, two, one)}) == 2
    assert await requests(energy_twin) == {("client_credentials", 200): 2}


async def test_a_first_token_is_for_no_data_yet(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """Of v4 the first token is refused for its scope: one refresh gives one that is good."""
    async with opened(settings(state_dir, energy_twin, "v4")) as worker:
        account = await consent(worker, await add(worker), PRM)
        assert (account.state, account.meter) == ("meter_known", PRM)
        first = await bearer(worker, account)
        assert await worker.tokens.refused(account, first)
        second = await bearer(worker, account)
        assert second.reveal() != first.reveal()
        assert await worker.tokens.refused(account, first), "it is not the one in use"
        assert not await worker.tokens.refused(account, second)
        assert (await bearer(worker, account)).reveal() == second.reveal()
        opened.clock.advance(LIFE_S)
        third = await bearer(worker, account)
        expected = {("authorization_code", 200): 1, ("refresh_token", 200): 2}
        assert await requests(energy_twin) == expected
    found = [one.reveal() for one in (first, second, third)]
    assert shreds(state_dir, *found) == []
    assert opened.lines == []


@pytest.mark.parametrize(
    ("provider", "meter", "renewed"),
    [("enedis", PRM, ("refresh_token", 2)), ("grdf", PCE, ("client_credentials", 3))],
)
async def test_a_proxy_gives_no_refresh_token(
    polling: Polling, provider: Any, meter: str, renewed: tuple[str, int]
) -> None:
    """It renews by the first one as long as it is asked, by tokens that are good for data."""
    proxy = f"{polling.twin.url}/proxy"
    by_proxy: Any = {
        "token_url": f"{proxy}/enedis/token",
        "grdf": {"token_url": f"{proxy}/grdf/token"},
    }
    async with polling.worker("v4", **by_proxy) as worker:
        account = await consent(worker, await add(worker, provider), meter)
        found = {(await bearer(worker, account)).reveal()}
        for _ in range(2):
            await polling.later(hours=4)
            found.add((await bearer(worker, account)).reveal())
        assert len(found) == 3
        assert (await visit(worker, account))[1] == End("done")
    grant, count = renewed
    expected = {("authorization_code", 200): 1, (grant, 200): count}
    assert await requests(polling.twin) == expected


async def test_a_refresh_that_a_crash_lost_ends_the_consent(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """What was renewed but not stored cannot be renewed: one request tells, and one line."""
    chosen = settings(state_dir, energy_twin, "v4")
    async with opened(chosen) as worker:
        account = await consent(worker, await add(worker), PRM)
    before = state_dir.with_name("before")
    shutil.copytree(state_dir, before)
    async with opened(chosen) as worker:
        opened.clock.advance(LIFE_S)
        await bearer(worker, account)
    async with opened(chosen.replace(state_dir=before)) as worker:
        for _ in range(3):
            (found,) = await bearers(worker, account)
            assert isinstance(found, NoToken)
            assert found.kind == "consent"
            opened.clock.advance(LIFE_S)
        lost = await again(worker, account)
        assert (lost.state, lost.word) == ("needs_consent", "USER_ACTION_NEEDED.OAUTH_OUTDATED")
        assert lost.reason == "Enedis does not renew the token: its grant has ended."
        assert isinstance(await worker.tokens.bearer(lost), NoToken)
        assert (await requests(energy_twin))["refresh_token", 400] == 1
        (line,) = opened.told(LOST)
        assert (line["level"], line["account"]) == ("warning", account.id)
        again_agreed = await consent(worker, lost, PRM)
        assert (again_agreed.state, again_agreed.reason) == ("meter_known", None)
        await bearer(worker, again_agreed)


async def test_a_silent_server_is_asked_once_by_all(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """Where no token comes, all who wait are told so, and nobody asks again before a pause."""
    await energy_twin.set_fault("unavailable*2", "token")
    async with opened(settings(state_dir, energy_twin)) as worker:
        ten = [await add(worker, "enedis", f"{n:014}") for n in range(10)]
        for found in await bearers(worker, *ten):
            assert (found.kind, found.trouble.word) == ("later", "VENDOR_DOWN")
        opened.clock.advance(59)
        assert isinstance((await bearers(worker, ten[0]))[0], NoToken)
        assert await requests(energy_twin) == {("client_credentials", 503): 1}
        opened.clock.advance(2)
        assert isinstance((await bearers(worker, ten[0]))[0], NoToken)
        opened.clock.advance(61)
        assert isinstance((await bearers(worker, ten[0]))[0], NoToken)
        opened.clock.advance(60)
        await bearer(worker, ten[0])
        expected = {("client_credentials", 503): 2, ("client_credentials", 200): 1}
        assert await requests(energy_twin) == expected
        told = opened.told("no token for energy data")
        assert {line["provider"] for line in told} == {"enedis"}


async def test_a_token_is_used_to_its_end(state_dir: Path, energy_twin: Twin, opened: Open) -> None:
    """While no other one can be had, the one that lives is given, and no longer."""
    async with opened(settings(state_dir, energy_twin)) as worker:
        account = await add(worker, "enedis", PRM)
        first = await bearer(worker, account)
        await energy_twin.set_fault("unavailable*9", "token")
        opened.clock.advance(LIFE_S - EARLY_S + 1)
        assert (await bearer(worker, account)).reveal() == first.reveal()
        opened.clock.advance(EARLY_S)
        assert isinstance(await worker.tokens.bearer(account), NoToken)


@pytest.mark.parametrize("fault", ["empty-200", "empty-json", "html-200", "drop", "garbage"])
async def test_any_other_answer_is_a_pause(
    state_dir: Path, energy_twin: Twin, opened: Open, fault: str
) -> None:
    """Whatever comes instead of a token, or nothing: it is asked for again later."""
    await energy_twin.fail_next(1, fault, "token")
    async with opened(settings(state_dir, energy_twin)) as worker:
        account = await add(worker, "enedis", PRM)
        found = await worker.tokens.bearer(account)
        assert isinstance(found, NoToken)
        assert found.kind == "later"
        opened.clock.advance(61)
        await bearer(worker, account)


async def test_wrong_credentials_are_the_operators(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """What only the operator can put right says what, and asks nobody to consent."""
    await energy_twin.fail_next(1, "invalid-client", "token")
    chosen = settings(state_dir, energy_twin)
    async with opened(chosen) as worker:
        account = await add(worker, "enedis", PRM)
        found = await worker.tokens.bearer(account)
        assert isinstance(found, NoToken)
        assert (found.kind, found.trouble.word) == ("settings", "LOGIN_FAILED")
        assert "client_secret_file" in found.trouble.reason
        assert (await again(worker, account)).state == "meter_known"
    state_dir.with_name("client-secret").unlink()
    async with opened(chosen) as worker:
        found = await worker.tokens.bearer(account)
        assert isinstance(found, NoToken)
        assert "client-secret cannot be read" in found.trouble.reason
    nobody = Settings(state_dir=state_dir)
    async with opened(nobody) as worker:
        found = await worker.tokens.bearer(account)
        assert isinstance(found, NoToken)
        assert "enedis.client_id is not set" in found.trouble.reason


@pytest.mark.parametrize("how", ["missing", "other"])
async def test_a_wrong_key_loses_nothing(
    state_dir: Path, energy_twin: Twin, opened: Open, how: str
) -> None:
    """Without their key tokens of persons cannot be read, which is told; with it they can again."""
    chosen = settings(state_dir, energy_twin, "v4")
    key = state_dir / "energy.key"
    async with opened(chosen) as worker:
        account = await consent(worker, await add(worker), PRM)
        gas = await add(worker, "grdf", PCE)
        await bearer(worker, gas)
    right = key.read_text()
    key.unlink() if how == "missing" else key.write_text("00" * 32)
    async with opened(chosen) as worker:
        found = await worker.tokens.bearer(account)
        assert isinstance(found, NoToken)
        assert found.kind == "settings"
        assert "accounts authorize" in found.trouble.reason
        assert (await again(worker, account)).state == "meter_known"
        assert isinstance(await worker.tokens.bearer(gas), Secret) is (how == "other")
    key.write_text(right)
    async with opened(chosen) as worker:
        await bearer(worker, account)


async def test_a_backup_holds_no_token_that_can_be_read(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """It has them sealed, without the key; put back beside the key, they are good again."""
    chosen = settings(state_dir, energy_twin, "v4")
    async with opened(chosen) as worker:
        account = await consent(worker, await add(worker), PRM)
        token = await bearer(worker, account)
        found = [piece.data async for piece in Commands(worker).backup()]
    key = state_dir / "energy.key"
    restored = state_dir.with_name("restored")
    restored.mkdir(mode=0o700)
    (restored / "ecolyo.db").write_bytes(b"".join(found))
    assert shreds(restored, token.reveal(), key.read_text(), bytes.fromhex(key.read_text())) == []
    shutil.copy(key, restored)
    async with opened(chosen.replace(state_dir=restored)) as worker:
        assert (await bearer(worker, account)).reveal() == token.reveal()


async def test_nothing_that_is_said_tells_a_secret(
    state_dir: Path, energy_twin: Twin, opened: Open
) -> None:
    """No token, secret, code or meter is in a line of the log, an account's reason or a status."""
    secrets = [SECRET, PRM]
    async with opened(settings(state_dir, energy_twin, "v4")) as worker:
        account = await consent(worker, await add(worker), PRM)
        secrets.append((await bearer(worker, account)).reveal())
        for fault in ("html-200", "garbage", "invalid-client", "invalid-grant"):
            await energy_twin.fail_next(1, fault, "token")
            opened.clock.advance(LIFE_S)
            await worker.tokens.bearer(account)
        lost = await again(worker, account)
        assert lost.state == "needs_consent"
        said = f"{opened.lines} {lost.reason} {lost!r} {worker.status()} {worker.tokens.__dict__}"
    assert len(opened.lines) == 4
    assert not [secret for secret in secrets if secret in said]
