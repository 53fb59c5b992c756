"""What is sealed is read with its key and under its name alone."""

import builtins
import stat
from pathlib import Path
from typing import Any

import pytest

from ecolyo_worker.errors import ConfigurationError, StateRefused
from ecolyo_worker.store.sealing import Seal, key_path

TEXT = b"token-0f-alice"


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """The first use makes the key, which others cannot read; later ones find it."""
    path = tmp_path / "energy.key"
    sealed = Seal.load(path, may_make=True).close(TEXT, "account/1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Seal.load(path, may_make=False).open(sealed, "account/1") == TEXT


def test_no_two_sealings_are_alike(tmp_path: Path) -> None:
    """Nothing of the text shows, nor whether two are equal."""
    seal = Seal.load(tmp_path / "energy.key", may_make=True)
    one, two = seal.close(TEXT, "enedis"), seal.close(TEXT, "enedis")
    assert one != two
    assert b"alice" not in one + two


@pytest.mark.parametrize("change", ["name", "key", "byte", "end"])
def test_anything_else_is_refused_in_words(tmp_path: Path, change: str) -> None:
    """Another row's name, another key, a byte changed or cut off: the error says what to do."""
    path = tmp_path / "energy.key"
    seal = Seal.load(path, may_make=True)
    sealed, name = seal.close(TEXT, "account/1"), "account/1"
    if change == "name":
        name = "account/2"
    elif change == "key":
        path.unlink()
        seal = Seal.load(path, may_make=True)
    else:
        sealed = sealed[:5] if change == "end" else sealed[:-1] + bytes([sealed[-1] ^ 1])
    with pytest.raises(StateRefused, match=r"put the right one back, or let people consent anew"):
        seal.open(sealed, name)


def test_a_lost_key_is_not_made_anew_unasked(tmp_path: Path) -> None:
    """Where tokens rest on it, a missing key is told with both ways out; a wrong one is told."""
    path = tmp_path / "energy.key"
    with pytest.raises(StateRefused, match=r"energy.key is missing.*openssl rand -hex 32"):
        Seal.load(path, may_make=False)
    assert not path.exists()
    path.write_text("abc")
    with pytest.raises(StateRefused, match="holds no key: 64 hexadecimal digits"):
        Seal.load(path, may_make=True)
    with pytest.raises(StateRefused, match="cannot be written"):
        Seal.load(tmp_path / "nowhere" / "energy.key", may_make=True)


def test_the_key_is_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting wins over systemd's credential, and that over the state directory."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert key_path(None, tmp_path) == tmp_path / "energy.key"
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    assert key_path(None, tmp_path) == tmp_path / "energy.key"
    (credentials / "energy-key").touch()
    assert key_path(None, tmp_path) == credentials / "energy-key"
    assert key_path(tmp_path / "mine", tmp_path) == tmp_path / "mine"


def test_without_cryptography_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, the error says how to install it; no key is made."""
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.partition(".")[0] == "cryptography":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r'pip install "ecolyo-worker\[energy\]"'):
        Seal.load(tmp_path / "energy.key", may_make=True)
    assert not list(tmp_path.iterdir())
