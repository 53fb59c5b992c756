"""A disk that fails under the database: nothing is tried again as if it had not happened."""

from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker.testing.ledger import assert_balanced

Run = Any


def visit(ident: str) -> dict[str, str]:
    return {
        "_id": ident,
        "instance": "alice.example",
        "type": "NavigationEvent",
        "eventDate": "2026-11-20T10:00",
        "target": "gas",
    }


@pytest.mark.fault(22)
async def test_a_sync_that_fails_ends_the_service(
    run: Run, state_dir: Path, tmp_path: Path, failing_sync: Path
) -> None:
    """It writes nothing more, says so, and ends with 69; the next start looks what is there.

    The caller is told that it is not known. What was acknowledged before is there, and so is what
    is handed over again.
    """
    sign = tmp_path / "failing"
    preload = {"LD_PRELOAD": str(failing_sync), "FAIL_SYNC_WHILE": str(sign)}
    async with run(**preload) as service, service.client() as client:
        assert (await client.post("/v1/events", json=[visit("a")])).json()["accepted"] == 1
        sign.touch()
        done = await client.post("/v1/events", json=[visit("b")])
        assert (done.status_code, "is not known" in done.text) == (503, True)
        assert await service.end() == 69
        assert "the disk failed under the database (disk I/O error)" in await service.rest()
    assert (state_dir / "ecolyo.db-wal").stat().st_size > 0  # nothing was moved any more
    sign.unlink()
    async with run(**preload) as service, service.client() as client:
        done = await client.post("/v1/events", json=[visit("a"), visit("b")])
        assert done.json()["known"] in {1, 2}
    await assert_balanced(state_dir, accepted=[("alice.example", "a"), ("alice.example", "b")])
