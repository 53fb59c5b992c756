"""Consents: how each generation tells the meter, whose answer is taken, and how a consent ends."""

import base64
import hashlib
import hmac
import json
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ecolyo_worker import CommandRefused, ConfigurationError, Worker
from ecolyo_worker.errors import InputRefused
from ecolyo_worker.providers import Generation
from ecolyo_worker.secret import Secret
from ecolyo_worker.store import accounts
from ecolyo_worker.testing.clock import FakeClock
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import BACK, PCE, PRM, SECRET, add, again, consent, settings, visit

OTHER = "12222222222222"


def clock() -> FakeClock:
    return FakeClock(datetime(2026, 11, 21, 9, tzinfo=UTC))


@pytest.fixture
async def worker(state_dir: Path, energy_twin: Twin) -> AsyncIterator[Worker]:
    """A worker of the generation that is the default, beside a twin of the same day."""
    await energy_twin.set_today("2026-11-21T10:00")
    async with Worker(settings(state_dir, energy_twin), clock=clock()).opened() as worker:
        yield worker


def files_of(directory: Path) -> list[bytes]:
    return [path.read_bytes() for path in directory.iterdir() if path.is_file()]


def id_token(claims: Any, key: str = SECRET, algorithm: str = "HS256") -> Secret:
    """Make an id token, signed by a shared secret."""
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.digest(key.encode(), signed, hashlib.sha256)
    return Secret(f"{signed.decode()}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")


@pytest.mark.parametrize("generation", ["v4", "v5", "2026"])
async def test_each_generation_tells_the_meter(
    state_dir: Path, energy_twin: Twin, generation: Generation
) -> None:
    """By what the page leads back with, by the tokens, or by the services of the consent."""
    chosen = settings(state_dir, energy_twin, generation)
    async with Worker(chosen, clock=clock()).opened() as worker:
        account = await add(worker)
        assert (account.state, account.meter) == ("new", None)
        found = await consent(worker, account, OTHER)
        assert (found.state, found.meter) == ("meter_known", OTHER)
        assert isinstance(await worker.tokens.bearer(found), Secret)


async def test_grdf_tells_the_meter_in_an_id_token(worker: Worker, energy_twin: Twin) -> None:
    """The token that comes with it reads nothing, and is not kept."""
    found = await consent(worker, await add(worker, "grdf"), "GI123456")
    assert (found.state, found.meter) == ("meter_known", "GI123456")
    assert isinstance(await worker.tokens.bearer(found), Secret)
    grants = [(one["grant"], one["count"]) for one in await energy_twin.token_requests()]
    assert sorted(grants) == [("authorization_code", 1), ("client_credentials", 1)]


async def test_the_page_is_asked_what_it_wants(worker: Worker) -> None:
    """The address has what each provider's page needs, and a state of a kind that none guesses."""
    enedis = await worker.consents.begin(await add(worker))
    assert "duration=P1Y" in enedis.url
    assert "redirect_uri" not in enedis.url
    grdf = await worker.consents.begin(await add(worker, "grdf"))
    assert "scope=openid" in grdf.url
    assert grdf.redirect_uri == BACK
    states = [url.rpartition("state=")[2].partition("&")[0] for url in (enedis.url, grdf.url)]
    assert all(43 <= len(state) <= 100 for state in states)
    assert len(set(states)) == 2


async def test_the_list_of_meters_may_come_later(worker: Worker, energy_twin: Twin) -> None:
    """Right after the consent Enedis may not know the meter: it is asked again, then and later."""
    await energy_twin.fail_next(2, "no-services", "services")
    assert (await consent(worker, await add(worker), PRM)).state == "meter_known"
    await energy_twin.fail_next(4, "no-services", "services")
    late = await consent(worker, await add(worker), OTHER)
    assert (late.state, late.word, late.meter) == ("authorized", "VENDOR_DOWN", None)
    assert "does not tell yet" in (late.reason or "")
    assert (await worker.consents.find_meter(late)).state == "authorized"
    found = await worker.consents.find_meter(late)
    assert (found.state, found.meter, found.reason) == ("meter_known", OTHER, None)


async def test_a_meter_is_asked_for_by_another_token(worker: Worker, energy_twin: Twin) -> None:
    """Where the token is not taken, one other is tried, and then it is told."""
    await energy_twin.fail_next(1, "token-expired", "services")
    assert (await consent(worker, await add(worker), PRM)).state == "meter_known"
    await energy_twin.set_fault("token-expired*9", "services")
    lost = await consent(worker, await add(worker), OTHER)
    assert (lost.state, lost.word) == ("authorized", "LOGIN_FAILED")
    (counted,) = await energy_twin.token_requests()
    assert counted["count"] == 2


@pytest.mark.parametrize("way", ["other", "none", "twice", "late", "guessed"])
async def test_only_the_answer_to_the_own_page_is_taken(worker: Worker, way: str) -> None:
    """Another one's state, none, one used up, replaced or too old: refused, and nothing is done."""
    account, other = await add(worker), await add(worker, instance="bob.example")
    begun = await worker.consents.begin(account)
    callback = await visit(begun.url, usage_point_id=PRM)
    if way == "other":
        theirs = await worker.consents.begin(other)
        callback = await visit(theirs.url, usage_point_id=PRM)
    elif way == "none":
        callback = f"{BACK}?usage_point_id={PRM}"
    elif way == "twice":
        await worker.consents.finish(account, callback)
    elif way == "late":
        assert isinstance(worker.clock, FakeClock)
        worker.clock.advance(timedelta(hours=1, seconds=1).total_seconds())
    else:
        callback = callback.replace("state=", "state=x")
    before = await again(worker, account)
    with pytest.raises(CommandRefused, match="not the answer to the page") as refused:
        await worker.consents.finish(account, callback)
    assert PRM not in str(refused.value)
    assert await again(worker, account) == before


async def test_a_refusal_is_told(worker: Worker, energy_twin: Twin) -> None:
    """A person who says no leaves the account as it was; the provider's text is not repeated."""
    await energy_twin.fail_next(1, "access-denied", "authorize")
    account = await add(worker)
    with pytest.raises(CommandRefused, match="no consent was given: access_denied"):
        await consent(worker, account, PRM)
    state = (await worker.consents.begin(account)).url.rpartition("state=")[2]
    with pytest.raises(CommandRefused, match="no consent was given: no reason was told"):
        await worker.consents.finish(account, f"error=Alice+{PRM}&state={state}")
    assert (await again(worker, account)).state == "new"


async def test_a_code_that_is_refused_names_both_causes(state_dir: Path, energy_twin: Twin) -> None:
    """A 401 may come of a code that is too old, or of the credentials: it says how to find out."""
    await energy_twin.set_fault("status=401", "token")
    async with Worker(settings(state_dir, energy_twin, "v4"), clock=clock()).opened() as worker:
        with pytest.raises(CommandRefused, match=r"three minutes passed .*client_secret_file"):
            await consent(worker, await add(worker), PRM)


async def test_a_consent_is_for_the_accounts_own_meter(worker: Worker) -> None:
    """Another meter's consent is refused, and so is a second account for one meter."""
    account = await consent(worker, await add(worker), PRM)
    with pytest.raises(CommandRefused, match="for another meter than the account's"):
        await worker.consents.typed(account, OTHER)
    with pytest.raises(CommandRefused, match="another account for this meter"):
        await worker.consents.typed(await add(worker), PRM)
    with pytest.raises(InputRefused, match="found 13 digits") as refused:
        await worker.consents.typed(await add(worker), PRM[1:])
    assert PRM[1:] not in str(refused.value)
    assert (await worker.consents.typed(account, f" {PRM[:2]} {PRM[2:]}")).meter == PRM


@pytest.mark.parametrize(
    ("claims", "provider", "meter"),
    [
        ({"usage_point_id": PRM}, "enedis", PRM),
        ({"usage_points_id": f"{PRM};{PRM}"}, "enedis", PRM),
        ({"consents": [{"pce": PCE, "role": "x"}]}, "grdf", PCE),
        ({"pce_id": "GI123456", "consents": [{"pce": "GI123456"}]}, "grdf", "GI123456"),
    ],
)
async def test_an_id_token_names_the_meter(
    worker: Worker, claims: Any, provider: Any, meter: str
) -> None:
    """Whichever claim names it, at the top or in the list of consents."""
    found = await worker.consents.identify(await add(worker, provider), id_token(claims))
    assert (found.state, found.meter) == ("meter_known", meter)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (id_token({}), "names none"),
        (id_token({"usage_point_id": PRM + "1"}), "found 15 digits"),
        (id_token({"usage_point_id": int(PRM)}), "no text"),
        (id_token({"usage_points_id": f"{PRM},{OTHER}"}), r"names 2 \(…111, …222\)"),
        (Secret("a.b"), "found 2 parts"),
        (Secret("é.!.?"), "no JSON object|not base64url"),
        (Secret("e30.W10.e30"), "no JSON object"),
        (id_token([PRM]), "no JSON object"),
    ],
)
async def test_what_is_no_id_token_is_refused(worker: Worker, token: Secret, words: str) -> None:
    """The error says what was found, and shows no meter and nothing of the token."""
    with pytest.raises(InputRefused, match=words) as refused:
        await worker.consents.identify(await add(worker), token)
    assert PRM not in str(refused.value)
    assert token.reveal() not in str(refused.value)


EXP = int(datetime(2026, 11, 21, 9, tzinfo=UTC).timestamp())
"""When it is, by the worker's clock."""


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": EXP - 601}, "it ended 10 minutes ago"),
        ({"exp": f"{EXP - 7200}"}, "it ended 120 minutes ago"),
        ({"exp": "soon"}, "exp: found no number"),
        ({"exp": True}, "exp: found no number"),
        ({"exp": 10**400}, "exp: found no number"),
        ({"aud": "another"}, "it is for another application"),
        ({"aud": []}, "it is for another application"),
        ({"aud": ["another", "third"]}, "it is for another application"),
        ({"aud": ["ecolyo", "another"], "azp": "another"}, "it is for another application"),
    ],
)
async def test_an_id_token_that_is_over_or_not_ours_is_refused(
    worker: Worker, claims: Any, words: str
) -> None:
    """The error says which, and what else to do; it shows no meter and nothing of the token."""
    token, account = id_token({"usage_point_id": PRM, **claims}), await add(worker)
    with pytest.raises(InputRefused, match=words) as refused:
        await worker.consents.identify(account, token)
    assert PRM not in str(refused.value)
    assert not any(part in str(refused.value) for part in token.reveal().split("."))
    assert await again(worker, account) == account


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": EXP - 540},
        {"exp": EXP + 0.5, "aud": "ecolyo"},
        {"aud": ["another", "ecolyo"], "azp": "ecolyo"},
        {"iss": "https://issuer.example"},
    ],
)
async def test_an_id_token_of_a_clock_that_is_off_is_taken(worker: Worker, claims: Any) -> None:
    """Clocks may be off by some minutes, and what is not known is not checked."""
    token = id_token({"usage_point_id": PRM, **claims})
    assert (await worker.consents.identify(await add(worker), token)).meter == PRM


async def test_the_issuer_is_who_led_back(worker: Worker) -> None:
    """Where the page of consent says who gave the code, the id token must be of the same."""
    account = await add(worker, "grdf")
    callback = await visit((await worker.consents.begin(account)).url, pce=PCE)
    other = httpx.URL(callback).copy_set_param("iss", "https://another.example")
    with pytest.raises(InputRefused, match="another one issued it"):
        await worker.consents.finish(account, str(other))
    assert (await again(worker, account)).state == "new"


async def test_a_signature_is_checked_by_the_key(
    state_dir: Path, energy_twin: Twin, tmp_path: Path
) -> None:
    """With a key only what it signed is taken: a shared secret, or the private half of a PEM."""
    key = tmp_path / "key"
    chosen = settings(state_dir, energy_twin, id_token_key_file=key)
    good = id_token({"usage_point_id": PRM}, "shared")
    forged = id_token({"usage_point_id": PRM}, "guessed")
    without = Secret(f"{id_token({'usage_point_id': PRM}, 'shared', 'none').reveal()}")
    async with Worker(chosen, clock=clock()).opened() as worker:
        with pytest.raises(ConfigurationError, match=r"enedis.id_token_key_file: .* cannot be"):
            await worker.consents.identify(await add(worker), good)
        key.write_text("shared\n")
        for wrong in (forged, without):
            with pytest.raises(InputRefused, match="its signature is not that of the key"):
                await worker.consents.identify(await add(worker), wrong)
        assert (await worker.consents.identify(await add(worker), good)).meter == PRM
        public, signed = _by_rsa({"usage_point_id": OTHER})
        key.write_bytes(public)
        with pytest.raises(InputRefused, match="its signature is not that of the key"):
            await worker.consents.identify(await add(worker), good)
        assert (await worker.consents.identify(await add(worker), signed)).meter == OTHER
        key.write_text("-----BEGIN NOTHING-----")
        with pytest.raises(
            ConfigurationError, match="which holds no key; allowed: a file with a public RSA"
        ):
            await worker.consents.identify(await add(worker), signed)


def _by_rsa(claims: Any) -> tuple[bytes, Secret]:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    private = rsa.generate_private_key(65537, 2048)
    parts = [msgspec.json.encode(part) for part in ({"alg": "RS256"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = private.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    encoded = base64.urlsafe_b64encode(signature).decode().rstrip("=")
    return public, Secret(f"{signed.decode()}.{encoded}")


async def revoked(twin: Twin) -> int:
    return await twin.count(series="right")


async def test_a_removal_revokes_first(worker: Worker, energy_twin: Twin) -> None:
    """At GRDF the right of the meter is revoked, and then the account is gone."""
    account = await consent(worker, await add(worker, "grdf"), PCE)
    removal = await worker.consents.remove(account, keeps_data=False)
    assert (removal.is_gone, removal.rows["accounts"]) == (True, 1)
    assert await revoked(energy_twin) == 1
    assert await worker.database.read(accounts.find, account.id) is None


async def test_what_is_revoked_already_is_done(worker: Worker, energy_twin: Twin) -> None:
    """A right that ended, or is not there, keeps no account; of Enedis nothing is revoked."""
    ended, unknown = await add(worker, "grdf", PCE), await add(worker, "grdf", "GI999999")
    await energy_twin.revoke(PCE)
    for account in (ended, unknown, await add(worker, "enedis", PRM), await add(worker, "grdf")):
        assert (await worker.consents.remove(account, keeps_data=False)).is_gone
    assert await revoked(energy_twin) == 0


async def test_a_right_stays_while_another_account_needs_it(
    worker: Worker, energy_twin: Twin
) -> None:
    """Of two people with one PCE the first who goes ends nothing; the last one revokes."""
    alice, bob, claire = [
        await add(worker, "grdf", PCE, name)
        for name in ("alice.example", "bob.example", "claire.example")
    ]
    removal = await worker.consents.remove(alice, keeps_data=False)
    assert (removal.is_gone, removal.keeps_right) == (True, True)
    gone = await worker.forget("claire.example")
    assert gone is not None
    assert (gone.unrevoked, gone.rights_kept) == ([], 1)
    assert await worker.database.read(accounts.find, claire.id) is None
    assert await revoked(energy_twin) == 0
    removal = await worker.consents.remove(bob, keeps_data=False)
    assert (removal.is_gone, removal.keeps_right) == (True, False)
    assert await revoked(energy_twin) == 1


@pytest.mark.parametrize("place", ["token", "rights", "right"])
async def test_a_failure_keeps_the_account_and_says_so(
    worker: Worker, energy_twin: Twin, place: str
) -> None:
    """Where it cannot be revoked now the account stays, with the reason, until it can."""
    account = await add(worker, "grdf", PCE)
    await energy_twin.fail_next(1, "unavailable", place)
    removal = await worker.consents.remove(account, keeps_data=True)
    assert not removal.is_gone
    left = await again(worker, account)
    assert (left.state, left.reason, left.keeps_data) == ("removing", removal.reason, True)
    assert "GRDF" in (left.reason or "")
    assert isinstance(worker.clock, FakeClock)
    worker.clock.advance(61)
    assert (await worker.consents.remove_again(left)).is_gone
    assert await revoked(energy_twin) == (2 if place == "right" else 1)


async def test_consents_are_revoked_under_a_name_of_their_own(
    state_dir: Path, energy_twin: Twin
) -> None:
    """The name that may revoke, and its secret, are used for that alone."""
    await energy_twin.set_today("2026-11-21T10:00")
    chosen = settings(state_dir, energy_twin)
    secret = state_dir.with_name("revocation")
    secret.write_text("an0ther")
    grdf = msgspec.structs.replace(
        chosen.grdf, revocation_client_id="revoker", revocation_secret_file=secret
    )
    async with Worker(chosen.replace(grdf=grdf), clock=clock()).opened() as worker:
        account = await consent(worker, await add(worker, "grdf"), PCE)
        await worker.tokens.bearer(account)
        assert (await worker.consents.remove(account, keeps_data=False)).is_gone
    clients = [(one["client"], one["grant"]) for one in await energy_twin.token_requests()]
    expected = [("ecolyo", "authorization_code"), ("ecolyo", "client_credentials")]
    assert sorted(clients) == [*expected, ("revoker", "client_credentials")]


async def test_no_state_of_a_page_is_kept(worker: Worker, state_dir: Path) -> None:
    """Only a digest of it is, which is good for one answer."""
    begun = await worker.consents.begin(await add(worker))
    state = begun.url.rpartition("state=")[2].partition("&")[0]

    def kept(connection: sqlite3.Connection) -> int:
        return len(connection.execute("SELECT * FROM authorizations").fetchall())

    assert await worker.database.read(kept) == 1
    assert not any(state.encode() in file for file in files_of(state_dir))
