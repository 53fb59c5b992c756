"""The tokens: whether they are there, and for this program alone."""

from collections.abc import Iterator

from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.checks.settings import secret_problem
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.service.listen import Tcp, parse_listen
from ecolyo_worker.service.tokens import http_token_file
from ecolyo_worker.settings import INSTANCE, Dacc, Settings

__all__ = ["check_tokens"]


def check_tokens(settings: Settings) -> Iterator[Finding]:
    """Look for the tokens that these settings need; what they hold is not told."""
    yield _of_dacc(settings.dacc)
    try:
        is_tcp = isinstance(parse_listen(settings.http.listen), Tcp)
    except ConfigurationError:
        return  # it is told with the settings
    file = http_token_file(settings.http)
    if file.path is not None:
        yield _of_file(file)
    elif is_tcp:
        advice = "write a long random one into a file of the service, named by http.token_file"
        yield failed("tokens", "none for the HTTP face, whose clients must show one", advice)


def _of_dacc(settings: Dacc) -> Finding:
    file = TokenFile(settings.token_file)
    if INSTANCE in str(file.path):
        words = "each person has a file of her own, which is looked at when something is sent"
        return note("tokens", f"dacc.token_file: {words}")
    if file.path is not None:
        return _of_file(file)
    if settings.url is None or settings.is_loopback:
        return note("tokens", "none for the DACC, and so far none is needed")
    advice = "write it into a file of the service, named by dacc.token_file"
    return failed("tokens", "none for the DACC, which answers 401 without one", advice)


def _of_file(file: TokenFile) -> Finding:
    problem = secret_problem(file)
    if problem is not None:
        return failed("tokens", problem.message, "put the file right; no restart is needed")
    count = len(file.read_all())
    held = "one" if count == 1 else str(count)
    return ok("tokens", f"{file.setting}: {file.path} holds {held}, and others cannot read it")
