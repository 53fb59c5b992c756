"""The language that orders the faults of the stand-in: read, refused in words, drawn from."""

from __future__ import annotations

import re

import pytest

from ecolyo_worker.tools.twins import faults
from ecolyo_worker.tools.twins.faults import (
    FORMS,
    Fault,
    FaultPlan,
    FaultSyntaxError,
    Form,
    duration_s,
)


def test_table() -> None:
    """The table of the language names every fault there is, and no other."""
    assert faults.__doc__ is not None
    table = re.findall(r"^``([a-z0-9-]+)(=[^`]+)?``", faults.__doc__, re.MULTILINE)
    assert [name for name, _ in table] == list(FORMS)
    for name, value in table:
        assert FaultPlan(name + value).draw().name == name


@pytest.mark.parametrize(
    ("text", "seconds"), [("2s", 2), ("200ms", 0.2), ("1min", 60), ("1h", 3600), ("0.5s", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number with its unit."""
    assert duration_s(text) == pytest.approx(seconds)


def test_plan() -> None:
    """A plan says what is left of it, and gives ``ok`` without end."""
    plan = FaultPlan("latency=200ms*2,slow-body,ok")
    assert plan.draw() == Fault("latency", 0.2)
    assert repr(plan) == "<FaultPlan latency=0.2s*1,slow-body=1s*1,ok*1>"
    names = [plan.draw().name for _ in range(5)]
    assert names == ["latency", "slow-body", "ok", "ok", "ok"]
    assert repr(plan) == "<FaultPlan ok>"


def test_faults_of_another_service() -> None:
    """A plan may know other faults, and one waits for a request that may meet it."""
    plan = FaultPlan("tired*2,reset", forms={"tired": Form(), "reset": FORMS["reset"]})
    assert plan.draw_if(lambda fault: fault.name == "reset") is None
    assert plan.left == "tired*2,reset*1"
    assert plan.draw_if(lambda fault: fault.name == "tired") == Fault("tired")
    assert [plan.draw().name for _ in range(3)] == ["tired", "reset", "ok"]
    assert plan.draw_if(lambda _: True) is None
    with pytest.raises(FaultSyntaxError, match=r"'tire' is no fault; did you mean tired\? allowed"):
        plan.replace("tire")


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("", "'' is no fault; allowed are ok, html-401, "),
        ("reset,", "there is a comma at the end; commas only separate faults"),
        (",reset", "there is a comma that follows no fault; commas only separate faults"),
        ("reset,,drop", "there is a comma that follows no fault"),
        ("resett", "'resett' is no fault; did you mean reset? allowed are "),
        ("RESET", "'RESET' is no fault; did you mean reset? allowed are "),
        ("cozy502*2", "'cozy502' is no fault; did you mean cozy-502? allowed are "),
        ("x" * 99, f"'{'x' * 60}…' is no fault; allowed are "),
        ("status", "status needs a value, as in status=503"),
        ("latency", "latency needs a value, as in latency=2s"),
        ("status=50", "'50' is no status that ends an answer; allowed are 200 to 599, as in 503"),
        ("status=099", "'099' is no status"),
        ("status=100", "'100' is no status that ends an answer; allowed are 200 to 599"),
        ("status=999", "'999' is no status that ends an answer"),
        ("retry-after=soon", "'soon' is no delay; allowed are whole seconds"),
        ("throttle=", "'' is no delay; allowed are whole seconds, as in 30"),
        ("retry-after-date", "retry-after-date needs a value, as in retry-after-date=30"),
        ("retry-after-date=+3", "'+3' is no distance of a date; allowed are whole seconds, as in"),
        ("retry-after-garbage=1", "retry-after-garbage takes no value, found '1'"),
        ("latency=2", "'2' is no duration; allowed are numbers with ms, s, min or h"),
        ("latency=0s", "'0s' is no duration"),
        ("latency=2h", "'2h' is no duration"),
        ("drop=1", "drop takes no value, found '1'"),
        ("drop=", "drop takes no value, found ''"),
        ("drop*0", "'0' is no count; allowed are whole numbers from 1"),
        ("drop*", "'' is no count"),
        (
            "drop*1000000000000",
            "'1000000000000' is no count; allowed are whole numbers from 1 to 999999999",
        ),
        ("drop*2*3", "'2*3' is no count"),
        ("drop@30", "'30' is no probability; allowed, after the count, are percentages above 0%"),
        ("drop@0%", "'0%' is no probability"),
        ("drop@100.1%", "'100.1%' is no probability"),
        ("drop@30%*2", "'30%*2' is no probability; allowed, after the count, are "),
        ("drop*0@30%", "'0' is no count"),
        ("drop@30%,ok", "drop@30% lasts for ever, so it must be the last; a count ends it, as in "),
        ("drop\n*2", "'drop\\n' is no fault; did you mean drop? "),
    ],
)
def test_wrong_specifications(spec: str, sentence: str) -> None:
    """What is not in the language is refused with what was found and what is allowed."""
    with pytest.raises(FaultSyntaxError) as caught:
        FaultPlan(spec)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("spec", "fault", "shown"),
    [
        ("throttle", Fault("throttle"), "throttle"),
        ("throttle=0", Fault("throttle", 0), "throttle=0"),
        ("retry-after=999999999999", Fault("retry-after", 999999999999), None),
        ("retry-after-date=-30", Fault("retry-after-date", -30), None),
        ("slow-body", Fault("slow-body", 1), "slow-body=1s"),
        ("latency=1min", Fault("latency", 60), "latency=60s"),
        ("status=503", Fault("status", 503), None),
        ("cant-connect", Fault("cant-connect"), None),
    ],
)
def test_values(spec: str, fault: Fault, shown: str | None) -> None:
    """A fault knows its value, or that it has none, and shows itself as it is written."""
    assert FaultPlan(spec).draw() == fault
    assert str(fault) == (shown or spec)


def drawn(plan: FaultPlan, count: int) -> list[str]:
    return [plan.draw().name for _ in range(count)]


def test_probability() -> None:
    """A fault with a probability is met by about so many requests, the others are answered."""
    names = drawn(FaultPlan("reset@30%", seed=1), 1000)
    assert set(names) == {"reset", "ok"}
    assert 250 < names.count("reset") < 350


def test_probability_for_a_while() -> None:
    """With a count the draws end after so many requests, whether they met the fault or not."""
    names = drawn(FaultPlan("reset*10@50%,drop*2,throttle*3@100%", seed=1), 17)
    assert set(names[:10]) == {"reset", "ok"}
    assert names[10:] == ["drop", "drop", "throttle", "throttle", "throttle", "ok", "ok"]


def test_seed() -> None:
    """The same seed gives the same sequence, from each new specification on; another another."""
    plan = FaultPlan("reset@50%", seed=7)
    names = drawn(plan, 64)
    plan.replace("reset@50%")
    assert drawn(plan, 64) == names == drawn(FaultPlan("reset@50%", seed=7), 64)
    assert drawn(FaultPlan("reset@50%", seed=8), 64) != names


def test_probability_shown() -> None:
    """A plan shows the probabilities that are left, and says that they need a seed."""
    plan = FaultPlan("drop,latency=5s*2@12.5%,reset@30%")
    assert plan.uses_seed
    assert repr(plan) == "<FaultPlan drop*1,latency=5s*2@12.5%,reset@30%>"
    drawn(plan, 9)
    assert repr(plan) == "<FaultPlan reset@30%>"
    assert not FaultPlan("drop*9,reset*9@100%").uses_seed
