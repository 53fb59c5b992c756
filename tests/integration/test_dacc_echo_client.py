"""The echo server as tests of the worker use it: a child process, asked and told by methods."""

import asyncio
import json

import anyio
import httpx
import pytest

from ecolyo_worker.testing import Echo, echo_server

pytest_plugins = ["pytester"]

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
    with pytest.raises(ValueError, match=r"^'resett' is no fault; did you mean reset\? allowed "):
        await dacc_echo.set_fault("resett")
    with pytest.raises(ValueError, match=r"^a token is printable ASCII without blanks$"):
        await dacc_echo.set_token("a b", "alice")


async def test_wait(dacc_echo: Echo) -> None:
    """Waiting gives how many indicators there are, or says which were waited for in vain."""
    await post(dacc_echo, "alice")
    assert await dacc_echo.wait(1) == await dacc_echo.wait(1, "profile-count-monthly") == 1
    with pytest.raises(TimeoutError, match=r"there is 1 .*; received: 1 \(1 × profile"):
        await dacc_echo.wait(2, timeout_s=0)
    with pytest.raises(TimeoutError, match=r"waited for 1 indicator, there are 0"):
        await dacc_echo.wait(1, "quiz-stars", timeout_s=0)


async def reached(url: str) -> bool:
    """Say whether anybody listens there."""
    try:
        await Echo(url).count()
    except httpx.ConnectError:
        return False
    return True


async def test_it_lives_as_long_as_the_block() -> None:
    """A server with options is there in a block of either kind, and gone when the block is left."""
    async with echo_server("--token", "s3cret") as echo:
        assert await post(echo, token="s3cret") == 201
        assert await post(echo) == 401
    with echo_server() as other:
        assert await reached(other.url)
        assert repr(other) == f"<Echo {other.url}>"
    assert not await reached(echo.url)
    assert not await reached(other.url)


async def test_it_ends_with_a_block_that_is_cancelled() -> None:
    """A block that is cancelled, or left by an error, leaves no server behind."""
    with anyio.CancelScope() as scope:
        async with echo_server() as echo:
            scope.cancel()
            await anyio.sleep_forever()
    with pytest.raises(ZeroDivisionError):
        async with echo_server() as other:
            raise ZeroDivisionError
    assert not await reached(echo.url)
    assert not await reached(other.url)


async def test_options_that_it_refuses(capfd: pytest.CaptureFixture[str]) -> None:
    """A server that ends instead of starting is an error with the reason; stderr has it all."""
    ended = "^the echo server ended with 64 instead of starting: "
    with pytest.raises(RuntimeError, match=f"{ended}dacc_echo: --fault: 'resett' is no fault"):
        with echo_server("--fault", "resett"):
            raise AssertionError
    with pytest.raises(RuntimeError, match=r"instead of starting: .*arguments: --prot 1$"):
        async with echo_server("--prot", "1"):
            raise AssertionError
    said = capfd.readouterr().err
    assert "dacc_echo: --fault: 'resett' is no fault; did you mean reset? allowed are ok, " in said
    assert "dacc_echo.py: error: unrecognized arguments: --prot 1" in said


def test_a_test_without_an_event_loop(dacc_echo: Echo) -> None:
    """The fixture serves such tests, too."""
    assert asyncio.run(post(dacc_echo)) == 201
    assert anyio.run(dacc_echo.expect, "profile-count-monthly")["n"] == 1
    assert asyncio.run(dacc_echo.expect("profile-count-monthly", value=1))["n"] == 1


FORGOTTEN = """
import pytest
from ecolyo_worker.testing import dacc_echo, echo_server

@pytest.fixture
def anyio_backend():
    return "asyncio"

def test_without_a_loop(dacc_echo):
    dacc_echo.expect("quiz-stars", value=3)

async def test_with_a_loop(dacc_echo):
    dacc_echo.expect_nothing()
    await dacc_echo.count()

async def test_a_block():
    async with echo_server() as echo:
        echo.wait(2, timeout_s=5)

def test_that_fails_otherwise():
    with echo_server() as echo:
        echo.clear()
        raise ZeroDivisionError
"""


def test_a_call_that_is_never_awaited(pytester: pytest.Pytester) -> None:
    """It fails the test, of whichever kind, by its name; what failed before it is told alone."""
    pytester.makepyfile(FORGOTTEN)
    result = pytester.runpytest_subprocess("-p", "anyio", "-o", "anyio_mode=auto", "-W", "error")
    result.assert_outcomes(passed=2, errors=2, failed=2)
    said = "E*AssertionError: never awaited, so nothing was done or checked: "
    result.stdout.fnmatch_lines_random(
        [
            f"{said}dacc_echo.expect('quiz-stars', value=3); await it, *",
            f"{said}dacc_echo.expect_nothing(); await it, *",
            f"{said}echo.wait(2, timeout_s=5); await it, *",
            "E*ZeroDivisionError",
        ]
    )
    assert "clear()" not in result.stdout.str().partition("short test summary")[2]
