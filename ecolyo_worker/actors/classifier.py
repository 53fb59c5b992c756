"""Has names of browsers classified; neither the event loop nor the database waits for it."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING, Final

import anyio
import msgspec
from anyio import to_thread
from anyio.abc import Process

from ecolyo_worker.measures import devices

if TYPE_CHECKING:
    from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ["Classifier"]

_PATIENCE_S: Final = 60.0
_LONGEST: Final = 1_048_576  # of an answer, which has a word for each name
_TROUBLES = (
    OSError,
    ValueError,
    TimeoutError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)


class Classifier:
    """A process of its own, from the first name to `aclose`, or a thread where there can be none.

    A thread would do, were it not that the classifier holds Python's lock for long at a time.
    """

    def __init__(self) -> None:
        """Nothing is started yet."""
        self._process: Process | None = None
        self._answers: BufferedByteReceiveStream | None = None
        # Inside another program, that is what `sys.executable` may be.
        self._in_thread = not Path(sys.executable).name.startswith("python")

    async def learn(self, names: Sequence[str]) -> None:
        """Classify some names and let them be remembered, but for those that break it."""
        if not self._in_thread:
            try:
                with anyio.fail_after(_PATIENCE_S):
                    kinds = await self._ask(names)
            except _TROUBLES:
                self._in_thread = True
                await self.aclose()
            else:
                pairs = zip(names, kinds, strict=True)
                devices.remember({name: kind for name, kind in pairs if kind is not None})
                return
        for name in names:
            with suppress(Exception):  # whoever counts the event meets it again
                await to_thread.run_sync(devices.learn, name)

    async def aclose(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                process.kill()  # it has nothing that could be lost
            await process.aclose()

    async def _ask(self, names: Sequence[str]) -> list[devices.Kind | None]:
        if self._process is None:
            # Only what this file imports is loaded; a session of its own hears no Ctrl-C.
            self._process = await anyio.open_process(
                [sys.executable, "-P", devices.__file__],
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            from anyio.streams.buffered import BufferedByteReceiveStream

            assert self._process.stdout is not None
            self._answers = BufferedByteReceiveStream(self._process.stdout)
        assert self._process.stdin is not None
        assert self._answers is not None
        await self._process.stdin.send(msgspec.json.encode(names) + b"\n")
        answer = await self._answers.receive_until(b"\n", _LONGEST)
        return msgspec.json.decode(answer, type=list[devices.Kind | None])
