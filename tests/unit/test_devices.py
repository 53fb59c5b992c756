"""Devices: phones and tablets are mobile, all else is desktop."""

import pytest

from ecolyo_worker.measures.devices import device

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
]
NO_PERSONS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "curl/8.5.0",
]


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
    "context", ["Chrome Mobile", "Mobile Safari", "Firefox Mobile", "Opera Mini", "Android Browser"]
)
def test_a_bare_name_of_a_phones_browser_is_mobile(context: str) -> None:
    """The name of a browser that only phones and tablets have is mobile."""
    assert device(context) == "mobile"


@pytest.mark.parametrize("context", ["Chrome", "Firefox", "Safari", "Edge", "Opera", "firefox"])
def test_a_bare_name_of_a_browser_is_desktop(context: str) -> None:
    """The name of a browser that any device may have tells nothing, so it is desktop."""
    assert device(context) == "desktop"


@pytest.mark.parametrize(
    "context",
    [None, "", "   ", "x", "Automobile", "\N{HOUSE WITH GARDEN}", "\x00" * 256, "(" * 256, "%s{}"],
)
def test_what_cannot_be_told_is_desktop(context: str | None) -> None:
    """An absent, blank, unknown or senseless context is desktop, and breaks nothing."""
    assert device(context) == "desktop"
