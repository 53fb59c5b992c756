"""Forms of text that several settings take: cron expressions, and addresses."""

import ipaddress
import re
from datetime import datetime
from urllib.parse import urlsplit

from ecolyo_worker.errors import Problem
from ecolyo_worker.section import misfit, said

__all__ = ["address_problem", "cron_problem", "is_loopback", "scheme_of", "without_secrets"]

_SOME_DAY = datetime(2026, 1, 1)  # noqa: DTZ001  a civil time
_AT_RANDOM = re.compile(r"(?<![a-z])r(?![a-z])", re.ASCII | re.IGNORECASE)
_CRON = "a cron expression of five fields (minute hour day month weekday), as "


def cron_problem(key: str, text: str, example: str) -> Problem | None:
    """Tell what is wrong with a cron expression, unless it is the example."""
    return None if text == example or _is_cron(text) else misfit(key, text, _CRON + example)


def address_problem(key: str, url: str) -> Problem | None:
    """Tell what is wrong with an address that secrets are sent to: https, or of this machine."""
    scheme = scheme_of(url)
    if scheme is None:
        allowed = "an http or https address without query, fragment or blanks"
        return misfit(key, without_secrets(url), allowed)
    if "@" in urlsplit(url).netloc:
        return said(key, "a user name or password in it", "an address alone")
    if scheme == "http" and not is_loopback(url):
        return misfit(key, url, "https, or http to this machine")
    return None


def scheme_of(url: str) -> str | None:
    """Give the scheme of an address that can be sent to; None for what is no such address."""
    try:
        parts = urlsplit(url)
        names_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    is_plain = not re.search(r"[\s?#{}]", url)
    return parts.scheme if parts.scheme in {"http", "https"} and names_host and is_plain else None


def is_loopback(url: str) -> bool:
    """Tell whether an address is this machine's."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_secrets(url: str) -> str:
    """Give an address as an error may show it: without user, password, query and fragment."""
    found = re.sub(r".*@", "…@", url, flags=re.DOTALL)
    return re.sub(r"([?#]).*", r"\1…", found, flags=re.DOTALL)


def _is_cron(text: str) -> bool:
    """Tell whether it is a cron expression of five fields that comes at all, unlike 30 February."""
    from croniter import croniter  # slow to load: nobody pays who keeps to the default

    try:
        times = croniter(text, _SOME_DAY)
        comes = bool(times.get_next(datetime) and times.get_prev(datetime))
        return comes and len(text.split()) == 5 and not _AT_RANDOM.search(text)
    except (ValueError, OverflowError):
        return False
