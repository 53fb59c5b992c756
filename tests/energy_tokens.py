"""What tests of tokens that are due share: an account of Enedis v4, and a server that is asked.

That is a raw socket, so that a test decides what is answered, and what happens before.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from ecolyo_worker import Worker
from ecolyo_worker.secret import Secret
from ecolyo_worker.store.accounts import Account
from tests.energy_accounts import PRM, add, consent
from tests.energy_polling import ODD, Polling

__all__ = ["ENDED", "LIFE_S", "LOST", "Due", "refusal", "shown"]

LIFE_S = 12_600
"""How long the tokens of Enedis v4 live."""
LOST = "an energy account needs a consent"


def refusal(status: str, code: str) -> bytes:
    """An answer that refuses a token, with a code of OAuth 2, or without any content."""
    body = f'{{"error":"{code}"}}' if code else ""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


ENDED = refusal("400 Bad Request", "invalid_grant")


def given(number: int) -> bytes:
    """An answer with the n-th pair of tokens."""
    pair = {"access_token": f"access-{number}", "refresh_token": f"refresh-{number}"}
    body = msgspec.json.encode({**pair, "expires_in": LIFE_S})
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def shown(worker: Worker, account: Account) -> str:
    """Give an account's token as it is shown to Enedis."""
    found = await worker.tokens.bearer(account)
    assert isinstance(found, Secret), found
    return found.reveal()


class Due:
    """An account of Enedis v4 whose token is due, and a server that gives the next ones."""

    def __init__(self, polling: Polling, wire: Any, account: Account) -> None:
        self.polling = polling
        self.wire = wire
        self.account = account
        self.answers: list[bytes] = []
        """What it answers, one after the other, and then pairs of tokens."""
        self.before: Callable[[], Awaitable[object]] | None = None
        """What happens between a request for a token and its answer."""
        wire.answer = self._answer

    async def _answer(self, _: object) -> bytes:
        answer = self.answers.pop(0) if self.answers else given(self.asked)
        if self.before is not None:
            await self.before()
        return answer

    @property
    def asked(self) -> int:
        """How often a token was asked for."""
        return len(self.wire.requests)

    @classmethod
    async def begin(cls, polling: Polling, wire: Any) -> "Due":
        """Let a person consent, and wait until her first token ends."""
        async with polling.worker("v4") as worker:
            account = await consent(worker, await add(worker), PRM)
        polling.clock.advance(LIFE_S)
        return cls(polling, wire, account)

    async def another(self) -> Account:
        """Let another person consent, and wait until her first token ends."""
        async with self.polling.worker("v4") as worker:
            account = await consent(worker, await add(worker, instance="bob.example"), ODD)
        self.polling.clock.advance(LIFE_S)
        return account

    def worker(self) -> AbstractAsyncContextManager[Worker]:
        """Open a worker that asks this server for tokens."""
        return self.polling.worker("v4", token_url=self.wire.url)
