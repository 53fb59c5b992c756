"""Everything that is wrong with the settings, and with the files that they name."""

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ecolyo_worker.configuration import Reading, in_order
from ecolyo_worker.errors import ConfigurationError, Problem, StateRefused
from ecolyo_worker.remote import oauth
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.section import said
from ecolyo_worker.service.listen import Tcp, Unix, parse_access, parse_listen
from ecolyo_worker.service.tokens import http_token_file
from ecolyo_worker.settings import INSTANCE, Http, Settings, is_token_itself
from ecolyo_worker.store.keys import KEY_FORM, read_key
from ecolyo_worker.worker import rules_of

__all__ = ["check_settings", "secret_problem"]


def check_settings(reading: Reading) -> tuple[Problem, ...]:
    """Give all that is wrong, each with its place; nothing is opened but the files named."""
    more = [
        reading.placed(problem)
        for problem in _files(reading.settings)
        if not {problem.key, *problem.rests_on} & reading.wrong
    ]
    return in_order([*reading.problems, *more])


def secret_problem(file: TokenFile) -> Problem | None:
    """Tell what is wrong with a file of tokens, or of a secret, which is named."""
    key, path = file.setting, file.path
    assert path is not None
    if is_token_itself(path):
        return _unread(file)
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return _absent(file, path, getattr(error, "strerror", None) or str(error))
    if not stat.S_ISREG(mode):
        return _absent(file, path, "it is no file")
    if (mode_for_all := file.mode_for_all) is not None:
        found = f"{path}, which everybody can read or write (mode {mode_for_all:04o})"
        return said(key, found, f"a file of the service alone: chmod 600 {path}")
    return _unread(file)


def _unread(file: TokenFile) -> Problem | None:
    try:
        file.read()
    except ConfigurationError as error:
        (problem,) = error.problems
        return msgspec.structs.replace(problem, key=file.setting)
    return None


def _absent(file: TokenFile, path: Path, reason: str) -> Problem:
    found = f"{path}, which cannot be read: {reason}"
    return said(file.setting, found, f"a file that holds the {file.noun}")


def _files(settings: Settings) -> Iterator[Problem]:
    for path, file in (
        (settings.dacc.token_file, TokenFile(settings.dacc.token_file)),
        (settings.http.token_file, http_token_file(settings.http)),
        *((file.path, file) for file in oauth.secret_files(settings.enedis, settings.grdf)),
    ):
        if path is not None and INSTANCE not in str(path):
            problem = secret_problem(file)
            yield from () if problem is None else (problem,)
    yield from _key(settings.energy.key_file)
    for section in settings.providers.values():
        try:
            oauth.identity_key(section)
        except ConfigurationError as error:
            yield from error.problems
    yield from _listening(settings.http)
    try:
        rules_of(settings)
    except ConfigurationError as error:
        key = "aggregation.measures_file"
        for problem in error.problems:
            yield Problem(message=problem.message, key=key)


def _key(path: Path | None) -> Iterator[Problem]:
    """Look at the file that is named for the key of tokens; one that is not there is made."""
    if path is None:
        return
    key, path = "energy.key_file", path.expanduser()
    try:
        is_there = read_key(path) is not None
    except StateRefused as error:
        yield said(key, str(error), f"a file of {KEY_FORM}; one that is not there is made")
        return
    if not is_there and _is_missing(path.parent):
        found = f"{path}, whose folder {path.parent} is not there"
        yield said(key, found, "a file in a folder that is")


def _listening(settings: Http) -> Iterator[Problem]:
    try:
        address: Tcp | Unix | None = parse_listen(settings.listen)
    except ConfigurationError as error:
        yield Problem(message=str(error), key="http.listen")
        return
    if isinstance(address, Tcp) and http_token_file(settings).path is None:
        allowed = "a file that holds the token, which clients over TCP must show; or a Unix socket"
        yield said("http.token_file", "none", allowed, "http.listen")
    if isinstance(address, Unix) and _is_missing(address.path.parent):
        found = f"{settings.listen!r}, whose folder {address.path.parent} is not there"
        yield said("http.listen", found, "a socket in a folder that is")
    try:
        parse_access(settings)
    except ConfigurationError as error:
        yield from error.problems


def _is_missing(folder: Path) -> bool:
    """Tell whether there is no such folder. Those in `/run` are often made when a service starts.

    What this user may not look at may be there.
    """
    if folder.is_relative_to("/run"):
        return False
    try:
        return not stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
