"""What kind of device a browser name or user agent belongs to.

The classifier takes a second or two to load, and some milliseconds for each name it has not seen.
So a run asks `unseen` first and lets a thread `learn` these; then `device` is a look-up.
"""

import re
from collections.abc import Iterable
from threading import Lock
from typing import Final

__all__ = ["device", "learn", "unseen"]

_WORDS = frozenset({"", "mobile", "desktop"})
_MOST: Final = 32_768  # of up to 256 characters
_known: dict[str, str] = {}
_learning = Lock()

_MOBILE_TYPES = frozenset({"smartphone", "tablet", "phablet", "feature phone"})
_MOBILE_SYSTEMS = frozenset({"Android", "iOS", "iPadOS", "KaiOS", "Windows Phone", "HarmonyOS"})
_MOBILE_WORDS = re.compile(r"\b(?:mobile|android|ios|tablet)\b", re.IGNORECASE)


def device(context: str | None) -> str:
    """Give `mobile` for phones and tablets, else `desktop`, also for what cannot be told."""
    text = (context or "").strip()
    return _known.get(text) or (_word(text) if text.lower() in _WORDS else learn(text))


def unseen(contexts: Iterable[str | None]) -> set[str]:
    """Give those of these names that `device` would have to classify."""
    found = {(context or "").strip() for context in set(contexts)}
    return {text for text in found if text not in _known and text.lower() not in _WORDS}


def learn(text: str) -> str:
    """Classify a name, remember it, and give what it is; one thread at a time does it."""
    with _learning:
        if (known := _known.get(text)) is not None:
            return known
        kind = _classify(text)
        if len(_known) >= _MOST:
            del _known[next(iter(_known))]
        _known[text] = kind
    return kind


def _word(text: str) -> str:
    return text.lower() or "desktop"


def _classify(text: str) -> str:
    from device_detector import DeviceDetector

    found = DeviceDetector(text).parse()
    kind = str(found.device_type())
    if kind:
        return "mobile" if kind in _MOBILE_TYPES else "desktop"
    if found.uses_mobile_browser() or found.os_name() in _MOBILE_SYSTEMS:
        return "mobile"
    if found.os_name():
        return "desktop"
    names = (text, found.client_name())
    return "mobile" if any(map(_names_mobile_browser, names)) else "desktop"


def _names_mobile_browser(text: str) -> bool:
    """Tell whether a bare browser name, without system or device, is one of phones only."""
    from device_detector.parser.settings import AVAILABLE_BROWSERS, MOBILE_ONLY_BROWSERS

    mobile = {AVAILABLE_BROWSERS[code].lower() for code in MOBILE_ONLY_BROWSERS}
    return text.lower() in mobile or _MOBILE_WORDS.search(text) is not None
