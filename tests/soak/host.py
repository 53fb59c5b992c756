"""What hosts, people and operators do with a service, all at once, by chance of a seed."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx

from ecolyo_worker import requests as ask
from ecolyo_worker.clock import civil_from_instant, civil_text
from ecolyo_worker.commands import Commands
from ecolyo_worker.energy.labels import ZONE
from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.service.client import running_service
from ecolyo_worker.settings import Settings
from ecolyo_worker.testing.crash import PEOPLE, TARGETS, TYPES
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import PCE, PRM, visit
from tests.soak.service import SetClock

__all__ = ["METERS", "Host"]

METERS = (PRM, PCE)
_PAUSE_S = 0.02
_RECORDERS = 3
_CONSENT = {"version": "1.0.0", "accepted_at": "2020-01-01T00:00:00"}
_TAKEN, _BUSY = 200, 503


class Host:
    """Asks a service for everything, and notes what it was promised.

    A service that is away, or says that it cannot now, is what a host must expect. Anything else
    is a problem.
    """

    def __init__(self, settings: Settings, clock: SetClock, twin: Twin) -> None:
        """Nothing is asked yet."""
        self._directory = settings.directory
        self._socket = settings.http.listen.removeprefix("unix:")
        self._clock = clock
        self._twin = twin
        self._draw = random.Random()
        self._number = 0
        self._batches: list[tuple[str, list[dict[str, Any]]]] = []
        self.has_accounts = False
        """Whether energy accounts are kept, too."""
        self.accepted: set[tuple[str, str]] = set()
        """The events of which it was said that they are on disk."""
        self.problems: list[str] = []

    async def live(self, seed: str) -> None:
        """Ask until it is cancelled."""
        self._draw.seed(seed)
        asking = [*[self._record] * _RECORDERS, self._leave, self._command]
        async with self._client() as client, anyio.create_task_group() as tasks:
            for one in asking:
                tasks.start_soon(self._again, one, client)
            tasks.start_soon(self.keep_time)

    async def keep_time(self) -> None:
        """Let it be the same time at the twin until this is cancelled."""
        while True:
            await self.stand()
            await anyio.sleep(5 * _PAUSE_S)

    async def stand(self) -> None:
        """Let it be the same time at the twin now."""
        await self._twin.set_today(self._clock.now().astimezone(ZONE).replace(tzinfo=None))

    @asynccontextmanager
    async def commands(self) -> AsyncIterator[Commands | None]:
        """Ask through the control socket."""
        async with running_service(self._directory) as commands:
            yield commands

    async def keep_accounts(self, commands: Commands) -> None:
        """Let there be an account of each meter, whose holder consents again when it is needed."""
        accounts = [one async for one in commands.accounts_list(ask.AccountsList())]
        known = {one.provider for one in accounts}
        if "enedis" not in known:
            await commands.accounts_add(ask.AccountAdd("enedis", PEOPLE[0]))
        if "grdf" not in known:
            await commands.accounts_add(ask.AccountAdd("grdf", PEOPLE[1], PCE))
        for one in accounts:
            if one.state in {"new", "authorized", "needs_consent"}:
                page = await commands.accounts_authorize(one.id)
                meter = {"usage_point_id": PRM} if one.provider == "enedis" else {"pce": PCE}
                back = await visit(page.url, **meter)
                await commands.accounts_consent(ask.AccountConsent(one.id, callback=back))

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=self._socket)
        return httpx.AsyncClient(transport=transport, base_url="http://host", timeout=20)

    async def _again(
        self, act: Callable[[httpx.AsyncClient], Awaitable[None]], client: httpx.AsyncClient
    ) -> None:
        while True:
            try:
                await act(client)
            except httpx.HTTPError:
                pass  # it has ended, or is stopped for a while
            except EcolyoError as error:
                if error.reader == "us":
                    self.problems.append(f"{type(error).__name__}: {error}")
            await anyio.sleep(_PAUSE_S)

    async def _record(self, client: httpx.AsyncClient) -> None:
        """Hand some events over, now and then some of before once more."""
        if self._batches and self._draw.random() < 0.1:
            name, batch = self._draw.choice(self._batches)
        else:
            name, batch = self._draw.choice(PEOPLE), self._made(self._draw.randrange(1, 6))
            self._batches = [*self._batches[-20:], (name, batch)]
        await self._hand_over(client, name, batch)

    async def _hand_over(
        self, client: httpx.AsyncClient, name: str, batch: list[dict[str, Any]]
    ) -> None:
        answer = await client.post("/v1/events", params={"instance": name}, json=batch)
        if self._is_taken(answer):
            found = answer.json()
            if found["refused"] or found["accepted"] + found["known"] != len(batch):
                self.problems.append(f"of {len(batch)} good events it said {found}")
            self.accepted |= {(name, event["_id"]) for event in batch}

    def _is_taken(self, answer: httpx.Response) -> bool:
        if answer.status_code not in {_TAKEN, _BUSY}:
            self.problems.append(f"{answer.request.url}: {answer.status_code} {answer.text}")
        return answer.status_code == _TAKEN

    async def _agree(self, client: httpx.AsyncClient, name: str) -> bool:
        said = {"consent": _CONSENT}
        return self._is_taken(await client.put(f"/v1/instances/{name}", json=said))

    async def _leave(self, client: httpx.AsyncClient) -> None:
        """Let somebody come, do something, be counted, and leave; and all others stay."""
        for name in PEOPLE:
            await self._agree(client, name)
        name = f"leaver-{self._draw.getrandbits(40):x}.example"
        if not await self._agree(client, name):
            return
        await self._hand_over(client, name, self._made(3))
        async with self.commands() as commands:
            if commands is None:
                return
            await commands.aggregate(ask.Aggregate())
            await self._hand_over(client, name, self._made(1))
            if self._draw.random() < 0.5:
                await commands.instances_withdraw(name)
            else:
                await commands.instances_forget(name)

    async def _command(self, _: httpx.AsyncClient) -> None:
        """Give one of the commands that operators give."""
        async with self.commands() as commands:
            if commands is None:
                return
            if self.has_accounts:
                await self.keep_accounts(commands)
            streams: list[Callable[[], AsyncIterator[Any]]] = [
                commands.backup,
                commands.instances_list,
                lambda: commands.poll(ask.Poll(forced=self._draw.random() < 0.5)),
                lambda: commands.coverage(ask.Coverage(year=self._clock.now().year)),
                lambda: commands.outbox_list(ask.OutboxList()),
                lambda: commands.preview(ask.Preview()),
                lambda: commands.consumption_export(ask.ConsumptionExport("day")),
            ]
            if self._draw.random() < 0.3:
                await commands.status()
                await commands.send(ask.Send())
            async for _piece in self._draw.choice(streams)():
                pass

    def _made(self, count: int) -> list[dict[str, Any]]:
        return [self._event() for _ in range(count)]

    def _event(self) -> dict[str, Any]:
        """Make an event of the last two days, or one that is four weeks late."""
        self._number += 1
        now = civil_from_instant(self._clock.now(), ZONE)
        days = 28 if self._draw.random() < 0.1 else 1
        at = now - days * 86_400_000 - self._draw.randrange(86_400_000)
        return {
            "_id": f"event-{self._number}",
            "type": self._draw.choice(TYPES),
            "eventDate": civil_text(at),
            "target": self._draw.choice(TARGETS),
            "result": "4",
            "startDate": civil_text(at - 60_000),
        }
