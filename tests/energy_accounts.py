"""What tests of energy accounts share: settings for a twin, accounts, and a person who consents."""

import sqlite3
from pathlib import Path
from typing import Any

import httpx

from ecolyo_worker import Settings, Worker
from ecolyo_worker.energy.answers import Provider
from ecolyo_worker.providers import Enedis, Generation, Grdf
from ecolyo_worker.store import accounts, instances
from ecolyo_worker.store.accounts import Account, Moment
from ecolyo_worker.testing.energy import Twin

__all__ = ["BACK", "NOW", "PCE", "PRM", "SECRET", "add", "again", "consent", "settings", "visit"]

ALICE = "alice.example"
PRM, PCE = "11111111111111", "23000000000000"
"""Meters of the twin."""
SECRET = "s3cret-0f-the-applicati0n"
BACK = "https://cozy.example/back"
NOW = Moment(1_790_805_600_000, 1_790_812_800_000)


def settings(
    state_dir: Path, twin: Twin, generation: Generation = "2026", **enedis: Any
) -> Settings:
    """Give the settings of a worker that fetches from a twin, as one of its applications."""
    file = state_dir.with_name("client-secret")
    file.write_text(SECRET)
    is_v4 = generation == "v4"
    application: dict[str, Any] = {
        "client_id": "ecolyo",
        "client_secret_file": file,
        "redirect_uri": BACK,
    }
    authorize = twin.authorize_url if generation == "2026" else twin.v4_authorize_url
    return Settings(
        state_dir=state_dir,
        enedis=Enedis(
            **application,
            generation=generation,
            base_url=twin.url,
            authorize_url=authorize,
            **{"token_url": twin.v4_token_url if is_v4 else twin.token_url, **enedis},
        ),
        grdf=Grdf(
            **application,
            base_url=twin.grdf_url,
            authorize_url=twin.grdf_authorize_url,
            token_url=twin.grdf_token_url,
        ),
    )


async def add(
    worker: Worker,
    provider: Provider = "enedis",
    meter: str | None = None,
    instance: str = ALICE,
) -> Account:
    """Make an account; with a meter, of somebody who consented."""

    def make(connection: sqlite3.Connection) -> Account:
        person = instances.identify(connection, instance)
        consented = meter is not None
        ident = accounts.add(connection, person, provider, meter, NOW, consented=consented)
        found = accounts.find(connection, ident or 0)
        assert found is not None
        return found

    return await worker.database.run(make)


async def again(worker: Worker, account: Account) -> Account:
    """Give an account as it is now."""
    found = await worker.database.read(accounts.find, account.id)
    assert found is not None
    return found


async def visit(url: str, **more: str) -> str:
    """Go to a page of consent, and give where it leads back to."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = httpx.URL(url)
        answer = await browser.get(page.copy_merge_params({"redirect_uri": BACK, **more}))
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def consent(worker: Worker, account: Account, meter: str) -> Account:
    """Let a person consent for a meter, and take what comes back."""
    begun = await worker.consents.begin(account)
    named = "pce" if account.provider == "grdf" else "usage_point_id"
    return await worker.consents.finish(account, await visit(begun.url, **{named: meter}))
