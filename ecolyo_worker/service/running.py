"""The service as a whole: a worker with its faces, entered anew when settings are read again."""

import os
from collections.abc import Callable

import anyio

from ecolyo_worker.errors import ConfigurationError, EcolyoError
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.service.herald import Herald
from ecolyo_worker.service.server import ControlSocket, HttpFace
from ecolyo_worker.service.tokens import http_token_file
from ecolyo_worker.store.refusing import opened_to
from ecolyo_worker.version import __version__
from ecolyo_worker.worker import Worker

__all__ = ["Service"]

_NOT_READ = "the settings are wrong and were not taken, the log says why: those of before hold"


class Service:
    """Works until it is stopped; told to reload, it goes on with a worker of other settings."""

    def __init__(self, worker: Worker, make_worker: Callable[[], Worker], herald: Herald) -> None:
        """`worker` is the first one; `make_worker` makes another of the settings as they are then.

        Nothing is opened yet.
        """
        self._make_worker = make_worker
        self._herald = herald
        self._worker = worker
        self._before: Worker | None = None
        self._asked = anyio.Event()
        self._stopped = anyio.Event()
        self._must_reload = False
        self._starting: anyio.CancelScope | None = None

    @property
    def is_starting(self) -> bool:
        """Whether a worker is being entered."""
        return self._starting is not None

    def stop(self) -> None:
        """Let it end, and if that was said before and it is ending, wait for nothing.

        What comes again before the end has begun is meant once: some senders signal a process and
        its group. A start is broken off.
        """
        if self._is_stopped and not self._worker.is_ready:
            self._worker.abort()
        self._stopped.set()
        self._asked.set()
        if self._starting is not None:
            self._starting.cancel()

    @property
    def _is_stopped(self) -> bool:
        return self._stopped.is_set()

    def reload(self) -> None:
        """Let it read the settings again, and go on with them if they are right."""
        self._must_reload = True
        self._asked.set()

    async def run(self) -> None:
        """Work until `stop`; raises what entering and leaving a worker raises.

        If the settings that were read again do not let it start, it goes on with those of before.
        """
        failure: EcolyoError | None = None
        async with anyio.create_task_group() as beside:
            beside.start_soon(self._tell_stop)
            try:
                await self._run()
            except EcolyoError as error:
                failure = error  # outside, for a task group would wrap it
            if not self._is_stopped:
                beside.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._worker.logger.info("stopped")

    async def _tell_stop(self) -> None:
        """Say at once that it ends, whatever is under way then."""
        await self._stopped.wait()
        await self._herald.stopping(self._worker)

    async def _run(self) -> None:
        following: Worker | None = self._worker
        while following is not None and not self._is_stopped:
            self._worker = following
            try:
                following = await self._work(self._worker)
            except EcolyoError as error:
                if self._before is None:
                    raise
                self._refuse(self._worker, error)
                following, self._before = self._before, None

    async def _work(self, worker: Worker) -> Worker | None:
        """Enter a worker and let it work until something is asked; give the one to go on with."""
        await self._herald.starting()
        if self._is_stopped:
            return None
        face = _face(worker)
        following: Worker | None = None
        with anyio.CancelScope() as self._starting:
            async with worker:
                await self._show(worker, face)
                self._starting = None
                if not self._is_stopped:
                    following = await self._stay(worker, face)
        self._starting = None
        self._before = worker
        return following

    async def _show(self, worker: Worker, face: HttpFace | None) -> None:
        """Let others reach a worker."""
        await worker.supervise(ControlSocket(worker))
        if face is not None:
            await worker.supervise(face)

    async def _stay(self, worker: Worker, face: HttpFace | None) -> Worker | None:
        """Let a worker work until there is reason to leave it; give the one to go on with."""
        worker.logger.info(
            "ready",
            version=__version__,
            pid=os.getpid(),
            state=str(worker.settings.directory),
            mode=worker.settings.mode,
            http="off" if face is None else str(face.listen),
        )
        _warn_of_tokens(worker)
        if (found := opened_to(worker.settings.directory)) is not None:
            worker.logger.warning("the state directory is open to others", reason=found)
        self._before = None
        await self._herald.ready(worker)
        following = await self._until_asked(worker)
        grace_s = worker.settings.grace.total_seconds()
        worker.logger.info("stopping" if following is None else "reloading", grace_s=grace_s)
        return following

    async def _until_asked(self, worker: Worker) -> Worker | None:
        """Wait until there is reason to leave a worker; give the next one, None to stop."""
        while not self._is_stopped:
            await self._asked.wait()
            self._asked = anyio.Event()
            if self._must_reload and not self._is_stopped:
                self._must_reload = False
                if (following := await self._reload(worker)) is not None:
                    return following
        return None

    async def _reload(self, worker: Worker) -> Worker | None:
        """Read the settings again; give a worker that has them, None if they are wrong."""
        await self._herald.reloading(worker)
        try:
            following = self._make_worker()
            _face(following)
        except ConfigurationError as error:
            self._refuse(worker, error)
            await self._herald.ready(worker)
            return None
        self._herald.trouble = None
        self._herald.leaving(worker)
        return following

    def _refuse(self, worker: Worker, error: EcolyoError) -> None:
        worker.logger.error("the new settings are not taken", reason=str(error))
        self._herald.trouble = _NOT_READ


def _face(worker: Worker) -> HttpFace | None:
    """Give the HTTP face that a worker's settings want; raises `ConfigurationError`."""
    return HttpFace(worker) if worker.settings.http.listen else None


def _warn_of_tokens(worker: Worker) -> None:
    """Say which file of tokens everybody may read; it is used all the same, as it was before.

    Where each person has a file of her own, these are not looked for.
    """
    settings = worker.settings
    for file in (TokenFile(settings.dacc.token_file), http_token_file(settings.http)):
        if (mode := file.mode_for_all) is not None:
            worker.logger.warning(
                "a token is open to everybody",
                setting=file.setting,
                file=str(file.path),
                mode=f"{mode:04o}",
            )
