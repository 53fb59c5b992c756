"""The settings in force as they are shown: as a file that can be given back."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from ecolyo_worker.configuration import SECTIONS, duration_text, load, parse_duration, read
from ecolyo_worker.settings import Settings
from ecolyo_worker.shown import as_toml, shown

OTHERS = """
[worker]
state_dir = "/srv/a \\"b\\"\\\\c\\n#\\u007fé"
zone = "UTC"
mode = "local"
grace = "1500ms"
[intake]
event_clock = "utc"
max_waiting = 7
[aggregation]
schedule = "30 2 * * 1-5"
monthly_day = 9
max_age_days = 40
not_before = "2026-11-01"
consent_version = "2.1"
measures_file = "measures.toml"
[dacc]
target = "cozy-v2"
url = "https://{instance}/x"
token_file = "/run/{instance}"
doctype = "cc.cozycloud.dacc.dev_v2"
spread = "0s"
allow_http = true
rate = 0.5
concurrency = 7
attempt_timeout = "90s"
max_attempts = 3
backoff_base = "1.5ms"
backoff_cap = "1d"
auth_retry = "18h"
unknown_retry = "61s"
on_unknown = "drop"
[energy]
key_file = "key"
[enedis]
client_id = "worker"
client_secret_file = "/run/secret"
redirect_uri = "https://cozy.example/back"
consent_duration = "P6M"
id_token_key_file = "key.pem"
attempt_timeout = "9s"
history_days = 7
generation = "v4"
base_url = "https://gw.hml.api.enedis.fr"
authorize_url = "https://consent.example"
token_url = "https://proxy.example/token"
daily_path = "/daily"
curve_path = "/curve"
services_path = "/services"
schedule = "0 9 * * *"
spread = "1h"
curve_days = 7
per_second = 2
per_hour = 50
[grdf]
client_id = "worker"
client_secret_file = "/run/secret"
redirect_uri = "http://127.0.0.1:8788/"
consent_duration = "P2Y"
id_token_key_file = "key.pem"
attempt_timeout = "9s"
history_days = 7
base_url = "https://api.grdf.fr/adict/bas/v6"
daily_path = "/{pce}/days"
published_path = "/{pce}/periods"
rights_path = "/rights"
right_path = "/right/{id}"
authorize_url = "https://consent.example"
token_url = "https://proxy.example/token"
scope = "/adict/bas/v6"
login_hint = ";;;METROPOLE"
revocation_client_id = "revoker"
revocation_secret_file = "/run/other"
schedule = "0 10 * * *"
spread = "1h"
per_second = 2
per_hour = 50
[http]
listen = "unix:/run/x.sock"
token_file = "/run/http-token"
socket_mode = "0660"
socket_group = "root"
[retention]
events_days = 60
sent_days = 30

[log]
level = "debug"
format = "json"
instances = true
"""


def test_other_settings_are_all_of_them(tmp_path: Path) -> None:
    """The example below changes every setting there is."""
    path = tmp_path / "config.toml"
    path.write_text(OTHERS, encoding="utf-8")
    reading = read(path, {})
    assert not reading.problems
    defaults = {item.key: item.value for item in shown(read(None, {}))}
    others = {item.key: item.value for item in shown(reading)}
    assert defaults.keys() == others.keys()
    assert not [key for key, value in others.items() if value == defaults[key]]


@pytest.mark.parametrize("origins", [False, True])
@pytest.mark.parametrize("text", ["", OTHERS])
def test_what_is_shown_can_be_given_back(tmp_path: Path, text: str, origins: bool) -> None:
    """What is shown is a file of the same settings, with and without where they come from."""
    path, again = tmp_path / "config.toml", tmp_path / "again.toml"
    path.write_text(text, encoding="utf-8")
    again.write_text("\n".join(as_toml(shown(read(path, {})), origins=origins)), encoding="utf-8")
    assert load(again, {}) == load(path, {})


def test_each_setting_is_shown_once() -> None:
    """All fields of all sections are there, in the file's order."""
    names = [
        f"{section}.{field.name}"
        for section, kind in SECTIONS.items()
        for field in msgspec.structs.fields(kind)
        if field.name not in SECTIONS
    ]
    assert [item.key for item in shown(read(None, {}))] == names


def test_where_a_value_comes_from_is_told(tmp_path: Path) -> None:
    """An option wins over the environment, that over the file, and that over the default."""
    path = tmp_path / "config.toml"
    path.write_text('dacc.rate = 2\n[worker]\nmode = "off"\nzone = "UTC"\nstate_dir = "a"\n')
    environ = {"ECOLYO_WORKER__MODE": "local", "ECOLYO_WORKER__STATE_DIR": "b"}
    reading = read(path, environ, {"worker.state_dir": Path("c")})
    found = {item.key: (item.value, str(item.origin)) for item in shown(reading)}
    assert found["worker.state_dir"] == ("c", "--state-dir")
    assert found["worker.mode"] == ("local", "$ECOLYO_WORKER__MODE")
    assert found["worker.zone"] == ("UTC", f"{path}:4")
    assert found["dacc.rate"] == (2, f"{path}:1")
    assert found["dacc.concurrency"] == (4, "default")


def test_what_is_left_out_is_a_comment() -> None:
    """A setting without a value is named, and of the state directory it is said which holds."""
    lines = list(as_toml(shown(read(None, {}))))
    assert "# url is not set" in lines
    assert f"# state_dir is not set: {Settings().directory}" in lines


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=90), "90min"),
        (timedelta(hours=24), "1d"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(microseconds=1), "0.001ms"),
        (timedelta(days=3, microseconds=7), "259200000.007ms"),
    ],
)
def test_a_duration_is_written_as_it_is_read(duration: timedelta, text: str) -> None:
    """The largest unit of which it has a whole number, and to the microsecond."""
    assert duration_text(duration) == text
    assert parse_duration(text) == duration
