"""The energy twin as tests of the worker use it: a child process, asked and told by methods."""

import asyncio
from datetime import date, datetime
from zoneinfo import ZoneInfo

import httpx
import pytest

from ecolyo_worker.testing import Twin, energy_server
from tests.integration.energy_http import DAILY, METER, OKTA, PCE

pytest_plugins = ["pytester"]

PARIS = ZoneInfo("Europe/Paris")


class Application:
    """What has a token and calls for data."""

    def __init__(self, twin: Twin, client: httpx.AsyncClient) -> None:
        self.twin = twin
        self.client = client

    async def bearer(self, url: str) -> dict[str, str]:
        form = {
            "grant_type": "client_credentials",
            "client_id": "app",
            "client_secret": "x",
            "scope": "/adict/v2",
        }
        answer = await self.client.post(url, data=form)
        return {"Authorization": f"Bearer {answer.json().get('access_token')}"}

    async def daily(self, start: str, end: str, meter: str = METER) -> httpx.Response:
        query = {"usage_point_id": meter, "start": start, "end": end}
        headers = await self.bearer(self.twin.token_url)
        url = self.twin.url + DAILY["v5"]
        return await self.client.get(url, params=query, headers=headers)


async def test_addresses(energy_twin: Twin) -> None:
    """Each address that a configuration needs is one at which the twin answers."""
    question = {"client_id": "a", "response_type": "code", "state": "s", "duration": "P1Y"}
    async with httpx.AsyncClient(trust_env=False) as client:
        for url in (energy_twin.token_url, energy_twin.v4_token_url, energy_twin.grdf_token_url):
            assert (await client.post(url)).json()["error"] == "invalid_client"
        for url in (
            energy_twin.authorize_url,
            energy_twin.v4_authorize_url,
            energy_twin.grdf_authorize_url,
        ):
            back = {**question, "redirect_uri": "http://app.invalid/"}
            assert (await client.get(url, params=back)).status_code == 302
        rights = await client.get(f"{energy_twin.grdf_url}/droits_acces")
        assert rights.status_code == 401
    assert energy_twin.grdf_token_url.endswith(OKTA)


async def test_today(energy_twin: Twin) -> None:
    """Its day is set by a day, a time or a text, and taken back."""
    async with httpx.AsyncClient(trust_env=False) as client:
        application = Application(energy_twin, client)
        await energy_twin.set_today(date(2026, 2, 11))
        assert (await application.daily("2026-02-10", "2026-02-11")).status_code == 200
        assert (await application.daily("2026-02-11", "2026-02-12")).status_code == 400
        await energy_twin.set_today(datetime(2026, 2, 11, 7, 59, tzinfo=PARIS))
        assert (await application.daily("2026-02-10", "2026-02-11")).status_code == 404
        await energy_twin.set_today("2026-02-12")
        assert (await application.daily("2026-02-11", "2026-02-12")).status_code == 200
        await energy_twin.set_today(None)
        assert (await application.daily("2036-02-11", "2036-02-12")).status_code == 400
        with pytest.raises(ValueError, match=r"^'soon' is no day; allowed are days, at noon"):
            await energy_twin.set_today("soon")


async def test_calls(energy_twin: Twin) -> None:
    """What was called for is told and counted, in all, of a meter, of a series; then anew."""
    await energy_twin.set_today("2026-02-11")
    async with httpx.AsyncClient(trust_env=False) as client:
        application = Application(energy_twin, client)
        for _ in range(2):
            await application.daily("2026-02-09", "2026-02-11")
        await application.daily("2026-02-09", "2026-02-11", "12222222222222")
    first, second = await energy_twin.calls()
    assert (first["meter"], first["count"], first["statuses"]) == (METER, 2, {"200": 2})
    assert await energy_twin.calls("12222222222222", "daily") == [second]
    assert await energy_twin.count() == 3
    assert await energy_twin.count(METER) == 2
    assert await energy_twin.count(series="curve") == 0
    assert 1 <= await energy_twin.busiest_second("enedis") <= 3
    assert await energy_twin.busiest_second("grdf") == 0
    assert [one["count"] for one in await energy_twin.token_requests()] == [3]
    await energy_twin.clear()
    assert await energy_twin.count() == 0
    await energy_twin.end_tokens()
    assert await energy_twin.token_requests() == []


async def test_consent(energy_twin: Twin) -> None:
    """A consent is taken back and given again; calls in between are counted."""
    await energy_twin.set_today("2026-02-11")
    await energy_twin.revoke(METER)
    async with httpx.AsyncClient(trust_env=False) as client:
        application = Application(energy_twin, client)
        assert (await application.daily("2026-02-09", "2026-02-11")).status_code == 403
        await energy_twin.consent(METER)
        assert (await application.daily("2026-02-09", "2026-02-11")).status_code == 200
    assert await energy_twin.after_revocation(METER) == 1
    assert await energy_twin.after_revocation(PCE) == 0
    with pytest.raises(ValueError, match=r"^'1' is no meter; there are 1111"):
        await energy_twin.revoke("1")


async def test_faults_meters_and_quotas(energy_twin: Twin) -> None:
    """Faults are set for all or a place, meters are made, quotas hold."""
    await energy_twin.set_today("2026-02-11")
    await energy_twin.set_meter("15555555555555", "zero", "activated=2026-02-10")
    await energy_twin.fail_next(2, "html-503")
    await energy_twin.fail_next(1, "invalid-grant", "token")
    async with httpx.AsyncClient(trust_env=False) as client:
        application = Application(energy_twin, client)
        found = [
            (await application.daily("2026-02-10", "2026-02-11", "15555555555555")).status_code
            for _ in range(3)
        ]
        assert found == [503, 503, 200]
        await energy_twin.set_fault("no-data,no-data", "daily")
        await energy_twin.set_fault("", "daily")
        assert (await application.daily("2026-02-09", "2026-02-10")).status_code == 200
        await energy_twin.set_quotas("v5=1/h")
        found = [(await application.daily("2026-02-09", "2026-02-10")).status_code for _ in "12"]
        assert found == [200, 429]
    with pytest.raises(ValueError, match=r"^fault is 'reset\*2'; allowed is one alone"):
        await energy_twin.fail_next(1, "reset*2")
    with pytest.raises(ValueError, match=r"^'x' is no place; allowed are daily, "):
        await energy_twin.set_fault("reset", "x")
    with pytest.raises(ValueError, match=r"^'hols' is nothing that a meter has; "):
        await energy_twin.set_meter(METER, "hols")


async def test_no_quotas_at_first(energy_twin: Twin) -> None:
    """The fixture has no quotas, so that a simulated clock may ask as fast as it likes."""
    await energy_twin.set_today("2026-02-11")
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = await Application(energy_twin, client).bearer(energy_twin.grdf_token_url)
        for _ in range(4):
            url = f"{energy_twin.grdf_url}/pce/{PCE}/donnees_consos_informatives?periode=2026-01"
            assert (await client.get(url, headers=headers)).status_code == 200


def test_server() -> None:
    """A server with options runs as long as its block, with or without an event loop."""
    with energy_server("--meter", "GI000009:late") as twin:
        assert asyncio.run(twin.count()) == 0

    async def inside() -> str:
        async with energy_server("--today", "2026-02-11") as twin:
            await twin.clear()
            return twin.url

    url = asyncio.run(inside())
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
    with pytest.raises(RuntimeError, match=r"^the energy twin ended with 64 .*: 'x' is no fault; "):
        with energy_server("--fault", "x,x"):
            pass


def test_a_call_that_is_never_awaited(pytester: pytest.Pytester) -> None:
    """A call that is never awaited fails the test at its end, by its name."""
    pytester.makepyfile(
        """
        from ecolyo_worker.testing import energy_twin

        def test_forgotten(energy_twin):
            energy_twin.revoke("11111111111111")
        """
    )
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*never awaited, so nothing was done or checked: energy_twin.revoke('11111111111111')*"]
    )
