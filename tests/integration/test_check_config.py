"""`check-config`: everything that is wrong with the settings, at once and with its place."""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.configuration import load, read
from ecolyo_worker.errors import ConfigurationError, Problem
from ecolyo_worker.service.listen import Unix, bound_unix, parse_listen

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]

BROKEN = Path(__file__).parents[1] / "data" / "config"
FILES = sorted(path.name for path in BROKEN.glob("*.toml"))
JWT = "eyJhbGciOiJIUzI1NiJ9.c2VzYW1l.c2VzYW1l"


def told(problems: tuple[Problem, ...]) -> str:
    return "".join(f"{one.place}: {one.message}\n" for one in problems)


def environment(path: Path) -> dict[str, str]:
    """Give the variables that a file's own comments name."""
    lines = path.read_text("utf-8", "replace").splitlines()
    pairs = [line.removeprefix("# $").partition("=") for line in lines if line.startswith("# $")]
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize("name", FILES)
def test_all_that_is_wrong_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each broken file, `check-config` says what stands in the text beside it.

    `REGENERATE=1` writes these texts anew, to be read before they are kept.
    """
    monkeypatch.chdir(BROKEN)
    path = Path(name)
    found = told(check_settings(read(path, environment(path))))
    expected = path.with_suffix(".txt")
    if os.environ.get("REGENERATE"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")
    assert "sesame" not in found
    assert JWT not in found


@pytest.mark.parametrize("name", FILES)
def test_a_command_is_told_all_of_it_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the settings raises one error with the same problems, but those of other files."""
    monkeypatch.chdir(BROKEN)
    path = Path(name)
    reading = read(path, environment(path))
    if not reading.problems:
        load(path, environment(path))
        return
    with pytest.raises(ConfigurationError) as refused:
        load(path, environment(path))
    assert refused.value.problems == reading.problems
    assert len(str(refused.value).splitlines()) == len(reading.problems)
    assert set(reading.problems) <= set(check_settings(reading))


async def test_it_ends_with_78(cli: Cli, tmp_path: Path) -> None:
    """Each problem is a line of stdout, or with `--json` an object with all that is known of it."""
    path = tmp_path / "config.toml"
    path.write_text("[dacc]\nrat = 3\n\nconcurrency = 65\n")
    done = await cli("check-config", path, env={"ECOLYO_DACC__ALLOW_HTTP": "yes"})
    assert done.returncode == 78
    assert done.stderr == b"3 problems\n"
    assert done.stdout.decode().splitlines() == [
        f"{path}:2: unknown key of [dacc]: 'rat'; did you mean 'rate'?",
        f"{path}:4: dacc.concurrency: found 65; allowed: a whole number from 1 to 64",
        "$ECOLYO_DACC__ALLOW_HTTP: dacc.allow_http: found 'yes'; allowed: true or false",
    ]
    done = await cli("check-config", "--json", "--config", path)
    assert done.returncode == 78
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["place"], first["did_you_mean"]) == (f"{path}:2", "rate")
    assert (second["file"], second["line"], second["key"]) == (str(path), 4, "dacc.concurrency")
    assert (second["found"], second["allowed"]) == ("65", "a whole number from 1 to 64")


async def test_what_is_right_is_said_too(cli: Cli, tmp_path: Path, state_dir: Path) -> None:
    """Settings with nothing wrong end with 0 and a sentence; nothing is made or asked."""
    path = tmp_path / "config.toml"
    path.write_text('[dacc]\nurl = "https://dacc.invalid"\nrate = 3\n')
    done = await cli("check-config", path)
    assert (done.returncode, done.stderr) == (0, b"")
    sentence = f"{path}: all right; 3 settings given, the others are at their default\n"
    assert done.stdout.decode() == sentence  # the third is --state-dir
    done = await cli("check-config", path, "--json")
    assert (done.returncode, done.stdout, done.stderr.decode()) == (0, b"", sentence)
    assert not os.path.exists(state_dir)  # noqa: ASYNC240, PTH110  a moment's look


@pytest.mark.parametrize("content", ["two words\n", "", "ü" * 20, "x" * 9000])
def test_what_is_no_token_is_told(tmp_path: Path, content: str) -> None:
    """A file that is there and holds no token is a problem, and its content is not repeated."""
    secret = tmp_path / "token"
    secret.write_text(content)
    secret.chmod(0o600)
    (problem,) = check_settings(read(None, {"ECOLYO_DACC__TOKEN_FILE": str(secret)}))
    assert problem.message.startswith(f"dacc.token_file: {secret} must hold one token: a line")
    assert problem.place == "$ECOLYO_DACC__TOKEN_FILE"
    assert not content.strip() or content.strip() not in problem.message


async def test_a_token_in_the_place_of_its_file_is_not_repeated(cli: Cli) -> None:
    """`check-config`, `doctor`, `config show` and `run` say what stands there, not which."""
    env = {f"ECOLYO_{section}__TOKEN_FILE": "sesame" for section in ("DACC", "HTTP")}
    env["ECOLYO_HTTP__LISTEN"] = "127.0.0.1:0"
    for command, code in (("check-config", 78), ("doctor", 1), ("config show", 0), ("run", 78)):
        done = await cli(*command.split(), env=env)
        said = done.stdout + done.stderr
        assert (done.returncode, b"sesame" in said) == (code, False)
        assert b"what seems to be the token itself" in said


@pytest.mark.parametrize("key", ["dacc.token_file", "http.token_file"])
def test_a_token_that_everybody_can_read_is_told(tmp_path: Path, key: str) -> None:
    """The file of a token is for the service alone, or its group; how to mend it is said."""
    secret = tmp_path / "token"
    secret.write_text(f"{'t0ken' * 4}\n")
    environ = {f"ECOLYO_{key.replace('.', '__').upper()}": str(secret)}
    for mode, is_wrong in ((0o600, False), (0o640, False), (0o644, True), (0o602, True)):
        secret.chmod(mode)
        problems = check_settings(read(None, environ))
        assert bool(problems) is is_wrong
        for problem in problems:
            assert f"(mode {mode:04o})" in problem.message
            assert f"chmod 600 {secret}" in problem.message


def test_what_rests_on_a_wrong_value_is_not_told(tmp_path: Path) -> None:
    """A value that may be right once another is put right is no problem of its own."""
    path = tmp_path / "config.toml"
    path.write_text(
        '[dacc]\ntarget = "cozy"\nurl = "https://{instance}"\n'
        '[aggregation]\nmax_age_days = 1000\n[retention]\nevents_days = 30\n'
        '[http]\nlisten = "127.0.0.1:8787"\ntoken_file = 3\n'
    )  # fmt: skip
    found = told(check_settings(read(path, {})))
    assert [line.split(": ")[1] for line in found.splitlines()] == [
        "dacc.target",
        "aggregation.max_age_days",
        "http.token_file",
    ]


def test_a_rule_is_for_what_is_in_force(tmp_path: Path) -> None:
    """What the environment puts right is no problem, though the file alone would have one."""
    path = tmp_path / "config.toml"
    path.write_text('[dacc]\nurl = "http://dacc.example"\n')
    assert check_settings(read(path, {"ECOLYO_DACC__ALLOW_HTTP": "true"})) == ()
    (problem,) = check_settings(read(path, {}))
    assert problem.place == f"{path}:2"


def test_a_default_is_told_where_the_other_value_stands(tmp_path: Path) -> None:
    """If a default does not go with a value of the file, the place is that of the value."""
    path = tmp_path / "config.toml"
    path.write_text("\n[aggregation]\nmax_age_days = 100\n")
    (problem,) = check_settings(read(path, {}))
    assert (problem.key, problem.place) == ("retention.events_days", f"{path}:3")


async def test_the_settings_in_force_are_shown(cli: Cli, tmp_path: Path) -> None:
    """`config show` prints a file that is taken back; `--origin` and `--json` add whence."""
    path, again = tmp_path / "config.toml", tmp_path / "again.toml"
    path.write_text('[dacc]\nrate = 3\nspread = "90s"\n')
    env = {"ECOLYO_CONFIG": str(path), "ECOLYO_DACC__CONCURRENCY": "7"}
    plain = await cli("config", "show", env=env)
    whence = await cli("config", "show", "--origin", env=env)
    for done in (plain, whence):
        assert (done.returncode, done.stderr) == (0, b"")
        again.write_bytes(done.stdout)
        assert load(again, {}).dacc == load(path, {"ECOLYO_DACC__CONCURRENCY": "7"}).dacc
    lines = whence.stdout.decode().splitlines()
    assert f"rate = 3  # {path}:2" in lines
    assert "concurrency = 7  # $ECOLYO_DACC__CONCURRENCY" in lines
    assert 'on_unknown = "retry"  # default' in lines
    done = await cli("config", "show", "--json", env=env)
    found = {item["key"]: item for item in map(json.loads, done.stdout.splitlines())}
    spread = {"value": "90s", "origin": f"{path}:3", "file": str(path), "line": 3}
    assert found["dacc.spread"] == {"key": "dacc.spread", **spread}
    assert found["dacc.url"] == {"key": "dacc.url", "value": None, "origin": "default"}


async def test_wrong_settings_are_not_shown(cli: Cli) -> None:
    """Settings that no command would take end with 78, and with all that is wrong."""
    env = {"ECOLYO_DACC__RATE": "0", "ECOLYO_WORKER__MODE": "x"}
    done = await cli("config", "show", env=env)
    assert (done.returncode, done.stdout) == (78, b"")
    assert b"dacc.rate" in done.stderr
    assert b"worker.mode" in done.stderr


async def test_what_is_no_text_is_told(cli: Cli, tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are wrong in a value, and shown escaped in the name of a file."""
    bad = os.fsdecode(b"\xff")
    env = {"ECOLYO_DACC__RATE": bad, "ECOLYO_DACC__TOKEN_FILE": f"{tmp_path}/{bad}"}
    env["ECOLYO_DACC__URL"] = f"https://{bad}.example"
    plain = await cli("check-config", env=env)
    done = await cli("check-config", "--json", env=env)
    assert (plain.returncode, done.returncode) == (78, 78)
    assert plain.stderr == done.stderr == b"3 problems\n"
    keys = {json.loads(line)["key"] for line in done.stdout.splitlines()}
    assert keys == {"dacc.rate", "dacc.url", "dacc.token_file"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere/http.sock", "nowhere is not there; allowed: a socket in a folder that is"),
        ("x" * 81, "whose name, behind the last slash, has 80 bytes at most"),
        ("x" * 80, None),
    ],
)
def test_a_socket_that_cannot_be_is_told(tmp_path: Path, name: str, words: str | None) -> None:
    """A socket in a folder that is not there, or with a name that is too long, is a problem."""
    path = tmp_path / "config.toml"
    path.write_text(f'[http]\nlisten = "unix:{tmp_path / name}"\n')
    found = told(check_settings(read(path, {})))
    assert (words in found) if words is not None else not found


async def test_the_longest_name_of_a_socket_is_listened_on(tmp_path: Path) -> None:
    """What `check-config` lets pass as a name has room in an address."""
    listen = parse_listen(f"unix:{tmp_path}/{'x' * 80}")
    assert isinstance(listen, Unix)
    with bound_unix(listen.path) as sock:
        sock.listen()


def test_a_folder_that_a_service_manager_makes_may_be_missing(tmp_path: Path) -> None:
    """What is below `/run` need not be there before the service starts."""
    path = tmp_path / "config.toml"
    path.write_text('[http]\nlisten = "unix:/run/ecolyo-worker-not-here/http.sock"\n')
    assert told(check_settings(read(path, {}))) == ""


def test_a_wrong_value_is_told_as_it_was_written(tmp_path: Path) -> None:
    """A duration is shown in the file's own words, and a name is proposed only if it is near."""
    path = tmp_path / "config.toml"
    path.write_text('[grdf]\nspread = "3d"\ngeneration = "v5"\nschedul = "0 9 * * *"\n')
    spread, generation, schedule = check_settings(read(path, {}))
    assert spread.message == "grdf.spread: found '3d'; allowed: 0 s to 86400 s"
    assert generation.did_you_mean is None
    assert generation.message.startswith("unknown key of [grdf]: 'generation'; known: client_id, ")
    assert schedule.did_you_mean == "schedule"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("#\n" + "a." * 2048 + "b = 1\n", "config.toml:2: holds a line of 4101 characters"),
        ("#\n" * 131_073, "it is longer than 262144 bytes, which is the most"),
    ],
    ids=["a key of many parts", "a long file"],
)
def test_a_file_that_is_too_much_is_told(tmp_path: Path, content: str, words: str) -> None:
    """A file or a line longer than settings ever are is refused before it is parsed."""
    path = tmp_path / "config.toml"
    path.write_text(content)
    (problem,) = read(path, {}).problems
    assert words in str(problem)
