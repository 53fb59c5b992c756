"""The settings of energy accounts: what holds without them, and what they refuse."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.providers import Enedis, Generation, Grdf
from ecolyo_worker.remote.series import ask_for
from ecolyo_worker.secret import Secret
from ecolyo_worker.settings import Settings

KINDS: list[Callable[..., Any]] = [Enedis, Grdf]


_OF_V4 = "https://gw.prd.api.enedis.fr"
_SINCE = "https://gw.ext.prod.api.enedis.fr"
_PAGE = "https://mon-compte-particulier.enedis.fr/dataconnect"
_GRDF = "https://api.grdf.fr/adict/v2"


@pytest.mark.parametrize(
    ("generation", "page", "token", "daily", "curve", "hourly"),
    [
        (
            "v4",
            f"{_PAGE}/v1/oauth2/authorize",
            f"{_OF_V4}/v1/oauth2/token",
            f"{_OF_V4}/v4/metering_data/daily_consumption",
            f"{_OF_V4}/v4/metering_data/consumption_load_curve",
            None,
        ),
        (
            "v5",
            f"{_PAGE}/v1/oauth2/authorize",
            f"{_SINCE}/oauth2/v3/token",
            f"{_SINCE}/metering_data_dc/v5/daily_consumption",
            f"{_SINCE}/metering_data_clc/v5/consumption_load_curve",
            10_000,
        ),
        (
            "2026",
            f"{_PAGE}/v2/oauth2/authorize",
            f"{_SINCE}/oauth2/v3/token",
            f"{_SINCE}/mesure_synchrone_auto/v2/consommation_quotidienne",
            f"{_SINCE}/mesure_synchrone_auto/v2/courbe_de_charge_consommation",
            1000,
        ),
    ],
)
def test_a_generation_has_its_own_addresses(
    generation: Generation, page: str, token: str, daily: str, curve: str, hourly: int | None
) -> None:
    """Hosts, paths and quotas are the generation's where nothing else is set."""
    found = Enedis(generation=generation)
    assert (found.consent_url, found.tokens_url) == (page, token)
    assert (found.daily_url, found.curve_url) == (daily, curve)
    assert (found.per_second, found.hourly) == (5, hourly)
    assert Enedis().generation == "2026"
    assert Enedis().services_url == f"{_SINCE}/subscribed_services/v1"


def test_gas_has_one_set_of_addresses() -> None:
    """Hosts, paths, scope and quotas of GRDF are these where nothing else is set."""
    found = Grdf()
    assert found.consent_url == (
        "https://sofit-sso-oidc.grdf.fr/openam/oauth2/realms/externeGrdf/authorize"
    )
    assert found.tokens_url == (
        "https://adict-connexion.grdf.fr/oauth2/aus5y2ta2uEHjCWIR417/v1/token"
    )
    assert found.daily_url("GI123456") == f"{_GRDF}/pce/GI123456/donnees_consos_informatives"
    assert found.published_url("GI123456") == f"{_GRDF}/pce/GI123456/donnees_consos_publiees"
    assert (found.rights_url, found.right_url("7")) == (
        f"{_GRDF}/droits_acces",
        f"{_GRDF}/droit_acces/7",
    )
    assert (found.scope, found.per_second, found.hourly) == ("/adict/v2", 1, None)


def test_the_paths_of_gas_can_be_others() -> None:
    """Each path is a setting; where one is of a meter or a right, it says where that stands."""
    found = Grdf(
        base_url="http://127.0.0.1:1/x",
        daily_path="/days/{pce}",
        published_path="/{pce}/months",
        rights_path="/rights",
        right_path="/right/{id}/end",
    )
    meter = "23000000000000"
    urls = [found.daily_url(meter), found.published_url(meter), found.rights_url]
    paths = [f"/days/{meter}", f"/{meter}/months", "/rights", "/right/7/end"]
    assert [*urls, found.right_url("7")] == [f"http://127.0.0.1:1/x{path}" for path in paths]
    chosen, secret = Settings(grdf=found), Secret("t0ken")
    for series, path in (("gas_days", paths[0]), ("gas_periods", paths[1])):
        ask = ask_for(chosen, series, meter, range(20_000, 20_001), secret)  # type: ignore[arg-type]
        assert ask.url == f"http://127.0.0.1:1/x{path}"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("daily_path", "/days", "with {pce} in it"),
        ("published_path", "/{pce}/{pce}", "with {pce} in it"),
        ("right_path", "/right/{pce}", "with {id} in it"),
        ("rights_path", "rights", "a path that begins with a slash"),
        ("rights_path", "/rights/{id}", "a path that begins with a slash"),
    ],
)
def test_a_path_of_gas_that_cannot_be_is_refused(name: str, value: str, words: str) -> None:
    """A path without its meter or its right would ask for anything else."""
    with pytest.raises(ConfigurationError, match=re.escape(words)) as refused:
        Grdf(**{name: value})  # type: ignore[arg-type]
    assert str(refused.value).startswith(f"grdf.{name}: found {value!r}; allowed: ")


def test_what_is_set_goes_before_the_generation() -> None:
    """A host of one's own serves all paths, and each path and quota can be another one."""
    found = Enedis(base_url="http://127.0.0.1:8082/", daily_path="/d", per_hour=7)
    assert found.tokens_url == "http://127.0.0.1:8082/oauth2/v3/token"
    assert (found.daily_url, found.hourly) == ("http://127.0.0.1:8082/d", 7)
    proxy = Enedis(token_url="https://proxy.example/token", authorize_url="https://p.example/a")
    assert proxy.tokens_url == "https://proxy.example/token"
    assert proxy.consent_url == "https://p.example/a"
    assert proxy.data_url == "https://gw.ext.prod.api.enedis.fr"


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
    alone = r"^grdf.revocation_{}: found it alone; allowed: it together with grdf.revocation_{},"
    with pytest.raises(ConfigurationError, match=alone.format("client_id", "secret_file")):
        Grdf(revocation_client_id="revoker")
    with pytest.raises(ConfigurationError, match=alone.format("secret_file", "client_id")):
        Grdf(revocation_secret_file=Path("nix"))
