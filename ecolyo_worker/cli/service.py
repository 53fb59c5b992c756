"""`run`: the service, in the foreground."""

import faulthandler
import os
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TYPE_CHECKING, Annotated

import anyio
from anyio.abc import TaskStatus
from cyclopts import App, Parameter

from ecolyo_worker.cli.session import Session
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.service.herald import Herald
from ecolyo_worker.service.notify import Notifier

if TYPE_CHECKING:
    from ecolyo_worker.service.running import Service

__all__ = ["register"]


def register(app: App) -> None:
    """Add this command."""
    app.command(run)


async def run(*, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Run the service in the foreground until SIGTERM or SIGINT; a second one hurries it.

    It takes events in, counts them every night, and sends the indicators. The other commands reach
    it through its control socket. Under systemd, SIGHUP lets it read the settings again.
    """
    # A fifth of what a command needs to start, and no other one needs it.
    from ecolyo_worker.service.running import Service

    worker = session.worker("info")
    notifier = Notifier(os.environ, worker.logger)
    if notifier.is_heard:
        faulthandler.enable()  # ended by the watchdog, it says in the log where it hung
    herald = Herald(notifier, SystemClock())
    service = Service(worker, lambda: session.worker("info"), herald)
    failure: EcolyoError | None = None
    async with anyio.create_task_group() as beside:
        await beside.start(_watch, service, notifier.is_heard)
        beside.start_soon(herald.run)
        try:
            await service.run()
        except EcolyoError as error:
            failure = error  # outside, for a task group would wrap it
        beside.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _watch(
    service: "Service",
    reloads: bool,  # noqa: FBT001
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Let signals stop the service, or read its settings again.

    Without a service manager, SIGHUP comes of a terminal that closed.
    """
    with anyio.open_signal_receiver(SIGTERM, SIGINT, SIGHUP) as signals:
        task_status.started()
        async for signal in signals:
            if signal == SIGHUP and reloads:
                service.reload()
            else:
                service.stop()
