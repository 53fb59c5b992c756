"""The settings of energy accounts: what holds without them, and what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.providers import Enedis, Generation, Grdf
from ecolyo_worker.settings import Settings

KINDS: list[Callable[..., Any]] = [Enedis, Grdf]


@pytest.mark.parametrize(
    ("generation", "host", "token", "daily", "hourly"),
    [
        ("v4", "gw.prd", "/v1/oauth2/token", "/v4/metering_data/daily_consumption", None),
        ("v5", "gw.ext.prod", "/oauth2/v3/token", "/metering_data_dc/v5/daily_consumption", 10000),
        (
            "2026",
            "gw.ext.prod",
            "/oauth2/v3/token",
            "/mesure_synchrone_auto/v2/consommation_quotidienne",
            1000,
        ),
    ],
)
def test_a_generation_has_its_own_addresses(
    generation: Generation, host: str, token: str, daily: str, hourly: int | None
) -> None:
    """Hosts, paths and quotas are the generation's where nothing else is set."""
    base = f"https://{host}.api.enedis.fr"
    found = Enedis(generation=generation)
    assert (found.tokens_url, found.daily_url) == (base + token, base + daily)
    assert (found.per_second, found.hourly) == (5, hourly)
    assert ("/v1/" in found.consent_url) is (generation != "2026")
    assert found.curve_url.startswith(base)


def test_what_is_set_goes_before_the_generation() -> None:
    """A host of one's own serves all paths, and each path and quota can be another one."""
    found = Enedis(base_url="http://127.0.0.1:8082/", daily_path="/d", per_hour=7)
    assert found.tokens_url == "http://127.0.0.1:8082/oauth2/v3/token"
    assert (found.daily_url, found.hourly) == ("http://127.0.0.1:8082/d", 7)
    proxy = Enedis(token_url="https://proxy.example/token", authorize_url="https://p.example/a")
    assert proxy.tokens_url == "https://proxy.example/token"
    assert proxy.consent_url == "https://p.example/a"
    assert proxy.data_url == "https://gw.ext.prod.api.enedis.fr"
    gas = Grdf()
    assert (gas.data_url, gas.scope) == ("https://api.grdf.fr/adict/v2", "/adict/v2")
    assert (gas.per_second, gas.hourly) == (1, None)
    assert gas.tokens_url.startswith("https://adict-connexion.grdf.fr/")


def test_nothing_is_fetched_by_default() -> None:
    """Without the application's name at a provider, its part is off."""
    assert not Settings().enedis.is_set
    assert not Settings().grdf.is_set
    assert Settings(grdf=Grdf(client_id="worker")).grdf.is_set


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("base_url", "http://gw.example", "https, or http to this machine"),
        ("token_url", "ftp://gw.example", "an http or https address without query"),
        ("authorize_url", "https://gw.example/?a=b", "an http or https address without query"),
        ("redirect_uri", "http://cozy.example", "https, or http to this machine"),
        ("base_url", "https://me:sesame@gw.example", "an address alone"),
        ("consent_duration", "P4Y", "up to three years"),
        ("consent_duration", "1 year", "up to three years"),
        ("consent_duration", "P0D", "up to three years"),
        ("client_id", " ", "a name, or left out"),
        ("schedule", "8 and 14", "a cron expression of five fields"),
        ("history_days", 1111, "a whole number from 1 to 1110"),
        ("per_second", 0, "a whole number from 1 to 100"),
    ],
)
def test_what_cannot_be_is_refused(
    kind: Callable[..., Any], name: str, value: object, words: str
) -> None:
    """An error names the key and what is allowed; no secret of an address is in it."""
    with pytest.raises(ConfigurationError, match=words) as refused:
        kind(**{name: value})
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"{kind.__name__.lower()}.{name}: found ")
    assert "sesame" not in str(problem)


def test_what_is_one_providers_alone() -> None:
    """Paths begin with a slash; the name that may revoke needs its secret."""
    with pytest.raises(ConfigurationError, match=r"enedis.curve_path: found 'curve'.*slash"):
        Enedis(curve_path="curve")
    with pytest.raises(ConfigurationError, match=r"grdf.revocation_client_id.*or neither"):
        Grdf(revocation_client_id="revoker")
