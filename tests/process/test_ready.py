"""What a host's process has loaded when its worker is ready: what a start and idling need."""

import json
import subprocess
import sys
from pathlib import Path

HOST = """
import asyncio, json, sys
from pathlib import Path
from ecolyo_worker import Settings, Worker

async def main():
    async with Worker(Settings(state_dir=Path(sys.argv[1]))):
        print(json.dumps(sorted(sys.modules)))

asyncio.run(main())
"""

# What takes the most of time or memory to load, and who loads it when it is needed.
LATER = {
    "anyio.streams.buffered": "names of browsers that are new",
    "croniter": "a schedule that does not come every day",
    "difflib": "a word that is misspelt",
    "ecolyo_worker.actors.accounts": "accounts at Enedis and GRDF",
    "ecolyo_worker.remote.energy": "asking for readings",
    "email.utils": "dates in the headers of HTTP",
    "html": "a secret",
    "httpx": "a host's client",
    "rich": "the command line",
    "shutil": "a backup, and what an upgrade would do",
    "structlog": "the command line, or the host",
}


def test_what_is_needed_later_is_loaded_later(tmp_path: Path) -> None:
    """A worker that is ready has loaded nothing that only some of its work needs."""
    for _ in ("a new state", "one that exists"):
        done = subprocess.run(
            [sys.executable, "-c", HOST, str(tmp_path)], capture_output=True, check=True
        )
        loaded = json.loads(done.stdout)
        assert [name for name in LATER if name in loaded] == []
