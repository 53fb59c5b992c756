"""Energy accounts: a meter of a person's, and whether its readings may be fetched."""

import sqlite3
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from ecolyo_worker.crashpoints import reach
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.energy.meanings import CozyWord
from ecolyo_worker.energy.meters import FLUIDS_OF
from ecolyo_worker.store import erasing, homes, rollups, totals

__all__ = [
    "STATES",
    "Account",
    "Doubt",
    "Moment",
    "State",
    "Trouble",
    "add",
    "authorized",
    "delete",
    "find",
    "hold",
    "is_shared",
    "leave",
    "meet",
    "move",
    "of_person",
    "page",
    "suspect",
]

State = Literal[
    "new", "authorized", "meter_known", "active", "needs_consent", "suspended", "removing"
]

STATES: tuple[State, ...] = (
    "new",
    "authorized",
    "meter_known",
    "active",
    "needs_consent",
    "suspended",
    "removing",
)
"""The states, in the order of an account's life."""
# In these, readings are asked for.
_POLLED = ("meter_known", "active")
# Visits of one day and of the next lie so far apart, whatever their slots.
_OTHER_DAY_MS = 16 * 3_600_000


class Moment(Struct, frozen=True):
    """When something happens: as an instant, in ms of UTC, and in civil time, in ms."""

    utc: int
    civil: int


class Trouble(Struct, frozen=True):
    """What is wrong with an account: in words, and in Cozy's."""

    reason: str
    word: CozyWord


class Doubt(Struct, frozen=True):
    """For how long a provider has said that somebody else lives there now, and nothing else."""

    since: int
    """In ms of UTC."""
    days: int
    """On how many days it said so, by visits that lie most of a day apart."""


class Account(Struct, frozen=True, kw_only=True):
    """An account with what is known of it. Instants are ms of UTC."""

    id: int
    instance: int
    name: str
    """The instance's."""
    provider: Provider
    meter: str | None
    state: State
    reason: str | None
    word: CozyWord | None
    since: int
    suspect_since: int | None
    consent: int | None
    keeps_data: bool
    held_through: int | None
    """The last civil day of which something is held."""

    def __repr__(self) -> str:
        return f"<Account {self.id} of {self.provider}, {self.state}>"

    @property
    def fluid(self) -> str:
        """What its meter measures."""
        return FLUIDS_OF[self.provider]

    @property
    def is_polled(self) -> bool:
        """Whether its readings are to be asked for."""
        return self.state in _POLLED


_ACCOUNTS = """
    SELECT a.id, a.instance, i.name, a.provider, a.meter, a.state, a.reason, a.word, a.since,
           a.suspect_since, a.consent, a.keeps_data, a.held_through
      FROM accounts AS a JOIN instances AS i ON i.id = a.instance
"""


def add(
    connection: sqlite3.Connection,
    instance: int,
    provider: Provider,
    meter: str | None,
    now: Moment,
    *,
    consented: bool,
) -> int | None:
    """Make an account and give its id; None if the person has one with this meter already.

    With `consented` the person has consented, so that a meter that is known can be asked for.
    """
    state: State = "new"
    if consented:
        state = "authorized" if meter is None else "meter_known"
    row = connection.execute(
        "INSERT INTO accounts (instance, provider, meter, state, since) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING RETURNING id",
        (instance, provider, meter, state, now.utc),
    ).fetchone()
    if row is None:
        return None
    totals.add(connection, {f"accounts.{state}": 1})
    reach("accounts.adding")
    return int(row[0])


def find(connection: sqlite3.Connection, ident: int) -> Account | None:
    """Give an account by its id, or None."""
    return next(_found(connection.execute(f"{_ACCOUNTS} WHERE a.id = ?", (ident,))), None)


def page(
    connection: sqlite3.Connection, after: int, limit: int, provider: Provider | None = None
) -> list[Account]:
    """Give the next accounts behind an id, in order; of one provider, or of all."""
    query = (
        f"{_ACCOUNTS} WHERE a.id > :after AND (:provider IS NULL OR a.provider = :provider)"
        " ORDER BY a.id LIMIT :limit"
    )
    return list(
        _found(connection.execute(query, {"after": after, "limit": limit, "provider": provider}))
    )


def of_person(connection: sqlite3.Connection, name: str) -> list[Account]:
    """Give the accounts of an instance, in order."""
    return list(_found(connection.execute(f"{_ACCOUNTS} WHERE i.name = ? ORDER BY a.id", (name,))))


def move(
    connection: sqlite3.Connection,
    ident: int,
    state: State,
    now: Moment,
    trouble: Trouble | None = None,
) -> bool:
    """Bring an account into a state, with what is wrong; tell whether it was in another one.

    One that is being removed stays so, but for what is wrong. Its fluid's konnector is connected
    from when the account is active until it needs a consent, is suspended or goes.
    """
    account = find(connection, ident)
    if account is None or (account.state == "removing" and state != "removing"):
        return False
    is_new = account.state != state
    reason, word = (None, None) if trouble is None else (trouble.reason, trouble.word)
    connection.execute(
        "UPDATE accounts SET state = ?, reason = ?, word = ?, since = ?,"
        " suspect_since = iif(?, NULL, suspect_since) WHERE id = ?",
        (state, reason, word, now.utc if is_new else account.since, is_new, ident),
    )
    if is_new:
        totals.add(connection, {f"accounts.{account.state}": -1, f"accounts.{state}": 1})
        _tell_konnector(connection, account, now)
    return is_new


def meet(
    connection: sqlite3.Connection, ident: int, meter: str, now: Moment
) -> Literal["met", "other", "taken", "gone"]:
    """Note which meter an account is for, which can be asked for from now on.

    `other`: it is for another one already. `taken`: another account of the person has it.
    """
    account = find(connection, ident)
    if account is None or account.state == "removing":
        return "gone"
    if account.meter not in {None, meter}:
        return "other"
    query = "UPDATE OR IGNORE accounts SET meter = ? WHERE id = ?"
    if not connection.execute(query, (meter, ident)).rowcount:
        return "taken"
    if account.state != "active":
        move(connection, ident, "meter_known", now)
    return "met"


def authorized(
    connection: sqlite3.Connection, ident: int, consent: int | None, now: Moment
) -> None:
    """Note that a person consented, by Enedis' number of it if there is one.

    What was wrong is forgotten, also that somebody else may hold the meter. A meter that is known
    can be asked for from now on.
    """
    account = find(connection, ident)
    if account is None:
        return
    # Another consent in the place of one whose meter was never told begins anew, too.
    connection.execute(
        "UPDATE accounts SET consent = coalesce(:consent, consent),"
        " since = iif(state = 'authorized' AND consent IS NOT coalesce(:consent, consent),"
        " :now, since) WHERE id = :id",
        {"consent": consent, "now": now.utc, "id": ident},
    )
    suspect(connection, ident, None)
    state: State = "authorized" if account.meter is None else "meter_known"
    move(connection, ident, "active" if account.state == "active" else state, now)


def suspect(connection: sqlite3.Connection, ident: int, now: Moment | None) -> Doubt | None:
    """Note that the provider says that somebody else lives there now, or with None, that it is not.

    Gives for how long it has said so: it is to be believed only after days. What was said at a time
    to come was said by a clock that was wrong, and counts as said now.
    """
    row = connection.execute(
        "SELECT suspect_since, suspect_last, suspect_days FROM accounts WHERE id = ?", (ident,)
    ).fetchone()
    if row is None:
        return None
    since, last, days = row
    if now is None:
        since, last, days = None, None, 0
    elif since is None or max(since, last) > now.utc:
        since, last, days = now.utc, now.utc, 1
    elif now.utc - last >= _OTHER_DAY_MS:
        last, days = now.utc, days + 1
    connection.execute(
        "UPDATE accounts SET suspect_since = ?, suspect_last = ?, suspect_days = ? WHERE id = ?",
        (since, last, days, ident),
    )
    return None if since is None else Doubt(since, days)


def is_shared(connection: sqlite3.Connection, account: Account) -> bool:
    """Tell whether readings are asked for by another account with the same meter, of anybody."""
    query = (
        "SELECT EXISTS (SELECT 1 FROM accounts WHERE provider = ? AND meter = ? AND id != ?"
        " AND state IN (?, ?))"
    )
    key = (account.provider, account.meter, account.id, *_POLLED)
    return bool(connection.execute(query, key).fetchone()[0])


def hold(connection: sqlite3.Connection, ident: int, day: int, now: Moment) -> None:
    """Note that something is held of a civil day; with that the account is active."""
    connection.execute(
        "UPDATE accounts SET held_through = max(coalesce(held_through, :day), :day) WHERE id = :id",
        {"day": day, "id": ident},
    )
    account = find(connection, ident)
    if account is not None and account.state == "meter_known":
        told = None if account.word is None else Trouble(account.reason or "", account.word)
        move(connection, ident, "active", now, told)


def leave(
    connection: sqlite3.Connection, ident: int, now: Moment, *, keeps_data: bool
) -> Account | None:
    """Ask for nothing more of an account, which is to be removed; None if there is no such.

    What was wrong with it is forgotten.
    """
    move(connection, ident, "removing", now)
    connection.execute("UPDATE accounts SET keeps_data = ? WHERE id = ?", (keeps_data, ident))
    return find(connection, ident)


def delete(connection: sqlite3.Connection, ident: int, zone: ZoneInfo) -> dict[str, int]:
    """Delete an account with its tokens and, unless it keeps them, its readings.

    Gives how many rows went of which table.
    """
    account = find(connection, ident)
    if account is None:
        return {}
    tokens = connection.execute("SELECT count(*) FROM tokens WHERE account = ?", (ident,))
    rows = {"tokens": tokens.fetchone()[0], "accounts": 1}
    known = homes.meters(connection, account.instance, account.fluid, zone)
    if account.meter is not None and not account.keeps_data:
        rows |= _delete_readings(connection, account)
    connection.execute("DELETE FROM accounts WHERE id = ?", (ident,))
    if account.meter in known:
        home = (account.instance, account.fluid)
        left = homes.meters(connection, *home, zone)
        recut = homes.recut(connection, home, known, left, zone)
        rollups.renew(connection, *home, {*known[account.meter].days, *recut}, zone)
    totals.note_removed(connection, "removed", {f"accounts.{account.state}": 1})
    erasing.owe(connection)
    reach("accounts.removing")
    return rows


def _delete_readings(connection: sqlite3.Connection, account: Account) -> dict[str, int]:
    """Delete what came from an account's meter."""
    mine = "SELECT id FROM series WHERE instance = ? AND source = ? AND meter = ?"
    key = (account.instance, account.provider, account.meter)
    return {
        table: connection.execute(f"DELETE FROM {table} WHERE {found}", key).rowcount  # noqa: S608
        for table, found in (
            ("points", f"series IN ({mine})"),
            ("gas_details", f"series IN ({mine})"),
            ("series", f"id IN ({mine})"),
        )
    }


def _tell_konnector(connection: sqlite3.Connection, account: Account, now: Moment) -> None:
    """Add to the history of a fluid's konnector, if it is another one than it was."""
    person = (account.instance, account.fluid)
    known = connection.execute(
        "SELECT connected FROM konnector_states WHERE instance = ? AND fluid = ? AND since <= ?"
        " ORDER BY since DESC LIMIT 1",
        (*person, now.civil),
    ).fetchone()
    (connected,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM accounts"
        " WHERE instance = ? AND provider = ? AND state = 'active')",
        (account.instance, account.provider),
    ).fetchone()
    was_ours = account.state == "active" or connected
    if was_ours and (known is None or known[0] != connected):
        connection.execute(
            "INSERT INTO konnector_states (instance, fluid, since, connected) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET connected = excluded.connected",
            (*person, now.civil, connected),
        )


def _found(rows: sqlite3.Cursor) -> "map[Account]":
    return map(_account, rows)


def _account(row: tuple[object, ...]) -> Account:
    names = Account.__struct_fields__
    values = dict(zip(names, row, strict=True))
    values["keeps_data"] = bool(values["keeps_data"])
    return Account(**values)  # type: ignore[arg-type]
