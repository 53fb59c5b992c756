"""Whose an indicator is never leaves: over real HTTP, in no body, header or place of sending."""

import json
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecolyo_worker import Settings, Worker
from ecolyo_worker.settings import Dacc
from ecolyo_worker.testing import echo_server
from ecolyo_worker.testing.ledger import assert_balanced
from tests.property.allowed import Judge
from tests.property.made import limits
from tests.property.model import Person
from tests.property.worked import agree

pytestmark = pytest.mark.timeout(600)  # a failure is told in its smallest form

JUDGE = Judge()
AS_OF = datetime(2026, 10, 31, 1)
KINDS = ["NavigationEvent", "ChallengeLaunchEvent", "KonnectorConnectEvent", "QuizEndEvent"]
# A name that no word of the program's own holds.
NAMES = st.from_regex(r"[a-z]{1,6}-zq[0-9]{1,3}\.[a-z]{2,9}x", fullmatch=True)


@limits(8)
@given(
    st.sampled_from(["native", "cozy-v1", "cozy-v2"]),
    st.lists(NAMES, min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
)
async def test_no_name_leaves(
    target: Literal["native", "cozy-v1", "cozy-v2"], names: list[str], kinds: list[str]
) -> None:
    """Names stand in no body and no header, and in the address of a stack of one's own alone."""
    requests: list[httpx.Request] = []

    async def note(request: httpx.Request) -> None:
        requests.append(request)

    def client() -> httpx.AsyncClient:
        return httpx.AsyncClient(trust_env=False, event_hooks={"request": [note]})

    async with AsyncExitStack() as stack:
        directory = stack.enter_context(TemporaryDirectory())
        echo = await stack.enter_async_context(echo_server())
        place = "" if target == "native" else "/{instance}"
        dacc = Dacc(target=target, url=echo.url + place, rate=1000.0)
        settings = Settings(state_dir=Path(directory), dacc=dacc)
        async with Worker(settings, http=client).opened() as worker:
            await agree(worker, {name: Person() for name in names}, datetime(2026, 10, 1))
            for name in names:
                await worker.record(
                    name,
                    [_event(n, kind, name) for n, kind in enumerate(["NavigationEvent", *kinds])],
                )
            await worker.run_once(AS_OF)
            await worker.send()
        await assert_balanced(Path(directory), echo.url)
        bodies = [body.encode() for body in await echo.bodies()]
    assert len(requests) == len(bodies) >= len(names)
    for body in bodies:
        JUDGE.refuse(body)
    for request in requests:
        told = [request.content, *(part for header in request.headers.raw for part in header)]
        told += [] if place else [str(request.url).encode()]
        assert not any(name.encode() in part for name in names for part in told)
        request.headers.pop("content-length")
    assert len({json.dumps(request.headers.multi_items()) for request in requests}) == 1


def _event(n: int, kind: str, name: str) -> dict[str, str]:
    """Give an event that says the name wherever it can."""
    texts = dict.fromkeys(("target", "context", "result", "startDate"), name)
    return {"_id": f"{name}-{n}", "type": kind, "eventDate": "2026-10-30T09:00", **texts}
