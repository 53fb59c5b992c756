"""A worker under load of everything at once, in a process of its own that ends without warning.

    python -m ecolyo_worker.testing.crash --list
    ECOLYO_CRASH_AT=sender.claimed:kill:3 python -m ecolyo_worker.testing.crash STATE ECHO_URL SEED

The first lists the places. The second runs the load until it ends at the armed one. It prints a
line `ack INSTANCE ID` for each event once it was acknowledged. Its clock runs 5,000 times as fast
as the wall's, so that nights, retries and the janitor's hours come within a second or two.
"""

import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec

from ecolyo_worker.clock import Clock, SystemClock, civil_from_instant, civil_text
from ecolyo_worker.commands import Commands
from ecolyo_worker.crashpoints import POINTS
from ecolyo_worker.requests import InstancesImport, Line
from ecolyo_worker.settings import Aggregation, Dacc, Retention, Settings
from ecolyo_worker.testing.clock import FastClock
from ecolyo_worker.worker import Worker

__all__ = ["PEOPLE", "Load", "load", "settings"]

LIMIT_S = 30
SPEED = 5000
PEOPLE = [f"p{n}.example" for n in range(5)]
TARGETS = ("electricity", "gas", "water", "faq", "options", "analysis", "enedis", "egl")
TYPES = (
    *("NavigationEvent", "ConnectionEvent", "QuizEndEvent"),
    *("ProfileSetEvent", "KonnectorAttemptEvent"),
)


def settings(state_dir: Path, url: str, clock: Clock | None = None) -> Settings:
    """Give the settings of the loaded worker; with its clock, a night is due in two minutes.

    Without one, they are for a worker on the machine's clock that sends what is left.
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
        lines = [Line(n, msgspec.json.encode(fact)) for n, fact in enumerate(facts, 1)]
        await self.commands.instances_import(InstancesImport(lines))

    async def record(self) -> None:
        """Record some events of somebody, most of them of the last two days, and say so."""
        name = self.draw.choice(PEOPLE)
        batch = [self._event() for _ in range(self.draw.randrange(1, 6))]
        await self.worker.record(name, batch)
        lines = [f"ack {name} {event['_id']}\n" for event in batch]
        sys.stdout.write("".join(lines))
        sys.stdout.flush()

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


async def load(state_dir: Path, url: str, seed: int) -> None:
    """Run a worker under load for `LIMIT_S`, or until it ends at the armed place."""
    clock = FastClock(SystemClock().now() - timedelta(hours=12), SPEED)
    async with Worker(settings(state_dir, url, clock), clock=clock) as worker:
        load = Load(worker, seed)
        await load.agree(*PEOPLE)
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(_again, load.record)
                tasks.start_soon(_again, worker.run_once)
                tasks.start_soon(_again, load.back_up)
                tasks.start_soon(_again, load.leave, "withdraw")
                tasks.start_soon(_again, load.leave, "forget")


async def _again(function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:  # noqa: ANN401
    while True:
        await function(*arguments)
        await anyio.sleep(0.001)


def main(arguments: Sequence[str]) -> int:
    """List the places, or run the load."""
    if arguments == ["--list"]:
        for point, words in POINTS.items():
            print(f"{point:24}{words}")  # noqa: T201  it is what it is asked for
        return 0
    if len(arguments) != 3 or not arguments[2].isdecimal():
        sys.stderr.write("usage: python -m ecolyo_worker.testing.crash --list | STATE ECHO SEED\n")
        return 64
    state_dir, url, seed = arguments
    anyio.run(load, Path(state_dir), url, int(seed))
    return 3  # nobody ended it: the place was never reached


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
