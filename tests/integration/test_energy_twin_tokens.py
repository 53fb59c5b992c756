"""The tokens and pages of consent of the energy twin: codes, rotation, scopes, ends."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from ecolyo_worker.tools.energy_twin import EnergyTwin
from tests.integration.energy_http import (
    CLIENT,
    DAILY,
    METER,
    OKTA,
    OPENAM,
    PCE,
    Asker,
    Reply,
    send,
)

BACK = "http://app.invalid/cb?x=1"
V4_TOKEN = "/v1/oauth2/token"
V1_PAGE = "/dataconnect/v1/oauth2/authorize"
PAGE = {
    "client_id": "app",
    "response_type": "code",
    "state": "abc0",
    "duration": "P6M",
    "redirect_uri": BACK,
}


class Clock:
    """Seconds of the epoch that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 1_770_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asker(clock: Clock) -> Iterator[Asker]:
    with EnergyTwin(quotas=["off"], today="2026-11-21", clock=clock) as twin:
        yield Asker(twin.url)


def page(asker: Asker, path: str = V1_PAGE, **changes: str) -> dict[str, str]:
    """Consent, and give what is led back with."""
    reply = asker.get(path, None, **{**PAGE, **changes})
    assert reply.status == 302
    assert reply.headers["Location"].startswith(f"{BACK}&")
    return dict(parse_qsl(urlsplit(reply.headers["Location"]).query))


def pair(asker: Asker, code: str | None = None) -> dict[str, Any]:
    """Give the tokens of a consent of v4."""
    code = page(asker)["code"] if code is None else code
    found: dict[str, Any] = asker.token(
        f"{V4_TOKEN}?redirect_uri=x", grant_type="authorization_code", code=code
    ).content
    return found


def refreshed(asker: Asker, token: str) -> Reply:
    return asker.token(V4_TOKEN, grant_type="refresh_token", refresh_token=token)


def asked(asker: Asker, token: str, meter: str = METER, generation: str = "v4") -> Reply:
    query = {"usage_point_id": meter, "start": "2026-02-01", "end": "2026-02-02"}
    return asker.get(DAILY[generation], {"Authorization": f"Bearer {token}"}, **query)


def test_first_launch_of_v4(asker: Asker) -> None:
    """The page gives code, state and meter; the first token reads nothing, the refreshed all."""
    back = page(asker)
    assert (back["state"], back["usage_point_id"]) == ("abc0", METER)
    first = pair(asker, back["code"])
    assert (first["usage_points_id"], first["expires_in"]) == (METER, 12600)
    assert (first["token_type"], first["scope"]) == ("Bearer", "")
    refused = asked(asker, first["access_token"])
    assert (refused.status, refused.code) == (403, "900910")
    second = refreshed(asker, first["refresh_token"]).content
    assert asked(asker, second["access_token"]).status == 200


def test_rotation(asker: Asker) -> None:
    """A refresh token is good once; the token before it dies at once, by an empty 403."""
    first = pair(asker)
    second = refreshed(asker, first["refresh_token"]).content
    third = refreshed(asker, second["refresh_token"]).content
    again = refreshed(asker, second["refresh_token"])
    assert (again.status, again.code) == (400, "invalid_grant")
    dead = asked(asker, second["access_token"])
    assert (dead.status, dead.body) == (403, b"")
    assert asked(asker, third["access_token"]).status == 200


def test_codes(asker: Asker, clock: Clock) -> None:
    """A code is good once, and for three minutes."""
    code = page(asker)["code"]
    assert "access_token" in pair(asker, code)
    assert pair(asker, code)["error"] == "invalid_grant"
    late = page(asker)["code"]
    clock.now_s += 180
    assert pair(asker, late)["error"] == "invalid_grant"


def test_a_users_token_is_for_one_meter(asker: Asker) -> None:
    """A token of v4 reads the meter of its consent, and in v4 alone."""
    token = refreshed(asker, pair(asker)["refresh_token"]).content["access_token"]
    other = asked(asker, token, "12222222222222")
    assert (other.status, other.code) == (403, "ADAM-DC-0008")
    assert asked(asker, token, generation="v5").status == 401


@pytest.mark.parametrize("path", ["/oauth2/v3/token", OKTA, f"{OPENAM}/access_token"])
def test_credentials(asker: Asker, path: str) -> None:
    """Client credentials, by form or Basic, give a token; GRDF wants its scope."""
    form = {"grant_type": "client_credentials", "scope": "/adict/v2"}
    found = asker.token(path, **form).content
    assert found["expires_in"] == ("12600" if path == "/oauth2/v3/token" else 14399)
    basic = base64.b64encode(b"app:s3cret").decode()
    reply = send(
        asker.url,
        "POST",
        path,
        "grant_type=client_credentials&scope=/adict/v2",
        {"Authorization": f"Basic {basic}"},
    )
    assert reply.content.keys() == found.keys()
    assert send(asker.url, "POST", path, "grant_type=client_credentials").status == 401
    if path != "/oauth2/v3/token":
        assert asker.token(path, grant_type="client_credentials").code == "invalid_grant"
    assert asker.token(path, grant_type="password").code == "invalid_grant"


def test_end_of_a_token(asker: Asker, clock: Clock) -> None:
    """A token ends by its time, by being revoked, and by a word to the API; a wrong one is none."""
    asker.bearer("enedis")
    assert asker.enedis("daily", "2026-02-01", "2026-02-02").status == 200
    clock.now_s += 12600
    late = asker.enedis("daily", "2026-02-01", "2026-02-02")
    assert (late.status, late.code) == (401, "900901")
    token = asker.token("/oauth2/v3/token", grant_type="client_credentials").content["access_token"]
    assert asked(asker, token, generation="v5").status == 200
    assert asker.token("/oauth2/v3/revoke", token=token).status == 200
    assert asked(asker, token, generation="v5").status == 401
    assert asker.grdf("2026-02-01", "2026-02-02").status == 200
    asker.api("DELETE", "tokens")
    gone = asker.grdf("2026-02-01", "2026-02-02")
    assert (gone.status, gone.code) == (401, "invalid_token")
    assert asked(asker, "wrong").status == asker.get(DAILY["v5"]).status == 401


def test_malformed_header_of_gas(asker: Asker) -> None:
    """GRDF answers 400 to a header that is no bearer's."""
    path = f"/adict/v2/pce/{PCE}/donnees_consos_informatives?periode=2026-02"
    assert asker.get(path, {"Authorization": "Bearer"}).status == 400
    assert asker.get(path).status == 401


def test_consent_of_gas(asker: Asker) -> None:
    """The code of GRDF gives a token for no data, and an id_token, signed, that names the meter."""
    back = page(asker, f"{OPENAM}/authorize", scope="openid", login_hint="a;b;c@d;APP")
    assert back.keys() == {"x", "code", "iss", "client_id", "state"}
    reply = asker.token(
        f"{OPENAM}/access_token",
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri=BACK,
    ).content
    head, claims, signature = reply["id_token"].split(".")
    digest = hmac.digest(CLIENT["client_secret"].encode(), f"{head}.{claims}".encode(), "sha256")
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == signature
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert (told["pce_id"], told["aud"]) == (PCE, "app")
    assert told["consents"] == [{"pce": PCE}]
    path = f"/adict/v2/pce/{PCE}/donnees_consos_informatives?periode=2026-02"
    refused = asker.get(path, {"Authorization": f"Bearer {reply['access_token']}"})
    assert (refused.status, refused.code) == (403, "insufficient_scope")


@pytest.mark.parametrize("provider", ["enedis", "grdf"])
def test_proxy(asker: Asker, provider: str) -> None:
    """The proxy of Grand Lyon answers a refresh with a token for data, and no refresh token."""
    path = f"/proxy/{provider}/token"
    given = asker.token(path, grant_type="refresh_token", refresh_token="any").content
    assert "refresh_token" not in given
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    if provider == "grdf":
        path = f"/adict/v2/pce/{PCE}/donnees_consos_informatives?periode=2026-02"
        assert asker.get(path, bearer).status == 200
    else:
        assert asked(asker, given["access_token"]).status == 200
    start = f"{OPENAM}/authorize" if provider == "grdf" else V1_PAGE
    code = page(asker, start)["code"]
    first = asker.token(f"/proxy/{provider}/token", grant_type="authorization_code", code=code)
    assert ("id_token" in first.content) == (provider == "grdf")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_id": ""}, "missing_parameter: client_id"),
        ({"state": "x" * 101}, "invalid_state: more than 100 characters"),
        ({"duration": ""}, "missing_parameter: duration"),
        ({"duration": "PT5H"}, "invalid_duration_format: allowed is as in P6M"),
        ({"duration": "P4Y"}, "maximum_duration_exceeded: at most 3 years"),
        ({"redirect_uri": ""}, "missing_parameter: redirect_uri; --redirect-uri gives it for all"),
    ],
)
def test_refused_page(asker: Asker, changes: dict[str, str], words: str) -> None:
    """The page of consent says what is wrong with the question."""
    reply = asker.get(V1_PAGE, None, **{**PAGE, **changes})
    assert (reply.status, reply.code) == (400, "invalid_request")
    assert reply.content["error_description"] == words


def test_which_meter(asker: Asker) -> None:
    """The meter is the one that is named, or that the state's last digit counts to."""
    assert page(asker, state="s1")["usage_point_id"] == "12222222222222"
    assert page(asker, usage_point_id="13333333333333")["usage_point_id"] == "13333333333333"
    assert page(asker, state="s9")["usage_point_id"] == METER
    unknown = asker.get(V1_PAGE, None, **PAGE, usage_point_id="99999999999999")
    assert unknown.status == 404


def test_consent_anew(asker: Asker) -> None:
    """Who took the consent back and consents on the page again lets data pass again."""
    asker.api("PUT", f"meters/{METER}/consent", "revoked")
    assert asker.enedis("daily", "2026-02-01", "2026-02-02").code == "ADAM-DC-0008"
    page(asker)
    assert asker.enedis("daily", "2026-02-01", "2026-02-02").status == 200


def test_secret_and_redirection() -> None:
    """A secret can be demanded, and one address be led back to where none is in the question."""
    with EnergyTwin(secret="other", redirect_uri=BACK) as twin:
        asker = Asker(twin.url)
        refused = asker.token("/oauth2/v3/token", grant_type="client_credentials")
        assert (refused.status, refused.code) == (401, "invalid_client")
        question = {name: text for name, text in PAGE.items() if name != "redirect_uri"}
        assert asker.get(V1_PAGE, None, **question).headers["Location"].startswith(BACK)


def test_counts(asker: Asker) -> None:
    """Requests for tokens are counted by provider, grant, client and status, without secrets."""
    for _ in range(2):
        asker.token(OKTA, grant_type="client_credentials", scope="/adict/v2")
    refreshed(asker, "unknown")
    reply = asker.api("GET", "tokens")
    assert reply.content["requests"] == [
        {
            "provider": "enedis",
            "grant": "refresh_token",
            "client": "app",
            "status": 400,
            "count": 1,
        },
        {
            "provider": "grdf",
            "grant": "client_credentials",
            "client": "app",
            "status": 200,
            "count": 2,
        },
    ]
    assert b"s3cret" not in reply.body
