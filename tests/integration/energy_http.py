"""An energy twin on a thread of the test, asked over a socket with the tokens that it gives."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

METER = "11111111111111"
PCE = "23000000000000"
CLIENT = {"client_id": "app", "client_secret": "s3cret"}
V4 = "/v4/metering_data/"
DAILY = {
    "v4": f"{V4}daily_consumption",
    "v5": "/metering_data_dc/v5/daily_consumption",
    "2026": "/mesure_synchrone_auto/v2/consommation_quotidienne",
}
CURVE = {
    "v4": f"{V4}consumption_load_curve",
    "v5": "/metering_data_clc/v5/consumption_load_curve",
    "2026": "/mesure_synchrone_auto/v2/courbe_de_charge_consommation",
}
OKTA = "/oauth2/aus5y2ta2uEHjCWIR417/v1/token"
OPENAM = "/openam/oauth2/realms/externeGrdf"


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def code(self) -> str:
        """The code of an error, in whichever form it comes."""
        found = self.content
        restitution = found.get("statut_restitution") or {}
        nested = found.get("fault") or {}
        codes = [found.get("code"), found.get("error"), nested.get("code"), restitution.get("code")]
        return str(next(filter(None, [*codes, found.get("code_statut_traitement")])))


def send(
    url: str,
    method: str,
    path: str,
    body: str | bytes = "",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


class Asker:
    """Asks a twin as the application would; its tokens are taken when first needed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._tokens: dict[str, str] = {}

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: str) -> Reply:
        target = f"{path}?{urlencode(query)}" if query else path
        return send(self.url, "GET", target, headers=headers)

    def api(self, method: str, path: str, body: str = "") -> Reply:
        return send(self.url, method, f"/api/{path}", body)

    def token(self, path: str, **form: str) -> Reply:
        return send(self.url, "POST", path, urlencode({**CLIENT, **form}))

    def bearer(self, provider: str) -> dict[str, str]:
        """Give the header of a token for data, of enedis (v5, 2026) or grdf."""
        if provider not in self._tokens:
            path, scope = (OKTA, "/adict/v2") if provider == "grdf" else ("/oauth2/v3/token", "")
            given = self.token(path, grant_type="client_credentials", scope=scope)
            self._tokens[provider] = given.content["access_token"]
        return {"Authorization": f"Bearer {self._tokens[provider]}"}

    def enedis(
        self,
        series: str,
        start: str,
        end: str,
        meter: str = METER,
        generation: str = "v5",
    ) -> Reply:
        names = ("usage_point_id", "start", "end")
        if generation == "2026":
            names = ("pointId", "dateDebut", "dateFin")
        path = (DAILY if series == "daily" else CURVE)[generation]
        query = dict(zip(names, (meter, start, end), strict=True))
        return self.get(path, self.bearer("enedis"), **query)

    def grdf(self, start: str, end: str, meter: str = PCE, series: str = "informatives") -> Reply:
        path = f"/adict/v2/pce/{meter}/donnees_consos_{series}"
        return self.get(path, self.bearer("grdf"), date_debut=start, date_fin=end)

    def daily(self, start: str, end: str, meter: str = METER) -> dict[str, int]:
        """Give Wh by day, read from v5."""
        reading = self.enedis("daily", start, end, meter).content["meter_reading"]
        return {one["date"]: int(one["value"]) for one in reading["interval_reading"]}

    def curve(self, start: str, end: str, meter: str = METER) -> list[dict[str, Any]]:
        """Give the points of v5 as they come."""
        found: list[dict[str, Any]] = self.enedis("curve", start, end, meter).content[
            "meter_reading"
        ]["interval_reading"]
        return found


def wh_by_day(points: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Sum a curve by hand: a label is the end, so that midnight ends the day before."""
    sums: Counter[str] = Counter()
    before = ""
    for point in points:
        day, clock = point["date"].split(" ")
        # The first label of a window is never midnight, so that the day before is the last seen.
        minutes = int(point["interval_length"].removeprefix("PT").removesuffix("M"))
        wh, rest = divmod(int(point["value"]) * minutes, 60)
        assert rest == 0
        sums[before if clock == "00:00:00" else day] += wh
        before = day
    return sums
