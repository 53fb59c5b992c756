"""The unit file: systemd has nothing to say against it, and the service does all its work in it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecolyo_worker import Settings
from ecolyo_worker.errors import CommandRefused, ConfigurationError
from tests.process.machine import CHECKOUT, PROGRAMS, ROOT, Machine, booted, require

UNIT = ROOT / "deploy" / "systemd" / "ecolyo-worker.service"
NAME = "ecolyo-worker.service"
START = "ExecStart=/opt/ecolyo-worker/bin/ecolyo-worker run"

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EVENTS = [
    {"type": "ConnectionEvent", "eventDate": "2026-11-20T18:04:11", "target": BROWSER},
    {"type": "NavigationEvent", "eventDate": "2026-11-20T18:05:00", "target": "gas"},
]

# What the sandbox lets through is said; each line is an attempt.
ATTEMPTS = """
import ctypes, json, mmap, os, socket
from pathlib import Path

def tried(act):
    try:
        act()
    except (OSError, PermissionError) as error:
        return error.strerror
    return "done"

libc = ctypes.CDLL(None, use_errno=True)

def unshare():
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

attempts = {
    "write its state": lambda: Path(os.environ["STATE_DIRECTORY"], "x").write_text("x"),
    "write settings": lambda: Path("/etc/ecolyo-worker/x").write_text("x"),
    "write programs": lambda: Path("/usr/x").write_text("x"),
    "look into homes": lambda: os.listdir("/root"),
    "write and execute memory": lambda: mmap.mmap(-1, 4096, prot=7),
    "make namespaces": unshare,
    "open a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    "open a socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
    "become root": lambda: os.setuid(0),
    "see the first process": lambda: os.listdir("/proc/1"),
}
print(json.dumps({name: tried(act) for name, act in attempts.items()}))
"""

CLASSIFIER = """
import anyio
from ecolyo_worker.actors.classifier import Classifier
from ecolyo_worker.measures import devices

async def main():
    classifier = Classifier()
    await classifier.learn([BROWSER])
    print("process" if classifier._process else "thread", devices.device(BROWSER))
    await classifier.aclose()

anyio.run(main)
"""


def analyze(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Ask systemd-analyze."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("needs Debian's package systemd")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.split()[1]) < 250:
        pytest.skip("needs systemd 250 or newer")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def with_start(tmp_path: Path, text: str) -> Path:
    """Write a copy that starts this very Python, for systemd looks whether there is a program."""
    assert START in text
    copy = tmp_path / NAME
    copy.write_text(text.replace(START, f"ExecStart={sys.executable} -m ecolyo_worker run"))
    return copy


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing, also with the lines that are offered as comments."""
    text = UNIT.read_text()
    offered = re.sub(r"^#(?=\w+=)", "", text, flags=re.MULTILINE)
    assert offered.count("\nLoadCredential=") == 4
    for form in (text, offered):
        done = analyze("verify", with_start(tmp_path, form))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_exposed_little() -> None:
    """`systemd-analyze security` rates its exposure 1.5 or better."""
    done = analyze("security", "--offline=true", "--threshold=15", "--no-pager", UNIT)
    assert done.returncode == 0, done.stdout


def test_it_fits_the_program() -> None:
    """Its times and exit codes are those of the program."""
    unit = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line)
    assert int(unit["TimeoutStopSec"].removesuffix("s")) > Settings().grace.total_seconds() + 30
    codes = {CommandRefused.exit_code, ConfigurationError.exit_code}
    assert {int(code) for code in unit["RestartPreventExitStatus"].split()} == codes


def test_ci_installs_what_a_machine_needs() -> None:
    """Each program without which no machine is made is among those that `.ci/run` looks for."""
    looked_for = dict(re.findall(r"\[([\w-]+)\]=([\w-]+)", (ROOT / ".ci" / "run").read_text()))
    assert PROGRAMS.items() <= looked_for.items()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the unit, a Python for it, and settings; a token for it as a credential."""
    require()
    with booted(tmp_path_factory.mktemp("machine")) as machine:
        machine.run(f"""
            python3 -m venv --without-pip /opt/ecolyo-worker
            cd /opt/ecolyo-worker
            printf '%s\\n' {CHECKOUT} /opt/site > $(echo lib/python3*)/site-packages/all.pth
            cat > bin/ecolyo-worker << 'END'
#!/opt/ecolyo-worker/bin/python
from ecolyo_worker.cli import main
main()
END
            chmod +x bin/ecolyo-worker
            ln -s $PWD/bin/ecolyo-worker /usr/local/bin/
            cp {CHECKOUT}/deploy/systemd/{NAME} /etc/systemd/system/
            mkdir -p /etc/ecolyo-worker /etc/systemd/system/{NAME}.d
            echo s3cret > /etc/ecolyo-worker/dacc-token
            chmod 600 /etc/ecolyo-worker/dacc-token
            printf '[Service]\\nLoadCredential=dacc-token:/etc/ecolyo-worker/dacc-token\\n' \\
              > /etc/systemd/system/{NAME}.d/token.conf
        """)
        yield machine


@pytest.fixture
def fresh(machine: Machine) -> Iterator[Machine]:
    """The same machine with an empty state, and settings that name no DACC."""
    configure(machine)
    machine.run("systemctl daemon-reload")
    yield machine
    machine.run(f"systemctl stop {NAME}; systemctl reset-failed {NAME} 2> /dev/null || true")
    machine.run("rm -rf /var/lib/private/ecolyo-worker")


def configure(machine: Machine, more: str = "") -> None:
    machine.run(f"""cat > /etc/ecolyo-worker/config.toml << 'END'
[worker]
state_dir = "/var/lib/ecolyo-worker"
[http]
listen = "unix:/run/ecolyo-worker/http.sock"
{more}
END""")


def confined(machine: Machine, program: str) -> str:
    """Run some Python within the sandbox of the unit, and give what it prints."""
    machine.run(f"""
        cat > /opt/try.py << 'END'\n{program}\nEND
        sed -e 's#^ExecStart=.*#ExecStart=/opt/ecolyo-worker/bin/python /opt/try.py#' \\
          -e 's/^Type=.*/Type=oneshot/' -e '/^Restart/d' -e '/^WatchdogSec/d' \\
          -e '/^ExecReload/d' -e 's#^StateDirectory=.*#&\\nStandardOutput=truncate:/run/tried#' \\
          {CHECKOUT}/deploy/systemd/{NAME} > /etc/systemd/system/try.service
        systemctl daemon-reload
        systemctl start try || {{ journalctl --output=cat --unit=try; false; }}
    """)
    return machine.run("cat /run/tried")


def test_the_sandbox_holds(machine: Machine) -> None:
    """Inside, nothing can be done but what the service is there for."""
    done = {name for name, how in json.loads(confined(machine, ATTEMPTS)).items() if how == "done"}
    assert done == {"write its state", "open a socket"}


def test_the_classifier_works_inside(machine: Machine) -> None:
    """Browsers are classified by a process of its own there, as outside."""
    printed = confined(machine, CLASSIFIER.replace("BROWSER", repr(BROWSER)))
    assert printed == "process desktop\n"


def test_it_does_all_its_work_inside(fresh: Machine) -> None:
    """Events come in on its socket, a night is counted and sent with the token, a person forgotten.

    The service has no capability and no way to get one.
    """
    fresh.start_echo("--token", "s3cret")
    configure(fresh, '[dacc]\nurl = "http://127.0.0.1:8081"\nspread = "0s"\nrate = 100')
    start(fresh)
    found = fresh.show("ActiveState", "StatusText", "MainPID")
    assert found["ActiveState"] == "active"
    assert found["StatusText"] == "working; events waiting 0 · indicators waiting 0"
    status = fresh.run(f"cat /proc/{found['MainPID']}/status")
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"):
        assert line in status
    assert "Seccomp:\t2" in status

    ask = "curl -sS --fail-with-body --unix-socket /run/ecolyo-worker/http.sock http://localhost"
    consent = {"consent": {"version": "1.0.0", "accepted_at": "2026-01-05T10:00:00"}}
    fresh.run(f"{ask}/v1/instances/alice.example -X PUT -d '{json.dumps(consent)}'")
    taken = fresh.run(f"{ask}/v1/events?instance=alice.example -d '{json.dumps(EVENTS)}'")
    assert json.loads(taken) == {"accepted": 2, "known": 0, "refused": []}
    fresh.run("ecolyo-worker aggregate --as-of 2026-11-21T01:00:00")
    fresh.run("ecolyo-worker send --until-empty")
    reconciled = fresh.run("ecolyo-worker reconcile --echo http://127.0.0.1:8081")
    assert "duplicates 0 · missing 0 · maybe delivered 0" in reconciled
    assert '"desktop"' in fresh.run("curl -sS http://127.0.0.1:8081/api/indicators")
    fresh.run("ecolyo-worker instances forget alice.example --yes")
    fresh.run(f"systemctl stop {NAME} echo")
    assert fresh.show("Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}


def test_root_is_told_that_all_is_well(fresh: Machine) -> None:
    """The checks know the service's own directory, and the tokens that systemd hands to it."""
    fresh.start_echo("--token", "s3cret")
    configure(fresh, '[dacc]\nurl = "http://127.0.0.1:8081"')
    start(fresh)
    told = fresh.run("ecolyo-worker doctor --online; ecolyo-worker check-config")
    credential = f"/run/credentials/{NAME}/dacc-token"
    assert f"dacc.token_file: {credential} holds one, and others cannot read it" in told
    assert "/var/lib/ecolyo-worker, for ecolyo-worker alone; commands get there by" in told
    assert "config.toml: all right" in told
    fresh.run("systemctl stop echo")


def test_before_a_start_root_sees_the_tokens_that_the_unit_names(fresh: Machine) -> None:
    """While it is stopped, `check-config` and `doctor` look at the files of `LoadCredential=`.

    A file that is missing is named, and a line that takes the others back is heeded. A folder that
    is named is looked at instead.
    """
    configure(fresh)
    fresh.run("""
        sed -i 's/^listen = .*/listen = "127.0.0.1:8787"/' /etc/ecolyo-worker/config.toml
        (umask 077; echo s3cret-0f-the-h0sts > /etc/ecolyo-worker/of-hosts)
    """)
    fresh.run("ecolyo-worker check-config > /run/said && exit 1; test $? = 78")
    assert "http.token_file: found none" in fresh.run("cat /run/said")
    fresh.run("cp -p /etc/ecolyo-worker/of-hosts /etc/ecolyo-worker/http-token")
    typed = "CREDENTIALS_DIRECTORY=/etc/ecolyo-worker ecolyo-worker check-config"
    assert "all right" in fresh.run(typed)
    fresh.run(f"rm /etc/ecolyo-worker/http-token; {typed} > /run/said && exit 1; test $? = 78")
    write = f"printf '[Service]\n%s\n' > /etc/systemd/system/{NAME}.d/of-hosts.conf"
    for lines in ("", "LoadCredential=other:/etc/hosts\n"):
        fresh.run(
            write.replace("%s", f"{lines}LoadCredential=http-token:/etc/ecolyo-worker/of-hosts")
        )
        assert "all right" in fresh.run("ecolyo-worker check-config")
    told = fresh.run("ecolyo-worker doctor || true")
    assert "http.token_file: /etc/ecolyo-worker/of-hosts holds one, and others cannot" in told
    assert "dacc.token_file: /etc/ecolyo-worker/dacc-token holds one, and others cannot" in told
    fresh.run("rm /etc/ecolyo-worker/of-hosts; ecolyo-worker check-config > /run/said || true")
    assert "found /etc/ecolyo-worker/of-hosts, which cannot be read" in fresh.run("cat /run/said")
    fresh.run(write.replace("%s", "LoadCredential=http-token:/etc/hosts\nLoadCredential="))
    fresh.run("ecolyo-worker check-config > /run/said || true")
    assert "http.token_file: found none" in fresh.run("cat /run/said")
    fresh.run("""
        printf '[enedis]\nclient_id = "the-applicati0n"\n' >> /etc/ecolyo-worker/config.toml
        (umask 077; echo s3cret-0f-the-applicati0n > /etc/ecolyo-worker/of-enedis)
    """)
    told = fresh.run("ecolyo-worker doctor || true")
    assert "enedis.client_secret_file: there is no secret" in told
    line = "LoadCredential=enedis-client-secret:/etc/ecolyo-worker/of-enedis"
    fresh.run(write.replace("%s", line))
    told = fresh.run("ecolyo-worker doctor || true")
    assert "enedis.client_secret_file: /etc/ecolyo-worker/of-enedis, which others cannot" in told
    fresh.run(f"rm /etc/systemd/system/{NAME}.d/of-hosts.conf")


def test_systemd_lets_it_read_its_settings_again(fresh: Machine) -> None:
    """`systemctl reload` ends when the new settings hold; wrong ones change nothing."""
    start(fresh)
    before = fresh.show("MainPID")
    configure(fresh, "[dacc]\nrate = -1")
    fresh.run(f"systemctl reload {NAME}")
    fresh.wait_for(NAME, "the new settings are not taken")
    configure(fresh, '[intake]\nevent_clock = "utc"')
    fresh.run(f"systemctl reload {NAME}")
    fresh.wait_for(NAME, "event='reloading'")
    assert fresh.show("MainPID") == before


def test_wrong_settings_are_not_tried_again(fresh: Machine) -> None:
    """With settings that cannot be used it fails at once, with 78, and stays so."""
    configure(fresh, "[dacc]\nrate = -1")
    fresh.run(f"! systemctl start {NAME} 2> /dev/null")
    found = fresh.show("ActiveState", "ExecMainStatus", "NRestarts")
    assert found == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}
    assert "dacc.rate: found -1" in fresh.run(f"journalctl --boot --priority=err --unit={NAME}")


def test_the_watchdog_starts_it_anew(fresh: Machine) -> None:
    """A process that stands still is killed, and another one takes its place."""
    fresh.run(f"""
        mkdir -p /run/systemd/system/{NAME}.d
        printf '[Service]\\nWatchdogSec=1s\\nTimeoutAbortSec=1s\\nRestartSec=0\\n' \\
          > /run/systemd/system/{NAME}.d/quick.conf
        systemctl daemon-reload
        systemctl start {NAME}
        systemctl kill --signal=STOP {NAME}
    """)
    fresh.wait_for(NAME, "Watchdog timeout")
    fresh.wait_for(NAME, "Scheduled restart job")
    fresh.run(f"rm -r /run/systemd/system/{NAME}.d; systemctl start {NAME}")
    assert fresh.show("ActiveState", "NRestarts") == {"ActiveState": "active", "NRestarts": "1"}


def start(machine: Machine) -> None:
    machine.run(f"systemctl start {NAME} || {{ journalctl --boot --unit={NAME}; false; }}")
