"""OAuth 2: what is asked of an authorization server, and where people are sent to consent."""

from collections.abc import Mapping
from urllib.parse import urlencode

from ecolyo_worker.energy.identity import is_signing_key
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.files import read_plain
from ecolyo_worker.providers import Enedis, Grdf
from ecolyo_worker.remote.energy import Ask
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.secret import Secret
from ecolyo_worker.section import said

__all__ = ["Application", "enedis", "grdf", "grdf_revocation", "identity_key", "secret_files"]

_KEY_FILE = "a file with a public RSA key (PEM), or a shared secret"
_LONGEST_KEY = 65_536


class Application:
    """An application as a provider knows it: who asks for tokens, and where."""

    def __init__(
        self,
        section: str,
        client_id: str | None,
        secret: TokenFile,
        settings: Enedis | Grdf,
    ) -> None:
        """`section` names its settings in errors."""
        self._section = section
        self._client_id = client_id
        self._secret = secret
        self._settings = settings

    def by_credentials(self) -> Ask:
        """Ask for a token of the application's own."""
        scope = {"scope": self._settings.scope} if isinstance(self._settings, Grdf) else {}
        return self._ask({"grant_type": "client_credentials", **scope})

    def by_refresh(self, refresh: Secret) -> Ask:
        """Ask for the next tokens of a person; the refresh token is good once."""
        return self._ask({"grant_type": "refresh_token", "refresh_token": refresh.reveal()})

    def by_code(self, code: Secret) -> Ask:
        """Ask for the first tokens of a person who came back with a code."""
        return self._ask({"grant_type": "authorization_code", "code": code.reveal()})

    def consent_page(self, state: str) -> str:
        """Give the address of the page on which a person consents.

        Raises `ConfigurationError` where the application is not known.
        """
        settings = self._settings
        query = {"client_id": self._known_id(), "response_type": "code", "state": state}
        if isinstance(settings, Grdf):
            query |= {"scope": "openid", **self._redirect()}
            if settings.login_hint is not None:
                query["login_hint"] = settings.login_hint
        else:
            query["duration"] = settings.consent_duration
        return f"{settings.consent_url}?{urlencode(query)}"

    def check(self) -> None:
        """Raise `ConfigurationError` unless the application and its secret are known."""
        self._known_id()
        self._known_secret()

    @property
    def mark(self) -> int:
        """What its secret is known by, without reading it; another one has another mark."""
        return self._secret.time

    def _ask(self, form: Mapping[str, str]) -> Ask:
        """Make a request for tokens; Enedis of v4 wants one field in the address."""
        redirect = {} if form["grant_type"] == "client_credentials" else self._redirect()
        in_query = isinstance(self._settings, Enedis)
        known = {"client_id": self._known_id(), "client_secret": self._known_secret().reveal()}
        return Ask(
            method="POST",
            url=self._settings.tokens_url,
            query=redirect if in_query else {},
            form={**form, **known, **({} if in_query else redirect)},
        )

    def _redirect(self) -> dict[str, str]:
        uri = self._settings.redirect_uri
        return {} if uri is None else {"redirect_uri": uri}

    def _known_id(self) -> str:
        if self._client_id is None:
            raise ConfigurationError(
                f"{self._section}.client_id is not set: it is the application's name at the"
                " provider, without which nothing can be fetched"
            )
        return self._client_id

    def _known_secret(self) -> Secret:
        secret = self._secret.read()
        if secret is None:
            raise ConfigurationError(
                f"{self._section}.client_secret_file is not set: it names the file that holds the"
                " application's secret"
            )
        return secret


def enedis(settings: Enedis) -> Application:
    """Give the application at Enedis."""
    return Application("enedis", settings.client_id, _enedis_secret(settings), settings)


def grdf(settings: Grdf) -> Application:
    """Give the application at GRDF."""
    return Application("grdf", settings.client_id, _grdf_secret(settings), settings)


def grdf_revocation(settings: Grdf) -> Application:
    """Give the application that may revoke consents at GRDF: the same one, or one of its own."""
    if settings.revocation_client_id is None:
        return grdf(settings)
    return Application(
        "grdf", settings.revocation_client_id, _revocation_secret(settings), settings
    )


def identity_key(settings: Enedis | Grdf) -> bytes | None:
    """Read the key that id tokens are signed with; None if the settings name none.

    Raises `ConfigurationError` for a file that is not there, or holds no key.
    """
    path, key = settings.id_token_key_file, settings.key("id_token_key_file")
    if path is None:
        return None
    try:
        content = read_plain(path, _LONGEST_KEY)
    except OSError as error:
        found = f"{path}, which cannot be read: {error.strerror}"
        raise ConfigurationError(said(key, found, _KEY_FILE)) from None
    if not is_signing_key(content):
        raise ConfigurationError(said(key, f"{path}, which holds no key", _KEY_FILE))
    return content


def secret_files(enedis: Enedis, grdf: Grdf) -> list[TokenFile]:
    """Give the files of secrets that settings name, or systemd hands over."""
    files = [_enedis_secret(enedis), _grdf_secret(grdf), _revocation_secret(grdf)]
    return [file for file in files if file.path is not None]


def _enedis_secret(settings: Enedis) -> TokenFile:
    return TokenFile(
        settings.client_secret_file,
        setting="enedis.client_secret_file",
        credential="enedis-client-secret",
        noun="client secret",
    )


def _grdf_secret(settings: Grdf) -> TokenFile:
    return TokenFile(
        settings.client_secret_file,
        setting="grdf.client_secret_file",
        credential="grdf-client-secret",
        noun="client secret",
    )


def _revocation_secret(settings: Grdf) -> TokenFile:
    return TokenFile(
        settings.revocation_secret_file,
        setting="grdf.revocation_secret_file",
        credential="grdf-revocation-secret",
        noun="client secret",
    )
