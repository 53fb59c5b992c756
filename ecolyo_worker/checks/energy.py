"""Energy accounts: whether what they need is there, where they are set up, and how they are."""

import stat
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.checks.settings import secret_problem
from ecolyo_worker.errors import ConfigurationError, StateRefused
from ecolyo_worker.remote import oauth
from ecolyo_worker.settings import Settings
from ecolyo_worker.store.keys import read_key
from ecolyo_worker.store.sealing import key_path, lost_key_advice, require_cryptography
from ecolyo_worker.store.status import Status

__all__ = ["Trouble", "check_accounts", "check_energy", "check_troubles"]

_CHECK = "energy accounts"
_LIST = "`ecolyo-worker accounts list` tells which, and why"
_ANOTHER = (
    f"{_LIST}; if the meter's number is wrong: `ecolyo-worker accounts remove ID`, then"
    " `ecolyo-worker accounts add` with the right one"
)
_REASON = "`ecolyo-worker accounts list` tells which account; the reason says what to do"
# Only their people can change it: nothing is wrong with the service, but it is good to know.
_WRONG_STATES = {
    "new": (
        "wait for their first consent",
        f"nobody consented yet: `ecolyo-worker accounts authorize ID`; {_LIST}",
    ),
    "needs_consent": (
        "need a consent",
        f"{_LIST}; once the person agrees anew: `ecolyo-worker accounts authorize ID`",
    ),
    "suspended": ("are suspended", _ANOTHER),
}
_REMOVING = (
    f"nothing: it is tried again each hour. {_LIST};"
    " `ecolyo-worker accounts remove ID --yes --no-revoke` leaves the consent to its holder"
)

# These do not pass by themselves.
_TOLD = {"UNKNOWN_ERROR.PARTIAL_SYNC", "USER_ACTION_NEEDED.OAUTH_OUTDATED"}
_TROUBLES = {
    "LOGIN_FAILED": "put the settings of the application right, and its secret; then look by"
    " `ecolyo-worker poll`",
    "VENDOR_DOWN": "look by `ecolyo-worker doctor --online` whether it answers; it is asked again"
    " by itself, and at once by `ecolyo-worker poll`",
}


class Trouble(Struct, frozen=True):
    """What keeps readings of accounts from coming that are asked for."""

    provider: str
    reason: str
    word: str | None
    """Cozy's."""


def check_energy(settings: Settings, tokens: int = 0) -> Iterator[Finding]:
    """Look at the package, the secrets and the key; what these hold is not told.

    `tokens` is how many the state holds that only people could give again.
    """
    sections = [section for section in settings.providers.values() if section.is_set]
    if not sections:
        yield note(_CHECK, "none: neither enedis.client_id nor grdf.client_id is set")
        return
    try:
        require_cryptography()
    except ConfigurationError:
        found = "without cryptography no token can be kept"
        yield failed(_CHECK, found, 'pip install "ecolyo-worker[energy]"')
    files = {file.setting: file for file in oauth.secret_files(settings.enedis, settings.grdf)}
    for section in sections:
        key = f"{section.section}.client_secret_file"
        if key not in files:
            advice = "write it into a file of the service, and name that"
            yield failed(_CHECK, f"{key}: there is no secret of {section.client_id}", advice)
    for file in files.values():
        problem = secret_problem(file)
        if problem is not None:
            yield failed(_CHECK, problem.message, "put the file right; no restart is needed")
        else:
            yield ok(_CHECK, f"{file.setting}: {file.path}, which others cannot read")
    yield _key(key_path(settings.energy.key_file, settings.directory), tokens)


def check_accounts(status: Status) -> Iterator[Finding]:
    """Say of which accounts nothing is fetched, and which provider is left alone."""
    states = status.accounts
    for state, (words, advice) in _WRONG_STATES.items():
        if states[state]:
            found = f"those that {words}, for which nothing is fetched: {states[state]}"
            yield note(_CHECK, found, advice)
    if states["removing"]:
        found = f"those that wait for their consent to be revoked: {states['removing']}"
        yield note(_CHECK, found, _REMOVING)
    for provider, pause in status.pauses.items():
        found = f"{provider} is left alone until {pause.until}: {pause.reason}"
        advice = f"nothing: it goes on then; to see how, `ecolyo-worker poll {provider}`"
        yield note(_CHECK, found, advice)
    if status.suspect_days:
        found = f"days of which half-hours and daily values differ: {status.suspect_days}"
        yield note(_CHECK, found, "`ecolyo-worker coverage` tells which")
    if status.unread_days:
        found = f"days of which what came cannot be read: {status.unread_days}"
        advice = "nothing: they are asked for again; `ecolyo-worker coverage` tells which, and why"
        yield note(_CHECK, found, advice)
    if states["active"]:
        yield ok(_CHECK, f"those that are active: {states['active']}")


def check_troubles(troubles: Mapping[Trouble, int], paused: Container[str]) -> Iterator[Finding]:
    """Say what is wrong where readings are asked for; `troubles` has how many accounts have each.

    Nothing is wrong with the service where a provider lets nobody ask for a while (`paused`), nor
    where something came all the same.
    """
    for trouble, count in troubles.items():
        found = f"{trouble.provider}, {count} of the accounts: {trouble.reason}"
        advice = _TROUBLES.get(trouble.word or "")
        if trouble.word in _TOLD:
            yield note(_CHECK, found, _REASON)
        elif advice is None or trouble.provider in paused:
            yield note(_CHECK, found, f"nothing, if it passes; {_LIST}")
        else:
            yield failed(_CHECK, found, advice)


def _key(path: Path, tokens: int) -> Finding:
    try:
        is_there = read_key(path) is not None
        mode = path.stat().st_mode if is_there else 0
    except (StateRefused, OSError) as error:
        return failed(_CHECK, str(error), "put back the key that the tokens were encrypted with")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        words = f"{path}: others can read the key of the tokens"
        return failed(_CHECK, words, f"chmod 600 {path}")
    if not is_there and tokens:
        words = f"{path} is missing; tokens of people that were encrypted with it: {tokens}"
        return failed(_CHECK, words, lost_key_advice(path))
    if not is_there:
        return note(_CHECK, f"{path}: the key of the tokens is made when the service starts")
    return ok(
        _CHECK, f"{path}: the key of the tokens, which others cannot read; it is in no backup"
    )
