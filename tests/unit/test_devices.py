"""Devices: phones and tablets are mobile, all else is desktop."""

import io
import sys

import pytest

from ecolyo_worker.measures import devices
from ecolyo_worker.measures.devices import device, learn, main, remember, unseen

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
SAFARI = "Version/17.5 Mobile/15E148 Safari/604.1"
LUMIA = "(Windows Phone 10.0; Android 6.0.1; Microsoft; Lumia 950)"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0"

PHONES = [
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {WEBKIT} {SAFARI}",
    f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 13; SM-G991B; wv) {CHROME} Mobile Safari/537.36",
    "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0",
    "Mozilla/5.0 (Mobile; Nokia 8110 4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
    f"Mozilla/5.0 {LUMIA} {CHROME} Mobile Safari/537.36 Edge/15.15254",
    f"Mozilla/5.0 (Linux; Android 9; SM-N960F) {CHROME} Mobile Safari/537.36",  # a phablet
    "Nokia6300/2.0 (05.00) Profile/MIDP-2.0 Configuration/CLDC-1.1",
]
TABLETS = [
    f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} {SAFARI}",
    f"Mozilla/5.0 (Linux; Android 13; SM-X900) {CHROME} Safari/537.36",
    "Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/109.0 Firefox/115.0",
]
DESKTOPS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/129.0.0.0",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Version/17.5 Safari/605.1.15",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR2) {CHROME} Safari/537.36",  # a television
]
NO_PERSONS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
    "curl/8.5.0 (x86_64-pc-linux-gnu)",
]


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, devices.Kind]:
    """Forget all names, so that each is classified here; give those that are known from then on."""
    names: dict[str, devices.Kind] = {}
    monkeypatch.setattr(devices, "_known", names)
    return names


@pytest.mark.parametrize("context", PHONES + TABLETS)
def test_a_user_agent_of_a_phone_or_tablet_is_mobile(context: str) -> None:
    """User agents of phones and of tablets are mobile."""
    assert device(context) == "mobile"


@pytest.mark.parametrize("context", DESKTOPS + NO_PERSONS)
def test_a_user_agent_of_a_computer_is_desktop(context: str) -> None:
    """User agents of computers, and of what is no person's device, are desktop."""
    assert device(context) == "desktop"


@pytest.mark.parametrize(
    ("context", "kind"),
    [
        ("mobile", "mobile"),
        ("Mobile", "mobile"),
        (" \tMOBILE\n", "mobile"),
        ("\N{NO-BREAK SPACE}mobile", "mobile"),
        ("desktop", "desktop"),
        (" DeskTop ", "desktop"),
    ],
)
def test_a_word_is_taken_at_its_word(context: str, kind: str) -> None:
    """`mobile` and `desktop` are what they say, trimmed and ignoring case."""
    assert device(context) == kind


@pytest.mark.parametrize(
    "context",
    [
        *("Chrome Mobile", "Mobile Safari", "Firefox Mobile", "Opera Mini", "Android Browser"),
        *("Safari iOS", "iOS", "KaiOS", "HarmonyOS", "Windows Phone", "Chrome Tablet"),
        "(mobile)",
    ],
)
def test_a_bare_name_of_a_phones_browser_is_mobile(context: str) -> None:
    """The name of a browser, or of a system, that only phones and tablets have is mobile."""
    assert device(context) == "mobile"


@pytest.mark.parametrize("context", ["Chrome", "Firefox", "Safari", "Edge", "Opera", "firefox"])
def test_a_bare_name_of_a_browser_is_desktop(context: str) -> None:
    """The name of a browser that any device may have tells nothing, so it is desktop."""
    assert device(context) == "desktop"


@pytest.mark.parametrize(
    "context",
    [
        None,
        "",
        "   ",
        "x",
        "Automobile",
        "Tabletop",
        "\N{HOUSE WITH GARDEN}",
        "\x00" * 256,
        "(" * 256,
        "%s{}",
    ],
)
def test_what_cannot_be_told_is_desktop(context: str | None) -> None:
    """An absent, blank, unknown or senseless context is desktop, and breaks nothing."""
    assert device(context) == "desktop"


def test_what_needs_no_classifier_is_not_learnt(known: dict[str, devices.Kind]) -> None:
    """No name, and the two words, are told without the classifier, so that nothing is kept."""
    assert [device(text) for text in (None, " ", " Mobile", "DESKTOP")] == [
        *("desktop", "desktop", "mobile", "desktop")
    ]
    assert known == {}


def test_what_is_unseen_is_what_would_be_classified() -> None:
    """Each name is asked for once, trimmed; neither the two words nor what is known already is."""
    names = [None, "", " Mobile ", "DESKTOP", " Firefox ", "Firefox", "Chrome Mobile"]
    assert unseen(names) == {"Firefox", "Chrome Mobile"}
    remember({"Firefox": "desktop"})
    assert unseen(names) == {"Chrome Mobile"}


def test_what_is_learnt_or_remembered_is_known() -> None:
    """A name is taken for what it was said to be, without a second look."""
    assert learn("Chrome Mobile") == "mobile"
    remember({"Firefox": "mobile"})
    assert unseen(["Chrome Mobile", "Firefox"]) == set()
    assert device(" Firefox ") == "mobile"


def test_the_oldest_names_are_forgotten_first(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, devices.Kind]
) -> None:
    """No more names are kept than there is room for, and the newest of them."""
    monkeypatch.setattr(devices, "_MOST", 2)
    remember({"a": "mobile", "b": "desktop"})
    assert [*known] == ["a", "b"]
    remember({"c": "mobile", "d": "mobile", "e": "mobile"})
    assert [*known] == ["d", "e"]


def test_the_program_answers_line_by_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each array of names is answered by one of what they are; null is what breaks it."""
    asked = io.BytesIO(b'["Chrome Mobile", "Firefox"]\n[5, "Opera Mini"]\n')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(asked))
    main()
    assert capsys.readouterr().out == '["mobile", "desktop"]\n[null, "mobile"]\n'
