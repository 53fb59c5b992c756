"""`run`: the service, in the foreground."""

import os
from signal import SIGHUP, SIGINT, SIGTERM
from typing import Annotated

import anyio
from anyio.abc import TaskStatus
from cyclopts import App, Parameter

from ecolyo_worker.cli.session import Session
from ecolyo_worker.errors import EcolyoError
from ecolyo_worker.version import __version__
from ecolyo_worker.worker import Worker

__all__ = ["register"]


def register(app: App) -> None:
    """Add this command."""
    app.command(run)


async def run(*, session: Annotated[Session, Parameter(parse=False)]) -> None:
    """Run the service in the foreground until SIGTERM or SIGINT; a second one hurries it.

    It takes events in, counts them every night, and sends the indicators. The other commands reach
    it through its control socket.
    """
    worker = session.worker("info")
    failure: EcolyoError | None = None
    async with anyio.create_task_group() as watching:
        stop = anyio.Event()
        await watching.start(_watch, worker, stop)
        try:
            await _serve(worker, stop)
        except EcolyoError as error:
            failure = error  # outside, for a task group would wrap it
        watching.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _serve(worker: Worker, stop: anyio.Event) -> None:
    # A fifth of what a command needs to start, and no other one needs it.
    from ecolyo_worker.service.server import ControlSocket, HttpFace

    async with worker:
        await worker.supervise(ControlSocket(worker))
        face = HttpFace(worker) if worker.settings.http.listen else None
        if face is not None:
            await worker.supervise(face)
        worker.logger.info(
            "ready",
            version=__version__,
            pid=os.getpid(),
            state=str(worker.settings.directory),
            mode=worker.settings.mode,
            http="off" if face is None else str(face.listen),
        )
        await stop.wait()
        worker.logger.info("stopping", grace_s=worker.settings.grace.total_seconds())
    worker.logger.info("stopped")


async def _watch(
    worker: Worker,
    stop: anyio.Event,
    *,
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Let the first signal stop the service, and a further one wait for nothing.

    A terminal that closes is one too. Some senders signal a process and its group: what comes again
    before the stop has begun is meant once.
    """
    with anyio.open_signal_receiver(SIGTERM, SIGINT, SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set() and not worker.is_ready:
                worker.abort()
            stop.set()
