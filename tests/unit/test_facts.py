"""What hosts say about people: names, what a line may hold, and what a line leaves unsaid."""

from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec import UNSET

from ecolyo_worker.clock import civil_text, parse_civil
from ecolyo_worker.errors import FactsRefused
from ecolyo_worker.facts import (
    Consent,
    KonnectorState,
    Profile,
    Subscription,
    check_facts,
    check_instance,
    connected_fluids,
    facts_document,
)

PARIS = ZoneInfo("Europe/Paris")
ALICE = "alice.mycozy.cloud"
LABEL = "a" * 63
EXAMPLE: dict[str, Any] = {
    "instance": ALICE,
    "consent": {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"},
    "konnectors": [{"fluid": "electricity", "connected": True, "since": "2026-01-05T10:05:00"}],
    "monthly_summary": [{"subscribed": True, "since": "2026-01-06T08:00:00"}],
    "profile": {"heating": "gas", "hot_water": "gas", "cooking": "electricity"},
    "first_connection_at": "2026-01-05T10:00:00",
}


def civil(text: str) -> int:
    return parse_civil(text, PARIS, zulu_is_wall=True)


def said(**facts: Any) -> Any:
    return check_facts({"instance": ALICE, **facts}, PARIS)


@pytest.mark.parametrize(
    "name",
    [
        ALICE,
        "localhost",
        "alice.localhost:8080",
        "a.b:1",
        "a.b:65535",
        "x",
        "127.0.0.1:8080",
        "alice_2.my-cozy.cloud",
        "xn--amlie-fsa.mycozy.cloud",
        f"{LABEL}.example",
        ".".join([LABEL, LABEL, LABEL, "a" * 61]),
    ],
)
def test_an_instance_is_a_lower_case_host_name(name: str) -> None:
    """A host name in lower case is taken as it is, with a port or without."""
    assert check_instance(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "Alice.mycozy.cloud",
        "alice.mycozy.Cloud",
        "alice mycozy.cloud",
        " alice.mycozy.cloud",
        "alice.mycozy.cloud\n",
        "https://alice.mycozy.cloud",
        "alice.mycozy.cloud/",
        "alice/mycozy.cloud",
        "alice@mycozy.cloud",
        ".mycozy.cloud",
        "alice..cloud",
        "alice.mycozy.cloud.",
        ".",
        "-alice.cloud",
        "alice-.cloud",
        "alice.cloud:",
        "alice.cloud:0",
        "alice.cloud:65536",
        "alice.cloud:123456",
        "alice.cloud:80:80",
        "alice.cloud:http",
        "alice.cloud:٨٠",
        ":8080",
        "amélie.mycozy.cloud",
        "alice.mycozy.cloud\x00",
        "[::1]:80",
        "*.mycozy.cloud",
        "{instance}",
        "../alice",
        f"{LABEL}a.example",
        ".".join([LABEL, LABEL, LABEL, "a" * 62]),
        "a." * 126 + "a:1",
        None,
        7,
        ["alice.mycozy.cloud"],
        b"alice.mycozy.cloud",
    ],
)
def test_anything_else_is_no_instance(name: object) -> None:
    """What is no lower-case host name of at most 253 characters is refused, saying what is."""
    with pytest.raises(FactsRefused, match="lower-case host name") as refused:
        check_instance(name)
    assert refused.value.field == "instance"


def test_the_example_line_is_understood() -> None:
    """The line that the formats show is taken with each of its facts."""
    facts = check_facts(EXAMPLE, PARIS)
    assert facts.instance == ALICE
    assert facts.consent == Consent(civil("2026-01-05T10:00"), "1.0.0")
    assert facts.konnectors == (KonnectorState("electricity", civil("2026-01-05T10:05"), True),)
    assert facts.monthly_summary == (Subscription(civil("2026-01-06T08:00"), True),)
    assert facts.profile == Profile(heating="gas", hot_water="gas", cooking="electricity")
    assert facts.first_connection_at == civil("2026-01-05T10:00")


def test_what_is_not_said_is_left_alone() -> None:
    """An absent key says nothing about its fact."""
    facts = said()
    assert (facts.consent, facts.profile, facts.first_connection_at) == (UNSET,) * 3
    assert (facts.konnectors, facts.monthly_summary) == ((), ())


def test_null_clears_a_fact_and_withdraws_a_consent() -> None:
    """Null is said of a fact, and is not the same as saying nothing."""
    facts = said(consent=None, profile=None, first_connection_at=None)
    assert (facts.consent, facts.profile, facts.first_connection_at) == (None,) * 3


def test_a_profile_is_replaced_as_a_whole() -> None:
    """What a profile leaves out, or gives as null, is unknown from then on."""
    assert said(profile={"heating": "gas", "cooking": None}).profile == Profile(heating="gas")
    assert said(profile={}).profile == Profile()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-07-05T10:00", "2026-07-05T10:00:00.000"),
        ("2026-07-05T10:00Z", "2026-07-05T12:00:00.000"),
        ("2026-07-05T10:00+00:00", "2026-07-05T12:00:00.000"),
        ("2026-01-05 10:00:00,5+00", "2026-01-05T11:00:00.500"),
        ("2026-07-05T10:00+02:00", "2026-07-05T10:00:00.000"),
        ("2026-10-25T01:00Z", "2026-10-25T02:00:00.000"),
    ],
)
def test_a_hosts_date_with_an_offset_is_an_instant(text: str, shown: str) -> None:
    """Dates of the host with any offset, `Z` too, are true instants; without one they are civil."""
    facts = said(
        first_connection_at=text,
        consent={"version": "1.0.0", "accepted_at": text},
        konnectors=[{"fluid": "gas", "connected": False, "since": text}],
        monthly_summary=[{"subscribed": False, "since": text}],
    )
    times = [facts.first_connection_at, facts.consent.accepted_at]
    times += [facts.konnectors[0].since, facts.monthly_summary[0].since]
    assert {civil_text(time) for time in times} == {shown}


SINCE = {"since": "2026-01-05T10:00"}


@pytest.mark.parametrize(
    ("facts", "field", "words"),
    [
        ({"name": "Alice"}, "name", "unknown key"),
        ({"consents": []}, "consents", "unknown key"),
        ({"consent": "1.0.0"}, "consent", "the text '1.0.0'"),
        ({"consent": []}, "consent", "a list"),
        ({"consent": {"accepted_at": "2026-01-05T10:00"}}, "consent.version", "nothing"),
        ({"consent": {"version": "1.0.0"}}, "consent.accepted_at", "nothing"),
        (
            {"consent": {"version": "1.0.0", "accepted_at": "2026-01-05"}},
            "consent.accepted_at",
            "YYYY-MM-DDTHH:MM",
        ),
        (
            {"consent": {"version": "1.0.0", "accepted_at": 1767603600}},
            "consent.accepted_at",
            "the number 1767603600",
        ),
        (
            {"consent": {"version": 1.0, "accepted_at": "2026-01-05T10:00"}},
            "consent.version",
            "the number 1.0",
        ),
        (
            {"consent": {"version": "", "accepted_at": "2026-01-05T10:00"}},
            "consent.version",
            "text such as",
        ),
        (
            {"consent": {"version": "1" * 101, "accepted_at": "2026-01-05T10:00"}},
            "consent.version",
            "text such as",
        ),
        (
            {"consent": {"version": "1", "accepted_at": "2026-01-05T10:00", "by": "me"}},
            "consent.by",
            "unknown key",
        ),
        ({"konnectors": {}}, "konnectors", "an object"),
        ({"konnectors": ["gas"]}, "konnectors[0]", "the text 'gas'"),
        ({"konnectors": [{"fluid": "gas", **SINCE}]}, "konnectors[0].connected", "nothing"),
        (
            {"konnectors": [{"fluid": "gas", "connected": 1, **SINCE}]},
            "konnectors[0].connected",
            "true or false",
        ),
        (
            {"konnectors": [{"fluid": "oil", "connected": True, **SINCE}]},
            "konnectors[0].fluid",
            "electricity, water, gas",
        ),
        (
            {"konnectors": [{"fluid": "Gas", "connected": True, **SINCE}]},
            "konnectors[0].fluid",
            "the text 'Gas'",
        ),
        ({"konnectors": [{"fluid": "gas", "connected": True}]}, "konnectors[0].since", "nothing"),
        (
            {"konnectors": [{"fluid": "gas", "connected": True, **SINCE}, {**SINCE}]},
            "konnectors[1].fluid",
            "nothing",
        ),
        (
            {"konnectors": [{"fluid": "gas", "connected": True, **SINCE, "slug": "grdf"}]},
            "konnectors[0].slug",
            "unknown key",
        ),
        ({"monthly_summary": True}, "monthly_summary", "true"),
        ({"monthly_summary": [SINCE]}, "monthly_summary[0].subscribed", "nothing"),
        ({"monthly_summary": [{"subscribed": True}]}, "monthly_summary[0].since", "nothing"),
        (
            {"monthly_summary": [{"subscribed": "yes", **SINCE}]},
            "monthly_summary[0].subscribed",
            "the text 'yes'",
        ),
        ({"profile": "gas"}, "profile", "the text 'gas'"),
        ({"profile": {"heating": "wood"}}, "profile.heating", "electricity, water, gas"),
        ({"profile": {"hot_water": True}}, "profile.hot_water", "true"),
        ({"profile": {"cooling": "water"}}, "profile.cooling", "unknown key"),
        ({"first_connection_at": False}, "first_connection_at", "false"),
        ({"first_connection_at": "2026-01-05"}, "first_connection_at", "'2026-01-05'"),
        ({"first_connection_at": ""}, "first_connection_at", "YYYY-MM-DDTHH:MM"),
        ({"first_connection_at": "9999-12-31T23:59Z"}, "first_connection_at", "years"),
        ({"instance": "Alice"}, "instance", "lower-case host name"),
        ({"instance": None}, "instance", "nothing"),
    ],
)
def test_a_wrong_fact_is_named(facts: dict[str, Any], field: str, words: str) -> None:
    """A fact that is not what it must be is refused by its place, saying what was found."""
    with pytest.raises(FactsRefused) as refused:
        check_facts({**EXAMPLE, **facts}, PARIS)
    assert refused.value.field == field
    assert words in refused.value.reason


@pytest.mark.parametrize("version", ["0.9", "2", "1.0.0-beta", "v1", "draft", "x" * 100])
def test_a_version_is_any_text(version: str) -> None:
    """A version is kept as it came: whether it suffices is asked when a run needs it."""
    told = {"version": version, "accepted_at": "2026-01-05T10:00"}
    assert said(consent=told).consent.version == version


def test_what_is_known_is_shown_in_the_form_of_the_import() -> None:
    """Each part of what is shown can be imported again and says the same."""
    facts = check_facts(EXAMPLE, PARIS)
    assert isinstance(facts.consent, Consent)
    assert isinstance(facts.profile, Profile)
    shown = facts_document(
        ALICE,
        [facts.consent],
        facts.konnectors,
        facts.monthly_summary,
        facts.profile,
        civil("2026-01-05T10:00"),
    )
    (consent,) = msgspec.convert(shown.pop("consents"), list[dict[str, Any]])
    assert check_facts({**shown, "consent": consent}, PARIS) == facts
    empty = facts_document(ALICE, [], [], [], Profile(), None)
    assert empty["first_connection_at"] is None


def states(*told: tuple[str, str, bool]) -> list[KonnectorState]:
    return [KonnectorState(fluid, civil(since), connected) for fluid, since, connected in told]


MIDNIGHT = "2026-11-21T00:00"


@pytest.mark.parametrize(
    ("told", "connected"),
    [
        ([], ()),
        ([("gas", "2026-11-20T10:00", True)], ("gas",)),
        ([("gas", "2026-11-20T10:00", False)], ()),
        ([("gas", "2026-11-20T23:59:59.999", True)], ("gas",)),
        ([("gas", MIDNIGHT, True)], ()),
        ([("gas", "2026-11-22T00:00", True)], ()),
        ([("gas", "2026-11-19T10:00", True), ("gas", MIDNIGHT, False)], ("gas",)),
        ([("gas", "2026-11-19T10:00", True), ("gas", "2026-11-20T10:00", False)], ()),
        ([("gas", "2026-11-20T10:00", False), ("gas", "2026-11-19T10:00", True)], ()),
        ([("gas", "2026-11-19T10:00", False), ("gas", "2026-11-20T10:00", True)], ("gas",)),
        ([("gas", "2026-11-20T10:00", True), ("gas", "2026-11-20T10:00", False)], ()),
        ([("gas", "2026-11-20T10:00", False), ("gas", "2026-11-20T10:00", True)], ("gas",)),
        (
            [(fluid, "2026-11-01T10:00", True) for fluid in ("gas", "water", "electricity")],
            ("electricity", "water", "gas"),
        ),
        (
            [("gas", "2026-11-01T10:00", True), ("water", "2026-11-20T10:00", False)],
            ("gas",),
        ),
    ],
)
def test_the_fluids_connected_at_the_end_of_a_day(
    told: list[tuple[str, str, bool]], connected: tuple[str, ...]
) -> None:
    """A fluid's latest state before midnight holds, of one date the last one given, in order."""
    assert connected_fluids(states(*told), civil(MIDNIGHT)) == connected
