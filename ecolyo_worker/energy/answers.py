"""What an answer of Enedis or GRDF means: one value, before anything decides on it.

The codes stand in `meanings`. A code goes before the status of HTTP that it came with, but for what
every status above 499, and 429, says for itself.
"""

import contextlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ecolyo_worker.clock import parse_day
from ecolyo_worker.energy.codes import Said, said_in
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.enedis import is_of_enedis
from ecolyo_worker.energy.meanings import (
    CODE_STATUSES,
    ENEDIS,
    GRDF,
    OTHER_ANSWERS,
    REFRESH_STATUSES,
    STATUSES,
    TOKEN,
    TOKEN_STATUSES,
    CozyWord,
    Kind,
    Row,
    Whose,
    cozy_word,
)
from ecolyo_worker.energy.stream import Objects
from ecolyo_worker.energy.tokens import read_token
from ecolyo_worker.energy.waits import next_access, retry_after
from ecolyo_worker.errors import AnswerUnreadable

__all__ = [
    "NAMES",
    "Asked",
    "Meaning",
    "Provider",
    "consent_lost",
    "no_answer",
    "read_answer",
    "vendor_down",
]

Provider = Literal["enedis", "grdf"]

Asked = Literal[
    "daily",
    "curve",
    "gas_days",
    "gas_periods",
    "rights",
    "revocation",
    "token",
    "code",
    "refresh",
]
"""What was asked for; `code` and `refresh`: a token, by a code or by a refresh token."""

_TOKENS: Mapping[Asked, Mapping[str, Row]] = {
    "token": TOKEN_STATUSES,
    "code": CODE_STATUSES,
    "refresh": REFRESH_STATUSES,
}
_TRAILER = "code_statut_traitement"
NAMES: Mapping[Provider, str] = {"enedis": "Enedis", "grdf": "GRDF"}
"""How each provider is called."""
# Of what several records say the first of these counts.
_GRAVEST: tuple[Kind, ...] = (
    "consent_lost",
    "renew_token",
    "consent_suspect",
    "never",
    "not_subscribed",
    "quota",
    "bad_request",
    "vendor_down",
    "empty",
    "ok",
)
_NO_MEASURE = re.compile(r"no (?:measure|data)|aucune (?:mesure|donnée)", re.IGNORECASE)
_SCOPE = re.compile(r"\bscopes?\b", re.IGNORECASE)
_REVOKED = re.compile(r"d[ée]j[àa] .*r[ée]voqu|already revoked", re.IGNORECASE)
_PER_SECOND = re.compile(r"\bQ3\b|(?:per|par) second|/s\b", re.IGNORECASE)
_DAY = re.compile(r"\b\d{4}-\d\d-\d\d\b", re.ASCII)


class Meaning(Struct, frozen=True):
    """What an answer means, for the program and for a person."""

    kind: Kind
    code: str
    """The provider's, in one spelling, or the status of HTTP."""
    whose: Whose
    """Who can change it."""
    happened: str
    """A sentence. Like all of this it holds no meter and no token."""
    to_do: str
    """A sentence for the one who can change it."""
    cozy: CozyWord | None = None
    """The konnectors' word for it, if it stays so."""
    has_data: bool = False
    """Whether there is data in the answer: it is good, whatever the kind is."""
    earliest: int | None = None
    """To clamp: the first civil day that may be asked for, where it was told; else None.

    It helps only if it is after the first day that was asked for.
    """
    until: int | None = None
    """Until when to leave the provider alone, in ms of UTC, where it was told sanely."""
    quota: Literal["second", "hour"] | None = None
    """Which quota is used up."""


def read_answer(
    provider: Provider,
    asked: Asked,
    status: int,
    headers: Mapping[str, str],
    content: Content,
    now: datetime,
) -> Meaning:
    """Judge a whole answer of HTTP; `headers` has lower-case names.

    Never raises. The decoders may still find that data has not the agreed shape: that is
    `vendor_down` too.
    """
    answer = _Answer(provider, asked, status, headers, now, _objects(provider, content))
    if status == 429:
        return answer.means(STATUSES["429"])
    if status >= 500:
        return answer.means(OTHER_ANSWERS["down"])
    if 200 <= status < 300:
        return _given(answer, content)
    if status >= 400:
        return _refused(answer, is_empty=content.is_blank)
    return answer.unreadable(f"the status {status}")


def _objects(provider: Provider, content: Content) -> Objects:
    """Find what an answer says; measures of Enedis are one object, which need not be searched."""
    if provider == "enedis":
        with contextlib.suppress(AnswerUnreadable):
            found = content.json
            if isinstance(found, dict) and is_of_enedis(found):
                return Objects((found,))
    return content.objects


def no_answer(provider: Provider, what: str) -> Meaning:
    """Give what it means that no answer came; `what` says what the provider did instead."""
    return _meaning(OTHER_ANSWERS["silent"], provider, code="", why=what, has_data=False)


def vendor_down(provider: Provider, why: str) -> Meaning:
    """Give what it means that an answer came which a decoder cannot read."""
    return _meaning(OTHER_ANSWERS["unreadable"], provider, code="", why=why, has_data=False)


def consent_lost(provider: Provider, code: str, *, has_ended: bool) -> Meaning:
    """Give what it means that a consent, which was in doubt by a code, counts as lost.

    With `has_ended` the provider told so when it was asked for the right; else it is time that did.
    """
    row = OTHER_ANSWERS["right ended" if has_ended else "refused for days"]
    return _meaning(row, provider, code, why="", has_data=False)


class _Answer:
    """An answer that is being judged."""

    def __init__(
        self,
        provider: Provider,
        asked: Asked,
        status: int,
        headers: Mapping[str, str],
        now: datetime,
        objects: Objects,
    ) -> None:
        self.asked: Asked = asked
        self.provider: Provider = provider
        self.status = status
        self.objects = objects
        self.said = [said for item in objects.found if (said := said_in(item)) is not None]
        self._headers = headers
        self._now = now

    def row(self, code: str) -> Row | None:
        """Find what a code, or a status in its place, means."""
        if self.asked in _TOKENS:
            return TOKEN.get(code) or _TOKENS[self.asked].get(code)
        codes = ENEDIS if self.provider == "enedis" else GRDF
        return codes.get(code) or STATUSES.get(code)

    def means(
        self, row: Row, said: Said | None = None, *, why: str = "", has_data: bool = False
    ) -> Meaning:
        """Say what it means, by a row of the table, and by what was said of it."""
        said = said or next(iter(self.said), None)
        code = (said.code if said else "") or str(self.status)
        meaning = _meaning(row, self.provider, code, why=why, has_data=has_data)
        if row.kind == "clamp":
            return replace(meaning, earliest=_earliest(said.message if said else ""))
        if row.kind == "vendor_down":
            return replace(meaning, until=retry_after(self._headers, self._now))
        if row.kind == "quota":
            return replace(meaning, until=self._until(), quota=self._quota())
        return meaning

    def _until(self) -> int | None:
        told = (
            inner.get("nextAccessTime")
            for item in self.objects.found
            for inner in (item, item.get("fault"))
            if isinstance(inner, Mapping)
        )
        until = next((at for text in told if (at := next_access(text, self._now))), None)
        return until or retry_after(self._headers, self._now)

    def _quota(self) -> Literal["second", "hour"]:
        """Tell which quota it is: without a word of it the longer one."""
        words = " ".join(said.message for said in self.said)
        return "second" if _PER_SECOND.search(words) else "hour"

    def unreadable(self, why: str) -> Meaning:
        """Say that it is not as agreed."""
        return self.means(OTHER_ANSWERS["unreadable"], why=why)


def _given(answer: _Answer, content: Content) -> Meaning:
    """Judge an answer of success, in which there may be other things all the same."""
    if answer.asked in _TOKENS:
        return _token(answer, content.body)
    if content.is_blank:
        return _nothing(answer)
    if answer.provider == "enedis":
        return _measures(answer)
    return _records(answer)


def _nothing(answer: _Answer) -> Meaning:
    if answer.asked == "revocation":
        return answer.means(OTHER_ANSWERS["ok"])
    if answer.status == 204:  # nobody agreed to say so that there is no data
        return answer.unreadable("nothing, with the status 204")
    return answer.means(OTHER_ANSWERS["no token"])


def _token(answer: _Answer, body: bytes) -> Meaning:
    row = answer.row(answer.said[0].code) if answer.said else None
    if row is not None:
        return answer.means(row)
    try:
        read_token(body)
    except AnswerUnreadable as error:
        return answer.unreadable(str(error))
    return answer.means(OTHER_ANSWERS["ok"])


def _measures(answer: _Answer) -> Meaning:
    """Judge an answer of Enedis."""
    found, broken = answer.objects.found, answer.objects.broken
    if broken or len(found) != 1:
        return answer.unreadable(broken or "no object")
    if is_of_enedis(found[0]):
        return answer.means(OTHER_ANSWERS["ok"], has_data=True)
    row = answer.row(answer.said[0].code) if answer.said else None
    return answer.means(row) if row else answer.unreadable("no measures")


def _records(answer: _Answer) -> Meaning:
    """Judge an answer of GRDF, of which each record may say something else."""
    found, broken = answer.objects.found, answer.objects.broken
    if not found:
        return answer.unreadable(broken or "no record")
    has_data = any(_is_data(item) for item in found)
    judged = []
    for said in answer.said:
        row = answer.row(said.code) or OTHER_ANSWERS["unreadable"]
        if row.kind != "empty" or not has_data:
            why = f"the code {said.code or 'is missing'}"
            judged.append(answer.means(row, said, why=why, has_data=has_data))
    if broken:
        judged.append(answer.means(OTHER_ANSWERS["broken"], why=broken, has_data=has_data))
    if judged:
        return min(judged, key=lambda meaning: _GRAVEST.index(meaning.kind))
    return answer.means(OTHER_ANSWERS[_quiet(answer, has_data=has_data)], has_data=has_data)


def _quiet(answer: _Answer, *, has_data: bool) -> str:
    """Name the row of records of which none says anything of itself."""
    is_agreed = any("consommation" in item or _TRAILER in item for item in answer.objects.found)
    if has_data or (is_agreed and answer.asked in ("rights", "revocation")):
        return "ok"
    return "no data" if is_agreed else "unreadable"


def _refused(answer: _Answer, *, is_empty: bool) -> Meaning:
    """Judge an answer of a status from 400 to 499."""
    status = answer.status
    words = " ".join(said.message for said in answer.said)
    if answer.asked == "revocation" and (status == 404 or _REVOKED.search(words)):
        return answer.means(OTHER_ANSWERS["revoked"])
    for said in answer.said:
        row = answer.row(said.code)
        if row is not None and said.code != str(status):
            return answer.means(row, said)
    if answer.asked not in _TOKENS:
        if status == 404 and _NO_MEASURE.search(words):
            return answer.means(OTHER_ANSWERS["no data"])
        if status == 403 and (is_empty or _SCOPE.search(words)):
            return answer.means(OTHER_ANSWERS["no token" if is_empty else "narrow token"])
    if not (is_empty or answer.objects.found or status == 401):
        return answer.unreadable(answer.objects.broken or "no object")
    return answer.means(answer.row(str(status)) or OTHER_ANSWERS["refused"])


def _is_data(record: Mapping[str, Any]) -> bool:
    if said_in(record) is not None:
        return False
    return isinstance(record.get("consommation"), Mapping) or "id_droit_acces" in record


def _earliest(message: str) -> int | None:
    """Read the one day that a message names; None where it names none, or several."""
    days = set(_DAY.findall(message))
    if len(days) != 1:
        return None
    try:
        return parse_day(days.pop())
    except ValueError:
        return None


def _meaning(row: Row, provider: Provider, code: str, *, why: str, has_data: bool) -> Meaning:
    """Put a row of the table into words for a provider."""
    who = NAMES[provider]
    return Meaning(
        kind=row.kind,
        code=code,
        whose=row.whose,
        happened=row.happened.format(who=who, why=why or "no record"),
        to_do=row.to_do.format(who=who),
        cozy=cozy_word(row, has_data=has_data),
        has_data=has_data,
    )
