"""The three targets: the address, the headers and the wire form of each person's indicators."""

import hashlib
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.remote.secrets import TokenFile, TokenUnusable, check_token
from ecolyo_worker.secret import Secret
from ecolyo_worker.settings import INSTANCE, Dacc

if TYPE_CHECKING:
    import httpx
else:
    httpx = Any  # it takes a tenth of a second to load: only who sends pays for it

__all__ = ["Address", "DestinationFunction", "Target"]

DestinationFunction = Callable[[str], tuple[str, str | None] | Awaitable[tuple[str, str | None]]]
"""Gives an instance's address, as `dacc.url` says it, and its token; at once or to be awaited."""

_DOCTYPES = {"cozy-v1": "cc.cozycloud.dacc", "cozy-v2": "cc.cozycloud.dacc_v2"}


class Address(Struct, frozen=True):
    """Where a request goes, and with which headers."""

    url: "httpx.URL"
    headers: "httpx.Headers"
    secret: Secret | None
    mark: int
    """What the secret is known by, without telling it; another one has another mark."""


class Target:
    """Where indicators go, by the settings or by a function of the host's."""

    def __init__(
        self, settings: Dacc, version: str, function: DestinationFunction | None = None
    ) -> None:
        """`function` gives each instance's address, instead of the settings."""
        if function is not None and not settings.is_cozy:
            raise ConfigurationError(
                "a function that gives each instance's destination was passed in, and dacc.target"
                " is native: set it to cozy-v1 or cozy-v2"
            )
        self.settings = settings
        self._version = version
        self._function = function
        self._token = TokenFile(settings.token_file)
        self._native: Address | None = None

    @property
    def is_set(self) -> bool:
        """Whether it is known where to send."""
        return self._function is not None or self.settings.url is not None

    @property
    def described(self) -> str | None:
        """The address as it can be shown; None if there is none."""
        return "given by the host" if self._function is not None else self.settings.url

    @property
    def is_local(self) -> bool:
        """Whether all is sent to this machine, for certain."""
        return self._function is None and self.settings.is_loopback

    @property
    def is_cozy(self) -> bool:
        """Whether each instance is a destination of its own."""
        return self.settings.is_cozy

    @property
    def token_advice(self) -> str:
        """What lets a refused token be tried again, or what to do about it."""
        if self._function is not None:
            return "tried again at once when the host gives another one"
        if self._token.is_credential:
            return "hand the right one over as the credential dacc-token, and restart the service"
        if self._token.path is not None:
            return "tried again at once when the token file changes"
        own = (
            f", of a path with {INSTANCE} in it if each person has her own" if self.is_cozy else ""
        )
        return f"name a file with the right one in dacc.token_file{own}"

    @property
    def identity(self) -> str:
        """Tell this target from another one: after a change, nothing is held back any more."""
        host = self._function is not None
        settings = self.settings
        known = (settings.target, None if host else settings.url, settings.doctype, host)
        return msgspec.json.encode(known).decode()

    def wrap(self, body: bytes) -> bytes:
        """Give an indicator in its envelope; its own bytes are not changed."""
        match self.settings.target:
            case "native":
                return body
            case "cozy-v1":
                return msgspec.json.encode({"data": body.decode()})
            case "cozy-v2":
                return msgspec.json.encode({"data": body.decode(), "path": "measure"})

    async def address(self, instance: str | None) -> Address:
        """Give the address for an instance, or for all, with the token as it is now.

        Raises `ConfigurationError` if there is none, or its token cannot be used.
        """
        if self._function is not None:
            url, secret = await self._ask(instance or "")
            return self._address(url, secret, _mark(secret))
        if instance is None:
            return self._address_for_all()
        file = self._token_file(instance)
        mark = file.time
        url = (self.settings.url or "").replace(INSTANCE, instance)
        self.settings.check_address(url, "dacc.url for this instance")
        return self._address(url, _read(file, mark), mark)

    async def mark(self, instance: str | None) -> int:
        """Give what an instance's secret is known by now; 0 if there is none to be had."""
        if self._function is None:
            return self._token_file(instance).time
        try:
            _, secret = await self._ask(instance or "")
        except ConfigurationError:
            return 0
        return _mark(secret)

    def _token_file(self, instance: str | None) -> TokenFile:
        path = self.settings.token_file
        if instance is None or path is None or INSTANCE not in str(path):
            return self._token
        return TokenFile(Path(str(path).replace(INSTANCE, instance)))

    async def _ask(self, instance: str) -> tuple[str, Secret | None]:
        """Ask the host's function; whatever is wrong with it or its answer is said in words."""
        assert self._function is not None
        try:
            found = self._function(instance)
            answer: Any = await found if inspect.isawaitable(found) else found
            url, token = answer
        except Exception as error:  # it is the host's, and may raise anything
            words = f"{type(error).__name__}: {error}"
            raise ConfigurationError(f"the host gives no destination: {words}"[:200]) from error
        if not isinstance(url, str) or not isinstance(token, str | None):
            raise ConfigurationError(
                "the host gives a destination that is no (url, token) of texts"
            )
        self.settings.check_address(url, "the destination that the host gives")
        if token is None:
            return url, None
        return url, check_token(token, "the token that the host gives must be")

    def _address_for_all(self) -> Address:
        mark = self._token.time
        secret = _read(self._token, mark)
        known = self._native
        if known is None or known.mark != mark or known.secret is not secret:
            known = self._native = self._address(self.settings.url or "", secret, mark)
        return known

    def _address(self, base: str, secret: Secret | None, mark: int) -> Address:
        """Put an address together: no header tells one person's from another's."""
        import httpx

        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "keep-alive",
            "Content-Type": "application/json",
            "User-Agent": f"ecolyo-worker/{self._version}",
        }
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret.reveal()}"
        try:
            url = httpx.URL(base.rstrip("/") + self._path)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise ConfigurationError(f"the address cannot be used: {error}") from None
        return Address(url, httpx.Headers(headers), secret, mark)

    @property
    def _path(self) -> str:
        if not self.is_cozy:
            return "/measure"
        return f"/remote/{self.settings.doctype or _DOCTYPES[self.settings.target]}"


def _read(file: TokenFile, mark: int) -> Secret | None:
    """Read a token; one that cannot be used is known by its mark too."""
    try:
        return file.read()
    except TokenUnusable as error:
        error.mark = mark
        raise


def _mark(secret: Secret | None) -> int:
    """Give a number that another token would hardly share, and that does not tell this one."""
    if secret is None:
        return 0
    digest = hashlib.sha256(b"ecolyo-worker mark\0" + secret.reveal().encode()).digest()
    return int.from_bytes(digest[:7], "big") + 1
