"""Whether the DACC, or a person's stack before it, and Enedis and GRDF answer at their addresses.

No indicator is sent, and no secret. A GET is refused by all before they look at anything else, so
that it tells whether the address is right; whether the token is, only sending tells.
"""

from msgspec import Struct

from ecolyo_worker.checks.finding import Finding, failed, note, ok
from ecolyo_worker.energy.answers import NAMES
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.providers import Enedis, Grdf
from ecolyo_worker.remote.echo import counted
from ecolyo_worker.remote.probe import Probe, probe
from ecolyo_worker.remote.target import Address, Target
from ecolyo_worker.settings import INSTANCE, Dacc, Settings
from ecolyo_worker.version import __version__

__all__ = ["check_providers", "check_target"]

_TIMEOUT_S = 10.0
_CHECK_ADDRESS = "check dacc.url, which ends before {path}, and dacc.target"


class _Asked(Struct, frozen=True):
    """An address that was asked, as it is shown."""

    check: str
    key: str
    """The setting that names it."""
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
    asked = _Asked(check, "dacc.url", str(address.url), address.url.path)
    found = await probe(address, _TIMEOUT_S)
    echo = await _echo(settings, address) if found.end == "answered" else []
    return [_judged(asked, found), *echo]


async def check_providers(settings: Settings) -> list[Finding]:
    """Ask Enedis and GRDF, where they are set up, at the addresses that tokens come from."""
    sections = settings.providers.items()
    return [await _tokens(NAMES[name], one) for name, one in sections if one.is_set]


async def _tokens(check: str, section: Enedis | Grdf) -> Finding:
    import httpx  # takes a tenth of a second: only who asks pays for it

    url = httpx.URL(section.tokens_url)
    headers = httpx.Headers({"User-Agent": f"ecolyo-worker/{__version__}"})
    found = await probe(Address(url, headers, None, 0), _TIMEOUT_S)
    return _judged(_Asked(check, section.key("token_url"), str(url), url.path), found)


def _judged(asked: _Asked, found: Probe) -> Finding:
    """Say what an answer to a GET means."""
    match found.end:
        case "untrusted":
            words = f"{asked.url} cannot be trusted: {found.detail}"
            trust = "let its certificate be put right, or add its authority to this machine's"
            return failed(asked.check, words, trust)
        case "unreachable" | "late":
            words = f"{asked.url} does not answer: {found.detail}"
            return failed(asked.check, words, f"check {asked.key}, the network and the firewall")
        case "answered":
            return _answered(asked, found)


def _answered(asked: _Asked, found: Probe) -> Finding:
    status = found.status or 0
    if asked.key != "dacc.url" and 400 <= status < 500:
        words = f"{asked.url} answers ({status} to a GET)"
        return ok(asked.check, f"{words}; whether it gives tokens, only asking for one tells")
    if status == 405:
        words = f"{asked.url} answers, and takes POST alone, as it should"
        return ok(asked.check, f"{words}; the token is not checked")
    if status in {401, 403}:
        words = f"{asked.url} answers, and wants a token first ({status})"
        return ok(asked.check, f"{words}; the token is not checked")
    if 300 <= status < 400:
        words = f"{asked.url} leads elsewhere ({status}), to {found.location or 'nowhere'}"
        return failed(asked.check, words, f"redirects are not followed: set {asked.key} to the end")
    if status >= 500:
        words = f"{asked.url} does not work now ({status})"
        return failed(asked.check, words, "wait, or ask who runs it; all waits meanwhile")
    words = f"{asked.url} is something else: it answers {status} to a GET, and not 405"
    advice = _CHECK_ADDRESS.replace("{path}", asked.path)
    return failed(asked.check, words, advice if asked.key == "dacc.url" else f"check {asked.key}")


async def _echo(settings: Dacc, address: Address) -> list[Finding]:
    """Tell that an address on this machine is that of an echo server."""
    if not settings.is_loopback:
        return []
    received = await counted(str(address.url.copy_with(path="/", query=None)))
    if received is None:
        return [note("echo server", "none answers there; what is sent stays on this machine")]
    words = f"one answers there, and has received {received}: nothing leaves this machine"
    return [ok("echo server", words)]
