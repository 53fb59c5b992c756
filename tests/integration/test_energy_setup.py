"""What energy accounts need and lack, as `check-config`, `doctor` and `poll` tell it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import structlog
from msgspec.structs import replace

from ecolyo_worker import Settings, Worker
from ecolyo_worker.checks.doctor import diagnose
from ecolyo_worker.checks.finding import Finding
from ecolyo_worker.checks.online import check_providers
from ecolyo_worker.checks.settings import check_settings
from ecolyo_worker.cli.logs import make_logger
from ecolyo_worker.clock import SystemClock
from ecolyo_worker.commands import Commands
from ecolyo_worker.configuration import Reading, read
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.providers import Energy
from ecolyo_worker.requests import Poll
from ecolyo_worker.testing.energy import Twin
from tests.energy_accounts import PRM, add, consent, settings

Cli = Callable[..., Awaitable[CompletedProcess[bytes]]]


async def examined(chosen: Settings, *, online: bool = False) -> list[Finding]:
    """Give what `doctor` finds wrong with energy accounts."""
    reading = Reading(chosen, (), {}, frozenset())
    logger = structlog.get_logger()
    found = [one async for one in diagnose(reading, SystemClock(), logger, online=online)]
    return [one for one in found if one.check == "energy accounts" and one.result == "failed"]


def of_twin(twin: Twin, secret: Path, **more: str) -> dict[str, str]:
    """Give the variables that let a command fetch electricity from a twin."""
    return {
        "ECOLYO_ENEDIS__CLIENT_ID": "ecolyo",
        "ECOLYO_ENEDIS__CLIENT_SECRET_FILE": str(secret),
        "ECOLYO_ENEDIS__BASE_URL": twin.url,
        **more,
    }


async def test_a_lost_key_is_told_where_tokens_rest_on_it(
    state_dir: Path, energy_twin: Twin
) -> None:
    """With tokens that only people can give again, its loss is wrong; before that it is made."""
    chosen = settings(state_dir, energy_twin, "v4")
    chosen.enedis.client_secret_file.chmod(0o600)  # type: ignore[union-attr]
    async with Worker(chosen).opened() as worker:
        await consent(worker, await add(worker), PRM)
    assert await examined(chosen) == []
    key = state_dir / "energy.key"
    key.rename(state_dir / "elsewhere")
    (lost,) = await examined(chosen)
    assert lost.found == f"{key} is missing; tokens of people that were encrypted with it: 1"
    assert (lost.advice or "").startswith("put it back; or, to go on without them")


NO_KEYS = ["/etc", "text", "short", "folder"]


def no_key(folder: Path, kind: str) -> tuple[Path, str]:
    """Make what is no key, and give what is said of it."""
    path = folder / kind
    match kind:
        case "text":
            path.write_text("sesame, open the door")
        case "short":
            path.write_text("00" * 31)
        case "folder":
            path = folder / "nowhere" / "energy.key"
            return path, f"{path}, whose folder {path.parent} is not there"
        case _:
            return Path(kind), f"{kind} cannot be read: it is no plain file"
    return path, f"{path} holds no key: 64 hexadecimal digits"


@pytest.mark.parametrize("kind", NO_KEYS)
def test_what_is_no_key_is_told_with_the_settings(tmp_path: Path, kind: str) -> None:
    """A key that cannot be used is a wrong setting, before anything is fetched."""
    path, words = no_key(tmp_path, kind)
    (problem,) = check_settings(read(None, {"ECOLYO_ENERGY__KEY_FILE": str(path)}))
    assert problem.message.startswith(f"energy.key_file: found {words}; allowed: a file ")
    assert problem.place == "$ECOLYO_ENERGY__KEY_FILE"
    assert "sesame" not in problem.message
    absent = tmp_path / "energy.key"
    assert check_settings(read(None, {"ECOLYO_ENERGY__KEY_FILE": str(absent)})) == ()


async def test_what_is_no_key_ends_a_poll_as_wrong_settings_do(
    cli: Cli, state_dir: Path, energy_twin: Twin, tmp_path: Path
) -> None:
    """`poll` says the same words as `check-config`, and ends with 78; so does a lost secret."""
    chosen = settings(state_dir, energy_twin)
    async with Worker(chosen).opened() as worker:
        await add(worker, meter=PRM)
    path, words = no_key(tmp_path, "text")
    secret = state_dir.with_name("client-secret")
    env = of_twin(energy_twin, secret, ECOLYO_ENERGY__KEY_FILE=str(path))
    done = await cli("poll", env=env)
    assert done.returncode == 78, done.stderr.decode()
    said = done.stdout.decode()
    assert "account 1 (enedis): the settings must be put right" in said
    assert words in said
    found = await examined(chosen.replace(energy=Energy(key_file=path)))
    assert words in [one.found for one in found]
    gone = tmp_path / "gone"
    done = await cli("poll", env=of_twin(energy_twin, gone))
    assert done.returncode == 78, done.stderr.decode()
    assert f"enedis.client_secret_file: {gone} cannot be read" in done.stdout.decode()


@pytest.mark.parametrize("name", ["client-secret", "grdf_secret", "secrets/of-enedis", "Mine.txt"])
def test_the_name_of_a_file_is_not_taken_for_a_secret(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What people call a file is named when it is not there; what is like a secret never is."""
    monkeypatch.chdir(tmp_path)
    key = "ECOLYO_ENEDIS__CLIENT_SECRET_FILE"
    (problem,) = check_settings(read(None, {key: name}))
    words = "which cannot be read: No such file or directory; allowed: a file that holds the client"
    assert problem.message == f"enedis.client_secret_file: found {name}, {words} secret"
    for secret in ("sesame", "Open-Sesame", "0pen-s3same", "a" * 40, f"{'Ab3/' * 8}="):
        (problem,) = check_settings(read(None, {key: secret}))
        assert "found what seems to be the client secret itself" in problem.message
        assert secret not in problem.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "which cannot be read: No such file or directory"),
        (" \n", "which holds no key"),
        ("-----BEGIN NOTHING-----", "which holds no key"),
    ],
)
async def test_a_key_of_id_tokens_is_looked_at_before_a_person_consents(
    state_dir: Path, energy_twin: Twin, tmp_path: Path, content: str | None, words: str
) -> None:
    """One that cannot be used is a wrong setting, and no page of consent is given."""
    path = tmp_path / "id.pem"
    if content is not None:
        path.write_text(content)
    (problem,) = check_settings(read(None, {"ECOLYO_GRDF__ID_TOKEN_KEY_FILE": str(path)}))
    assert problem.message.startswith(f"grdf.id_token_key_file: found {path}, {words}; allowed: a")
    chosen = settings(state_dir, energy_twin, id_token_key_file=path)
    async with Worker(chosen).opened() as worker:
        with pytest.raises(ConfigurationError, match=words):
            await worker.consents.begin(await add(worker))


async def test_where_nothing_can_be_fetched_the_doctor_says_so(
    state_dir: Path, energy_twin: Twin
) -> None:
    """An address where nobody is was met by the last visit; it is told once, with what to do."""
    chosen = settings(state_dir, energy_twin)
    chosen.enedis.client_secret_file.chmod(0o600)  # type: ignore[union-attr]
    nobody = replace(chosen.enedis, base_url="http://127.0.0.1:9", token_url="http://127.0.0.1:9/t")
    chosen = chosen.replace(enedis=nobody)
    async with Worker(chosen).opened() as worker:
        for meter in (PRM, "12222222222222"):
            await add(worker, meter=meter)
        assert await examined(chosen) == []
        async for _ in Commands(worker).poll(Poll()):
            pass
    (found,) = await examined(chosen)
    assert found.found.startswith("enedis, 2 of the accounts: Enedis ")
    assert "doctor --online" in (found.advice or "")


async def test_online_enedis_and_grdf_are_asked_whether_they_answer(
    state_dir: Path, energy_twin: Twin
) -> None:
    """Each is asked at the address of its tokens, and is sent no secret; who is absent is told."""
    chosen = settings(state_dir, energy_twin)
    nobody = replace(chosen.grdf, token_url="http://127.0.0.1:9/token")
    enedis, grdf = await check_providers(chosen.replace(grdf=nobody))
    assert (enedis.check, enedis.result) == ("Enedis", "ok")
    assert enedis.found.startswith(f"{energy_twin.token_url} answers (4")
    assert (grdf.check, grdf.result) == ("GRDF", "failed")
    assert grdf.found.startswith("http://127.0.0.1:9/token does not answer: ")
    assert grdf.advice == "check grdf.token_url, the network and the firewall"
    assert await energy_twin.token_requests() == []
    assert await check_providers(Settings()) == []


@pytest.mark.parametrize("provider", ["enedis", "grdf", None])
async def test_the_start_makes_the_key(
    state_dir: Path, energy_twin: Twin, provider: str | None
) -> None:
    """Where accounts are set up it is there once the worker runs, to be copied; else it is not."""
    chosen = settings(state_dir, energy_twin)
    section = {} if provider is None else {provider: getattr(chosen, provider)}
    async with Worker(Settings(state_dir=state_dir, **section)):
        assert (state_dir / "energy.key").is_file() is (provider is not None)


async def test_a_key_that_cannot_be_used_does_not_stop_the_start(
    state_dir: Path, energy_twin: Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events are taken all the same; the log says at once what is wrong with the key."""
    path, words = no_key(tmp_path, "text")
    chosen = settings(state_dir, energy_twin).replace(energy=Energy(key_file=path))
    async with Worker(chosen, logger=make_logger("json", "warning")) as worker:
        assert worker.is_ready
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "the key of tokens cannot be used"
    assert words in line
