"""What kind of device a browser name or user agent belongs to."""

import re
from functools import lru_cache

__all__ = ["device"]

_MOBILE_TYPES = frozenset({"smartphone", "tablet", "phablet", "feature phone"})
_MOBILE_SYSTEMS = frozenset({"Android", "iOS", "iPadOS", "KaiOS", "Windows Phone", "HarmonyOS"})
_MOBILE_WORDS = re.compile(r"\b(?:mobile|android|ios|tablet)\b", re.IGNORECASE)


def device(context: str | None) -> str:
    """Give `mobile` for phones and tablets, else `desktop`, also for what cannot be told."""
    text = (context or "").strip()
    if text.lower() in {"mobile", "desktop"}:
        return text.lower()
    return _classify(text) if text else "desktop"


@lru_cache(maxsize=4096)
def _classify(text: str) -> str:
    # The classifier takes a second to load and some milliseconds for a name it has not seen.
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
