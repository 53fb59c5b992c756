"""Nothing behind a host's back: what a worker changes of its process, and what it leaves."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ecolyo_worker.testing import Echo

LIMIT_S = 60

# What a host may have set up for its whole process, and what a process holds.
LOOK = """
import asyncio, decimal, gc, json, locale, logging, os, random, resource, signal, socket
import sys, threading, time, warnings

def look():
    loggers = [logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    tasks, handler = 0, None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        tasks = len(asyncio.all_tasks(loop))
        handler = repr((loop.get_exception_handler(), loop.get_debug(), loop.get_task_factory()))
    set_up = {
        "signals": [id(signal.getsignal(n)) for n in sorted(signal.valid_signals())],
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "logging": sorted(
            repr((one.name, one.handlers, one.filters, one.level, one.propagate, one.disabled))
            for one in loggers
            if one.handlers or one.filters or one.level or not one.propagate or one.disabled
        ),
        "logging as a whole": [
            logging.root.manager.disable, repr(logging.getLoggerClass()),
            repr(logging.getLogRecordFactory()), logging.raiseExceptions, logging.lastResort.level,
        ],
        "environment": dict(os.environ),
        "warnings": repr(warnings.filters), "showwarning": repr(warnings.showwarning),
        "hooks": repr((sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook)),
        "tracing": repr((sys.gettrace(), sys.getprofile())),
        "event loop": handler, "policy": repr(type(asyncio.get_event_loop_policy())),
        "streams": repr([(id(s), s.encoding) for s in (sys.stdin, sys.stdout, sys.stderr)]),
        "interpreter": [sys.getswitchinterval(), sys.getrecursionlimit(), gc.get_threshold(),
                        gc.isenabled(), gc.get_freeze_count()],
        "chance": hash(random.getstate()), "decimals": repr(decimal.getcontext()),
        "folder": os.getcwd(), "umask": umask(), "nice": os.nice(0), "path": list(sys.path),
        "limits": [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)],
        "locale": locale.setlocale(locale.LC_ALL), "zone": time.tzname,
        "sockets": socket.getdefaulttimeout(),
    }
    holds = {
        "threads": sorted(t.name for t in threading.enumerate()),
        "files": sorted(files()),
        "children": children(),
        "tasks": tasks,
    }
    return json.loads(json.dumps({"set up": set_up, "holds": holds}))

def umask():
    os.umask(mask := os.umask(0))
    return mask

def files():
    for name in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the folder that was just read
            pass

def children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()
"""

HOST = """
import structlog
async def main(state_dir, url):
    entering = look()
    settings = Settings(
        state_dir=Path(state_dir), dacc=Dacc(url=url, rate=1000.0), http=Http(token_file=None)
    )
    async with Worker(settings) as worker:
        face = asgi(worker, is_guarded=True)
        facts = {"instance": "a.example", "consent": {"version": "1.0.0",
            "accepted_at": "2026-01-05T10:00:00"}}
        await worker.store_facts(check_facts(facts, settings.civil_zone))
        browser = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
        await worker.record("a.example", [
            {"type": "ConnectionEvent", "eventDate": "2026-03-02T18:04:11", "context": browser},
            {"type": "NavigationEvent", "eventDate": "2026-03-02T18:04:11", "target": "gas"},
        ])
        await worker.run_once(datetime(2026, 3, 3, 1))
        await worker.send(until_empty=True)
        assert worker.status().outbox["sent"] > 1, worker.status()
        inside = look()
    for thread in set(threading.enumerate()) - {threading.main_thread()}:
        thread.join(10)  # it may be at its last step
    print(json.dumps({"entering": entering, "inside": inside, "left": look(),
        "structlog": structlog.is_configured()}))

before = look()
from datetime import datetime
from pathlib import Path
from ecolyo_worker import Settings, Worker
from ecolyo_worker.facts import check_facts
from ecolyo_worker.service import asgi
from ecolyo_worker.settings import Dacc, Http
print(json.dumps({"before": before, "imported": look()}))
asyncio.run(main(*sys.argv[1:]))
print(json.dumps({"after": look()}))
"""


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=LIMIT_S,
    )  # fmt: skip


def changes(one: dict[str, Any], other: dict[str, Any], *parts: str) -> dict[str, Any]:
    """Give what differs between two looks."""
    return {
        key: (value, other[part][key])
        for part in parts or one
        for key, value in one[part].items()
        if value != other[part][key]
    }


def test_the_process_stays_as_the_host_set_it_up(state_dir: Path, dacc_echo: Echo) -> None:
    """Imported, entered, at work and left, it sets up nothing of the process, and leaves nothing.

    While it is entered it has one thread more, and the files of its state.
    """
    done = run(LOOK + HOST, state_dir, dacc_echo.url)
    assert (done.returncode, done.stderr) == (0, "")
    seen: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        seen |= json.loads(line)
    assert not seen["structlog"]
    for one, other in (("before", "imported"), ("before", "after"), ("entering", "left")):
        assert changes(seen[one], seen[other]) == {}, other
    inside, entering = seen["inside"], seen["entering"]
    assert changes(entering, inside, "set up") == {}
    holds = {key: len(value) for key, value in inside["holds"].items() if key != "tasks"}
    before = {key: len(value) for key, value in entering["holds"].items() if key != "tasks"}
    assert (holds["threads"], holds["children"]) == (before["threads"] + 1, before["children"])
    more = set(inside["holds"]["files"]) - set(entering["holds"]["files"])
    assert {path for path in more if path.startswith("/")} == {
        str(state_dir / name)
        for name in ("ecolyo.db", "ecolyo.db-wal", "ecolyo.db-shm", "owner.lock")
    }


IMPORTING = """
import os, sys, warnings

def refuse(event, arguments):
    is_file = event == "open" and isinstance(arguments[2], int)
    writes = is_file and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    does = event.partition(".")[0] in {"socket", "subprocess", "signal", "sqlite3"}
    changes = event in {"os.putenv", "os.mkdir", "os.fork", "os.remove", "_thread.start_new_thread"}
    if writes or does or changes:
        print(event, arguments)

sys.addaudithook(refuse)
import ecolyo_worker, ecolyo_worker.service
[getattr(ecolyo_worker, name) for name in ecolyo_worker.__all__]
"""


def test_importing_does_nothing() -> None:
    """To import it writes no file, opens no socket, starts no process or thread, sets nothing."""
    done = run(f"import sys; sys.dont_write_bytecode = True\n{IMPORTING}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


FORKING = """
import asyncio, os, sys
from pathlib import Path
from ecolyo_worker import Settings, Worker

def in_child(worker, said, go_on):
    try:
        asyncio.run(worker.record("a.example", []))
    except Exception as error:
        os.write(said, f"{type(error).__name__}: {error}".encode())
    os.read(go_on, 1)

async def main(state_dir):
    (hears, said), (go_on, tells) = os.pipe(), os.pipe()
    async with Worker(Settings(state_dir=Path(state_dir))) as worker:
        if not (child := os.fork()):
            os.close(tells)  # so that it ends with its parent, however that ends
            in_child(worker, said, go_on)
            os._exit(0)
        print(os.read(hears, 1000).decode())
    async with worker:
        print("entered again while the child lives")
    os.write(tells, b".")
    os.waitpid(child, 0)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_host_may_fork(state_dir: Path) -> None:
    """A forked child is refused in words, and does not keep the directory when it is left."""
    done = run(f"import warnings; warnings.simplefilter('default')\n{FORKING}", state_dir)
    assert done.returncode == 0, done.stderr
    refused, again = done.stdout.splitlines()
    assert refused.startswith("CommandRefused: the worker was entered in another event loop")
    assert again == "entered again while the child lives"
