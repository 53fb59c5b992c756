"""As root, commands work as whoever owns the state, so that nothing of root's stands in its way."""

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp

import pytest

OWNER, GROUP = 54321, 54322
EVENT = b'{"type": "NavigationEvent", "eventDate": "2026-11-20T10:00", "instance": "a.example"}\n'
ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), sysconfig.get_paths()["purelib"]])
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": PATHS, "PYTHONDONTWRITEBYTECODE": "1"}
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def readable_python() -> str | None:
    """Give a Python of this version that other users can run, None if there is none."""
    probe = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in (sys.executable, f"/usr/bin/python{VERSION}"):
        try:
            done = subprocess.run(
                [path, "-c", probe], capture_output=True, user=OWNER, group=GROUP, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        if done.stdout.decode().strip() == VERSION:
            return path
    return None


PYTHON = readable_python() if os.geteuid() == 0 else None
pytestmark = pytest.mark.skipif(
    PYTHON is None, reason="only root can become another user, who must be able to run this Python"
)


LOW_PORT = """
[http]
listen = "127.0.0.1:7"
token_file = "{home}/token"
"""
FOREIGN_GROUP = """
[http]
listen = "unix:{home}/state/http.sock"
socket_group = "root"
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that everybody can reach, unlike those of pytest."""
    folder = Path(mkdtemp(prefix="ecolyo-identity-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def state(home: Path) -> Path:
    """A state directory of another user."""
    path = home / "state"
    path.mkdir(mode=0o700)
    os.chown(path, OWNER, GROUP)
    return path


def run(
    *words: str | Path, state: Path, stdin: bytes = b"", **as_whom: int
) -> subprocess.CompletedProcess[bytes]:
    assert PYTHON is not None
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        [PYTHON, "-m", "ecolyo_worker", *words, "--state-dir", state],
        input=stdin,
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
        cwd="/",
        timeout=60,
        **as_whom,  # type: ignore[call-overload]
    )
    return done


def owners(state: Path) -> set[tuple[int, int]]:
    return {(path.stat().st_uid, path.stat().st_gid) for path in [state, *state.iterdir()]}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (LOW_PORT, "http.listen: 127.0.0.1:7 cannot be listened on: Permission denied; take a"),
        (FOREIGN_GROUP, "http.socket_group: found 'root'; allowed: a group that the service is in"),
    ],
)
def test_what_this_user_may_not_do_is_a_wrong_setting(
    home: Path, state: Path, settings: str, said: str
) -> None:
    """A port or a group that needs more rights ends the service with 78 and what to do."""
    (home / "token").write_text("t0ken" * 4)
    config = home / "config.toml"
    config.write_text(settings.format(home=home))
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 7:
        config.write_text(FOREIGN_GROUP.format(home=home))
        said = "http.socket_group"
    done = run("run", "--config", config, state=state, user=OWNER, group=GROUP)
    assert done.returncode == 78
    assert said in " ".join(done.stderr.decode().split())


@pytest.mark.parametrize(
    ("command", "code"),
    [("status", 78), ("events list", 78), ("migrate --dry-run", 78), ("run", 78), ("doctor", 1)],
)
def test_a_directory_that_cannot_be_looked_into(
    home: Path, state: Path, command: str, code: int
) -> None:
    """Whoever may not get at the state is told so, and as whom to ask; `doctor` goes on."""
    (home / "closed").mkdir(mode=0o700)
    inner = state.rename(home / "closed" / "state")
    done = run(*command.split(), state=inner, user=OWNER, group=GROUP)
    said = " ".join((done.stdout + done.stderr).decode().split())
    assert done.returncode == code
    assert f"{inner} cannot be looked into: Permission denied; do it as the user" in said


def test_root_works_as_the_owner(state: Path) -> None:
    """What a command of root's makes in the state is its owner's, who can go on with it."""
    done = run("events", "import", "-", "--json", state=state, stdin=EVENT)
    assert (done.returncode, done.stderr) == (0, b"")
    assert {path.name for path in state.iterdir()} >= {"ecolyo.db", "outbox.key", "owner.lock"}
    assert owners(state) == {(OWNER, GROUP)}
    done = run("status", "--json", state=state, user=OWNER, group=GROUP)
    assert b'"waiting":1' in done.stdout


def test_a_file_of_root_s_can_be_imported(state: Path) -> None:
    """What root alone may read is read by root, and stored by the owner."""
    secret = state.parent / "secret.ndjson"
    secret.write_bytes(EVENT)
    secret.chmod(0o600)
    assert run("events", "import", secret, state=state).returncode == 0
    assert owners(state) == {(OWNER, GROUP)}


def test_root_gives_its_rights_up_for_good(state: Path) -> None:
    """The process keeps no group of root's, and no way back."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from ecolyo_worker.cli.identity import take_identity\n"
        "os.setgroups([0, 7])\n"
        "take_identity(Path(sys.argv[1]))\n"
        "print(os.getresuid(), os.getresgid(), os.getgroups())\n"
    )
    assert PYTHON is not None
    done = subprocess.run(
        [PYTHON, "-c", code, state], capture_output=True, check=True, env=ENVIRONMENT
    )
    ids, groups = (OWNER,) * 3, (GROUP,) * 3
    assert done.stdout.decode().strip() == f"{ids} {groups} []"


def test_the_doctor_looks_as_the_owner(state: Path) -> None:
    """What root asks the doctor is looked at as the service sees it, and nothing is left behind."""
    run("events", "import", "-", state=state, stdin=EVENT)
    done = run("doctor", state=state)
    assert b"for this user alone" in done.stdout
    assert owners(state) == {(OWNER, GROUP)}


def test_root_opens_no_state_that_its_owner_cannot_reach(state: Path) -> None:
    """Where the owner cannot come by this path, nothing is opened, and it is said what to do."""
    state.parent.chmod(0o700)  # as /var/lib/private, with DynamicUser
    done = run("status", state=state)
    assert done.returncode == 78
    assert f"belongs to user {OWNER}, who cannot reach it" in done.stderr.decode()
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("command", ["events import -", "status", "migrate", "migrate --dry-run"])
@pytest.mark.parametrize("is_there", [False, True])
def test_no_second_state_is_begun_beside_the_one_of_systemd(
    home: Path, command: str, is_there: bool
) -> None:
    """Where the link to a state in `private` is missing, or another state stands in its place.

    Every command says what to do, `doctor` too, and makes nothing.
    """
    private, state = home / "private" / "worker", home / "worker"
    private.mkdir(parents=True, mode=0o700)
    if is_there:
        state.mkdir(mode=0o700)
    done = run(*command.split(), state=state, stdin=EVENT)
    said = " ".join(done.stderr.decode().split())
    assert done.returncode == 78
    assert (f"move {state} away" if is_there else "start the service") in said
    assert str(private) in said
    told = run("doctor", state=state)
    assert told.returncode == 1
    assert f"state directory: {state} is not" in told.stdout.decode()
    assert state.exists() == is_there
    assert not is_there or list(state.iterdir()) == []


def test_the_link_to_a_state_of_systemd_is_followed(home: Path) -> None:
    """With the link in its place all is as it should be."""
    (home / "private" / "worker").mkdir(parents=True, mode=0o700)
    (home / "worker").symlink_to("private/worker")
    done = run("events", "import", "-", state=home / "worker", stdin=EVENT)
    assert done.returncode == 0
    assert (home / "private" / "worker" / "ecolyo.db").exists()


def test_root_asks_the_service_all_the_same(state: Path) -> None:
    """A service is asked even where its user's directory can be reached by root alone."""
    assert PYTHON is not None
    with subprocess.Popen(
        [PYTHON, "-m", "ecolyo_worker", "run", "--log-format", "json", "--state-dir", state],
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd="/",
    ) as service:
        assert service.stderr is not None
        try:
            while b'"ready"' not in service.stderr.readline():
                assert service.poll() is None
            assert (state / "control.sock").stat().st_uid == OWNER
            for mode in (0o755, 0o700):
                state.parent.chmod(mode)
                done = run("events", "import", "-", "--json", state=state, stdin=EVENT)
                assert (done.returncode, done.stderr) == (0, b"")
            assert owners(state) == {(OWNER, GROUP)}
        finally:
            service.terminate()


def test_a_state_of_root_s_stays_root_s(home: Path) -> None:
    """Where the state is root's, or not there yet, root is root."""
    done = run("events", "import", "-", state=home / "own", stdin=EVENT)
    assert done.returncode == 0
    assert {owner for owner, _ in owners(home / "own")} == {0}


@pytest.mark.parametrize(
    ("mode", "owner", "words"),
    [
        (0o660, OWNER, "is srw-rw---- and must be a socket of its owner alone"),
        (0o606, OWNER, "is srw----rw- and must be a socket of its owner alone"),
        (0o600, OWNER + 1, f"belongs to user {OWNER + 1}, and this is user {OWNER}"),
        (0o600, 0, f"belongs to user 0, and this is user {OWNER}"),
    ],
)
def test_a_strange_socket_is_refused(state: Path, mode: int, owner: int, words: str) -> None:
    """A control socket that others may use, or made, is told nothing, nor is anything else done."""
    path = state / "control.sock"
    with socket.socket(socket.AF_UNIX) as strange:
        strange.bind(str(path))
        strange.listen()
        path.chmod(mode)
        os.chown(path, owner, GROUP)
        done = run("events", "import", "-", state=state, stdin=EVENT)
        assert done.returncode == 78
        assert words in done.stderr.decode()
        strange.setblocking(False)
        with suppress(BlockingIOError), strange.accept()[0] as probe:
            assert probe.recv(1) == b""
    assert [item.name for item in state.iterdir()] == ["control.sock"]
