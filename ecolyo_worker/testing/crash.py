"""A worker under load of everything at once, in a process of its own that ends without warning.

    python -m ecolyo_worker.testing.crash --list
    ECOLYO_CRASH_AT=sender.claimed:kill:3 python -m ecolyo_worker.testing.crash STATE ECHO TWIN SEED

The first lists the places. The second runs the load until it ends at the armed one; ECHO and TWIN
are the addresses of an echo server and an energy twin. It prints `try INSTANCE EVENT` before an
event is handed over, and `ack INSTANCE ID` once it was acknowledged; `account ID` once somebody
gave a consent that stays. Its clock begins at `BEGIN` and runs 5,000 times as fast as the wall's,
so that nights, retries and the janitor's hours come within a second or two. A twin stands at a day
of a week later, or more.
"""

import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec

from ecolyo_worker import requests as ask
from ecolyo_worker.clock import Clock, civil_from_instant, civil_text
from ecolyo_worker.commands import Commands
from ecolyo_worker.crashpoints import POINTS
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.providers import Enedis, Grdf
from ecolyo_worker.settings import Aggregation, Dacc, Retention, Settings
from ecolyo_worker.testing.clock import FastClock
from ecolyo_worker.testing.energy import Twin
from ecolyo_worker.worker import Worker

__all__ = [
    "BEGIN",
    "GUESTS_DAYS",
    "GUESTS_METER",
    "METERS",
    "PEOPLE",
    "Load",
    "fetching",
    "load",
    "settings",
]

LIMIT_S = 60
SPEED = 5000
BEGIN = datetime(2026, 3, 10, 11, 0, tzinfo=UTC)
BACK = "https://cozy.example/back"
PEOPLE = [f"p{n}.example" for n in range(5)]
METERS: dict[str, tuple[Provider, str]] = {
    "p0.example": ("enedis", "10000000000001"),
    "p1.example": ("enedis", "10000000000002"),
    "p2.example": ("grdf", "20000000000001"),
}
"""Whose readings are fetched, from whom, and their meters, which are the twin's."""
GUESTS_METER = "10000000000003"
"""The meter of those who do not stay; the twin's, too."""
GUESTS_DAYS = 28
"""Of so many days they bring readings in a file."""
TARGETS = ("electricity", "gas", "water", "faq", "options", "analysis", "enedis", "egl")
TYPES = (
    *("NavigationEvent", "ConnectionEvent", "QuizEndEvent"),
    *("ProfileSetEvent", "KonnectorAttemptEvent"),
)


def settings(state_dir: Path, url: str, clock: Clock | None = None) -> Settings:
    """Give the settings of the loaded worker; with its clock, a night is due in two minutes.

    Without one, they are for a worker that sends what is left.
    """
    schedule, rate = "0 1 * * *", 5000.0
    if clock is not None:
        soon = clock.now().astimezone(Settings().civil_zone) + timedelta(minutes=2)
        schedule, rate = f"{soon.minute} {soon.hour} * * *", 5.0
    tiny = timedelta(milliseconds=1)
    return Settings(
        state_dir=state_dir,
        grace=timedelta(seconds=5),
        aggregation=Aggregation(schedule=schedule, monthly_day=1),
        dacc=Dacc(
            url=url,
            rate=rate,
            spread=timedelta(),
            backoff_base=tiny,
            backoff_cap=tiny,
            unknown_retry=tiny,
            auth_retry=tiny,
        ),
        retention=Retention(events_days=31, sent_days=1),
    )


def fetching(settings: Settings, twin: Twin) -> Settings:
    """Let a worker fetch from a twin, whose refresh tokens are good once.

    The secret of its application is put beside the state directory.
    """
    secret = settings.directory.with_name("client-secret")
    secret.write_text("secret")
    secret.chmod(0o600)
    enedis = Enedis(
        client_id="ecolyo",
        client_secret_file=secret,
        generation="v4",
        base_url=twin.url,
        authorize_url=twin.v4_authorize_url,
        token_url=twin.v4_token_url,
        redirect_uri=BACK,
        spread=timedelta(),
        per_second=100,
        per_hour=1_000_000,
        history_days=60,
        curve_days=21,
    )
    grdf = Grdf(
        client_id="ecolyo",
        client_secret_file=secret,
        base_url=twin.grdf_url,
        token_url=twin.grdf_token_url,
        spread=timedelta(),
        per_second=100,
        history_days=60,
    )
    return settings.replace(enedis=enedis, grdf=grdf)


class Load:
    """Everything that hosts do with a worker, again and again, by chance of a seed."""

    def __init__(self, worker: Worker, seed: int) -> None:
        """The seed is in the events' ids too, so that two loads never share one."""
        self.worker = worker
        self.commands = Commands(worker)
        self.draw = random.Random(seed)
        self.seed = seed
        self._made = 0

    async def agree(self, *people: str) -> None:
        """Let people accept the terms."""
        consent = {"version": "1.0.0", "accepted_at": "2020-01-01T00:00:00"}
        facts = [{"instance": name, "consent": consent} for name in people]
        await self.commands.instances_import(ask.InstancesImport(_lines(facts)))

    async def move_in(self) -> None:
        """Let people consent that their readings are fetched, who did not, and say so."""
        known = {one.instance: one async for one in self.commands.accounts_list(ask.AccountsList())}
        for name, (provider, meter) in METERS.items():
            typed = None if provider == "enedis" else meter
            account = known.get(name) or await self.commands.accounts_add(
                ask.AccountAdd(provider, name, typed)
            )
            if account.state in {"new", "needs_consent"}:
                await self.consent(account.id, meter)
            _say(f"account {account.id}")

    async def consent(self, account: int, meter: str) -> None:
        """Let a person consent, on the page of Enedis, that her meter is asked for."""
        page = await self.commands.accounts_authorize(account)
        back = await _visit(page.url, meter)
        await self.commands.accounts_consent(ask.AccountConsent(account, callback=back))

    async def record(self) -> None:
        """Record some events of somebody, most of them of the last two days, and say so."""
        name = self.draw.choice(PEOPLE)
        batch = [self._event() for _ in range(self.draw.randrange(1, 6))]
        _say(*(f"try {name} {msgspec.json.encode(event).decode()}" for event in batch))
        await self.worker.record(name, batch)
        _say(*(f"ack {name} {event['_id']}" for event in batch))

    async def leave(self, way: str) -> None:
        """Let somebody come, do something, be counted, and leave."""
        name = f"{way}-{self.draw.getrandbits(40):x}.example"
        await self.agree(name)
        await self.worker.record(name, [self._event() for _ in range(3)])
        await self.worker.run_once()
        await self.worker.record(name, self._event())
        if way == "withdraw":
            await self.commands.instances_withdraw(name)
        else:
            await self.commands.instances_forget(name)

    async def pass_through(self) -> None:
        """Let somebody come with readings of a file, have others fetched, and leave Enedis."""
        name = f"guest-{self.draw.getrandbits(40):x}.example"
        reading = {"instance": name, "fluid": "electricity", "step": "day", "value": 7.5}
        readings = [{**reading, "start": f"2026-02-{day:02}"} for day in range(1, GUESTS_DAYS + 1)]
        await self.commands.consumption_import(ask.ConsumptionImport(_lines(readings)))
        made = await self.commands.accounts_add(ask.AccountAdd("enedis", name))
        await self.consent(made.id, GUESTS_METER)
        await self.commands.accounts_remove(ask.AccountRemove(made.id))

    async def fetch_again(self) -> None:
        """Fetch all readings once more."""
        async for _ in self.commands.poll(ask.Poll(forced=True)):
            pass

    async def retry(self) -> None:
        """Let the rows that are dead be sent again."""
        await self.commands.outbox_retry(ask.Retry())

    async def back_up(self) -> None:
        """Make a backup, which nobody keeps."""
        async for _ in self.commands.backup():
            pass

    def _event(self) -> dict[str, Any]:
        self._made += 1
        now = civil_from_instant(self.worker.clock.now(), self.worker.settings.civil_zone)
        days = self.draw.choice((1, 1, 1, 1, 1, 1, 1, 1, 1, 28))
        at = now - days * 86_400_000 - self.draw.randrange(86_400_000)
        return {
            "_id": f"{self.seed}-{self._made}",
            "type": self.draw.choice(TYPES),
            "eventDate": civil_text(at),
            "target": self.draw.choice(TARGETS),
            "result": "4",
            "startDate": civil_text(at - 60_000),
        }


async def load(state_dir: Path, url: str, twin: str, seed: int) -> None:
    """Run a worker under load for `LIMIT_S`, or until it ends at the armed place."""
    clock = FastClock(BEGIN, SPEED)
    chosen = fetching(settings(state_dir, url, clock), Twin(twin))
    async with Worker(chosen, clock=clock) as worker:
        load = Load(worker, seed)
        await load.agree(*PEOPLE)
        await load.move_in()
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(_again, load.record)
                tasks.start_soon(_again, worker.run_once)
                tasks.start_soon(_again, load.back_up)
                tasks.start_soon(_again, load.retry)
                # What takes long must leave the others time.
                tasks.start_soon(partial(_again, load.fetch_again, pause_s=0.05))
                tasks.start_soon(partial(_again, load.pass_through, pause_s=0.05))
                tasks.start_soon(_again, load.leave, "withdraw")
                tasks.start_soon(_again, load.leave, "forget")


async def _again(
    function: Callable[..., Awaitable[Any]],
    *arguments: Any,  # noqa: ANN401
    pause_s: float = 0.001,
) -> None:
    while True:
        await function(*arguments)
        await anyio.sleep(pause_s)


async def _visit(url: str, meter: str) -> str:
    """Consent for a meter on the twin's page, and give where that leads back to."""
    # There is no TLS on the way; to get ready for it would take most of a request's time.
    async with httpx.AsyncClient(trust_env=False, verify=False) as browser:  # noqa: S501
        more = {"redirect_uri": BACK, "usage_point_id": meter}
        answer = await browser.get(httpx.URL(url).copy_merge_params(more))
    return answer.headers["location"]


def _lines(documents: Sequence[object]) -> list[ask.Line]:
    return [ask.Line(n, msgspec.json.encode(one)) for n, one in enumerate(documents, 1)]


def _say(*lines: str) -> None:
    """Print lines so that they stay when the process is killed."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main() -> int:
    """List the places, or run the load, by what stands on the command line."""
    arguments = sys.argv[1:]
    if arguments == ["--list"]:
        _say(*(f"{point:24}{words}" for point, words in POINTS.items()))
        return 0
    if len(arguments) != 4 or not arguments[3].isdecimal():
        sys.stderr.write(
            "usage: python -m ecolyo_worker.testing.crash --list | STATE ECHO TWIN SEED\n"
        )
        return 64
    state_dir, url, twin, seed = arguments
    anyio.run(load, Path(state_dir), url, twin, int(seed))
    return 3  # nobody ended it: the place was never reached


if __name__ == "__main__":
    sys.exit(main())
