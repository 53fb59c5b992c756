"""What the codes of Enedis and GRDF mean, as one table: what happened, what to do, and for whom.

The sources are the providers' documents, and what their users met with.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

__all__ = [
    "CODE_STATUSES",
    "ENEDIS",
    "GRDF",
    "NO_HALF_HOURS",
    "OTHER_ANSWERS",
    "REFRESH_STATUSES",
    "STATUSES",
    "TOKEN",
    "TOKEN_STATUSES",
    "CozyWord",
    "Kind",
    "Row",
    "Whose",
    "cozy_word",
]

Kind = Literal[
    "ok",
    "empty",
    "clamp",
    "split",
    "never",
    "consent_lost",
    "consent_suspect",
    "renew_token",
    "quota",
    "vendor_down",
    "bad_request",
    "not_subscribed",
]
"""What is done about an answer:

- `ok`: what it holds is stored;
- `empty`: there is nothing yet, it is asked for again later;
- `clamp`: nothing is asked for before the earliest day;
- `split`: it is asked for in shorter windows;
- `never`: this series is not asked for again until somebody changes something;
- `consent_lost`: the account waits for a new consent;
- `consent_suspect`: the consent counts as lost after some days of the same;
- `renew_token`: a new token, and the same request once more;
- `quota`: everybody waits;
- `vendor_down`: it is tried again later;
- `bad_request`: the request is wrong, by the settings or by this program;
- `not_subscribed`: the application may not use this interface.
"""

Whose = Literal["nobody", "person", "operator", "provider"]
"""Who can change it."""

CozyWord = Literal[
    "LOGIN_FAILED",
    "USER_ACTION_NEEDED.OAUTH_OUTDATED",
    "VENDOR_DOWN",
    "UNKNOWN_ERROR.PARTIAL_SYNC",
]


class Row(Struct, frozen=True):
    """A row of the table; `{who}` in its words stands for the provider."""

    kind: Kind
    whose: Whose
    happened: str
    to_do: str
    cozy: CozyWord | None = None
    """Where it is another word than the kind's."""


_BY_ITSELF = "It is tried again later."
_AGAIN = "They are asked for again later."
_SHORTER = "They are not asked for any more."
_DOUBT = "It is asked again; if that stays so for three days, the holder must agree anew."
_NOTHING = "There is nothing to do."
_REPORT = "Please report this: the worker should not ask so."
_AGREE = "The holder of the meter must agree anew, from the app."
_CONTRACT = "The operator must look into the contract with {who} and its subscriptions."
_CREDENTIALS = "The operator must check client_id and client_secret_file of {who}."
_NUMBER = (
    "The holder of the account must check the number of the meter: if it is wrong, remove this "
    "account, and add one with the right number."
)

_SWITCH_ON = (
    "The holder must switch on the recording and the collection of the hourly consumption in the "
    "account at Enedis. Daily values come all the same."
)

_NO_DATA = Row("empty", "nobody", "{who} has no data of these days yet.", _AGAIN)
_TOO_LONG = Row("split", "nobody", "The load curve was asked for over more than 7 days.", _REPORT)
_TOO_OLD = Row("clamp", "nobody", "{who} does not keep data of days so long ago.", _SHORTER)
_NO_TOKEN = Row(
    "renew_token", "nobody", "{who} does not take the token any more.", "It is renewed."
)
_NARROW_TOKEN = Row(
    "renew_token", "nobody", "The token does not allow to read data.", "Another one is got."
)
_QUOTA = Row("quota", "nobody", "More was asked of {who} than it allows.", _BY_ITSELF)
_DOWN = Row("vendor_down", "provider", "{who} has a technical error.", _BY_ITSELF)
_WRONG = Row("bad_request", "operator", "{who} does not understand the request.", _REPORT)
_UNKNOWN_METER = Row("bad_request", "person", "{who} knows no such meter.", _NUMBER)

_Table = Mapping[tuple[str, ...], Row]

_ENEDIS: _Table = {
    ("ADAM-ERR0069",): Row(
        "never",
        "person",
        "The meter measures no consumption, only what is produced.",
        "This series is not asked for any more. If it is the wrong meter, add the right one.",
    ),
    ("ADAM-ERR0075",): Row(
        "never",
        "person",
        "The half-hours of this meter are not collected, or its holder objected to that.",
        _SWITCH_ON,
    ),
    ("ADAM-ERR0061",): Row(
        "consent_lost", "person", "Whoever agreed does not hold this meter's contract.", _AGREE
    ),
    ("ADAM-ERR0123",): Row(
        "clamp", "nobody", "These days are before the contract was last activated.", _SHORTER
    ),
    ("ADAM-DC-0009",): Row("clamp", "nobody", "These days are before the consent.", _SHORTER),
    ("ADAM-DC-0016", "ADAM-ERR0125"): _TOO_OLD,
    ("ADAM-DC-0015", "ADAM-ERR0126"): _TOO_LONG,
    ("INVALID-REQUEST", "INVALID-RESQUEST"): _WRONG,
    ("ADAM-DC-0007",): Row(
        "consent_suspect",
        "provider",
        "Enedis says that somebody else holds this meter now; it has said so wrongly before.",
        _DOUBT,
    ),
    ("ADAM-DC-0008",): Row(
        "consent_lost", "person", "The consent at Enedis has ended or was revoked.", _AGREE
    ),
    ("900901", "INVALID-TOKEN"): _NO_TOKEN,
    ("900910", "INSUFFICIENT-SCOPE"): _NARROW_TOKEN,
    ("900908",): Row(
        "not_subscribed", "operator", "The application is not subscribed to this API.", _CONTRACT
    ),
    ("NO-DATA-FOUND", "STM-ERR-0000020"): _NO_DATA,
    ("STM-ERR-0000014",): Row(
        "empty",
        "person",
        "There are no measures: the meter does not communicate, or does not collect half-hours.",
        "They are asked for again; if none come for some days, the holder must look into the "
        "account at Enedis.",
    ),
    ("STM-ERR-0000019",): _UNKNOWN_METER,
    ("900804", "900807"): _QUOTA,
    (
        "ADAM-DC-0500",
        "STM-ERR-0000001",
        "TECHNICAL-ERROR",
        "UNKERROR-001",
        "UNKERROR-002",
    ): _DOWN,
}

_GRDF: _Table = {
    ("1000000",): Row("consent_lost", "person", "The holder of this meter has moved.", _AGREE),
    ("1000001",): Row("consent_lost", "person", "The right to this meter has expired.", _AGREE),
    ("1000002",): Row("consent_lost", "person", "There is no right to this meter.", _AGREE),
    ("1000003",): Row(
        "consent_suspect",
        "provider",
        "GRDF says that it removed the right to this meter; it has said so wrongly before.",
        _DOUBT,
    ),
    ("1000008",): _NO_DATA,
    ("1000009",): Row(
        "never",
        "person",
        "The right to this meter does not include what was published.",
        "The holder must agree anew, with published data included.",
    ),
    ("1000010",): Row(
        "never",
        "person",
        "The right to this meter does not include the daily consumption.",
        "The holder must agree anew, with informative data included.",
    ),
    ("1000011",): Row(
        "bad_request",
        "operator",
        "GRDF does not take the proof of consent.",
        "The operator must hand in another proof at GRDF.",
    ),
    ("1000014",): Row(
        "consent_lost", "person", "The holder has revoked the consent at GRDF.", _AGREE
    ),
    ("2000100", "2000000007"): _DOWN,
    ("0000000002",): Row(
        "empty", "person", "The right waits for the holder.", "The holder must confirm it at GRDF."
    ),
    ("1000000003",): Row("ok", "nobody", "The right exists already.", _NOTHING),
    ("1000000004",): Row("consent_lost", "person", "The gas contract has ended.", _AGREE),
    ("1000000005",): Row(
        "bad_request",
        "person",
        "The postcode is not that of this meter.",
        "The holder of the account must check the postcode.",
    ),
    ("1000000006",): _UNKNOWN_METER,
    ("1000000022",): Row("bad_request", "operator", "The right contradicts itself.", _REPORT),
    ("2000000009",): Row("bad_request", "operator", "Over 1,000 meters were asked for.", _REPORT),
    ("INVALID-TOKEN",): _NO_TOKEN,
    ("INSUFFICIENT-SCOPE",): _NARROW_TOKEN,
}

_TOKEN: _Table = {
    ("INVALID-GRANT", "INVALID-TOKEN", "OAUTH-REFRESH-INVALID-TOKEN", "ACCESS-DENIED"): Row(
        "consent_lost", "person", "{who} does not renew the token: its grant has ended.", _AGREE
    ),
    ("INVALID-CLIENT", "UNAUTHORIZED-CLIENT"): Row(
        "bad_request",
        "operator",
        "{who} does not know the application by these credentials.",
        _CREDENTIALS,
        "LOGIN_FAILED",
    ),
    ("INVALID-SCOPE", "UNSUPPORTED-GRANT-TYPE", "INVALID-REQUEST"): Row(
        "bad_request",
        "operator",
        "{who} does not give a token for such a request.",
        "The operator must check generation and token_url of {who}.",
        "LOGIN_FAILED",
    ),
    ("900908",): _ENEDIS[("900908",)],
    ("900804", "900807"): _QUOTA,
    ("SERVER-ERROR", "TEMPORARILY-UNAVAILABLE"): _DOWN,
}

_STATUSES: _Table = {
    ("400",): _WRONG,
    ("401",): _NO_TOKEN,
    ("403",): Row(
        "consent_suspect",
        "provider",
        "{who} does not allow this, and does not say why.",
        _DOUBT,
    ),
    ("404",): Row(
        "bad_request",
        "operator",
        "{who} does not know this address.",
        "The operator must check generation and base_url of {who}.",
    ),
    ("408",): _DOWN,
    ("429",): _QUOTA,
}

_TOKEN_STATUSES: _Table = {
    ("400",): _TOKEN["INVALID-SCOPE", "UNSUPPORTED-GRANT-TYPE", "INVALID-REQUEST"],
    ("401", "403"): _TOKEN["INVALID-CLIENT", "UNAUTHORIZED-CLIENT"],
    ("404",): _STATUSES[("404",)],
    ("408",): _DOWN,
    ("429",): _QUOTA,
}

# Enedis gives it also to a refresh token that was used before, as after an older backup.
_REFRESH_STATUSES: _Table = {
    ("401",): Row(
        "consent_suspect",
        "nobody",
        "{who} refuses to renew the token: its grant has ended, or {who} does not know the"
        " application.",
        "It is asked again. Where other accounts have their tokens renewed, the holder must agree"
        " anew; where none has, the operator must check client_id and client_secret_file of {who}.",
    ),
}

# It gives it to a code that is older than three minutes, or was used before, as well.
_CODE_STATUSES: _Table = {
    ("401",): Row(
        "bad_request",
        "person",
        "{who} gives no token for this consent: more than three minutes passed since, or it was"
        " used before, or {who} does not know the application.",
        "Begin again with `accounts authorize`, and do not wait; if that stays so, the operator"
        " must check client_id and client_secret_file of {who}.",
        "LOGIN_FAILED",
    ),
}

OTHER_ANSWERS: Mapping[str, Row] = {
    "ok": Row("ok", "nobody", "{who} answered.", _NOTHING),
    "no data": _NO_DATA,
    "no token": _NO_TOKEN,
    "narrow token": _NARROW_TOKEN,
    "refused": _WRONG,
    "down": _DOWN,
    "silent": Row("vendor_down", "provider", "{who} {why}.", _BY_ITSELF),
    "unreadable": Row(
        "vendor_down", "provider", "{who} answered what was not agreed: {why}.", _BY_ITSELF
    ),
    "broken": Row(
        "vendor_down",
        "provider",
        "A part of what {who} answered cannot be read: {why}.",
        "The rest is kept, and this part is asked for again.",
    ),
    "revoked": Row("ok", "nobody", "There is no right left to revoke.", _NOTHING),
    "right ended": Row("consent_lost", "person", "The right to this meter has ended.", _AGREE),
    "refused for days": Row(
        "consent_lost",
        "person",
        "{who} has not allowed to read this meter for three days.",
        _AGREE,
    ),
}
"""What is told by other things than a code or a status."""

NO_HALF_HOURS = Row(
    "empty",
    "person",
    "No half-hours of the last days have come, though their daily values have.",
    _SWITCH_ON,
    "UNKNOWN_ERROR.PARTIAL_SYNC",
)
"""What days of empty answers come to where only half-hours are empty."""

_COZY: Mapping[Kind, CozyWord] = {
    "never": "UNKNOWN_ERROR.PARTIAL_SYNC",
    "consent_lost": "USER_ACTION_NEEDED.OAUTH_OUTDATED",
    "consent_suspect": "VENDOR_DOWN",
    "renew_token": "LOGIN_FAILED",
    "quota": "VENDOR_DOWN",
    "vendor_down": "VENDOR_DOWN",
    "bad_request": "UNKNOWN_ERROR.PARTIAL_SYNC",
    "not_subscribed": "UNKNOWN_ERROR.PARTIAL_SYNC",
}


def cozy_word(row: Row, *, has_data: bool = False) -> CozyWord | None:
    """Give Cozy's word for it, if it stays so; None where there is nothing to tell.

    What comes with data and is nobody's fault but the provider's is a partial success.
    """
    word = row.cozy or _COZY.get(row.kind)
    return "UNKNOWN_ERROR.PARTIAL_SYNC" if has_data and word == "VENDOR_DOWN" else word


def _by_code(table: _Table) -> Mapping[str, Row]:
    return {code: row for codes, row in table.items() for code in codes}


ENEDIS = _by_code(_ENEDIS)
GRDF = _by_code(_GRDF)
TOKEN = _by_code(_TOKEN)
STATUSES = _by_code(_STATUSES)
"""Of HTTP, where no code says more. Others from 400 on are requests refused, from 500 on errors."""
TOKEN_STATUSES = _by_code(_TOKEN_STATUSES)
"""The same where a token was asked for."""
REFRESH_STATUSES = {**TOKEN_STATUSES, **_by_code(_REFRESH_STATUSES)}
"""The same where that was done by a refresh token."""
CODE_STATUSES = {**TOKEN_STATUSES, **_by_code(_CODE_STATUSES)}
"""The same where that was done by the code that a page of consent led back with."""
