"""What kind of device a browser name or user agent belongs to.

The classifier takes a second or two to load, and some milliseconds for each name it has not seen,
in which it holds Python's lock for up to a quarter of a second at a time. So a run asks for what is
`unseen` first, has it classified by this file as a program of its own, and lets it `remember`; then
`device` is a look-up.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Final, Literal

__all__ = ["Kind", "device", "learn", "main", "remember", "unseen"]

Kind = Literal["mobile", "desktop"]
"""What a device is."""

_WORDS = frozenset({"", "mobile", "desktop"})
_MOST: Final = 32_768  # of up to 256 characters
_known: dict[str, Kind] = {}
_writing = Lock()

_MOBILE_TYPES = frozenset({"smartphone", "tablet", "phablet", "feature phone"})
_MOBILE_SYSTEMS = frozenset({"Android", "iOS", "iPadOS", "KaiOS", "Windows Phone", "HarmonyOS"})
_MOBILE_WORDS = re.compile(r"\b(?:mobile|android|ios|tablet)\b", re.IGNORECASE)


def device(context: str | None) -> Kind:
    """Give `mobile` for phones and tablets, else `desktop`, also for what cannot be told."""
    text = (context or "").strip()
    return _known.get(text) or (_word(text) if text.lower() in _WORDS else learn(text))


def unseen(contexts: Iterable[str | None]) -> set[str]:
    """Give those of these names that `device` would have to classify."""
    found = {(context or "").strip() for context in set(contexts)}
    return {text for text in found if text not in _known and text.lower() not in _WORDS}


def learn(text: str) -> Kind:
    """Classify a name here and now, remember it, and give what it is."""
    kind = _classify(text)
    remember({text: kind})
    return kind


def remember(kinds: Mapping[str, Kind]) -> None:
    """Remember what some names are; the oldest ones are forgotten for them, if need be."""
    with _writing:
        _known.update(kinds)
        while len(_known) > _MOST:
            del _known[next(iter(_known))]


def main() -> None:
    """Answer each line of stdin, a JSON array of names, by one with what they are.

    It is null for a name that breaks the classifier.
    """
    for line in sys.stdin.buffer:
        sys.stdout.write(json.dumps([_try(text) for text in json.loads(line)]) + "\n")
        sys.stdout.flush()


def _try(text: str) -> Kind | None:
    try:
        return _classify(text)
    except Exception:  # noqa: BLE001  whoever counts the event meets it again, and sets it aside
        return None


def _word(text: str) -> Kind:
    return "mobile" if text.lower() == "mobile" else "desktop"


def _classify(text: str) -> Kind:
    from device_detector import DeviceDetector

    # Whether it is a robot is no matter, and would take a fifth of the time to find out.
    found = DeviceDetector(text, skip_bot_detection=True).parse()
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


if __name__ == "__main__":
    main()
