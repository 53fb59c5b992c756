"""Enedis and GRDF as a child process: a real server on a free port of this machine.

async def test_a_day_is_polled(energy_twin: Twin) -> None:
    await energy_twin.set_today("2026-02-11T09:00")
    ...
    assert await energy_twin.count("11111111111111", "daily") == 1
"""

from datetime import date, datetime
from typing import Any

from ecolyo_worker.testing.owed import noted
from ecolyo_worker.testing.script import Asked, ScriptProcess, content_of

__all__ = ["Twin", "TwinProcess", "energy_server"]


class Twin(Asked):
    """An energy twin that runs: its addresses, what was asked of it, and how it is to behave.

    All its methods are awaited. A call that never is fails the test: the fixture, or the block of
    `energy_server`, raises `AssertionError` at its end, which names the call.
    `url` is what `enedis.base_url` is set to.
    """

    @property
    def grdf_url(self) -> str:
        """What `grdf.base_url` is set to."""
        return f"{self.url}/adict/v2"

    @property
    def token_url(self) -> str:
        """What `enedis.token_url` is set to, for v5 and 2026."""
        return f"{self.url}/oauth2/v3/token"

    @property
    def v4_token_url(self) -> str:
        """What `enedis.token_url` is set to for v4."""
        return f"{self.url}/v1/oauth2/token"

    @property
    def grdf_token_url(self) -> str:
        """What `grdf.token_url` is set to."""
        return f"{self.url}/oauth2/aus5y2ta2uEHjCWIR417/v1/token"

    @property
    def authorize_url(self) -> str:
        """What `enedis.authorize_url` is set to, for 2026."""
        return f"{self.url}/dataconnect/v2/oauth2/authorize"

    @property
    def v4_authorize_url(self) -> str:
        """What `enedis.authorize_url` is set to for v4 and v5."""
        return f"{self.url}/dataconnect/v1/oauth2/authorize"

    @property
    def grdf_authorize_url(self) -> str:
        """What `grdf.authorize_url` is set to."""
        return f"{self.url}/openam/oauth2/realms/externeGrdf/authorize"

    @noted
    async def calls(
        self, meter: str | None = None, series: str | None = None
    ) -> list[dict[str, Any]]:
        """Give the calls for data, in the order of the first of each kind: all, or of these alone.

        Each has `provider`, `generation`, `series`, `meter`, `start`, `end`, its `count`, and the
        `statuses` of the answers; status 0 is none.
        """
        found: list[dict[str, Any]] = (await self._counted(meter, series))["calls"]
        return found

    @noted
    async def count(self, meter: str | None = None, series: str | None = None) -> int:
        """Give how many calls for data there were: in all, or of these alone."""
        found = (await self._counted(meter, series))["calls"]
        return sum(call["count"] for call in found)

    @noted
    async def after_revocation(self, meter: str) -> int:
        """Give how many calls there were for a meter while its consent was taken back."""
        return int((await self._counted(None, None))["after_revocation"].get(meter, 0))

    @noted
    async def busiest_second(self, provider: str) -> int:
        """Give the most calls that `enedis` or `grdf` had within any one second."""
        return int((await self._counted(None, None))["busiest_second"][provider])

    @noted
    async def token_requests(self) -> list[dict[str, Any]]:
        """Give the requests for a token: `provider`, `grant`, `client`, `status`, and `count`."""
        found: list[dict[str, Any]] = (await self._get("/api/tokens"))["requests"]
        return found

    @noted
    async def clear(self) -> None:
        """Let it count calls anew; faults, meters, tokens and today stay."""
        content_of(await self._ask("DELETE", "/api/calls"))

    @noted
    async def end_tokens(self) -> None:
        """Let no token that was given be good any more, and count requests for them anew."""
        content_of(await self._ask("DELETE", "/api/tokens"))

    @noted
    async def fail_next(self, n: int, fault: str, place: str = "") -> None:
        """Let the next n calls meet one fault, as in `"html-503"`; then all is well again.

        A place is a series (`"curve"`, `"token"`), a meter, a generation or a provider; without
        one, all calls for data are meant. Raises `ValueError`.
        """
        if any(sign in fault for sign in ",*@"):
            raise ValueError(f"fault is {fault!r}; allowed is one alone, set_fault takes sequences")
        await self.set_fault(f"{fault}*{n}", place)

    @noted
    async def set_fault(self, spec: str, place: str = "") -> None:
        """Let it misbehave from now on, in the fault language: in all, or at a place alone.

        With an empty `spec` a place goes by what is set for others. Raises `ValueError`.
        """
        await self._put("/api/fault", spec, {"for": place})

    @noted
    async def revoke(self, meter: str) -> None:
        """Let a holder take the consent back; raises `ValueError` where there is no such meter."""
        await self._put(f"/api/meters/{meter}/consent", "revoked")

    @noted
    async def consent(self, meter: str) -> None:
        """Let a holder consent again; raises `ValueError` where there is no such meter."""
        await self._put(f"/api/meters/{meter}/consent", "given")

    @noted
    async def set_meter(self, meter: str, *odd: str) -> None:
        """Let there be a meter, new or changed, which is odd in these ways, as `"holes"`.

        Raises `ValueError`.
        """
        await self._put(f"/api/meters/{meter}", ",".join(odd))

    @noted
    async def set_today(self, today: date | datetime | str | None) -> None:
        """Let another day be its own, at noon, or another local time; None: the machine's.

        Raises `ValueError`.
        """
        at = f"{today:%Y-%m-%dT%H:%M}" if isinstance(today, datetime) else today
        await self._put("/api/today", str(at or ""))

    @noted
    async def set_quotas(self, quotas: str) -> None:
        """Let quotas hold, as in `"2026=1000/h,grdf=1/s"`, beside those that do; or `"off"`.

        Raises `ValueError`.
        """
        await self._put("/api/quotas", quotas)

    async def _counted(self, meter: str | None, series: str | None) -> dict[str, Any]:
        query = {"meter": meter, "series": series}
        given = {name: text for name, text in query.items() if text is not None}
        found: dict[str, Any] = await self._get("/api/calls", **given)
        return found

    async def _put(self, path: str, content: str, query: dict[str, str] | None = None) -> None:
        content_of(await self._ask("PUT", path, query, content))


class TwinProcess(ScriptProcess[Twin]):
    """Runs `tools/energy_twin.py` for as long as a block is not left; entering it gives the `Twin`.

    `options` are those of the script; `name` is what the block calls the `Twin`.
    """

    def __init__(self, options: tuple[str, ...] = (), name: str = "twin") -> None:
        super().__init__("energy_twin.py", "energy twin", Twin, options, name)


def energy_server(*options: str) -> TwinProcess:
    """Run an energy twin with these options on a free port, until a block is left.

    async with energy_server("--meter", "11111111111111:late", "--today", "2026-02-11") as twin:
        assert await twin.count() == 0
    """
    return TwinProcess(options)
