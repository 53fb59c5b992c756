"""The pace of the requests, by a clock that is moved by hand: what is refused, what is counted."""

from __future__ import annotations

import http.client
import json
from typing import Any, NamedTuple

import pytest

from ecolyo_worker.tools.dacc_echo import EchoServer
from ecolyo_worker.tools.twins.pace import Pace, RateSyntaxError, parse_rate

INDICATOR = {
    "createdBy": "ecolyo",
    "measureName": "profile-count-monthly",
    "startDate": "2026-11-01",
    "value": 1,
}


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Reply(NamedTuple):
    status: int
    retry_after: str | None
    content: Any


def ask(echo: EchoServer, method: str, path: str, body: str = "") -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", echo.port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = json.loads(answer.read())
        return Reply(answer.status, answer.getheader("Retry-After"), content)
    finally:
        connection.close()


def post(echo: EchoServer, path: str = "/measure") -> Reply:
    text = json.dumps(INDICATOR)
    return ask(echo, "POST", path, json.dumps({"data": text}) if "remote" in path else text)


def counts(echo: EchoServer, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = ask(echo, "GET", f"/api/count{query}").content
    return found


def waits(rate: str, *arrivals_s: float) -> list[float]:
    """Give how long each of the requests that arrive at these instants would have to wait."""
    clock = Clock()
    pace = Pace(parse_rate(rate), clock)
    found = []
    for clock.now_s in arrivals_s:
        found.append(pace.arrive())
    return found


@pytest.mark.parametrize(
    ("text", "requests", "window_s"),
    [
        ("5/s", 5, 1),
        ("0.5/s", 1, 2),
        ("300/min", 5, 1),
        ("30/min", 1, 2),
        ("1/h", 1, 3600),
        ("2.5/s", 3, 1.2),
    ],
)
def test_rates(text: str, requests: int, window_s: float) -> None:
    """A rate is so many requests in a second, or one in as long as it needs."""
    rate = parse_rate(text)
    assert rate.requests == requests
    assert rate.window_s == pytest.approx(window_s)


@pytest.mark.parametrize("text", ["", "5", "0/s", "0.0/min", "-1/s", "5/d", "5 /s", "x" * 99])
def test_wrong_rates(text: str) -> None:
    """What is no rate is refused with what was found and what is allowed."""
    with pytest.raises(RateSyntaxError) as caught:
        parse_rate(text)
    found, allowed = str(caught.value).split(" is no rate; ")
    assert found.strip("'…") == text[:60]
    assert allowed == "allowed are numbers above 0 with /s, /min or /h, as in 5/s"


@pytest.mark.parametrize(
    ("rate", "arrivals_s", "expected"),
    [
        ("4/s", [0, 0.25, 0.5, 0.75, 1, 1.25], [0, 0, 0, 0, 0, 0]),
        ("4/s", [0, 0, 0, 0, 0, 0.5], [0, 0, 0, 0, 1, 0.5]),
        ("2/s", [0, 0.5, 0.75, 1, 1.25, 1.5], [0, 0, 0.25, 0, 0.25, 0]),
        ("0.5/s", [0, 1, 2, 3.5, 4], [0, 1, 0, 0.5, 0]),
        ("2.5/s", [0, 0.4, 0.8, 1.21, 1.61, 2.02], [0, 0, 0, 0, 0, 0]),
    ],
    ids=["even grid", "burst", "sliding", "slow", "no whole number"],
)
def test_window(rate: str, arrivals_s: list[float], expected: list[float]) -> None:
    """The window slides: a request waits until the first of those that fill it is old enough."""
    assert waits(rate, *arrivals_s) == expected


def test_too_fast() -> None:
    """The excess is a 429 with the whole seconds to wait, is not stored, and draws no fault."""
    clock = Clock()
    with EchoServer(rate="2/s", fault="ok*2,status=503", clock=clock) as echo:
        assert [post(echo).status for _ in range(2)] == [201, 201]
        clock.now_s += 0.25
        assert post(echo) == (429, "1", {"error": "too many requests"})
        found = counts(echo)
        assert (found["received"], found["refused"], found["too_fast"]) == (2, 1, 1)
        clock.now_s += 1
        assert post(echo).status == 503
        assert counts(echo)["too_fast"] == 1


def test_retry_after_is_right() -> None:
    """Who waits for as long as the answer says is taken, who does not is refused once more."""
    clock = Clock()
    with EchoServer(rate="0.1/s", clock=clock) as echo:
        post(echo)
        clock.now_s += 2.5
        refused = post(echo)
        assert (refused.status, refused.retry_after) == (429, "8")
        clock.now_s += 7
        assert post(echo).retry_after == "1"
        clock.now_s += 1
        assert post(echo).status == 201


def test_one_pace_for_all() -> None:
    """All stacks and the DACC's own path share one limit; the count tells whose came too fast."""
    with EchoServer(rate="1/s", clock=Clock()) as echo:
        assert post(echo, "/alice/remote/cc.cozycloud.dacc").status == 201
        assert post(echo, "/bob/remote/cc.cozycloud.dacc").status == 429
        assert post(echo).status == 429
        too_fast = [counts(echo, query)["too_fast"] for query in ("", "?stack=alice", "?stack=bob")]
        assert too_fast == [2, 0, 1]


def test_other_requests_have_no_pace() -> None:
    """What could bring no indicator is neither limited nor counted for the busiest second."""
    with EchoServer(rate="1/s", clock=Clock()) as echo:
        for _ in range(3):
            assert ask(echo, "GET", "/measure").status == 405
            assert ask(echo, "POST", "/elsewhere").status == 404
        assert counts(echo)["busiest_second"] == 0
        assert post(echo).status == 201


def test_busiest_second() -> None:
    """The busiest second is the fullest of all that slide by, of refused requests too."""
    clock = Clock()
    with EchoServer(rate="1/s", clock=clock) as echo:
        for pause_s in (0, 0.5, 0.25, 0.5, 1.5, 0.25):
            clock.now_s += pause_s
            post(echo)
        assert counts(echo)["busiest_second"] == 3
        assert counts(echo, "?stack=alice")["busiest_second"] == 3


def test_busiest_second_of_an_even_pace() -> None:
    """A sender on an even grid of four a second never has more than four in one."""
    clock = Clock()
    pace = Pace(None, clock)
    for _ in range(40):
        assert pace.arrive() == 0
        clock.now_s += 0.25
    assert pace.busiest_second == 4
    assert repr(pace) == "<Pace None busiest_second=4>"


def test_begin_anew() -> None:
    """To delete the indicators forgets the pace, too."""
    with EchoServer(rate="1/s", clock=Clock()) as echo:
        assert [post(echo).status for _ in range(2)] == [201, 429]
        ask(echo, "DELETE", "/api/indicators")
        assert (counts(echo)["busiest_second"], counts(echo)["too_fast"]) == (0, 0)
        assert post(echo).status == 201
        assert counts(echo)["busiest_second"] == 1
