"""The settings of energy accounts: Enedis, GRDF, and the key that tokens are encrypted with.

Hosts and paths that are left out are those of the generation of the API (`energy.md`, section 4).
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from ecolyo_worker.errors import Problem
from ecolyo_worker.forms import address_problem, cron_problem
from ecolyo_worker.section import Section, misfit, said, seconds

__all__ = ["GENERATIONS", "Endpoints", "Enedis", "Energy", "Generation", "Grdf"]

Generation = Literal["v4", "v5", "2026"]

_TWICE = "0 8,14 * * *"
_ONCE = "0 9 * * *"
_PATH = re.compile(r"/[^\s?#{}]*", re.ASCII)
_PATH_FORM = "a path that begins with a slash, without query, fragment or blanks"
# What stands for a meter, or a right, in paths of GRDF.
_PLACES = {
    "daily_path": "{pce}",
    "published_path": "{pce}",
    "rights_path": "",
    "right_path": "{id}",
}
_DURATION = re.compile(r"P(\d{1,4})([YMWD])", re.ASCII)
_MOST_DAYS = 3 * 366
_DAYS = {"Y": 365, "M": 30, "W": 7, "D": 1}
_ADDRESSES = ("base_url", "authorize_url", "token_url", "redirect_uri")


class Endpoints(Struct, frozen=True):
    """Where a generation of Enedis' API answers, and how often it may be asked."""

    base_url: str
    authorize_url: str
    token_path: str
    daily_path: str
    curve_path: str
    per_hour: int | None


_GATEWAY = "https://gw.ext.prod.api.enedis.fr"
_CONSENT = "https://mon-compte-particulier.enedis.fr/dataconnect"
_GRDF_TOKENS = "https://adict-connexion.grdf.fr/oauth2/aus5y2ta2uEHjCWIR417/v1/token"
_OF_2026 = "/mesure_synchrone_auto/v2"

GENERATIONS: Final[dict[Generation, Endpoints]] = {
    "v4": Endpoints(
        "https://gw.prd.api.enedis.fr",
        f"{_CONSENT}/v1/oauth2/authorize",
        "/v1/oauth2/token",
        "/v4/metering_data/daily_consumption",
        "/v4/metering_data/consumption_load_curve",
        None,
    ),
    "v5": Endpoints(
        _GATEWAY,
        f"{_CONSENT}/v1/oauth2/authorize",
        "/oauth2/v3/token",
        "/metering_data_dc/v5/daily_consumption",
        "/metering_data_clc/v5/consumption_load_curve",
        10_000,
    ),
    "2026": Endpoints(
        _GATEWAY,
        f"{_CONSENT}/v2/oauth2/authorize",
        "/oauth2/v3/token",
        f"{_OF_2026}/consommation_quotidienne",
        f"{_OF_2026}/courbe_de_charge_consommation",
        1000,
    ),
}
"""What each generation of Enedis' API has by default."""


class Energy(Section, frozen=True):
    """What energy accounts have in common."""

    section = "energy"

    key_file: Annotated[
        Path | None,
        Meta(
            description="A file with the key that tokens are encrypted with; default: `energy.key`"
            " in the state directory. One that is not there is made."
        ),
    ] = None


_Schedule = Annotated[
    str,
    Meta(
        max_length=200,
        description="When readings are asked for: a cron expression, such as 0 8,14 * * *, in"
        " the zone.",
    ),
]
_Spread = Annotated[
    timedelta,
    seconds(
        "They are asked for later than that, each account at a time of its own, up to this.",
        0,
        86400,
    ),
]
_PerSecond = Annotated[int, Meta(ge=1, le=100, description="Requests that may be made per second.")]


class _Provider(Section, frozen=True):
    """What is set for either provider."""

    client_id: Annotated[
        str | None,
        Meta(
            description="The application's name at the provider, such as ecolyo-prod; without one,"
            " nothing is fetched.",
        ),
    ] = None
    client_secret_file: Annotated[
        Path | None,
        Meta(
            description="A file that holds the application's secret, read anew when it changes;"
            " without one, nothing is fetched, unless systemd hands it over."
        ),
    ] = None
    redirect_uri: Annotated[
        str | None,
        Meta(
            description="Where the page of consent sends people back to, as the provider knows it,"
            " such as http://127.0.0.1:8788/back; on this machine, `accounts authorize` listens"
            " there; without one, the provider's own record holds."
        ),
    ] = None
    consent_duration: Annotated[
        str,
        Meta(
            max_length=10,
            description="For how long consent is asked: P and a number of Y, M, W or D, such as"
            " P6M, up to three years.",
        ),
    ] = "P1Y"
    id_token_key_file: Annotated[
        Path | None,
        Meta(
            description="A file with the key that id tokens are signed with: a public key (PEM), or"
            " a shared secret; without one, signatures are not checked."
        ),
    ] = None
    attempt_timeout: Annotated[
        timedelta,
        seconds("Longest request: connecting, writing and reading together.", 0.05, 300),
    ] = timedelta(seconds=30)
    history_days: Annotated[
        int, Meta(ge=1, le=1110, description="How many days of daily values are fetched.")
    ] = 1095

    def _problems(self) -> Iterator[Problem]:
        for name in _ADDRESSES:
            url = getattr(self, name)
            problem = None if url is None else address_problem(self.key(name), url)
            yield from () if problem is None else (problem,)
        if self.client_id is not None and not self.client_id.strip():
            yield misfit(self.key("client_id"), self.client_id, "a name, or left out")
        match = _DURATION.fullmatch(self.consent_duration)
        if match is None or not 0 < int(match[1]) * _DAYS[match[2]] <= _MOST_DAYS:
            allowed = "P, a number, and Y, M, W or D, up to three years, as P1Y"
            yield misfit(self.key("consent_duration"), self.consent_duration, allowed)

    @property
    def is_set(self) -> bool:
        """Whether the application is known at the provider."""
        return self.client_id is not None


class Enedis(_Provider, frozen=True):
    """How electricity is fetched."""

    section = "enedis"

    generation: Annotated[
        Generation,
        Meta(description="Which of its APIs answers; hosts, paths and tokens go by it."),
    ] = "2026"
    base_url: Annotated[
        str | None,
        Meta(
            description="Where it answers, such as https://gw.hml.api.enedis.fr; default: the"
            " generation's own host."
        ),
    ] = None
    authorize_url: Annotated[
        str | None,
        Meta(
            description="Its page of consent, such as https://consent.example/authorize;"
            " default: the"
            " generation's own."
        ),
    ] = None
    token_url: Annotated[
        str | None,
        Meta(
            description="Where tokens come from, a proxy perhaps, such as"
            " https://proxy.example/token;"
            " default: the generation's own path at base_url."
        ),
    ] = None
    daily_path: Annotated[
        str | None,
        Meta(
            description="Path of daily values, such as /v4/metering_data/daily_consumption;"
            " default:"
            " the generation's own."
        ),
    ] = None
    curve_path: Annotated[
        str | None,
        Meta(
            description="Path of load curves, such as /v4/metering_data/consumption_load_curve;"
            " default: the generation's own."
        ),
    ] = None
    services_path: Annotated[
        str,
        Meta(
            description="Path that tells which meter a consent of generation 2026 is for, such as"
            " /subscribed_services/v1.",
        ),
    ] = "/subscribed_services/v1"
    schedule: _Schedule = _TWICE
    spread: _Spread = timedelta(hours=2)
    curve_days: Annotated[
        int, Meta(ge=1, le=745, description="How many days of load curve are fetched.")
    ] = 31
    per_second: _PerSecond = 5
    per_hour: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests that may be made per hour; 0: 10,000 with v5, 1,000 with 2026.",
        ),
    ] = 0

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        for name in ("daily_path", "curve_path", "services_path"):
            path = getattr(self, name)
            if path is not None and not _PATH.fullmatch(path):
                yield misfit(self.key(name), path, _PATH_FORM)
        problem = cron_problem("enedis.schedule", self.schedule, _TWICE)
        yield from () if problem is None else (problem,)

    @property
    def endpoints(self) -> Endpoints:
        """What the generation has by default."""
        return GENERATIONS[self.generation]

    @property
    def data_url(self) -> str:
        """Where data come from, without a slash at its end."""
        return (self.base_url or self.endpoints.base_url).rstrip("/")

    @property
    def consent_url(self) -> str:
        """The page of consent."""
        return self.authorize_url or self.endpoints.authorize_url

    @property
    def tokens_url(self) -> str:
        """Where tokens come from."""
        return self.token_url or self.data_url + self.endpoints.token_path

    @property
    def daily_url(self) -> str:
        """Where daily values come from."""
        return self.data_url + (self.daily_path or self.endpoints.daily_path)

    @property
    def curve_url(self) -> str:
        """Where load curves come from."""
        return self.data_url + (self.curve_path or self.endpoints.curve_path)

    @property
    def services_url(self) -> str:
        """Where it is told which meter a consent is for."""
        return self.data_url + self.services_path

    @property
    def hourly(self) -> int | None:
        """How many requests may be made within an hour; None for any number."""
        return self.per_hour or self.endpoints.per_hour


class Grdf(_Provider, frozen=True):
    """How gas is fetched."""

    section = "grdf"

    base_url: Annotated[
        str, Meta(description="Where its API answers, such as https://api.grdf.fr/adict/v2.")
    ] = "https://api.grdf.fr/adict/v2"
    authorize_url: Annotated[
        str, Meta(description="Its page of consent, such as https://consent.example/authorize.")
    ] = "https://sofit-sso-oidc.grdf.fr/openam/oauth2/realms/externeGrdf/authorize"
    token_url: Annotated[
        str,
        Meta(
            description="Where tokens come from, a proxy perhaps, such as"
            " https://proxy.example/token."
        ),
    ] = _GRDF_TOKENS
    daily_path: Annotated[
        str,
        Meta(
            description="Path of daily values, in which {pce} stands for the meter, such as"
            " /pce/{pce}/donnees_consos_informatives.",
        ),
    ] = "/pce/{pce}/donnees_consos_informatives"
    published_path: Annotated[
        str,
        Meta(
            description="Path of what was published, by month or half-year, such as"
            " /pce/{pce}/donnees_consos_publiees.",
        ),
    ] = "/pce/{pce}/donnees_consos_publiees"
    rights_path: Annotated[
        str,
        Meta(description="Path that tells the rights of a meter, such as /droits_acces."),
    ] = "/droits_acces"
    right_path: Annotated[
        str,
        Meta(
            description="Path by which a right is revoked, in which {id} stands for it, such as"
            " /droit_acces/{id}.",
        ),
    ] = "/droit_acces/{id}"
    scope: Annotated[
        str,
        Meta(
            pattern=r"^\S+\Z",
            max_length=300,
            description="The scope of a token for data, which is the version of the API, such as"
            " /adict/v2.",
        ),
    ] = "/adict/v2"
    login_hint: Annotated[
        str | None,
        Meta(
            description="What the page of consent is told of the application, such as ;;;METROPOLE;"
            " without one, nothing.",
        ),
    ] = None
    revocation_client_id: Annotated[
        str | None,
        Meta(
            description="The name that may revoke consents, such as ecolyo-revoke; default:"
            " client_id.",
        ),
    ] = None
    revocation_secret_file: Annotated[
        Path | None,
        Meta(
            description="A file that holds the secret which goes with that name; default: that of"
            " client_secret_file."
        ),
    ] = None
    schedule: _Schedule = _ONCE
    spread: _Spread = timedelta(hours=2)
    per_second: _PerSecond = 1
    per_hour: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Requests that may be made per hour; 0: any number.",
        ),
    ] = 0

    def _problems(self) -> Iterator[Problem]:
        yield from super()._problems()
        for name, place in _PLACES.items():
            path = getattr(self, name)
            is_whole = not place or path.count(place) == 1
            if not is_whole or not _PATH.fullmatch(path.replace(place, "")):
                words = f", with {place} in it" if place else ""
                yield misfit(self.key(name), path, f"{_PATH_FORM}{words}")
        problem = cron_problem("grdf.schedule", self.schedule, _ONCE)
        yield from () if problem is None else (problem,)
        if (self.revocation_client_id is None) != (self.revocation_secret_file is None):
            given, other = "grdf.revocation_client_id", "grdf.revocation_secret_file"
            if self.revocation_client_id is None:
                given, other = other, given
            yield said(given, "it alone", f"it together with {other}, or neither of them", other)

    @property
    def data_url(self) -> str:
        """Where data come from, without a slash at its end."""
        return self.base_url.rstrip("/")

    def daily_url(self, pce: str) -> str:
        """Where a meter's daily values come from."""
        return self.data_url + self.daily_path.replace("{pce}", pce)

    def published_url(self, pce: str) -> str:
        """Where it is told what was published of a meter."""
        return self.data_url + self.published_path.replace("{pce}", pce)

    @property
    def rights_url(self) -> str:
        """Where it is told which rights there are to a meter."""
        return self.data_url + self.rights_path

    def right_url(self, ident: str) -> str:
        """Where a right is revoked."""
        return self.data_url + self.right_path.replace("{id}", ident)

    @property
    def consent_url(self) -> str:
        """The page of consent."""
        return self.authorize_url

    @property
    def tokens_url(self) -> str:
        """Where tokens come from."""
        return self.token_url

    @property
    def hourly(self) -> int | None:
        """How many requests may be made within an hour; None for any number."""
        return self.per_hour or None
