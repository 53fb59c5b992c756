"""The faults of the energy twin, by name and by place; its quotas, and what it counts."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ecolyo_worker.tools.energy_twin import EnergyTwin
from ecolyo_worker.tools.twins.energy import errors
from ecolyo_worker.tools.twins.energy.errors import ENERGY_FORMS, WIRE
from ecolyo_worker.tools.twins.energy.lines import Handled, line
from tests.integration.energy_http import DAILY, METER, OKTA, PCE, Asker, Reply, send

TODAY = "2026-02-11T06:30"
OTHER = "12222222222222"


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 1_770_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(scope="module")
def shared() -> Iterator[Asker]:
    with EnergyTwin(quotas=["off"], today=TODAY) as twin:
        yield Asker(twin.url)


@pytest.fixture
def asker(shared: Asker) -> Asker:
    for place in ("", "curve", "enedis", "2026", "token", METER):
        shared.api("PUT", f"fault?for={place}")
    shared.api("DELETE", "calls")
    shared.bearer("enedis")
    shared.bearer("grdf")
    return shared


def fault(asker: Asker, spec: str, place: str = "") -> None:
    assert asker.api("PUT", f"fault?for={place}", spec).status == 200


def enedis(asker: Asker, generation: str = "v5", series: str = "daily") -> Reply:
    return asker.enedis(series, "2026-02-01", "2026-02-03", generation=generation)


def grdf(asker: Asker) -> Reply:
    return asker.grdf("2026-02-01", "2026-02-04")


def test_table() -> None:
    """The table names every error there is; with those of the wire they are the language."""
    assert errors.__doc__ is not None
    named = re.findall(r"^``([a-z0-9-]+)`` {2,}", errors.__doc__, re.MULTILINE)
    assert [*WIRE, *named] == list(ENERGY_FORMS)
    assert all(f"``{name}``" in errors.__doc__ for name in WIRE)


BY_ENEDIS = [
    ("no-data", 404, "no_data_found", "no_data_found"),
    ("hole", 404, "STM-ERR-0000014", "STM-ERR-0000014"),
    ("unknown-meter", 404, "STM-ERR-0000019", "STM-ERR-0000019"),
    ("consent-revoked", 403, "ADAM-DC-0008", "ADAM-DC-0008"),
    ("not-holder", 403, "ADAM-DC-0007", "ADAM-DC-0007"),
    ("not-holder-400", 400, "ADAM-DC-0007", "ADAM-DC-0007"),
    ("not-entitled", 400, "ADAM-ERR0061", "ADAM-ERR0061"),
    ("before-consent", 403, "ADAM-DC-0009", "ADAM-DC-0009"),
    ("before-activation", 400, "ADAM-ERR0123", "ADAM-ERR0123"),
    ("too-long", 400, "ADAM-DC-0015", "ADAM-ERR0126"),
    ("too-early", 400, "ADAM-DC-0016", "ADAM-ERR0125"),
    ("wrong-direction", 400, "ADAM-ERR0069", "ADAM-ERR0069"),
    ("curve-off", 400, "ADAM-ERR0075", "ADAM-ERR0075"),
    ("invalid-request", 400, "Invalid_request", "Invalid_request"),
    ("token-expired", 401, "900901", "900901"),
    ("reduced-scope", 403, "900910", "900910"),
    ("not-subscribed", 403, "900908", "900908"),
    ("quota-second", 429, "429", "900804"),
    ("quota-hour", 429, "429", "900804"),
    ("quota-nested", 429, "900807", "900807"),
    ("quota-nonsense", 429, "429", "429"),
    ("technical-error", 500, "technical_error", "technical_error"),
    ("unavailable", 503, "unavailable", "unavailable"),
]
BY_GRDF = [
    ("no-data", 200, "1000008"),
    ("consent-revoked", 200, "1000014"),
    ("not-holder", 200, "1000003"),
    ("not-entitled", 200, "1000002"),
    ("holder-moved", 200, "1000000"),
    ("right-expired", 200, "1000001"),
    ("no-published", 200, "1000009"),
    ("no-informative", 200, "1000010"),
    ("proof-invalid", 200, "1000011"),
    ("unknown-meter", 404, "1000000006"),
    ("too-early", 400, "(400)"),
    ("invalid-request", 400, "(400)"),
    ("token-expired", 401, "invalid_token"),
    ("reduced-scope", 403, "insufficient_scope"),
    ("quota-second", 429, "too_many_requests"),
    ("quota-hour", 429, "too_many_requests"),
    ("technical-error", 500, "2000000007"),
    ("unavailable", 503, "unavailable"),
]


@pytest.mark.parametrize(("name", "status", "code", "code_2026"), BY_ENEDIS)
def test_errors_of_enedis(asker: Asker, name: str, status: int, code: str, code_2026: str) -> None:
    """An error of Enedis has its status and code, of old and of 2026; then all is well."""
    fault(asker, f"{name}*2")
    found = [enedis(asker, generation) for generation in ("v5", "2026", "v5")]
    assert [reply.status for reply in found] == [status, status, 200]
    assert [reply.code for reply in found[:2]] == [code, code_2026]


@pytest.mark.parametrize(("name", "status", "code"), BY_GRDF)
def test_errors_of_grdf(asker: Asker, name: str, status: int, code: str) -> None:
    """An error of GRDF has its status and code; what it says in band has status 200."""
    fault(asker, name)
    reply = grdf(asker)
    assert (reply.status, reply.code) == (status, code)
    assert grdf(asker).lines[0]["statut_restitution"] is None


def test_every_error_is_tried() -> None:
    """Each error that is in the language is tried here."""
    bodies = {"empty-403", "empty-200", "empty-json", "html-503", "html-200", "text-200"}
    shapes = {*errors.SHAPES, *bodies}
    tokens = {"invalid-grant", "invalid-client", "access-denied"}
    tried = {name for name, *_ in BY_ENEDIS} | {name for name, *_ in BY_GRDF}
    assert tried | shapes | tokens | set(WIRE) == set(ENERGY_FORMS)


def test_bodies_as_published(asker: Asker) -> None:
    """The bodies are word for word those that were seen."""
    fault(asker, "consent-revoked,technical-error,quota-nonsense,quota-nested,too-long")
    found = [enedis(asker).body.decode() for _ in range(5)]
    assert found[0] == (
        '{"error":"ADAM-DC-0008","error_description":"No consent can be found for this customer '
        'and this usage point.","error_uri":"https://example.invalid/doc"}'
    )
    assert '"error":"technical_error","error_description":"Technical error.' in found[1]
    assert found[2] == (
        '{"error":"429","error_description":"Quota Q4 reached Call threshold allowed on 0:-30:-40"}'
    )
    assert found[3] == (
        '{"fault":{"code":900807,"message":"Message throttled out","description":"(quota)"}}'
    )
    fault(asker, "quota-hour,quota-second")
    found = [enedis(asker, "2026").body.decode() for _ in range(2)]
    assert found == [
        f'{{"code":"900804","message":"Message throttled out","description":"(quota{words})",'
        f'"nextAccessTime":"2026-Feb-11 {at}+0000 UTC"}}'
        for words, at in (("", "06:00:00"), (", per second", "05:30:01"))
    ]


@pytest.mark.parametrize(
    ("name", "status", "content_type", "begin"),
    [
        ("empty-403", 403, "application/json", b""),
        ("empty-200", 200, "application/json", b""),
        ("empty-json", 200, "application/json", b"{}"),
        ("html-503", 503, "text/html", b"<!doctype"),
        ("html-200", 200, "text/html", b"<!doctype"),
        ("text-200", 200, "text/plain", b"Service i"),
    ],
)
def test_other_shapes(
    asker: Asker, name: str, status: int, content_type: str, begin: bytes
) -> None:
    """What is no answer of theirs comes from either of them."""
    fault(asker, f"{name}*2")
    for reply in (enedis(asker), grdf(asker)):
        assert (reply.status, reply.headers["Content-Type"]) == (status, content_type)
        assert reply.body[:9] == begin


def test_true_answer_in_odd_shape(asker: Asker) -> None:
    """The true answer may be cut, glued, doubled, have CRLF, a failed block, or another type."""
    truth = grdf(asker)
    fault(asker, "cut-json,crlf,glued,doubled,partial-error,octet-stream,cut-line")
    cut, crlf, glued, doubled, partial, bytes_, torn = (grdf(asker) for _ in range(7))
    assert truth.body.startswith(cut.body)
    assert len(cut.body.splitlines()) == 3
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(cut.body.splitlines()[-1])
    cut_away = zip(torn.body.splitlines(), truth.body.splitlines(), strict=True)
    assert [(one == whole, whole.startswith(one)) for one, whole in cut_away] == [
        (number != len(truth.lines) // 2, True) for number in range(len(truth.lines))
    ]
    assert crlf.body == truth.body.replace(b"\n", b"\r\n")
    assert b"}{" in glued.body
    first, _ = json.JSONDecoder().raw_decode(glued.body.decode())
    assert first == truth.lines[0]
    assert doubled.lines == [line for line in truth.lines for _ in range(2)]
    assert partial.lines[0]["statut_restitution"]["code"] == "2000100"
    assert partial.lines[1:] == truth.lines[1:]
    assert bytes_.headers["Content-Type"] == "application/octet-stream"
    assert bytes_.body == truth.body


def test_no_services(asker: Asker) -> None:
    """The list of services can be empty yet, as right after a consent; data wait for no such."""
    fault(asker, "no-services")
    assert enedis(asker, "2026").status == 200
    body = '{"autorisationId": 1, "comptage": false}'
    reply = send(asker.url, "POST", "/subscribed_services/v1", body, asker.bearer("enedis"))
    assert reply.content["serviceSouscrit"] == []
    assert asker.api("GET", "fault").content == {"left": {"all": "ok"}}


@pytest.mark.parametrize("name", ["drop", "reset", "garbage", "accept-then-drop"])
def test_broken_connections(asker: Asker, name: str) -> None:
    """A connection may break, or answer what is no HTTP; it is counted as a call without answer."""
    fault(asker, name)
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        enedis(asker)
    (call,) = asker.api("GET", "calls").content["calls"]
    assert call["statuses"] == {"0": 1}


def test_lost_rotation() -> None:
    """A refresh can happen although its answer is lost: the refresh token is used up."""
    with EnergyTwin(quotas=["off"], today=TODAY) as twin:
        asker = Asker(twin.url)
        code = twin.tokens.code("v4", METER)
        first = asker.token("/v1/oauth2/token", grant_type="authorization_code", code=code).content
        fault(asker, "accept-then-drop", "token")
        form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        with pytest.raises(ConnectionError):
            asker.token("/v1/oauth2/token", **form)
        assert asker.token("/v1/oauth2/token", **form).code == "invalid_grant"


@pytest.mark.parametrize(
    ("spec", "status", "told"),
    [
        ("status=502", 502, None),
        ("throttle=30", 429, "30"),
        ("retry-after=7", 503, "7"),
        ("retry-after-garbage", 503, "soon"),
        ("latency=1ms", 200, None),
        ("slow-body=1ms", 200, None),
    ],
)
def test_shared_faults(asker: Asker, spec: str, status: int, told: str | None) -> None:
    """The faults of the wire are those of the echo server, by the same names."""
    fault(asker, spec)
    reply = enedis(asker)
    assert (reply.status, reply.headers.get("Retry-After")) == (status, told)


def test_an_error_waits_for_who_can_meet_it(asker: Asker) -> None:
    """An error of tokens waits for a request for one, one of GRDF for a call to it."""
    fault(asker, "invalid-grant,holder-moved,invalid-client")
    assert enedis(asker).status == 200
    first = asker.token(OKTA, grant_type="client_credentials", scope="/adict/v2")
    assert (first.status, first.code) == (400, "invalid_grant")
    assert enedis(asker).status == 200
    assert grdf(asker).code == "1000000"
    last = asker.token("/oauth2/v3/token", grant_type="client_credentials")
    assert (last.status, last.code) == (401, "invalid_client")


def test_denied(asker: Asker) -> None:
    """A holder may say no."""
    fault(asker, "access-denied")
    question = {"client_id": "app", "response_type": "code", "state": "s", "duration": "P1Y"}
    back = asker.get(
        "/dataconnect/v2/oauth2/authorize", None, **question, redirect_uri="http://app.invalid/"
    )
    assert back.headers["Location"] == (
        "http://app.invalid/?error=access_denied&error_description=%28refused+by+the+holder%29"
        "&state=s"
    )


def test_tokens_meet_what_is_set_for_them(asker: Asker) -> None:
    """Faults for all calls for data leave requests for tokens well; some can be set for these."""
    form = {"grant_type": "client_credentials"}
    fault(asker, "status=500")
    assert asker.token("/oauth2/v3/token", **form).status == 200
    fault(asker, "html-503", "token")
    assert asker.token("/oauth2/v3/token", **form).status == 503
    assert asker.token("/oauth2/v3/token", **form).status == 200
    assert enedis(asker).status == 500


def test_places(asker: Asker) -> None:
    """Faults at a meter go before those of a series, a generation, a provider, and all."""
    fault(asker, "status=500*9")
    fault(asker, "status=501", "enedis")
    fault(asker, "status=502", "2026")
    fault(asker, "status=503", "curve")
    fault(asker, "status=504", METER)
    found = [enedis(asker, "2026", "curve").status for _ in range(5)]
    assert found == [504, 503, 502, 501, 500]
    fault(asker, "ok@100%", METER)
    assert enedis(asker).status == 200
    assert asker.enedis("daily", "2026-02-01", "2026-02-02", OTHER).status == 500
    assert asker.api("GET", "fault").content["left"] == {"all": "status=500*7", METER: "ok"}


def test_same_faults_by_the_same_seed() -> None:
    """What has a probability happens in the same order by the same seed."""
    found = []
    for seed in (5, 5, 6):
        with EnergyTwin(
            quotas=["off"], today=TODAY, seed=seed, faults_for={"daily": "no-data@50%"}
        ) as twin:
            asker = Asker(twin.url)
            found.append([enedis(asker).status for _ in range(24)])
    assert found[0] == found[1] != found[2]
    assert set(found[0]) == {200, 404}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("fault", "no-dat", "'no-dat' is no fault; did you mean no-data? allowed are ok, status="),
        ("fault", "cozy-502", "'cozy-502' is no fault; "),
        ("fault?for=curves", "no-data", "'curves' is no place; allowed are daily, curve, "),
        ("fault?at=curve", "no-data", "'at' is no parameter here; allowed are for"),
        ("meters/123", "", "'123' is no meter; allowed are 14 digits (was a zero lost at "),
        (f"meters/{METER}", "hole", "'hole' is nothing that a meter has; did you mean holes? "),
        (f"meters/{METER}", "activated=2026", "'2026' is no day; allowed are days as in 2026-01"),
        (f"meters/{METER}/consent", "yes", "'yes' is no consent; allowed are given and revoked"),
        ("meters/99999999999999/consent", "given", "'99999999999999' is no meter; there are 1111"),
        ("today", "tomorrow", "'tomorrow' is no day; allowed are days, at noon, as in 2026-02-10"),
        ("quotas", "v5=5", "'v5=5' is no quota; allowed are off, and v4, v5, 2026 or grdf with"),
        ("quotas", "v3=5/s", "'v3=5/s' is no quota"),
    ],
)
def test_what_cannot_be_set(asker: Asker, path: str, body: str, words: str) -> None:
    """What cannot be set is refused with what was found and what is allowed."""
    reply = asker.api("PUT", path, body)
    assert reply.status == 400
    assert reply.content["error"].startswith(words)


def test_api_addresses(asker: Asker) -> None:
    """The API tells its addresses and methods, its today and its meters; it lives and is ready."""
    assert asker.api("GET", "nothing").content["error"].startswith("there is only /api/calls")
    wrong = asker.api("POST", "calls")
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, DELETE")
    assert asker.api("GET", "today").content == {"today": "2026-02-11T06:30:00+01:00"}
    assert f"{PCE}:gas" in asker.api("GET", "meters").content["meters"]
    for path in ("/livez", "/readyz"):
        assert asker.get(path).content == {"ok": True}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_quotas(clock: Clock) -> None:
    """More than the quota within a second, or an hour, are refused; the busiest second is told."""
    with EnergyTwin(today=TODAY, clock=clock) as twin:
        asker = Asker(twin.url)
        statuses = [enedis(asker, "2026").status for _ in range(7)]
        assert statuses == [200] * 5 + [429] * 2
        assert [grdf(asker).status for _ in range(2)] == [200, 429]
        assert enedis(asker, "v5").status == 200
        clock.now_s += 1
        assert enedis(asker, "2026").status == grdf(asker).status == 200
        found = asker.api("GET", "calls").content
        assert found["busiest_second"] == {"enedis": 8, "grdf": 2}
        asker.api("PUT", "quotas", "2026=3/h,grdf=off")
        assert [enedis(asker, "2026").status for _ in range(4)] == [200, 200, 200, 429]
        asker.api("PUT", "today", "2026-02-11T06:59")
        clock.now_s += 1
        assert enedis(asker, "2026").code == "900804"
        asker.api("PUT", "today", "2026-02-11T07:00")
        assert enedis(asker, "2026").status == 200
        assert {grdf(asker).status for _ in range(3)} == {200}
        assert asker.api("GET", "quotas").content["quotas"] == [
            "v4=5/s",
            "v5=5/s",
            "v5=10000/h",
            "2026=5/s",
            "2026=3/h",
        ]


def test_too_many_draws_no_fault(clock: Clock) -> None:
    """A call that is one too many leaves a fault to the next."""
    with EnergyTwin(today=TODAY, clock=clock, quotas=["v5=1/s"], fault="ok,no-data") as twin:
        asker = Asker(twin.url)
        assert [enedis(asker).status for _ in range(2)] == [200, 429]
        clock.now_s += 1
        assert enedis(asker).status == 404


def test_counts(asker: Asker) -> None:
    """Calls are counted by meter, series and period, with how they were answered."""
    fault(asker, "ok,no-data")
    for _ in range(2):
        enedis(asker)
    grdf(asker)
    found = asker.api("GET", "calls").content
    first: dict[str, Any] = found["calls"][0]
    assert first == {
        "provider": "enedis",
        "generation": "v5",
        "series": "daily",
        "meter": METER,
        "start": "2026-02-01",
        "end": "2026-02-03",
        "count": 2,
        "statuses": {"200": 1, "404": 1},
    }
    assert (found["total"], found["after_revocation"]) == (3, {})
    assert asker.api("GET", f"calls?meter={PCE}").content["calls"] == found["calls"][1:]
    assert asker.api("GET", "calls?series=curve").content["calls"] == []
    assert asker.api("DELETE", "calls").content == {"deleted": 3}
    assert asker.api("GET", "calls").content["calls"] == []


def test_calls_after_revocation(asker: Asker) -> None:
    """Calls for a meter whose consent was taken back are counted apart."""
    enedis(asker)
    asker.api("PUT", f"meters/{METER}/consent", "revoked")
    enedis(asker)
    enedis(asker, series="curve")
    asker.api("PUT", f"meters/{METER}/consent", "given")
    enedis(asker)
    assert asker.api("GET", "calls").content["after_revocation"] == {METER: 2}


def test_no_token_is_told() -> None:
    """Neither the API nor a printed line tells a token, and a line only the end of a number."""
    lines: list[Handled] = []
    with EnergyTwin(today=TODAY, show=lines.append) as twin:
        asker = Asker(twin.url)
        token = asker.bearer("enedis")["Authorization"].split()[1]
        enedis(asker)
        told = b"".join(asker.api("GET", path).body for path in ("calls", "tokens", "meters"))
    printed = "\n".join(map(line, lines))
    assert token.encode() not in told
    assert token not in printed
    assert METER[:5] not in printed
    assert f"…{METER[-4:]}" in printed
    assert DAILY["v5"] not in printed
