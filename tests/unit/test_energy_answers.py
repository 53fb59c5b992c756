"""What an answer of Enedis or GRDF means: every row of the table, and what no table foresees."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ecolyo_worker.clock import day_text, instant_text
from ecolyo_worker.energy.answers import Asked, Meaning, Provider, read_answer, vendor_down
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.meanings import ENEDIS, GRDF, STATUSES, TOKEN, TOKEN_STATUSES, Row
from tests.unit.energy_samples import METER, new, old, point, sample

NOW = datetime(2026, 2, 11, 6, 30, tzinfo=UTC)
PARTIAL = "UNKNOWN_ERROR.PARTIAL_SYNC"
OUTDATED = "USER_ACTION_NEEDED.OAUTH_OUTDATED"
DAY = sample("grdf-informative-normal.ndjson").splitlines()[0]


def judge(
    status: int,
    body: Any = b"",
    provider: Provider = "enedis",
    asked: Asked = "curve",
    **headers: str,
) -> Meaning:
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    named: Mapping[str, str] = {name.replace("_", "-"): text for name, text in headers.items()}
    return read_answer(provider, asked, status, named, Content(body), NOW)


def error(code: Any, message: str = "") -> dict[str, Any]:
    return {"error": code, "error_description": message, "error_uri": "https://example.invalid/"}


def in_band(code: Any, message: str = "") -> dict[str, Any]:
    told = {"code": code, "message": message}
    return {
        "pce": {"id_pce": "23000000000000"},
        "consommation": None,
        "statut_restitution": told,
    }


OF_ENEDIS = [
    (400, "ADAM-ERR0069", "never", PARTIAL),
    (400, "ADAM-ERR0075", "never", PARTIAL),
    (400, "ADAM-ERR0061", "consent_lost", OUTDATED),
    (400, "ADAM-ERR0123", "clamp", None),
    (400, "ADAM-DC-0015", "split", None),
    (400, "ADAM-ERR0126", "split", None),
    (400, "ADAM-DC-0016", "clamp", None),
    (400, "ADAM-ERR0125", "clamp", None),
    (400, "Invalid_request", "bad_request", PARTIAL),
    (400, "invalid_resquest", "bad_request", PARTIAL),
    (401, "900901", "renew_token", "LOGIN_FAILED"),
    (403, "ADAM-DC-0007", "consent_suspect", "VENDOR_DOWN"),
    (400, "ADAM-DC-0007", "consent_suspect", "VENDOR_DOWN"),
    (403, "ADAM-DC-0008", "consent_lost", OUTDATED),
    (403, "ADAM_DC_0008", "consent_lost", OUTDATED),
    (403, "adam-dc-0008", "consent_lost", OUTDATED),
    (403, "ADAM_ADAM-DC-0008", "consent_lost", OUTDATED),
    (403, "DC-0008", "consent_lost", OUTDATED),
    (200, "ADAM-DC-0008", "consent_lost", OUTDATED),
    (403, "ADAM-DC-0009", "clamp", None),
    (403, "900908", "not_subscribed", PARTIAL),
    (403, "insufficient_scope", "renew_token", "LOGIN_FAILED"),
    (404, "no_data_found", "empty", None),
    (404, "STM-ERR-0000020", "empty", None),
    (404, "STM-ERR-0000014", "empty", None),
    (404, "STM-ERR-0000019", "bad_request", PARTIAL),
    (429, "429", "quota", "VENDOR_DOWN"),
    (429, "900804", "quota", "VENDOR_DOWN"),
    (403, 900807, "quota", "VENDOR_DOWN"),
    (500, "ADAM-DC-0500", "vendor_down", "VENDOR_DOWN"),
    (500, "STM-ERR-0000001", "vendor_down", "VENDOR_DOWN"),
    (500, "technical_error", "vendor_down", "VENDOR_DOWN"),
    (400, "technical_error", "vendor_down", "VENDOR_DOWN"),
    (500, "UNKERROR_001", "vendor_down", "VENDOR_DOWN"),
    (400, "UNKERROR_002", "vendor_down", "VENDOR_DOWN"),
    (503, "ADAM-DC-0008", "vendor_down", "VENDOR_DOWN"),
    (400, "something_new", "bad_request", PARTIAL),
]


@pytest.mark.parametrize(("status", "code", "kind", "cozy"), OF_ENEDIS)
@pytest.mark.parametrize("asked", ["daily", "curve"])
def test_the_codes_of_enedis(
    status: int, code: Any, kind: str, cozy: str | None, asked: Asked
) -> None:
    """Each has its meaning in each of the shapes in which the generations tell it."""
    shapes = [
        error(code, "(words)"),
        {"code": code, "message": "(words)"},
        {"fault": {"code": code, "message": "(words)", "description": "(more)"}},
    ]
    for body in shapes:
        meaning = judge(status, body, asked=asked)
        assert (meaning.kind, meaning.cozy) == (kind, cozy)
        assert meaning.happened.endswith(".")
        assert meaning.to_do.endswith(".")


def test_codes_are_told_in_one_spelling() -> None:
    """So that they can be counted and looked up."""
    for written in ("ADAM-DC-0008", "ADAM_DC_0008", " adam_dc-0008", "adam_adam_dc-0008"):
        assert judge(403, error(written)).code == "ADAM-DC-0008"
    assert judge(404, error("no_data_found")).code == "NO-DATA-FOUND"
    assert judge(429, {"fault": {"code": 900807}}).code == "900807"
    assert judge(503).code == "503"


OF_GRDF = [
    (1000000, "consent_lost", OUTDATED),
    ("1000001", "consent_lost", OUTDATED),
    ("1000002", "consent_lost", OUTDATED),
    ("1000003", "consent_suspect", "VENDOR_DOWN"),
    ("1000008", "empty", None),
    ("1000009", "never", PARTIAL),
    ("1000010", "never", PARTIAL),
    ("1000011", "bad_request", PARTIAL),
    ("1000014", "consent_lost", OUTDATED),
    ("2000100", "vendor_down", "VENDOR_DOWN"),
    ("(400)", "bad_request", PARTIAL),
    ("401", "renew_token", "LOGIN_FAILED"),
    ("429", "quota", "VENDOR_DOWN"),
    ("4711", "vendor_down", "VENDOR_DOWN"),
]


@pytest.mark.parametrize(("code", "kind", "cozy"), OF_GRDF)
@pytest.mark.parametrize("status", [200, 403])
def test_the_codes_of_grdf(status: int, code: Any, kind: str, cozy: str | None) -> None:
    """They mean the same within an answer of success and with a status of their own."""
    if (status, code) == (403, "4711"):
        kind, cozy = "consent_suspect", "VENDOR_DOWN"
    meaning = judge(status, in_band(code, "(words)"), "grdf", "gas_days")
    assert (meaning.kind, meaning.cozy, meaning.has_data) == (kind, cozy, False)


OF_RIGHTS = [
    (200, "0000000000", "ok"),
    (201, "0000000002", "empty"),
    (409, "1000000003", "ok"),
    (409, "1000000004", "consent_lost"),
    (409, "1000000005", "bad_request"),
    (404, "1000000006", "bad_request"),
    (409, "1000000022", "bad_request"),
    (500, "2000000007", "vendor_down"),
    (200, "2000000007", "vendor_down"),
    (400, "2000000009", "bad_request"),
    (409, "1999999999", "bad_request"),
]


@pytest.mark.parametrize(("status", "code", "kind"), OF_RIGHTS)
def test_the_codes_of_rights(status: int, code: str, kind: str) -> None:
    """They come as the object that ends a stream of rights, or alone."""
    trailer = {"code_statut_traitement": code, "message_retour_traitement": "(words)"}
    assert judge(status, trailer, "grdf", "rights").kind == kind


def test_every_row_of_the_table_is_tried() -> None:
    """A code that is added needs its line here."""
    tried = {judge(400, error(code)).code for _, code, _, _ in OF_ENEDIS} | {"INVALID-TOKEN"}
    assert ENEDIS.keys() - tried == {"900910"}
    told = {str(code) for code, _, _ in OF_GRDF} | {code for _, code, _ in OF_RIGHTS}
    assert GRDF.keys() - told == {"INVALID-TOKEN", "INSUFFICIENT-SCOPE"}


@pytest.mark.parametrize("row", [*ENEDIS.values(), *GRDF.values(), *TOKEN.values()])
def test_every_row_speaks_to_a_person(row: Row) -> None:
    """It says in sentences what happened and what to do; only names are filled in."""
    assert not row.to_do.startswith("Nothing")
    for text in (row.happened, row.to_do):
        assert text[0].isupper() or text.startswith("{who}")
        assert text.endswith(".")
        assert "{" not in text.replace("{who}", "")


STATUS_ONLY = [
    (400, b"", "bad_request"),
    (401, b"", "renew_token"),
    (401, b"<html>", "renew_token"),
    (403, b"", "renew_token"),
    (403, b" \r\n", "renew_token"),
    (403, b"{}", "consent_suspect"),
    (403, b"<html>", "vendor_down"),
    (404, b"", "bad_request"),
    (404, b'{"code":"404","type":"Status report","message":"Not Found"}', "bad_request"),
    (404, b"<html>", "vendor_down"),
    (405, b"{}", "bad_request"),
    (408, b"", "vendor_down"),
    (429, b"<html>", "quota"),
    (500, b"", "vendor_down"),
    (503, b"<html>", "vendor_down"),
    (504, b"upstream timed out", "vendor_down"),
    (599, b"{", "vendor_down"),
    (302, b"", "vendor_down"),
    (100, b"", "vendor_down"),
    (204, b"", "vendor_down"),
    (200, b"", "renew_token"),
    (200, b"\n", "renew_token"),
    (200, b"{}", "vendor_down"),
    (200, b"[]", "vendor_down"),
    (200, b"null", "vendor_down"),
    (200, b"<html>maintenance</html>", "vendor_down"),
    (200, b"OK", "vendor_down"),
    (200, b'{"meter_reading":', "vendor_down"),
    (200, b"\xff\xfe\x00", "vendor_down"),
    (206, b'{"grandeur":', "vendor_down"),
]


@pytest.mark.parametrize(("status", "body", "kind"), STATUS_ONLY)
@pytest.mark.parametrize(("provider", "asked"), [("enedis", "daily"), ("grdf", "gas_days")])
def test_answers_without_a_code(
    status: int, body: bytes, kind: str, provider: Provider, asked: Asked
) -> None:
    """The status and the shape say what it is."""
    meaning = judge(status, body, provider, asked)
    assert (meaning.kind, meaning.has_data, meaning.code) == (kind, False, str(status))


def test_an_outage_says_what_came_instead() -> None:
    """In words for the log, without a word of the answer."""
    meaning = judge(200, b"<html>secret</html>")
    assert meaning.happened == "Enedis answered what was not agreed: it is HTML."
    assert meaning.whose == "provider"
    assert vendor_down("grdf", "it timed out").happened.endswith("not agreed: it timed out.")


@pytest.mark.parametrize(
    "body",
    [sample("enedis-v5-curve-normal.json"), sample("enedis-2026-daily.json"), old([]), new([])],
)
def test_measures_are_data(body: bytes) -> None:
    """Of every generation; whether they are the right ones is for the decoders to say."""
    meaning = judge(200, body)
    assert (meaning.kind, meaning.cozy, meaning.has_data) == ("ok", None, True)
    assert judge(200, body[:-2]).kind == "vendor_down"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("No measure found for this point", "empty"),
        ("Aucune mesure pour ce point", "empty"),
        ("Aucune donnée sur la période", "empty"),
        ("No such thing", "bad_request"),
    ],
)
def test_no_measure_may_be_told_in_words(message: str, kind: str) -> None:
    """In 2026 the code beside them is no more than the status."""
    assert judge(404, {"code": "404", "message": message}).kind == kind


def test_a_narrow_token_is_no_lost_consent() -> None:
    """The first token may have a reduced scope: another is got."""
    meaning = judge(403, {"code": "403", "message": "The token lacks a scope"})
    assert meaning.kind == "renew_token"
    assert judge(403, {"code": "900910"}).kind == "renew_token"
    assert judge(403, {"code": "403", "message": "Forbidden"}).kind == "consent_suspect"


CLAMPS = [
    ("The period starts before the last activation (2025-08-27)", "2025-08-27"),
    ("From 2025-08-27, again 2025-08-27", "2025-08-27"),
    ("2024-01-01 is before 2025-08-27", None),
    ("2025-02-30", None),
    ("12025-08-279", None),
    ("", None),
]


@pytest.mark.parametrize(("message", "earliest"), CLAMPS)
def test_the_earliest_day_is_known_where_it_was_told(message: str, earliest: str | None) -> None:
    """One day in the words is it; of several nobody knows which."""
    meaning = judge(400, error("ADAM-ERR0123", message))
    assert meaning.kind == "clamp"
    assert (None if meaning.earliest is None else day_text(meaning.earliest)) == earliest


QUOTAS: list[tuple[Any, str, str | None]] = [
    (error("429", "Quota Q3 reached"), "second", None),
    (error("429", "Quota Q4 reached Call threshold allowed on 0:-30:-40"), "hour", None),
    ({"code": "429", "message": "SLA exceeded: 5 calls per second"}, "second", None),
    ({"code": "429", "message": "SLA"}, "hour", None),
    ({"code": "900804", "nextAccessTime": "2026-Feb-11 07:00:00+0000 UTC"}, "hour", "07:00"),
    ({"fault": {"nextAccessTime": "2026-Feb-11 08:00:00+0100 UTC"}}, "hour", "07:00"),
    ({"nextAccessTime": "2026-Feb-11 07:00:00 +0000 UTC"}, "hour", "07:00"),
    ({"nextAccessTime": "2026-Feb-11 06:30:00+0000 UTC"}, "hour", None),
    ({"nextAccessTime": "2026-Feb-11 05:00:00+0000 UTC"}, "hour", None),
    ({"nextAccessTime": "2026-Feb-13 07:00:00+0000 UTC"}, "hour", None),
    ({"nextAccessTime": "2026-Feb-30 07:00:00+0000 UTC"}, "hour", None),
    ({"nextAccessTime": "2026-fév-11 07:00:00+0000 UTC"}, "hour", None),
    ({"nextAccessTime": "9999-Dec-31 23:59:59-2359 UTC"}, "hour", None),
    ({"nextAccessTime": 1770793200}, "hour", None),
    (b"", "hour", None),
    (b"<html>", "hour", None),
]


@pytest.mark.parametrize(("body", "quota", "until"), QUOTAS)
def test_a_quota_says_how_long_it_lasts(body: Any, quota: str, until: str | None) -> None:
    """Where the time is sane it is told; else it is known which quota it is, the longer if not."""
    meaning = judge(429, body)
    assert (meaning.kind, meaning.quota) == ("quota", quota)
    at = None if until is None else f"2026-02-11T{until}:00Z"
    assert (None if meaning.until is None else instant_text(meaning.until)) == at


def test_the_samples_of_errors_mean_what_they_say() -> None:
    """Line by line, with the status that each comes with."""
    lines = sample("enedis-v5-errors.ndjson").splitlines()
    statuses = [404, 403, 400, 429, 429, 429, 500, 401]
    kinds = [judge(*pair).kind for pair in zip(statuses, lines, strict=True)]
    quotas = ["quota"] * 3
    assert kinds == ["empty", "consent_lost", "split", *quotas, "vendor_down", "renew_token"]
    lines = sample("grdf-errors.ndjson").splitlines()
    kinds = [judge(200, line, "grdf", "gas_days").kind for line in lines]
    assert kinds == ["consent_lost", "vendor_down", "bad_request", "bad_request", "renew_token"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        ("86400", 86_400),
        ("86401", None),
        ("0", None),
        ("-5", None),
        ("soon", None),
        ("9" * 50, None),
        ("Wed, 11 Feb 2026 06:31:00 GMT", 60),
        ("Wed, 11 Feb 2026 06:29:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_followed_where_it_is_sane(text: str, seconds: int | None) -> None:
    """Seconds or a date within a day, of a quota and of an outage alike."""
    until = None if seconds is None else NOW + timedelta(seconds=seconds)
    at = None if until is None else f"{until:%Y-%m-%dT%H:%M:%SZ}"
    for status in (429, 503):
        found = judge(status, retry_after=text).until
        assert (None if found is None else instant_text(found)) == at
    assert judge(404, retry_after="30").until is None


def test_gas_days_are_data() -> None:
    """All of the samples are; a gap among the days takes nothing from them."""
    for name in ("informative-normal", "informative-gap", "spring", "autumn", "published-month"):
        meaning = judge(200, sample(f"grdf-{name}.ndjson"), "grdf", "gas_days")
        assert (meaning.kind, meaning.has_data, meaning.cozy) == ("ok", True, None)
    meaning = judge(200, sample("grdf-rights-with-trailer.ndjson"), "grdf", "rights")
    assert (meaning.kind, meaning.has_data) == ("ok", True)


@pytest.mark.parametrize(
    ("codes", "kind", "cozy"),
    [
        (["2000100"], "vendor_down", PARTIAL),
        (["2000100", "1000014"], "consent_lost", OUTDATED),
        (["1000008", "1000010"], "never", PARTIAL),
        (["1000003", "1000008"], "consent_suspect", PARTIAL),
        (["429"], "quota", PARTIAL),
    ],
)
def test_the_gravest_word_among_the_days_counts(codes: list[str], kind: str, cozy: str) -> None:
    """The days that came with it are good all the same."""
    body = b"\n".join([DAY, *(json.dumps(in_band(code)).encode() for code in codes)])
    meaning = judge(200, body, "grdf", "gas_days")
    assert (meaning.kind, meaning.cozy, meaning.has_data) == (kind, cozy, True)


def test_a_day_with_a_code_is_no_data() -> None:
    """The decoder takes no value that GRDF has something to say against."""
    body = json.loads(DAY) | {"statut_restitution": {"code": "1000008", "message": "(words)"}}
    meaning = judge(200, body, "grdf", "gas_days")
    assert (meaning.kind, meaning.has_data) == ("empty", False)


def test_of_days_that_break_off_those_that_came_are_good() -> None:
    """It counts as an outage, with data."""
    meaning = judge(200, DAY + b"\n" + DAY[:50], "grdf", "gas_days")
    assert (meaning.kind, meaning.cozy, meaning.has_data) == ("vendor_down", PARTIAL, True)
    assert "breaks off in the midst of an object" in meaning.happened


def test_records_of_nothing_are_empty() -> None:
    """Without consumption and without a word why, or only the trailer."""
    nothing = [{"consommation": None, "statut_restitution": None}]
    assert judge(200, nothing, "grdf", "gas_days").kind == "empty"
    assert judge(200, {"code_statut_traitement": "0000000000"}, "grdf", "gas_days").kind == "empty"
    assert judge(200, {"something": "else"}, "grdf", "gas_days").kind == "vendor_down"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"code_statut_traitement": "0000000000"}, "ok"),
        (204, b"", "ok"),
        (200, b"", "ok"),
        (404, b"", "ok"),
        (404, {"code_statut_traitement": "1000000006"}, "ok"),
        (409, {"code_statut_traitement": "1", "message_retour_traitement": "Déjà révoqué"}, "ok"),
        (409, {"code_statut_traitement": "1000000022"}, "bad_request"),
        (500, b"", "vendor_down"),
        (200, b"<html>", "vendor_down"),
        (401, b"", "renew_token"),
    ],
)
def test_a_right_that_is_gone_is_revoked(status: int, body: Any, kind: str) -> None:
    """Not found, or revoked before, counts as done; anything else does not."""
    assert judge(status, body, "grdf", "revocation").kind == kind


TOKENS: list[tuple[int, Any, str, str | None]] = [
    (200, {"access_token": "abc", "expires_in": "12600"}, "ok", None),
    (200, {"access_token": ""}, "vendor_down", "VENDOR_DOWN"),
    (200, {"token_type": "Bearer"}, "vendor_down", "VENDOR_DOWN"),
    (200, b"", "vendor_down", "VENDOR_DOWN"),
    (200, b"<html>", "vendor_down", "VENDOR_DOWN"),
    (200, {"error": "invalid_grant"}, "consent_lost", OUTDATED),
    (400, {"error": "invalid_grant"}, "consent_lost", OUTDATED),
    (401, {"error": "invalid_grant"}, "consent_lost", OUTDATED),
    (401, {"error": "oauth_refresh_invalid_token"}, "consent_lost", OUTDATED),
    (401, {"error": "invalid_token"}, "consent_lost", OUTDATED),
    (403, {"error": "access_denied"}, "consent_lost", OUTDATED),
    (401, {"error": "invalid_client"}, "bad_request", "LOGIN_FAILED"),
    (400, {"error": "unauthorized_client"}, "bad_request", "LOGIN_FAILED"),
    (400, {"error": "invalid_scope"}, "bad_request", "LOGIN_FAILED"),
    (400, {"error": "unsupported_grant_type"}, "bad_request", "LOGIN_FAILED"),
    (400, {"error": "invalid_request"}, "bad_request", "LOGIN_FAILED"),
    (400, b"", "bad_request", "LOGIN_FAILED"),
    (401, b"", "bad_request", "LOGIN_FAILED"),
    (403, b"", "bad_request", "LOGIN_FAILED"),
    (403, {"code": "900908"}, "not_subscribed", PARTIAL),
    (404, b"", "bad_request", PARTIAL),
    (429, {"code": "900804"}, "quota", "VENDOR_DOWN"),
    (403, {"code": "900807"}, "quota", "VENDOR_DOWN"),
    (408, b"", "vendor_down", "VENDOR_DOWN"),
    (400, {"error": "server_error"}, "vendor_down", "VENDOR_DOWN"),
    (400, {"error": "temporarily_unavailable"}, "vendor_down", "VENDOR_DOWN"),
    (500, {"error": "server_error"}, "vendor_down", "VENDOR_DOWN"),
    (404, b"<html>", "vendor_down", "VENDOR_DOWN"),
]


@pytest.mark.parametrize(("status", "body", "kind", "cozy"), TOKENS)
@pytest.mark.parametrize("provider", ["enedis", "grdf"])
def test_answers_to_the_wish_for_a_token(
    status: int, body: Any, kind: str, cozy: str | None, provider: Provider
) -> None:
    """No refusal asks for another token, so that none is asked for in a loop."""
    meaning = judge(status, body, provider, "token")
    assert (meaning.kind, meaning.cozy) == (kind, cozy)


@pytest.mark.parametrize(("status", "body", "kind", "cozy"), TOKENS)
def test_answers_to_a_refresh(status: int, body: Any, kind: str, cozy: str | None) -> None:
    """They mean the same, but for a 401 without a word: its grant may have ended."""
    meaning = judge(status, body, "enedis", "refresh")
    if (status, body) == (401, b""):
        kind, cozy = "consent_suspect", "VENDOR_DOWN"
    assert (meaning.kind, meaning.cozy) == (kind, cozy)


def test_a_code_that_is_refused_without_a_word_blames_not_the_application_alone() -> None:
    """A 401 may also come of a code that is too old; both causes are named, and who can do what."""
    meaning = judge(401, b"", "enedis", "code")
    assert (meaning.kind, meaning.cozy) == ("bad_request", "LOGIN_FAILED")
    assert "three minutes passed since" in meaning.happened
    assert "does not know the application" in meaning.happened
    assert "`accounts authorize`" in meaning.to_do
    assert "client_secret_file" in meaning.to_do


def test_every_code_and_status_of_tokens_is_tried() -> None:
    """A code that is added needs its line here."""
    tried = {judge(status, body, asked="token").code for status, body, _, _ in TOKENS}
    assert TOKEN.keys() <= tried
    assert TOKEN_STATUSES.keys() - tried == {"429"}
    assert STATUSES.keys() == {"400", "401", "403", "404", "408", "429"}


def test_no_meter_and_no_token_is_told() -> None:
    """Whatever an answer says of itself, in codes or in words, none of it is repeated."""
    secret = "eyJhbGciOiJIUzI1NiJ9.e30.c2VjcmV0"
    for text in (METER, "GI999055", f"{METER} {secret}", secret):
        for status in (200, 400, 403, 404, 429, 503):
            for asked in ("curve", "token"):
                for body in (error(text, text), {"code": text, "message": text}, {text: text}):
                    shown = repr(judge(status, body, asked=asked))
                    assert text not in shown
                    assert text.upper() not in shown


def test_data_beside_a_code_is_data() -> None:
    """Measures are measures, whatever else stands in the object."""
    body = json.loads(old([point("2026-02-10 00:30:00")])) | {"code": "200"}
    assert judge(200, body).kind == "ok"
