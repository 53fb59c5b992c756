"""The tokens of Enedis and GRDF: codes, tokens of access, refresh tokens, and who may do what.

Enedis v4: a code is good for 180 s and gives a token that is for no data yet, and a refresh token,
which is good once; whoever refreshes with it loses the token before (403 without a body). Since v5,
and at GRDF, ``client_credentials`` give a token for all meters of the application; a code gives at
GRDF a token that is for no data, and an ``id_token`` that names the meter. A restart forgets them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from .refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .routes import Call

__all__ = ["EXPIRES_IN_S", "GRDF_SCOPE", "Tokens"]

CODE_S = 180
EXPIRES_IN_S: Mapping[str, int] = {"v4": 12600, "application": 12600, "grdf": 14399}
GRDF_SCOPE = "/adict/v2"

_Kind: TypeAlias = Literal["v4", "application", "grdf"]


@dataclass(frozen=True, slots=True)
class _Token:
    """A token of access; ``meter`` is empty where it is for all of an application."""

    kind: _Kind
    client: str
    until_s: float
    for_data: bool = True
    meter: str = ""
    dead: bool = False


class _Code(NamedTuple):
    kind: _Kind
    meter: str
    until_s: float


class Tokens:
    """Gives tokens and checks them; safe between threads.

    ``clock`` gives seconds of the epoch, ``secret`` is what clients must know, if not just
    anything; tokens are good for ``expires_in_s``, or as long as the services have it.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        secret: str | None = None,
        expires_in_s: int | None = None,
    ) -> None:
        self._clock = clock
        self._secret = secret
        self._expires_in_s = expires_in_s
        self._lock = threading.Lock()
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, _Token] = {}
        self._refresh: dict[str, str] = {}
        self._requests: Counter[tuple[str, str, str, int]] = Counter()

    def __repr__(self) -> str:
        return f"<Tokens {len(self._tokens)} given>"

    def counts(self) -> list[dict[str, object]]:
        """Give how many requests for a token there were, by provider, grant, client and status."""
        names = ("provider", "grant", "client", "status")
        with self._lock:
            found = sorted(self._requests.items())
        return [{**dict(zip(names, key, strict=True)), "count": n} for key, n in found]

    def note(self, call: Call, status: int) -> None:
        """Count a request for a token; status 0: there was no answer."""
        client, _ = credentials(call.given)
        grant = call.given.get("grant_type", "") if call.series != "revoke" else "revoke"
        with self._lock:
            self._requests[(call.provider, grant, client, status)] += 1

    def clear(self) -> None:
        """Forget all that was given: whoever has a token must ask anew; counts begin at 0."""
        with self._lock:
            self._codes.clear()
            self._tokens.clear()
            self._refresh.clear()
            self._requests.clear()

    def code(self, kind: Literal["v4", "grdf"], meter: str) -> str:
        """Give the code of a consent, which is good once."""
        with self._lock:
            code = _secret()
            self._codes[code] = _Code(kind, meter, self._clock() + CODE_S)
            return code

    def grant(self, call: Call, issuer: str, now: datetime) -> dict[str, object]:
        """Give the content of the answer to a request for a token; raises RefusedError.

        ``now`` is the twin's own time, by which an id token ends.
        """
        client, secret = credentials(call.given)
        if not client or (self._secret is not None and secret != self._secret):
            raise RefusedError("invalid-client")
        grant = call.given.get("grant_type", "")
        by_proxy = call.series == "token-proxy"
        with self._lock:
            if grant == "authorization_code":
                return self._by_code(call, client, secret, issuer, now)
            if grant == "refresh_token" and call.series == "token-v4":
                return self._by_refresh(call.given.get("refresh_token", ""), client)
            # The proxy has the credentials of the application, and answers a refresh by them.
            if grant == "client_credentials" or (grant == "refresh_token" and by_proxy):
                return self._by_credentials(call, client, by_proxy=by_proxy)
        raise RefusedError("invalid-grant")

    def revoke(self, call: Call) -> None:
        """End a token; one that is not known has ended already."""
        with self._lock:
            self._tokens.pop(call.given.get("token", ""), None)

    def check(self, authorization: str, call: Call) -> None:
        """Raise RefusedError unless this header lets a call for data pass."""
        scheme, _, value = authorization.partition(" ")
        if call.provider == "grdf" and authorization and (scheme != "Bearer" or not value):
            raise RefusedError("invalid-request")
        with self._lock:
            token = self._tokens.get(value.strip() if scheme.lower() == "bearer" else "")
        if token is None or not _is_for(token, call):
            raise RefusedError("token-expired")
        if token.dead:
            raise RefusedError("empty-403")
        if token.until_s <= self._clock():
            raise RefusedError("token-expired")
        if not token.for_data:
            raise RefusedError("reduced-scope")
        if token.meter and token.meter != call.meter:
            raise RefusedError("consent-revoked")

    def _by_code(
        self, call: Call, client: str, secret: str, issuer: str, now: datetime
    ) -> dict[str, object]:
        code = self._codes.pop(call.given.get("code", ""), None)
        kind = "grdf" if call.provider == "grdf" else "v4"
        if code is None or code.kind != kind or code.until_s <= self._clock():
            raise RefusedError("invalid-grant")
        if kind == "v4":
            return self._pair(client, code.meter, for_data=False)
        content = self._given(self._token("grdf", client, for_data=False), "grdf")
        claims = {"iss": issuer, "aud": client, "sub": "twin", **_times(now.timestamp())}
        claims["pce_id"] = code.meter
        claims["consents"] = [{"pce": code.meter}]
        return {**content, "scope": "openid", "id_token": _jwt(claims, secret)}

    def _by_refresh(self, refresh: str, client: str) -> dict[str, object]:
        before = self._refresh.pop(refresh, None)
        token = self._tokens.get(before or "")
        if before is None or token is None:
            raise RefusedError("invalid-grant")
        self._tokens[before] = replace(token, dead=True)
        return self._pair(client, token.meter, for_data=True)

    def _by_credentials(self, call: Call, client: str, *, by_proxy: bool) -> dict[str, object]:
        if call.provider == "grdf":
            if not by_proxy and call.given.get("scope") != GRDF_SCOPE:
                raise RefusedError("invalid-grant")
            content = self._given(self._token("grdf", client), "grdf")
            return {**content, "scope": GRDF_SCOPE}
        content = self._given(self._token("application", client), "application")
        # As it is documented; elsewhere it is a number.
        return {**content, "expires_in": str(content["expires_in"]), "scope": ""}

    def _pair(self, client: str, meter: str, *, for_data: bool) -> dict[str, object]:
        access = self._token("v4", client, for_data=for_data, meter=meter)
        refresh = _secret()
        self._refresh[refresh] = access
        issued_ms = str(int(self._clock() * 1000))
        return {
            **self._given(access, "v4"),
            "refresh_token": refresh,
            "refresh_token_issued_at": issued_ms,
            "issued_at": issued_ms,
            "usage_points_id": meter,
            "scope": "/v4/metering_data" if for_data else "",
        }

    def _token(self, kind: _Kind, client: str, *, for_data: bool = True, meter: str = "") -> str:
        value = _secret()
        until_s = self._clock() + self._life_s(kind)
        self._tokens[value] = _Token(kind, client, until_s, for_data, meter)
        return value

    def _given(self, access: str, kind: _Kind) -> dict[str, object]:
        life_s = self._life_s(kind)
        return {"access_token": access, "token_type": "Bearer", "expires_in": life_s}

    def _life_s(self, kind: _Kind) -> int:
        return EXPIRES_IN_S[kind] if self._expires_in_s is None else self._expires_in_s


def _secret() -> str:
    """Make a token or a code; by its beginning a test finds it where it must not be."""
    return f"twin.{secrets.token_urlsafe(24)}"


def credentials(given: Mapping[str, str]) -> tuple[str, str]:
    """Give a client's name and its secret, from its form or its header."""
    if "client_id" in given:
        return given["client_id"], given.get("client_secret", "")
    scheme, _, encoded = given.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        client, _, secret = base64.b64decode(encoded).decode().partition(":")
    except ValueError:
        return "", ""
    return client, secret


def _is_for(token: _Token, call: Call) -> bool:
    if call.provider == "grdf":
        return token.kind == "grdf"
    return token.kind == "application" or (token.kind == "v4" and call.family == "v4")


def _times(now_s: float) -> dict[str, object]:
    return {"iat": int(now_s), "exp": int(now_s) + EXPIRES_IN_S["grdf"]}


def _jwt(claims: Mapping[str, object], secret: str) -> str:
    """Give a token signed by HS256 with the client's secret."""
    parts = (json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signed = b".".join(map(_encoded, parts))
    signature = hmac.digest(secret.encode(), signed, hashlib.sha256)
    return (signed + b"." + _encoded(signature)).decode()


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
