"""What a test may expect of the echo server, and the very words in which it is told why not."""

import json
import re
from datetime import date, datetime
from typing import Any

import anyio
import httpx
import pytest

from ecolyo_worker.testing import Echo, echo_server

MOBILE = {
    "createdBy": "ecolyo",
    "measureName": "connection-count-daily",
    "startDate": "2026-11-20",
    "value": 2,
    "group1": {"device": "mobile"},
}
MONTHLY = {
    "createdBy": "ecolyo",
    "measureName": "profile-count-monthly",
    "startDate": "2026-11-01",
    "value": 1,
}


async def post(
    echo: Echo, base: dict[str, Any] = MOBILE, stack: str = "", **fields: object
) -> dict[str, Any]:
    """Post an indicator, changed in some fields; give what was posted."""
    indicator = {**base, **fields}
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.post(f"{echo.url}{stack and f'/{stack}'}/measure", json=indicator)
    return indicator


async def missed(echo: Echo, measure: str, **expected: Any) -> str:
    """Expect what is not there; give what is said of it."""
    with pytest.raises(AssertionError) as failed:
        await echo.expect(measure, **expected)
    return str(failed.value)


async def test_what_is_expected_is_given(dacc_echo: Echo) -> None:
    """The record of the first indicator that fits is given; what is not named is not compared."""
    await post(dacc_echo, group1={"device": "desktop"})
    sent = await post(dacc_echo)
    await post(dacc_echo, startDate="2026-11-21")
    found = await dacc_echo.expect("connection-count-daily", group1="mobile")
    assert (found["n"], found["indicator"], found["verdict"]) == (2, sent, "ok")
    assert found in await dacc_echo.indicators()
    assert (await dacc_echo.expect("connection-count-daily"))["n"] == 1


@pytest.mark.parametrize(
    "expected",
    [
        {"value": 2},
        {"value": 2.0},
        {"start_date": "2026-11-20"},
        {"start_date": date(2026, 11, 20)},
        {"group1": {"device": "mobile"}},
        {"stack": "alice"},
        {"value": 2, "start_date": "2026-11-20", "group1": "mobile", "stack": "alice"},
    ],
)
async def test_each_field_can_be_expected(dacc_echo: Echo, expected: dict[str, Any]) -> None:
    """Numbers are compared by what they are worth, days as text or date, groups by their value."""
    await post(dacc_echo, stack="alice")
    assert (await dacc_echo.expect("connection-count-daily", **expected))["n"] == 1


@pytest.mark.parametrize(
    "expected",
    [{"value": 0}, {"start_date": "2026-11-21"}, {"group1": "tablet"}, {"stack": "bob"}],
)
async def test_each_field_can_differ(dacc_echo: Echo, expected: dict[str, Any]) -> None:
    """One field that is not as expected is a failure."""
    await post(dacc_echo, stack="alice")
    await missed(dacc_echo, "connection-count-daily", **expected)


async def test_a_value_of_nought_is_compared(dacc_echo: Echo) -> None:
    """Nought is a value as others are."""
    await post(dacc_echo)
    await post(dacc_echo, value=0)
    assert (await dacc_echo.expect("connection-count-daily", value=0))["n"] == 2


async def test_the_difference_is_told(dacc_echo: Echo) -> None:
    """Of the nearest indicator each field is shown, what differs is marked, the rest is counted."""
    await post(dacc_echo, MONTHLY)
    await post(dacc_echo, startDate="2026-11-18", value=7, group1={"device": "tablet"})
    await post(dacc_echo, startDate="2026-11-19", group1={"device": "desktop"})
    await post(dacc_echo, startDate="2026-11-18", value=8, group1={"device": "tv"})
    said = await missed(
        dacc_echo, "connection-count-daily", value=3, start_date="2026-11-19", group1="mobile"
    )
    assert said == (
        "no such indicator was received; the nearest:\n"
        "\n"
        "                    expected                found\n"
        "   measure          connection-count-daily  connection-count-daily\n"
        "   startDate        2026-11-19              2026-11-19\n"
        "≠  value            3                       2\n"
        "≠  group1 (device)  mobile                  desktop\n"
        "\n"
        "received besides: 3 (2 × connection-count-daily, 1 × profile-count-monthly)"
    )


async def test_what_is_not_expected_is_shown_too(dacc_echo: Echo) -> None:
    """Fields that were not named stand there with `any`, and what is not there is `absent`."""
    await post(dacc_echo, MONTHLY, stack="alice")
    said = await missed(dacc_echo, "profile-count-monthly", value=2, within_s=0.01)
    assert said == (
        "no such indicator was received within 0.01 s; the nearest:\n"
        "\n"
        "              expected               found\n"
        "   measure    profile-count-monthly  profile-count-monthly\n"
        "   startDate  any                    2026-11-01\n"
        "   stack      any                    alice\n"
        "≠  value      2                      1\n"
        "\n"
        "received besides: none"
    )
    assert "≠  stack      bob" in await missed(dacc_echo, "profile-count-monthly", stack="bob")
    await dacc_echo.clear()
    await post(dacc_echo, MONTHLY)
    told = await missed(dacc_echo, "profile-count-monthly", stack="bob")
    assert re.search(r"^≠  stack      bob +absent$", told, re.MULTILINE)


async def test_what_was_refused_may_be_nearest(dacc_echo: Echo) -> None:
    """An indicator that was refused is told with the reason, whether or not it fits otherwise."""
    await dacc_echo.set_fault("ok,cozy-502,latency=1ms")
    await post(dacc_echo, MONTHLY)
    await post(dacc_echo)
    await post(dacc_echo, MONTHLY)
    assert await missed(dacc_echo, "connection-count-daily", value=2) == (
        "such an indicator came, but it was not stored (fault: cozy-502):\n"
        "\n"
        "                    expected                found\n"
        "   measure          connection-count-daily  connection-count-daily\n"
        "   startDate        any                     2026-11-20\n"
        "   value            2                       2\n"
        "   group1 (device)  any                     mobile\n"
        "\n"
        "received besides: 2 (2 × profile-count-monthly)\n"
        "refused: 1 (1 × fault: cozy-502)\n"
        "faults played: 2 (1 × cozy-502, 1 × latency=0.001s)"
    )
    await dacc_echo.clear()
    await post(dacc_echo, measureName="connection-count-dayly")
    assert (await missed(dacc_echo, "connection-count-daily", value=2)).startswith(
        "no such indicator was received; the nearest, which was not stored (invalid: No measure "
        "definition found for: connection-count-dayly):\n"
        "\n"
        "                    expected                found\n"
        "≠  measure          connection-count-daily  connection-count-dayly\n"
    )


async def test_the_wanted_measure_is_nearer_than_another(dacc_echo: Echo) -> None:
    """However much differs in one of its measure, another measure is never nearer."""
    await post(dacc_echo, startDate="2020-01-31", value=99, group1={"device": "tablet"})
    await post(dacc_echo, measureName="connection-count-monthly", group1={})
    await post(dacc_echo, MONTHLY, measureName="connection-count-monthly", value=2)
    said = await missed(
        dacc_echo, "connection-count-daily", value=2, start_date="2026-11-01", group1="mobile"
    )
    assert re.search("^≠  group1 \\(device\\)  mobile +tablet$", said, re.MULTILINE)


async def test_nothing_is_near(dacc_echo: Echo) -> None:
    """Where no indicator is near, what was received at all is counted by measure."""
    for _ in range(3):
        await post(dacc_echo)
    await post(dacc_echo, MONTHLY)
    await post(dacc_echo, value="x")
    said = await missed(dacc_echo, "quiz-stars", value=3, group2={"quiz_id": "QUIZ0001"})
    assert said == (
        "no such indicator was received, nor one that is near: measure quiz-stars, value 3, group2 "
        "QUIZ0001, group2Key quiz_id\n"
        "received: 4 (3 × connection-count-daily, 1 × profile-count-monthly)\n"
        "refused: 1 (1 × invalid: value type is incorrect, it must be a number)"
    )


async def test_nothing_was_received(dacc_echo: Echo) -> None:
    """A server that stored nothing says so, and what it refused and played."""
    await dacc_echo.fail_next(2, "html-401")
    empty = "no such indicator was received, nor one that is near: measure quiz-stars\n"
    assert await missed(dacc_echo, "quiz-stars") == f"{empty}the echo server received nothing"
    await post(dacc_echo)
    await post(dacc_echo)
    assert await missed(dacc_echo, "quiz-stars") == (
        f"{empty}the echo server received nothing\n"
        "refused: 2 (2 × fault: html-401)\n"
        "faults played: 2 (2 × html-401)"
    )


async def test_odd_text_is_shown_escaped(dacc_echo: Echo) -> None:
    """What came is cut and escaped before it is shown in a terminal."""
    await post(dacc_echo, group1={"device": "\x1b[31m" + "x" * 99})
    said = await missed(dacc_echo, "connection-count-daily", group1="mobile")
    assert f"\\x1b[31m{'x' * 55}…(+44)\n" in said


async def test_another_key_of_a_group() -> None:
    """A key that was named is compared, where a server that is not strict stored another one."""
    async with echo_server("--no-strict") as echo:
        await post(echo, group1={"kind": "mobile"})
        await echo.expect("connection-count-daily", group1="mobile")
        said = await missed(echo, "connection-count-daily", group1={"device": "mobile"})
        assert re.search(r"^   group1 \(kind\)  mobile +mobile$", said, re.MULTILINE)
        assert re.search(r"^≠  group1Key      device +kind$", said, re.MULTILINE)
        with pytest.raises(AssertionError, match="nor one that is near: measure clicks"):
            await echo.expect("clicks")
        await post(echo, measureName="clicks")
        assert (await echo.expect("clicks"))["verdict"].startswith("invalid: No measure ")


async def test_what_comes_is_waited_for(dacc_echo: Echo) -> None:
    """An indicator that comes within the time is given as soon as it is there."""
    found: list[dict[str, Any]] = []

    async def expect() -> None:
        found.append(await dacc_echo.expect("connection-count-daily", value=3, within_s=60))

    async with anyio.create_task_group() as waiting:
        waiting.start_soon(expect)
        await post(dacc_echo)
        sent = await post(dacc_echo, value=3)
    assert found[0]["indicator"] == sent


@pytest.mark.parametrize(
    ("measure", "expected", "words"),
    [
        ("quiz-star", {}, "no measure is called 'quiz-star'; did you mean 'quiz-stars'?"),
        ("clicks", {}, "no measure is called 'clicks'; there are connection-count-daily, "),
        (
            "connection-count-daily",
            {"group2": "x"},
            "connection-count-daily has no group2; the groups it has: group1 (device)",
        ),
        (
            "profile-count-monthly",
            {"group1": {"device": "x"}},
            "profile-count-monthly has no group1; the groups it has: none",
        ),
        (
            "quiz-stars",
            {"group2": {"quizid": "x"}},
            "group2 of quiz-stars is 'quiz_id', not 'quizid'",
        ),
        ("", {}, "measure is empty; name one, or leave it out where any will do"),
        ("quiz-stars", {"group1": ""}, "group1 is empty; name one, or leave it out"),
        ("quiz-stars", {"start_date": ""}, "start_date is empty; name one, or leave it out"),
        (
            "quiz-stars",
            {"group1": {"a": "b", "c": "d"}},
            "group1 is {'a': 'b', 'c': 'd'}; allowed are a value, or one key with its value",
        ),
        (
            "quiz-stars",
            {"start_date": "2026-03-2"},
            "startDate is '2026-03-2'; allowed are days, as in 2026-03-02",
        ),
        ("quiz-stars", {"times": 0}, "times is '0'; allowed are whole numbers from 1"),
        ("quiz-stars", {"within_s": -1}, "timeout is '-1'; allowed are seconds up to 3600"),
    ],
)
async def test_what_cannot_be_expected(
    dacc_echo: Echo, measure: str, expected: dict[str, Any], words: str
) -> None:
    """What no indicator can be is the test's mistake, told at once and not as a failure."""
    with pytest.raises(ValueError, match=f"^{re.escape(words)}"):
        await dacc_echo.expect(measure, **{"within_s": 60, **expected})


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"group1": ["gas"]}, "group1 is ['gas']; allowed are a value, or one key with its value"),
        ({"group1": {"device": 3}}, "group1 is 3; allowed is text"),
        ({"within_s": "2"}, "within_s is '2'; allowed are numbers"),
        ({"value": "2"}, "value is '2'; allowed are numbers"),
        (
            {"start_date": datetime(2026, 3, 2)},
            "start_date is datetime.datetime(2026, 3, 2, 0, 0); allowed are a date, or its text as",
        ),
    ],
)
async def test_what_is_of_another_type(expected: dict[str, Any], words: str) -> None:
    """What is of another type is refused in a sentence, before anything is asked."""
    with pytest.raises(TypeError, match=f"^{re.escape(words)}"):
        await Echo("http://127.0.0.1:9").expect("quiz-stars", **expected)


@pytest.mark.parametrize(
    ("keyword", "words"),
    [
        ("grup1", "expect has no 'grup1'; did you mean 'group1'?"),
        ("startDate", "expect has no 'startDate'; did you mean 'start_date'?"),
        ("x", "expect has no 'x'; there are measure, value, start_date, group1, "),
    ],
)
async def test_a_misspelt_keyword(keyword: str, words: str) -> None:
    """A keyword that there is not is named, with the one that was meant."""
    wrong: dict[str, Any] = {keyword: "x"}
    with pytest.raises(TypeError, match=f"^{re.escape(words)}"):
        await Echo("http://127.0.0.1:9").expect("quiz-stars", **wrong)


async def test_nothing_is_expected(dacc_echo: Echo) -> None:
    """What was stored, though nothing was expected, is counted by measure; a refusal is nothing."""
    await dacc_echo.fail_next(1, "status=503")
    await post(dacc_echo)
    await dacc_echo.expect_nothing()
    sent = await post(dacc_echo, stack="alice")
    await post(dacc_echo)
    await post(dacc_echo, MONTHLY)
    with pytest.raises(AssertionError) as failed:
        await dacc_echo.expect_nothing()
    first = json.dumps(sent, separators=(",", ":"))
    assert str(failed.value) == (
        "no indicator was expected; 3 received: 2 × connection-count-daily, 1 × "
        f"profile-count-monthly\nthe first: {first}"
    )
    await dacc_echo.expect_nothing("bob")
    with pytest.raises(AssertionError, match="; 1 received: 1 × connection-count-daily\n"):
        await dacc_echo.expect_nothing("alice")


@pytest.mark.parametrize(
    "extra", ['"group1": {"device": "\\ud800"}', '"x": 1e400', '"x": NaN', '"x": "\\u0000"']
)
async def test_odd_json_is_given(dacc_echo: Echo, extra: str) -> None:
    """Whatever JSON it stored is given, or told of in words."""
    body = f"{json.dumps(MOBILE)[:-1]}, {extra}}}"
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Content-Type": "application/json"}
        await client.post(f"{dacc_echo.url}/measure", content=body, headers=headers)
    found = await dacc_echo.expect("connection-count-daily", value=2)
    assert await dacc_echo.bodies() == [found["body"]] == [body]
    assert "≠  value" in await missed(dacc_echo, "connection-count-daily", value=3)
    with pytest.raises(AssertionError, match="; 1 received: 1 × connection-count-daily\n"):
        await dacc_echo.expect_nothing()


async def test_a_measure_that_is_half_a_pair() -> None:
    """A name that no terminal can show is told escaped."""
    async with echo_server("--no-strict") as echo, httpx.AsyncClient(trust_env=False) as client:
        await client.post(f"{echo.url}/measure", content=b'{"measureName": "\\ud800"}')
        with pytest.raises(AssertionError, match=r"1 × \\ud800\n"):
            await echo.expect_nothing()


async def test_numbers_are_no_text(dacc_echo: Echo) -> None:
    """Text is no number and a number no text, for the DACC makes two buckets of them."""
    await post(dacc_echo, value="2", group1={"device": 1})
    said = await missed(dacc_echo, "connection-count-daily", value=2, group1="1")
    assert re.search('^≠  value            2 +"2"$', said, re.MULTILINE)
    assert re.search(r"^≠  group1 \(device\)  1 +1 \(no text\)$", said, re.MULTILINE)
    await post(dacc_echo, value=2.0, group1={"device": "1"})
    assert (await dacc_echo.expect("connection-count-daily", value=2))["n"] == 2
    assert (await dacc_echo.expect("connection-count-daily", group1="1"))["n"] == 2


async def test_what_must_be_absent() -> None:
    """A group that is None, and an empty stack, are met only by what has none."""
    async with echo_server("--no-strict") as echo:
        measure = "connection-count-daily"
        await post(echo, stack="alice")
        said = await missed(echo, measure, group1=None, stack="")
        assert re.search(r"^≠  group1 \(device\)  absent +mobile$", said, re.MULTILINE)
        assert re.search(r"^≠  stack            absent +alice$", said, re.MULTILINE)
        await echo.expect_nothing("")
        await post(echo, {name: MOBILE[name] for name in MOBILE if name != "group1"})
        assert (await echo.expect(measure, group1=None, group2=None, stack=""))["n"] == 2
        assert (await echo.expect(measure))["n"] == 1
        with pytest.raises(AssertionError, match="; 1 received"):
            await echo.expect_nothing("")


async def test_how_often_it_is_expected(dacc_echo: Echo) -> None:
    """With a number of times, just so many must be there; they are waited for."""
    await post(dacc_echo)
    await post(dacc_echo, MONTHLY)
    told = await missed(dacc_echo, "connection-count-daily", value=2, times=2, within_s=0.01)
    assert told == (
        "expected 2 times, received 1 times within 0.01 s: measure connection-count-daily, "
        "value 2\n"
        "  n 1: ok\n"
        "received: 2 (1 × connection-count-daily, 1 × profile-count-monthly)"
    )
    await post(dacc_echo)
    assert (await dacc_echo.expect("connection-count-daily", value=2, times=2))["n"] == 1
    told = await missed(dacc_echo, "connection-count-daily", times=1)
    assert told.startswith("expected 1 times, received 2 times: measure connection-count-daily\n")
    assert "\n  n 3: dup\n" in told
    said = await missed(dacc_echo, "quiz-stars", times=2)
    assert said.startswith("no such indicator was received")


async def test_clearing(dacc_echo: Echo) -> None:
    """What was received and counted is forgotten; a fault that was set stays."""
    await dacc_echo.fail_next(2, "status=503")
    await post(dacc_echo)
    await dacc_echo.clear()
    assert (await dacc_echo.count())["requests"] == 0
    await post(dacc_echo)
    await post(dacc_echo)
    counts = await dacc_echo.count()
    assert (counts["refused"], counts["received"]) == (1, 1)
    await dacc_echo.clear()
    await dacc_echo.expect_nothing()


async def test_the_next_requests_fail(dacc_echo: Echo) -> None:
    """So many requests meet the fault, of all or of one stack, and then all is well again."""
    await dacc_echo.fail_next(2, "retry-after=30")
    await dacc_echo.fail_next(1, "status=500", "alice")
    for stack in ("alice", "", "", "", "alice"):
        await post(dacc_echo, stack=stack)
    assert (await dacc_echo.count())["faults"] == {"retry-after": 2, "status": 1}
    assert (await dacc_echo.count())["received"] == 2


@pytest.mark.parametrize(
    ("n", "fault", "words"),
    [
        (2, "cozy", "'cozy' is no fault; "),
        (2, "cozy502", r"'cozy502' is no fault; did you mean cozy-502\?"),
        (0, "reset", "'0' is no count; allowed are whole numbers from 1"),
        (2, "reset,drop", "fault is 'reset,drop'; allowed is one alone, set_fault takes sequences"),
        (2, "reset*3", r"fault is 'reset\*3'; allowed is one alone"),
    ],
)
async def test_what_is_no_fault(dacc_echo: Echo, n: int, fault: str, words: str) -> None:
    """What is no fault, or more than one, is refused in words, and changes nothing."""
    with pytest.raises(ValueError, match=f"^{words}"):
        await dacc_echo.fail_next(n, fault)
    await post(dacc_echo)
    assert (await dacc_echo.count())["received"] == 1
