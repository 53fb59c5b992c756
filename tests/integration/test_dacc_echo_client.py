"""The echo server as tests of the worker use it: a child process, asked and told by methods."""

import json

import httpx
import pytest

from ecolyo_worker.testing import Echo

TEXT = json.dumps(
    {
        "createdBy": "ecolyo",
        "measureName": "profile-count-monthly",
        "startDate": "2026-11-01",
        "value": 1,
    }
)


async def post(echo: Echo, stack: str = "", token: str = "") -> int:
    """Post an envelope through a stack; give the status of the answer."""
    path = f"/{stack}/remote/cc.cozycloud.dacc" if stack else "/remote/cc.cozycloud.dacc"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(echo.url + path, json={"data": TEXT}, headers=headers)
    return answer.status_code


async def test_what_came_through_a_stack(dacc_echo: Echo) -> None:
    """Indicators and counts are given of all stacks, of one, and indicators of none as well."""
    for stack in ("alice", "", "alice", "zo\u00e9 & co"):
        await post(dacc_echo, stack)
    assert [record["n"] for record in await dacc_echo.indicators()] == [1, 2, 3, 4]
    assert [record["n"] for record in await dacc_echo.indicators("alice")] == [1, 3]
    assert [record["n"] for record in await dacc_echo.indicators("")] == [2]
    assert [record["n"] for record in await dacc_echo.indicators("zo\u00e9 & co")] == [4]
    assert await dacc_echo.bodies() == [TEXT] * 4
    assert (await dacc_echo.count())["received"] == 4
    assert (await dacc_echo.count("alice"))["duplicates"] == 1


async def test_fault_and_token_of_a_stack(dacc_echo: Echo) -> None:
    """Faults and the token are set for all or for one stack, and taken back."""
    await dacc_echo.set_fault("status=500*2")
    await dacc_echo.set_fault("expired-token*9", "alice")
    assert [await post(dacc_echo, stack) for stack in ("alice", "bob", "")] == [400, 500, 500]
    await dacc_echo.set_fault("", "alice")
    await dacc_echo.set_token("general")
    await dacc_echo.set_token("own", "alice")
    assert await post(dacc_echo, "alice", "own") == await post(dacc_echo, "bob", "general") == 201
    assert await post(dacc_echo, "alice", "general") == 400
    await dacc_echo.set_token("", "alice")
    assert [await post(dacc_echo, stack) for stack in ("alice", "bob")] == [201, 401]


async def test_what_cannot_be_set(dacc_echo: Echo) -> None:
    """What the server refuses to be set is an error in its words."""
    with pytest.raises(ValueError, match=r"^'resett' is no fault; allowed are ok, "):
        await dacc_echo.set_fault("resett")
    with pytest.raises(ValueError, match=r"^a token is printable ASCII without blanks$"):
        await dacc_echo.set_token("a b", "alice")


async def test_wait(dacc_echo: Echo) -> None:
    """Waiting gives how many indicators there are, or says which were waited for in vain."""
    await post(dacc_echo, "alice")
    assert await dacc_echo.wait(1) == await dacc_echo.wait(1, "profile-count-monthly") == 1
    with pytest.raises(TimeoutError, match=r"waited for 2 indicators, there are 1"):
        await dacc_echo.wait(2, timeout_s=0)
    with pytest.raises(TimeoutError, match=r"waited for 1 indicators, there are 0"):
        await dacc_echo.wait(1, "quiz-stars", timeout_s=0)
