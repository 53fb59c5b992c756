"""Group values: an allow-list, the rules it is made of, and the shipped table of them."""

import pytest

from ecolyo_worker.indicators import OTHER, Definitions, GroupRule

WORDS = GroupRule(key="page", values=("gas", "legalNotice", "none"))
PATTERN = GroupRule(key="slug", pattern="[a-z][a-z0-9-]{0,39}")
SUBSET = GroupRule(key="categories", subset=("electricity", "water", "gas"))
NUMBER = GroupRule(key="seniority", up_to=240, above="240+")
MIXED = GroupRule(key="params", pattern="[A-Z]+[0-9]+", values=("day", "none"), subset=("a", "b"))
ANYTHING = GroupRule(key="text", pattern="(?s:.*)", values=("x" * 100,))

BLANKS = ["", " ", "\t\n", "\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}\N{LINE SEPARATOR}"]


@pytest.mark.parametrize(
    ("rule", "value", "sent"),
    [
        (WORDS, "gas", "gas"),
        (WORDS, "legalNotice", "legalNotice"),
        (WORDS, "legalnotice", OTHER),
        (WORDS, "Gas", OTHER),
        (WORDS, "gas water", OTHER),
        (WORDS, "ga\N{ZERO WIDTH SPACE}s", OTHER),
        (PATTERN, "enedis", "enedis"),
        (PATTERN, "a" * 40, "a" * 40),
        (PATTERN, "a" * 41, OTHER),
        (PATTERN, "enedis x", OTHER),
        (PATTERN, "enedis\nx", OTHER),
        (SUBSET, "electricity:water:gas", "electricity:water:gas"),
        (SUBSET, "electricity:gas", "electricity:gas"),
        (SUBSET, "water", "water"),
        (SUBSET, "gas:electricity", OTHER),
        (SUBSET, "gas:gas", OTHER),
        (SUBSET, "gas:", OTHER),
        (SUBSET, ":", OTHER),
        (SUBSET, "gas:oil", OTHER),
        (SUBSET, "electricity: gas", OTHER),
        (NUMBER, "0", "0"),
        (NUMBER, "240", "240"),
        (NUMBER, "241", "240+"),
        (NUMBER, "9999999999", "240+"),
        (NUMBER, "-1", OTHER),
        (NUMBER, "+1", OTHER),
        (NUMBER, "007", OTHER),
        (NUMBER, "1.0", OTHER),
        (NUMBER, "٧", OTHER),
        (NUMBER, "²", OTHER),
        (NUMBER, "1_0", OTHER),
        (NUMBER, "240+", OTHER),
        (MIXED, "day", "day"),
        (MIXED, "ACTION1", "ACTION1"),
        (MIXED, "a:b", "a:b"),
        (MIXED, "b:a", OTHER),
        (MIXED, "action1", OTHER),
        (ANYTHING, "é" * 100, "é" * 100),
        (ANYTHING, "é" * 101, OTHER),
        (ANYTHING, "x" * 101, OTHER),
    ],
)
def test_a_value_is_sent_as_it_is_or_as_other(rule: GroupRule, value: str, sent: str) -> None:
    """What a rule allows is sent; all else is `other`, a number too great is its word."""
    assert rule.check(value) == sent


@pytest.mark.parametrize("before", BLANKS)
@pytest.mark.parametrize("after", BLANKS)
def test_white_space_around_a_value_is_not_part_of_it(before: str, after: str) -> None:
    """A value is trimmed of Unicode's white space before it is checked."""
    assert WORDS.check(f"{before}gas{after}") == "gas"
    assert NUMBER.check(f"{before}241{after}") == "240+"
    assert ANYTHING.check(f"{before}{'x' * 100}{after}") == "x" * 100


@pytest.mark.parametrize("blank", [None, *BLANKS])
def test_nothing_is_none_where_none_is_allowed(blank: str | None) -> None:
    """Null, absent and blank values become `none` where the rule has it, else `other`."""
    assert WORDS.check(blank) == MIXED.check(blank) == "none"
    for rule in (PATTERN, SUBSET, NUMBER, ANYTHING):
        assert rule.check(blank) == OTHER


@pytest.mark.parametrize(
    ("rule", "value", "is_allowed"),
    [
        (WORDS, "gas", True),
        (WORDS, OTHER, True),
        (WORDS, "none", True),
        (WORDS, " gas", False),
        (WORDS, "", False),
        (PATTERN, "enedis", True),
        (PATTERN, "enedis\n", False),
        (SUBSET, "none", False),
        (NUMBER, "240", True),
        (NUMBER, "240+", True),
        (NUMBER, "241", False),
    ],
)
def test_only_what_a_check_gives_may_leave(rule: GroupRule, value: str, is_allowed: bool) -> None:
    """A value may leave only as a check gives it; the word for greater numbers is one of these."""
    assert rule.allows(value) is is_allowed


IDS = ["CHALLENGE0001", "QUIZ1", "A_B_123456", "A" + "B" * 30 + "123456", "A_1"]
NO_IDS = [
    *["challenge0001", "CHALLENGE", "CHALLENGE1234567", "0001", "_A1", "A", "A1B", "ÉCO1"],
    *["A" + "B" * 31 + "1", "CHALLENGE-1", "CHALLENGE0001X", "CHALLENGE٠", "alice@example.org"],
]
PAGES = [
    *["electricity", "gas", "eau", "water", "multifluid", "faq", "legalNotice", "consumption"],
    *["challenges", "ecogestures", "analysis", "options"],
]
STEPS = ["half_an_hour", "day", "week", "month", "year", "years"]
FEATURES = [
    *["ConsumptionChangeTimeStepEvent", "ConsumptionCompareEvent"],
    *["ActionChangeEvent", "ProfileSetEvent"],
]
STARTS = [
    *["ConnectionEvent", "ChallengeLaunchEvent", "ActionStartEvent", "ExplorationStartEvent"],
    *["DuelLaunchEvent", "QuizStartEvent"],
]
ENDS = [
    *["ChallengeLaunchEvent", "ChallengeEndEvent", "ActionEndEvent", "ExplorationEndEvent"],
    *["DuelEndEvent", "QuizEndEvent"],
]
FLUIDS = ["electricity", "water", "gas"]
SLUGS = ["enedis", "egl", "grdf", "enedissgegrandlyon", "a", "a-1", "a" + "b" * 39]
NO_SLUGS = ["Enedis", "1enedis", "-enedis", "en_edis", "a" * 41, "énedis", "alice.mycozy.cloud"]
CATEGORIES = [
    *["electricity", "water", "gas", "electricity:water", "electricity:gas", "water:gas"],
    "electricity:water:gas",
]
NO_CATEGORIES = ["water:electricity", "gas,water", "electricity:electricity", "oil", "none", ""]
USES = ["cooking", "heating", "hot_water", "cooking:heating", "cooking:hot_water", "none"]
NO_USES = ["heating:cooking", "hot_water:heating", "cooking:none", "lighting"]

# measure, group, its key, what is allowed, what is not
TABLE: list[tuple[str, int, str, list[str], list[str]]] = [
    ("connection-count-daily", 0, "device", ["mobile", "desktop"], ["Mobile", "tablet", "none"]),
    ("konnector-event-daily", 0, "slug", SLUGS, NO_SLUGS),
    ("konnector-event-daily", 1, "event_type", ["connexion", "refresh"], ["connection", "none"]),
    ("konnector-event-daily", 2, "status", ["success", "error"], ["Success", "ok", "none", ""]),
    ("konnector-connected-daily", 0, "categories", CATEGORIES, NO_CATEGORIES),
    ("navigation-count-daily", 0, "page", PAGES, ["profile", "Gas", "legalnotice", "none", ""]),
    ("challenge-launch-daily", 0, "challenge_id", [*IDS, "none"], NO_IDS),
    ("session-duration", 0, "number_pages", ["0", "7", "999"], ["-1", "1.5", "", "none"]),
    ("session-duration", 1, "session_type", ["first", "any"], ["other one", "none", ""]),
    (
        "navigation-action-daily",
        0,
        "page",
        [*FLUIDS, "multifluid", "challenges", "profile"],
        ["eau", "faq", "options", "none", ""],
    ),
    ("navigation-action-daily", 1, "feature", FEATURES, ["NavigationEvent", "none", ""]),
    (
        "navigation-action-daily",
        2,
        "params",
        [*STEPS, "none", *IDS],
        ["hour", "Day", "days", *NO_IDS],
    ),
    ("event-duration", 0, "start_event", STARTS, ["ChallengeEndEvent", "none", ""]),
    ("event-duration", 1, "end_event", ENDS, ["ConnectionEvent", "DuelLaunchEvent", "none", ""]),
    ("event-duration", 2, "params", [*IDS, "none"], ["day", *NO_IDS]),
    ("quiz-stars", 0, "challenge_id", [*IDS, "none"], NO_IDS),
    ("quiz-stars", 1, "quiz_id", [*IDS, "none"], NO_IDS),
    ("consumption-variation-monthly", 0, "fluid_type", FLUIDS, ["eau", "multifluid", "none"]),
    ("consumption-variation-monthly", 1, "seniority", ["0", "1", "240"], ["-1", "none", ""]),
    ("consumption-variation-monthly", 2, "fluid_usage", USES, NO_USES),
    (
        "summary-subscription-monthly",
        0,
        "event_type",
        ["subscription", "analysis"],
        ["connexion", "none"],
    ),
    ("fluid-data-granularity-monthly", 0, "fluid_type", FLUIDS, ["eau", "none"]),
    ("fluid-data-granularity-monthly", 1, "granularity", ["half_an_hour"], ["day", "none"]),
    ("konnector-attempts-monthly", 0, "fluid_type", FLUIDS, ["eau", "none"]),
    ("konnector-attempts-monthly", 1, "success", ["true", "false"], ["True", "1", "none"]),
]
ALLOWED = [(m, n, value) for m, n, _, values, _ in TABLE for value in values]
REFUSED = [(m, n, value) for m, n, _, _, values in TABLE for value in values]


@pytest.mark.parametrize(("measure", "place", "value"), ALLOWED)
def test_what_the_table_allows_is_sent(
    definitions: Definitions, measure: str, place: int, value: str
) -> None:
    """Each value that the rules' table allows leaves as it is."""
    rule = definitions[measure].groups[place]
    assert rule.check(value) == rule.check(f"\t{value} ") == value
    assert rule.allows(value)


@pytest.mark.parametrize(("measure", "place", "value"), REFUSED)
def test_what_the_table_does_not_allow_is_other(
    definitions: Definitions, measure: str, place: int, value: str
) -> None:
    """What the rules' table does not allow is sent as `other`."""
    rule = definitions[measure].groups[place]
    assert rule.check(value) == OTHER
    assert not rule.allows(value)


@pytest.mark.parametrize(
    ("measure", "place", "value", "sent"),
    [
        ("session-duration", 0, "1000", "1000+"),
        ("session-duration", 0, "12345", "1000+"),
        ("consumption-variation-monthly", 1, "241", "240+"),
        ("consumption-variation-monthly", 1, "9000", "240+"),
    ],
)
def test_great_numbers_share_a_word(
    definitions: Definitions, measure: str, place: int, value: str, sent: str
) -> None:
    """Page counts and seniorities beyond the table's limit are sent as one word each."""
    assert definitions[measure].groups[place].check(value) == sent


def test_the_table_is_the_file(definitions: Definitions) -> None:
    """The shipped file has the fifteen measures of the rules, each with its groups and period."""
    keys: dict[str, list[str]] = {definition.name: [] for definition in definitions}
    for measure, place, key, _, _ in TABLE:
        assert len(keys[measure]) == place
        keys[measure].append(key)
    assert len(keys) == 15
    for definition in definitions:
        assert [rule.key for rule in definition.groups] == keys[definition.name]
        by_name = "month" if definition.name.endswith("-monthly") else "day"
        assert definition.period == by_name
        assert definition.purpose
        assert definition.unit
