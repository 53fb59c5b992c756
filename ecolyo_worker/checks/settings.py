"""Everything that is wrong with the settings, and with the files that they name."""

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from ecolyo_worker.configuration import Reading, in_order
from ecolyo_worker.errors import ConfigurationError, Problem
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.section import said
from ecolyo_worker.service.listen import Tcp, Unix, parse_listen
from ecolyo_worker.settings import INSTANCE, Http, Settings
from ecolyo_worker.worker import rules_of

__all__ = ["check_settings", "http_credential", "secret_problem"]

# A token that stands where the path of its file should: long, and of one piece.
_TOKEN = re.compile(r"(?![/~.])[A-Za-z0-9+/=_.-]{20,}", re.ASCII)


def check_settings(reading: Reading) -> tuple[Problem, ...]:
    """Give all that is wrong, each with its place; nothing is opened but the files named."""
    more = [
        reading.placed(problem)
        for problem in _files(reading.settings)
        if not {problem.key, *problem.rests_on} & reading.wrong
    ]
    return in_order([*reading.problems, *more])


def http_credential(settings: Http) -> TokenFile:
    """Give the file of the token that the clients of the HTTP face show."""
    return TokenFile(settings.token_file, setting="http.token_file", credential="http-token")


def secret_problem(key: str, path: Path) -> Problem | None:
    """Tell what is wrong with a file that holds a token."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return _absent(key, path, getattr(error, "strerror", None) or str(error))
    if not stat.S_ISREG(mode):
        return _absent(key, path, "it is no file")
    if mode & stat.S_IRWXO:
        found = f"{path}, which everybody can read or write (mode {stat.S_IMODE(mode):04o})"
        return said(key, found, f"a file of the service alone: chmod 600 {path}")
    try:
        TokenFile(path, setting=key).read()
    except ConfigurationError as error:
        return Problem(message=str(error), key=key)
    return None


def _absent(key: str, path: Path, reason: str) -> Problem:
    if _TOKEN.fullmatch(str(path)):
        return said(key, "what seems to be the token itself", "the path of a file that holds it")
    return said(key, f"{path}, which cannot be read: {reason}", "a file that holds the token")


def _files(settings: Settings) -> Iterator[Problem]:
    for key, path in (
        ("dacc.token_file", settings.dacc.token_file),
        ("http.token_file", settings.http.token_file),
        ("enedis.client_secret_file", settings.enedis.client_secret_file),
        ("grdf.client_secret_file", settings.grdf.client_secret_file),
        ("grdf.revocation_secret_file", settings.grdf.revocation_secret_file),
    ):
        if path is not None and INSTANCE not in str(path):
            problem = secret_problem(key, path)
            yield from () if problem is None else (problem,)
    yield from _listening(settings.http)
    try:
        rules_of(settings)
    except ConfigurationError as error:
        key = "aggregation.measures_file"
        for problem in error.problems:
            yield Problem(message=problem.message, key=key)


def _listening(settings: Http) -> Iterator[Problem]:
    try:
        address: Tcp | Unix | None = parse_listen(settings.listen)
    except ConfigurationError as error:
        yield Problem(message=str(error), key="http.listen")
        return
    if isinstance(address, Tcp) and http_credential(settings).path is None:
        allowed = "a file that holds the token, which clients over TCP must show; or a Unix socket"
        yield said("http.token_file", "none", allowed, "http.listen")
