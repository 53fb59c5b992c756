"""What the host says about an instance: consents, konnector states, subscription, profile.

Dates of the host are civil times: with any offset (`Z` too) they are true instants and converted,
without one they are civil already. What is wrong raises `FactsRefused`, and nothing of it is taken.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, UnsetType

from ecolyo_worker.clock import civil_text, parse_civil
from ecolyo_worker.errors import FactsRefused, kind_of, quote

__all__ = [
    "FLUIDS",
    "Consent",
    "InstanceFacts",
    "KonnectorState",
    "Profile",
    "Subscription",
    "acceptance",
    "check_facts",
    "check_fluid",
    "check_instance",
    "check_version",
    "connected_fluids",
    "facts_document",
    "is_comparable",
    "states_at",
]

FLUIDS = ("electricity", "water", "gas")
"""The fluids, always in this order."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_INSTANCE = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?", re.ASCII)
_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)
_KEYS = ("consent", "konnectors", "monthly_summary", "profile", "first_connection_at")


class Consent(msgspec.Struct, frozen=True):
    """Terms of this version were accepted at this civil time (ms)."""

    accepted_at: int
    version: str


class KonnectorState(msgspec.Struct, frozen=True):
    """A fluid's konnector is connected, or is not, since this civil time (ms)."""

    fluid: str
    since: int
    connected: bool


class Subscription(msgspec.Struct, frozen=True):
    """The monthly summary is subscribed to, or is not, since this civil time (ms)."""

    since: int
    subscribed: bool


class Profile(msgspec.Struct, frozen=True):
    """Which fluid does what at home; None where it is unknown."""

    heating: str | None = None
    hot_water: str | None = None
    cooking: str | None = None


class InstanceFacts(msgspec.Struct, frozen=True):
    """What one line says: UNSET leaves a fact as it is, None clears it (a consent: withdraws)."""

    instance: str
    consent: Consent | None | UnsetType = UNSET
    konnectors: tuple[KonnectorState, ...] = ()
    monthly_summary: tuple[Subscription, ...] = ()
    profile: Profile | None | UnsetType = UNSET
    first_connection_at: int | None | UnsetType = UNSET


def check_instance(found: object) -> str:
    """Check an instance's name: a lower-case host name with an optional port, at most 253 long."""
    allowed = "a lower-case host name with an optional port, such as alice.mycozy.cloud"
    if not isinstance(found, str):
        raise FactsRefused("instance", f"found {kind_of(found)}; allowed: {allowed}")
    if not _is_instance(found):
        raise FactsRefused("instance", f"found {quote(found)}; allowed: {allowed}")
    return found


@lru_cache(maxsize=1024)  # the same few come with every event
def _is_instance(name: str) -> bool:
    port = name.partition(":")[2] or "1"
    return len(name) <= 253 and bool(_INSTANCE.fullmatch(name)) and 0 < int(port) < 65536


def check_fluid(found: object, field: str) -> str:
    """Check the name of a fluid."""
    if not isinstance(found, str) or found not in FLUIDS:
        raise FactsRefused(field, f"found {kind_of(found)}; allowed: {', '.join(FLUIDS)}")
    return found


def check_version(found: object, field: str = "consent.version") -> str:
    """Check a version of the terms: printable text up to 100 long, whether it suffices or not."""
    if not isinstance(found, str) or not 0 < len(found) <= 100 or not found.isprintable():
        raise FactsRefused(field, f'found {kind_of(found)}; allowed: text such as "1.0.0"')
    return found


def is_comparable(version: str) -> bool:
    """Tell whether a version of the terms may suffice: numbers and dots; no other ever does."""
    return bool(_VERSION.fullmatch(version))


def check_facts(found: Mapping[str, object], zone: ZoneInfo) -> InstanceFacts:
    """Check what the host says about one instance; raises `FactsRefused`."""
    instance = check_instance(found.get("instance"))
    for key in found:
        if key != "instance" and key not in _KEYS:
            raise FactsRefused(key, f"unknown key; known: instance, {', '.join(_KEYS)}")
    return InstanceFacts(
        instance=instance,
        consent=_consent(found.get("consent", UNSET), zone),
        konnectors=tuple(
            _konnector(item, f"konnectors[{n}]", zone)
            for n, item in enumerate(_list(found, "konnectors"))
        ),
        monthly_summary=tuple(
            _subscription(item, f"monthly_summary[{n}]", zone)
            for n, item in enumerate(_list(found, "monthly_summary"))
        ),
        profile=_profile(found.get("profile", UNSET)),
        first_connection_at=_first_connection(found.get("first_connection_at", UNSET), zone),
    )


def facts_document(
    instance: str,
    consents: Iterable[Consent],
    konnectors: Iterable[KonnectorState],
    subscriptions: Iterable[Subscription],
    profile: Profile,
    first_connection_at: int | None,
) -> dict[str, object]:
    """Give what is known in the form it is imported in, histories in full."""
    return {
        "instance": instance,
        "consents": [
            {"version": c.version, "accepted_at": civil_text(c.accepted_at)} for c in consents
        ],
        "konnectors": [
            {"fluid": k.fluid, "connected": k.connected, "since": civil_text(k.since)}
            for k in konnectors
        ],
        "monthly_summary": [
            {"subscribed": s.subscribed, "since": civil_text(s.since)} for s in subscriptions
        ],
        "profile": msgspec.structs.asdict(profile),
        "first_connection_at": None
        if first_connection_at is None
        else civil_text(first_connection_at),
    }


def acceptance(
    consents: Iterable[Consent], withdrawn_through: int | None, as_of: int, least: str
) -> int | None:
    """Give the civil time since which sufficient consents hold without a break, or None.

    A consent dated after `as_of` is not known yet; one up to `withdrawn_through` was ended by a
    withdrawal; of several of one date the last one given holds. An insufficient version ends the
    series, accepting newer terms continues it.
    """
    begin: int | None = None
    versions = {consent.accepted_at: consent.version for consent in consents}
    for accepted_at, version in sorted(versions.items()):
        if accepted_at > as_of:
            break
        if withdrawn_through is not None and accepted_at <= withdrawn_through:
            continue
        if not _suffices(version, least):
            begin = None
        elif begin is None:
            begin = accepted_at
    return begin


def connected_fluids(states: Iterable[KonnectorState], moment: int) -> tuple[str, ...]:
    """Give the fluids connected just before a civil time (ms), in their fixed order."""
    return tuple(state.fluid for state in states_at(states, moment) if state.connected)


def states_at(states: Iterable[KonnectorState], moment: int) -> list[KonnectorState]:
    """Give the state of each fluid's konnector just before a civil time (ms), in fixed order."""
    last: dict[str, KonnectorState] = {}
    for state in states:
        known = last.get(state.fluid)
        if state.since < moment and (known is None or known.since <= state.since):
            last[state.fluid] = state
    return [last[fluid] for fluid in FLUIDS if fluid in last]


def _suffices(version: str, least: str) -> bool:
    """Compare versions number by number; missing parts are 0, anything but numbers never does."""
    if not is_comparable(version):
        return False
    found, wanted = ([int(part) for part in text.split(".")] for text in (version, least))
    width = max(len(found), len(wanted))
    return found + [0] * (width - len(found)) >= wanted + [0] * (width - len(wanted))


def _consent(found: object, zone: ZoneInfo) -> Consent | None | UnsetType:
    if found is None or found is UNSET:
        return found
    item = _object(found, "consent", ("version", "accepted_at"))
    return Consent(
        accepted_at=_time(item, "consent", "accepted_at", zone),
        version=check_version(item.get("version")),
    )


def _konnector(found: object, field: str, zone: ZoneInfo) -> KonnectorState:
    item = _object(found, field, ("fluid", "connected", "since"))
    return KonnectorState(
        fluid=check_fluid(item.get("fluid"), f"{field}.fluid"),
        since=_time(item, field, "since", zone),
        connected=_flag(item, field, "connected"),
    )


def _subscription(found: object, field: str, zone: ZoneInfo) -> Subscription:
    item = _object(found, field, ("subscribed", "since"))
    return Subscription(
        since=_time(item, field, "since", zone), subscribed=_flag(item, field, "subscribed")
    )


def _profile(found: object) -> Profile | None | UnsetType:
    if found is None or found is UNSET:
        return found
    uses = ("heating", "hot_water", "cooking")
    item = _object(found, "profile", uses)
    return Profile(
        **{
            use: check_fluid(item[use], f"profile.{use}")
            for use in uses
            if item.get(use) is not None
        }
    )


def _first_connection(found: object, zone: ZoneInfo) -> int | None | UnsetType:
    if found is None or found is UNSET:
        return found
    return _civil(found, "first_connection_at", zone)


def _list(found: Mapping[str, object], key: str) -> list[Any]:
    value = found.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise FactsRefused(key, f"found {kind_of(value)}; allowed: a list")
    return value


def _object(found: object, field: str, keys: tuple[str, ...]) -> Mapping[str, object]:
    allowed = "an object of " + ", ".join(keys)
    if not isinstance(found, Mapping):
        raise FactsRefused(field, f"found {kind_of(found)}; allowed: {allowed}")
    for key in found:
        if key not in keys:
            raise FactsRefused(f"{field}.{key}", f"unknown key; allowed: {allowed}")
    return found


def _time(item: Mapping[str, object], field: str, key: str, zone: ZoneInfo) -> int:
    return _civil(item.get(key), f"{field}.{key}", zone)


def _civil(found: object, field: str, zone: ZoneInfo) -> int:
    if not isinstance(found, str):
        raise FactsRefused(field, f"found {kind_of(found)}; allowed: a date-time as text")
    try:
        return parse_civil(found, zone, zulu_is_wall=False)
    except ValueError as error:
        raise FactsRefused(field, f"found {quote(found)}; {error}") from None


def _flag(item: Mapping[str, object], field: str, key: str) -> bool:
    value = item.get(key)
    if not isinstance(value, bool):
        raise FactsRefused(f"{field}.{key}", f"found {kind_of(value)}; allowed: true or false")
    return value
