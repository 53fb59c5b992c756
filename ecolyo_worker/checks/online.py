"""Whether the DACC, or a person's stack before it, answers at its address.

No indicator is sent. A GET is refused by both before they look at anything else, so that it tells
whether the address is right; whether the token is, only sending tells.
"""

from msgspec import Struct

from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.remote.echo import counted
from ecolyo_worker.remote.probe import Probe, probe
from ecolyo_worker.remote.target import Address, Target
from ecolyo_worker.settings import INSTANCE, Dacc
from ecolyo_worker.version import __version__

__all__ = ["check_target"]

_TIMEOUT_S = 10.0
_CHECK_ADDRESS = "check dacc.url, which ends before {path}, and dacc.target"


class _Asked(Struct, frozen=True):
    """An address that was asked, as it is shown."""

    check: str
    url: str
    path: str


async def check_target(settings: Dacc, instance: str | None) -> list[Finding]:
    """Ask the DACC, or with a Cozy target the stack of an instance."""
    check = "stack" if settings.is_cozy else "DACC"
    if settings.url is None:
        return [note(check, "dacc.url is not set: indicators wait until it is")]
    name = instance if settings.is_cozy else None
    if INSTANCE in settings.url and name is None:
        return [note(check, "nobody is known yet whose stack could be asked")]
    try:
        address = await Target(settings, __version__).address(name)
    except ConfigurationError as error:
        return [failed(check, str(error), "put it right: nothing can be sent before")]
    asked = _Asked(check, str(address.url), address.url.path)
    found = await probe(address, _TIMEOUT_S)
    echo = await _echo(settings, address) if found.end == "answered" else []
    return [_judged(asked, found), *echo]


def _judged(asked: _Asked, found: Probe) -> Finding:
    """Say what an answer to a GET means."""
    advice = _CHECK_ADDRESS.replace("{path}", asked.path)
    match found.end:
        case "untrusted":
            words = f"{asked.url} cannot be trusted: {found.detail}"
            trust = "let its certificate be put right, or add its authority to this machine's"
            return failed(asked.check, words, trust)
        case "unreachable" | "late":
            words = f"{asked.url} does not answer: {found.detail}"
            return failed(asked.check, words, "check dacc.url, the network and the firewall")
        case "answered":
            return _answered(asked, found, advice)


def _answered(asked: _Asked, found: Probe, advice: str) -> Finding:
    status = found.status or 0
    if status == 405:
        words = f"{asked.url} answers, and takes POST alone, as it should"
        return ok(asked.check, f"{words}; the token is not checked")
    if status in {401, 403}:
        words = f"{asked.url} answers, and wants a token first ({status})"
        return ok(asked.check, f"{words}; the token is not checked")
    if 300 <= status < 400:
        words = f"{asked.url} leads elsewhere ({status}), to {found.location or 'nowhere'}"
        return failed(asked.check, words, "redirects are not followed: set dacc.url to the end")
    if status >= 500:
        words = f"{asked.url} does not work now ({status})"
        return failed(asked.check, words, "wait, or ask who runs it; indicators wait meanwhile")
    words = f"{asked.url} is something else: it answers {status} to a GET, and not 405"
    return failed(asked.check, words, advice)


async def _echo(settings: Dacc, address: Address) -> list[Finding]:
    """Tell that an address on this machine is that of an echo server."""
    if not settings.is_loopback:
        return []
    received = await counted(str(address.url.copy_with(path="/", query=None)))
    if received is None:
        return [note("echo server", "none answers there; what is sent stays on this machine")]
    words = f"one answers there, and has received {received}: nothing leaves this machine"
    return [ok("echo server", words)]
