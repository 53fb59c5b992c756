"""A refresh that Enedis refuses by 401: its grant has ended, or the application is not known."""

from typing import Any

import pytest

from ecolyo_worker import Worker
from ecolyo_worker.actors.tokens import NoToken
from ecolyo_worker.store.accounts import Account
from tests.energy_accounts import again
from tests.energy_tokens import LIFE_S, LOST, Due, refusal, shown

QUARTER_S = 900
DAY_S = 86_400
REFUSED = refusal("401 Unauthorized", "")
UNKNOWN = refusal("401 Unauthorized", "invalid_client")


async def refused(worker: Worker, account: Account) -> NoToken:
    found = await worker.tokens.bearer(account)
    assert isinstance(found, NoToken), found
    return found


def lost(due: Due) -> list[int]:
    """Give the accounts of which it was told that they need a consent."""
    return [line["account"] for line in due.polling.told(LOST)]


async def test_the_only_account_is_refused_twice(due: Due) -> None:
    """It is asked once more after a quarter of an hour, over a restart too, and then never again.

    Before that, the words blame nobody alone.
    """
    due.answers = [REFUSED] * 99
    async with due.worker() as worker:
        found = await refused(worker, due.account)
        assert found.kind == "later"
        assert "its grant has ended, or Enedis does not know the application" in (
            found.trouble.reason
        )
        assert (await again(worker, due.account)).state == "meter_known"
    due.polling.clock.advance(QUARTER_S)
    async with due.worker() as worker:
        for _ in range(96):
            assert (await refused(worker, due.account)).kind == "consent"
            due.polling.clock.advance(QUARTER_S)
        account = await again(worker, due.account)
    assert (account.state, account.word) == ("needs_consent", "USER_ACTION_NEEDED.OAUTH_OUTDATED")
    assert "its grant counts as ended" in (account.reason or "")
    assert (due.asked, lost(due)) == (2, [due.account.id])


@pytest.mark.parametrize("answer", [REFUSED, UNKNOWN], ids=["refused", "unknown"])
async def test_who_alone_is_refused_has_lost_her_grant(due: Due, answer: bytes) -> None:
    """Where Enedis has renewed another account since, it is not the application, whatever it says.

    One that was renewed before shows nothing.
    """
    bob = await due.another()
    async with due.worker() as worker:
        await shown(worker, bob)
        due.polling.clock.advance(1)
        due.answers = [answer] * 2
        for _ in range(2):
            assert (await refused(worker, due.account)).kind != "consent"
            due.polling.clock.advance(QUARTER_S)
        due.polling.clock.advance(LIFE_S)
        await shown(worker, bob)
        due.answers = [answer] * 9
        found = await refused(worker, due.account)
        assert (found.kind, "renews those of others" in found.trouble.reason) == ("consent", True)
        await refused(worker, due.account)
        await shown(worker, bob)
    assert (due.asked, lost(due)) == (5, [due.account.id])


async def test_where_all_are_refused_it_may_be_the_application(due: Due) -> None:
    """For three days nobody is asked to consent, and it is asked more seldom; then all are."""
    bob = await due.another()
    due.answers = [REFUSED] * 999
    async with due.worker() as worker:
        for _ in range(3 * 96):
            for account in (due.account, bob):
                found = await refused(worker, account)
                assert found.kind == "later"
                assert "the operator must check client_id" in found.trouble.reason
            due.polling.clock.advance(QUARTER_S)
        assert due.asked < 2 * 3 * 25
        due.polling.clock.advance(3600)
        for account in (due.account, bob):
            assert (await refused(worker, account)).kind == "consent"
    assert lost(due) == [due.account.id, bob.id]


async def test_an_unknown_application_is_the_operators(due: Due) -> None:
    """Where Enedis says that it does not know it, and renews nobody, nobody is asked to consent."""
    due.answers = [UNKNOWN] * 999
    async with due.worker() as worker:
        for _ in range(5):
            found: Any = await refused(worker, due.account)
            assert found.kind == "settings"
            assert "client_secret_file" in found.trouble.reason
            due.polling.clock.advance(DAY_S)
        due.answers = []
        assert await shown(worker, due.account) == "access-6"
    assert lost(due) == []


async def test_what_is_renewed_was_not_refused(due: Due) -> None:
    """A refusal that passed does not count when the next token is refused."""
    async with due.worker() as worker:
        due.answers = [REFUSED]
        await refused(worker, due.account)
        due.polling.clock.advance(QUARTER_S)
        await shown(worker, due.account)
        due.polling.clock.advance(LIFE_S)
        due.answers = [REFUSED]
        assert (await refused(worker, due.account)).kind == "later"
        due.polling.clock.advance(QUARTER_S)
        await shown(worker, due.account)
    assert lost(due) == []
