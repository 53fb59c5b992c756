"""The echo server as tests of the worker use it: a child process, asked and told by methods."""

import json

import httpx
import pytest

from ecolyo_worker.testing.echo import Echo, echo_server

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


async def test_what_came_through_a_stack() -> None:
    """Indicators and counts are given of all stacks, of one, and indicators of none as well."""
    async with echo_server() as echo:
        for stack in ("alice", "", "alice", "zo\u00e9 & co"):
            await post(echo, stack)
        assert [record["n"] for record in await echo.indicators()] == [1, 2, 3, 4]
        assert [record["n"] for record in await echo.indicators("alice")] == [1, 3]
        assert [record["n"] for record in await echo.indicators("")] == [2]
        assert [record["n"] for record in await echo.indicators("zo\u00e9 & co")] == [4]
        assert await echo.bodies() == [TEXT] * 4
        assert (await echo.count())["received"] == 4
        assert (await echo.count("alice"))["duplicates"] == 1


async def test_fault_and_token_of_a_stack() -> None:
    """Faults and the token are set for all or for one stack, and taken back."""
    async with echo_server() as echo:
        await echo.set_fault("status=500*2")
        await echo.set_fault("expired-token*9", "alice")
        assert [await post(echo, stack) for stack in ("alice", "bob", "")] == [400, 500, 500]
        await echo.set_fault("", "alice")
        await echo.set_token("general")
        await echo.set_token("own", "alice")
        assert await post(echo, "alice", "own") == await post(echo, "bob", "general") == 201
        assert await post(echo, "alice", "general") == 400
        await echo.set_token("", "alice")
        assert [await post(echo, stack) for stack in ("alice", "bob")] == [201, 401]


async def test_what_cannot_be_set() -> None:
    """What the server refuses to be set is an error in its words."""
    async with echo_server() as echo:
        with pytest.raises(ValueError, match=r"^'resett' is no fault; allowed are ok, "):
            await echo.set_fault("resett")
        with pytest.raises(ValueError, match=r"^a token is printable ASCII without blanks$"):
            await echo.set_token("a b", "alice")


async def test_wait() -> None:
    """Waiting gives how many indicators there are, or says which were waited for in vain."""
    async with echo_server() as echo:
        await post(echo, "alice")
        assert await echo.wait(1) == await echo.wait(1, "profile-count-monthly") == 1
        with pytest.raises(TimeoutError, match=r"waited for 2 indicators, there are 1"):
            await echo.wait(2, timeout_s=0)
        with pytest.raises(TimeoutError, match=r"waited for 1 indicators, there are 0"):
            await echo.wait(1, "quiz-stars", timeout_s=0)
