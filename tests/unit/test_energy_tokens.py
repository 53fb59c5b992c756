"""Tokens are read from what an authorization server answers, and show themselves to nobody."""

import json
from typing import Any

import pytest

from ecolyo_worker.energy.tokens import Tokens, read_token
from ecolyo_worker.errors import AnswerUnreadable
from tests.unit.energy_samples import METER

FULL = {
    "access_token": "acc3ss",
    "token_type": "Bearer",
    "expires_in": "12600",
    "refresh_token": "refr3sh",
    "refresh_token_issued_at": "1487075532179",
    "issued_at": "1487075532179",
    "id_token": "e30.e30.s1gn",
    "scope": "/v4/metering_data  openid",
    "usage_points_id": f"{METER},22222222222222;33333333333333",
}


def read(**fields: Any) -> Tokens:
    return read_token(json.dumps({"access_token": "acc3ss", **fields}).encode())


def test_all_that_is_given_is_read() -> None:
    """Tokens, how long they live, what they are good for, and which meters were agreed to."""
    found = read_token(json.dumps(FULL).encode())
    assert found.access.reveal() == "acc3ss"
    assert found.refresh is not None
    assert found.refresh.reveal() == "refr3sh"
    assert found.identity is not None
    assert found.identity.reveal() == "e30.e30.s1gn"
    assert found.lifetime_s == 12_600
    assert found.scope == ("/v4/metering_data", "openid")
    meters = [meter.reveal() for meter in found.meters]
    assert meters == [METER, "22222222222222", "33333333333333"]


def test_what_is_read_shows_neither_tokens_nor_meters() -> None:
    """However it is made text of."""
    found = read_token(json.dumps(FULL).encode())
    for text in (repr(found), str(found), f"{found}"):
        for secret in ("acc3ss", "refr3sh", "s1gn", METER, "22222222222222"):
            assert secret not in text


def test_an_access_token_alone_is_enough() -> None:
    """Of client credentials there comes no more, and of the scope nothing."""
    found = read(scope="", refresh_token=None, id_token="")
    assert (found.refresh, found.identity, found.scope, found.meters) == (None, None, (), ())


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (14_399, 14_399),
        ("14400", 14_400),
        (12_600.0, 12_600),
        (0, None),
        (-1, None),
        ("soon", None),
        (None, None),
        (True, None),
        (10**9, None),
        (10**30, None),
        ([3600], None),
    ],
)
def test_how_long_a_token_lives(expires_in: Any, seconds: int | None) -> None:
    """As a number or as text; what is absurd is not said."""
    assert read(expires_in=expires_in).lifetime_s == seconds


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"access_token": None}, "access_token: found nothing; allowed: a token"),
        ({"access_token": ""}, "access_token: found nothing"),
        ({"access_token": 5}, "access_token: allowed: a line of printable ASCII"),
        ({"access_token": "s3c ret"}, "access_token: allowed: a line of printable ASCII"),
        ({"access_token": "s3cret\r\nHost: x"}, "access_token: allowed"),
        ({"access_token": "s3cret" * 2000}, "access_token: allowed"),
        ({"refresh_token": "s3crét"}, "refresh_token: allowed"),
        ({"token_type": "mac"}, "token_type: found the text 'mac'; allowed: Bearer"),
    ],
)
def test_an_answer_without_a_usable_token_is_refused(fields: dict[str, Any], words: str) -> None:
    """The field is named, and nothing of what it holds."""
    with pytest.raises(AnswerUnreadable) as refused:
        read(**fields)
    assert str(refused.value).startswith(words)
    assert "s3cr" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"acc3ss", b'"acc3ss"', b"<html>acc3ss"])
def test_an_answer_that_is_no_object_is_refused(body: bytes) -> None:
    """Nothing of it is shown."""
    with pytest.raises(AnswerUnreadable) as refused:
        read_token(body)
    assert "acc3ss" not in str(refused.value)


@pytest.mark.parametrize("meters", [None, "", 5, [METER]])
def test_meters_may_not_be_named(meters: Any) -> None:
    """Then they are known from elsewhere."""
    assert read(usage_points_id=meters).meters == ()
    assert read(token_type="bearer").access.reveal() == "acc3ss"
