"""The settings: where they come from, which one wins, and what a wrong one is told."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ecolyo_worker.configuration import load, parse_duration
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.settings import Aggregation, Dacc, Intake, Retention, Settings

SECTIONS: dict[str, type[Any]] = {
    "worker": Settings,
    "intake": Intake,
    "aggregation": Aggregation,
    "dacc": Dacc,
    "retention": Retention,
}


def load_text(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ)


def test_the_defaults_need_no_file() -> None:
    """Without file and environment the settings are those that the documentation names."""
    found = load(None, {})
    assert found == Settings()
    assert (found.zone, found.mode, found.intake.event_clock) == ("Europe/Paris", "on", "wall")
    assert (found.aggregation.max_age_days, found.aggregation.consent_version) == (31, "1.0.0")
    assert (found.dacc.rate, found.dacc.concurrency, found.dacc.max_attempts) == (5.0, 4, 12)
    assert (found.dacc.target, found.dacc.url, found.dacc.on_unknown) == ("native", None, "retry")
    assert found.dacc.attempt_timeout == timedelta(seconds=30)
    assert found.dacc.auth_retry == found.dacc.unknown_retry == timedelta(minutes=15)
    assert (found.dacc.backoff_base, found.dacc.backoff_cap) == (
        timedelta(seconds=30),
        timedelta(hours=1),
    )
    assert found.civil_zone == ZoneInfo("Europe/Paris")


@pytest.mark.parametrize("days", [89, 40, 1])
def test_events_are_kept_until_they_expire(tmp_path: Path, days: int) -> None:
    """Events may not go before they are too old to be counted; the error names both settings."""
    text = f"[aggregation]\nmax_age_days = 90\n[retention]\nevents_days = {days}"
    with pytest.raises(ConfigurationError, match=f"retention.events_days: found {days}") as caught:
        load_text(tmp_path, text)
    assert "at least aggregation.max_age_days, which is 90" in str(caught.value)
    assert load_text(tmp_path, text.replace(f"= {days}", "= 90")).retention.events_days == 90


def test_a_file_is_read(tmp_path: Path) -> None:
    """Every section of a file reaches its settings, durations as text with a unit."""
    found = load_text(
        tmp_path,
        """
        [worker]
        state_dir = "/var/lib/ecolyo"
        zone = "UTC"
        mode = "local"
        [intake]
        event_clock = "utc"
        [aggregation]
        max_age_days = 40
        not_before = "2026-11-01"
        measures_file = "/etc/measures.toml"
        [dacc]
        url = "https://dacc.example/api"
        token_file = "/run/token"
        rate = 2
        auth_retry = "0.2s"
        on_unknown = "drop"
        """,
    )
    assert (found.state_dir, found.mode) == (Path("/var/lib/ecolyo"), "local")
    assert found.directory == Path("/var/lib/ecolyo")
    assert found.civil_zone == ZoneInfo("UTC")
    assert found.intake == Intake(event_clock="utc")
    assert found.aggregation == Aggregation(
        max_age_days=40, not_before="2026-11-01", measures_file=Path("/etc/measures.toml")
    )
    assert found.dacc == Dacc(
        url="https://dacc.example/api",
        token_file=Path("/run/token"),
        rate=2,
        auth_retry=timedelta(milliseconds=200),
        on_unknown="drop",
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A key from the environment replaces the file's, key by key; the others stay."""
    found = load_text(
        tmp_path,
        '[worker]\nmode = "off"\n[dacc]\nrate = 2\nconcurrency = 7\n',
        ECOLYO_DACC__RATE="3",
        ECOLYO_DACC__ALLOW_HTTP="true",
        ECOLYO_DACC__BACKOFF_CAP="2h",
        ECOLYO_AGGREGATION__CONSENT_VERSION="2",
        ECOLYO_WORKER__STATE_DIR="/srv/state",
    )
    assert (found.mode, found.dacc.rate, found.dacc.concurrency) == ("off", 3, 7)
    assert found.dacc.allow_http is True
    assert found.dacc.backoff_cap == timedelta(hours=2)
    assert found.aggregation.consent_version == "2"
    assert found.state_dir == Path("/srv/state")


def test_text_from_the_environment_stays_text() -> None:
    """What looks like a number is text where text is wanted."""
    found = load(None, {"ECOLYO_AGGREGATION__CONSENT_VERSION": "3", "ECOLYO_DACC__TOKEN_FILE": "7"})
    assert found.aggregation.consent_version == "3"
    assert found.dacc.token_file == Path("7")


def test_other_variables_are_left_alone() -> None:
    """Variables without the prefix, or without a section, are none of the settings."""
    environ = {"PATH": "/bin", "ECOLYO_CONFIG": "/x", "DACC__RATE": "x", "XECOLYO_DACC__RATE": "x"}
    assert load(None, environ) == Settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[dac]\nrate = 1\n", ["section", "'dac'", "did you mean 'dacc'?"]),
        ("[aggregations]\n", ["section", "'aggregations'", "did you mean 'aggregation'?"]),
        ("[zzz]\n", ["section", "'zzz'", "known: worker, intake, aggregation, dacc"]),
        ("[dacc]\nrat = 1\n", ["key of [dacc]", "'rat'", "did you mean 'rate'?"]),
        ("[dacc]\nRate = 1\n", ["key of [dacc]", "'Rate'", "did you mean 'rate'?"]),
        ("[dacc]\ntokenfile = 'x'\n", ["'tokenfile'", "did you mean 'token_file'?"]),
        ("[dacc]\nqqqq = 1\n", ["key of [dacc]", "'qqqq'", "known: target, url, token_file"]),
        ("[worker]\nstatedir = 'x'\n", ["key of [worker]", "did you mean 'state_dir'?"]),
        ("[worker.dacc]\nrate = 1\n", ["key of [worker]", "'dacc'"]),
        ("[intake]\nclock = 'utc'\n", ["key of [intake]", "'clock'", "event_clock"]),
    ],
)
def test_an_unknown_name_is_an_error(tmp_path: Path, text: str, words: list[str]) -> None:
    """An unknown section or key is refused by its name, with the nearest one or all of them."""
    with pytest.raises(ConfigurationError) as refused:
        load_text(tmp_path, text)
    assert all(word in str(refused.value) for word in ["unknown", *words])


def test_an_unknown_name_of_the_environment_is_an_error() -> None:
    """A variable with the prefix and a section must name a key."""
    with pytest.raises(ConfigurationError, match="did you mean 'rate'"):
        load(None, {"ECOLYO_DACC__RATES": "3"})
    with pytest.raises(ConfigurationError, match="unknown section: 'dac'"):
        load(None, {"ECOLYO_DAC__RATE": "3"})


WRONG = [
    ("worker", "mode", '"On"', "'On'", "one of 'off', 'local', 'on'"),
    ("worker", "mode", "true", "True", "one of 'off', 'local', 'on'"),
    ("worker", "zone", '"Europe/Lyon"', "'Europe/Lyon'", "a zone such as Europe/Paris"),
    ("worker", "zone", '"Europe"', "'Europe'", "a zone such as Europe/Paris"),
    ("worker", "zone", '""', "''", "a zone such as Europe/Paris"),
    ("worker", "zone", '"/etc/passwd"', "'/etc/passwd'", "a zone such as Europe/Paris"),
    ("worker", "zone", f'"{"x" * 3000}"', "xxx", "a zone such as Europe/Paris"),
    ("worker", "zone", "2", "2", "text"),
    ("worker", "state_dir", "2", "2", "a path, or left out"),
    ("intake", "event_clock", '"UTC"', "'UTC'", "one of 'wall', 'utc'"),
    ("retention", "events_days", "0", "0", "a whole number from 1 to 3650"),
    ("retention", "events_days", "3651", "3651", "a whole number from 1 to 3650"),
    ("aggregation", "max_age_days", "0", "0", "a whole number from 1 to 366"),
    ("aggregation", "max_age_days", "367", "367", "a whole number from 1 to 366"),
    ("aggregation", "max_age_days", "31.5", "31.5", "a whole number from 1 to 366"),
    ("aggregation", "max_age_days", "true", "True", "a whole number from 1 to 366"),
    ("aggregation", "max_age_days", '"many"', "'many'", "a whole number from 1 to 366"),
    ("aggregation", "not_before", '"2026-11-31"', "'2026-11-31'", "YYYY-MM-DD"),
    ("aggregation", "not_before", '"20 November"', "'20 November'", "YYYY-MM-DD"),
    ("aggregation", "not_before", "2026-11-20", "date(2026, 11, 20)", "text, or left out"),
    ("aggregation", "consent_version", '"1.0-beta"', "'1.0-beta'", "digits and dots"),
    ("aggregation", "consent_version", '"1.0\\n"', "'1.0\\n'", "digits and dots"),
    ("aggregation", "consent_version", '"٢"', "'٢'", "digits and dots"),
    ("aggregation", "consent_version", f'"{"1" * 101}"', "111", "digits and dots"),
    ("aggregation", "consent_version", "1.0", "1.0", "digits and dots"),
    ("dacc", "target", '"cozy"', "'cozy'", "'native'"),
    ("dacc", "rate", "0", "0", "a number above 0 to 10000"),
    ("dacc", "rate", "-1", "-1", "a number above 0 to 10000"),
    ("dacc", "rate", "10001", "10001", "a number above 0 to 10000"),
    ("dacc", "rate", "nan", "nan", "a number above 0 to 10000"),
    ("dacc", "rate", "inf", "inf", "a number above 0 to 10000"),
    ("dacc", "rate", '"fast"', "'fast'", "a number above 0 to 10000"),
    ("dacc", "rate", "[5]", "[5]", "a number above 0 to 10000"),
    ("dacc", "concurrency", "65", "65", "a whole number from 1 to 64"),
    ("dacc", "concurrency", "2.0", "2.0", "a whole number from 1 to 64"),
    ("dacc", "max_attempts", "0", "0", "a whole number from 1 to 1000"),
    ("dacc", "allow_http", '"yes"', "'yes'", "true or false"),
    ("dacc", "allow_http", "1", "1", "true or false"),
    ("dacc", "url", "443", "443", "text, or left out"),
    ("dacc", "token_file", "true", "True", "a path, or left out"),
    ("dacc", "on_unknown", '"ignore"', "'ignore'", "one of 'retry', 'drop'"),
    ("dacc", "auth_retry", "900", "900", 'text with a unit, such as "15min"'),
    ("dacc", "auth_retry", '"900"', "'900'", "a number and a unit"),
    ("dacc", "auth_retry", '"15 minutes"', "'15 minutes'", "a number and a unit"),
    ("dacc", "auth_retry", '"-1s"', "'-1s'", "a number and a unit"),
    ("dacc", "auth_retry", f'"{"9" * 400}d"', "999", "a number and a unit"),
    ("dacc", "auth_retry", '"2d"', "2d", "0.001 s to 86400 s"),
    ("dacc", "attempt_timeout", '"10ms"', "10ms", "0.05 s to 90 s"),
    ("dacc", "attempt_timeout", '"11min"', "11min", "0.05 s to 90 s"),
    ("dacc", "backoff_cap", '"0s"', "0s", "0.001 s to 86400 s"),
]


@pytest.mark.parametrize(("section", "key", "value", "found", "allowed"), WRONG)
def test_a_wrong_value_is_named(
    tmp_path: Path, section: str, key: str, value: str, found: str, allowed: str
) -> None:
    """A wrong value is refused with its key, what was found and what is allowed."""
    with pytest.raises(ConfigurationError) as refused:
        load_text(tmp_path, f"[{section}]\n{key} = {value}\n")
    message = str(refused.value)
    assert message.startswith(f"{section}.{key}: found ")
    assert found in message.partition("; allowed: ")[0]
    assert allowed in message.partition("; allowed: ")[2]


@pytest.mark.parametrize(
    ("key", "least", "most"),
    [
        ("attempt_timeout", "50ms", "90s"),
        ("backoff_base", "1ms", "1h"),
        ("backoff_cap", "1ms", "1d"),
        ("auth_retry", "1ms", "24h"),
        ("unknown_retry", "1ms", "24h"),
    ],
)
def test_a_range_has_its_ends(key: str, least: str, most: str) -> None:
    """The shortest and the longest duration of a range are taken, and nothing beyond them."""
    for text, sign in [(least, -1), (most, 1)]:
        name, duration = f"ECOLYO_DACC__{key.upper()}", parse_duration(text)
        assert getattr(load(None, {name: text}).dacc, key) == duration
        beyond: dict[str, Any] = {key: duration + sign * timedelta(microseconds=1)}
        with pytest.raises(ConfigurationError, match=rf"^dacc\.{key}: found "):
            Dacc(**beyond)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("dacc", "RATE", "fast"),
        ("dacc", "RATE", ""),
        ("dacc", "RATE", "null"),
        ("dacc", "RATE", "nan"),
        ("dacc", "CONCURRENCY", "[1]"),
        ("dacc", "CONCURRENCY", "[" * 5000),
        ("dacc", "ALLOW_HTTP", "1"),
        ("dacc", "ALLOW_HTTP", "True"),
        ("dacc", "AUTH_RETRY", "15"),
        ("dacc", "URL", ""),
        ("worker", "MODE", "ON"),
        ("aggregation", "NOT_BEFORE", ""),
    ],
)
def test_a_wrong_value_of_the_environment_is_named(section: str, key: str, value: str) -> None:
    """A wrong value from the environment is refused by the key that the file would have."""
    with pytest.raises(ConfigurationError, match=rf"^{section}\.{key.lower()}: found "):
        load(None, {f"ECOLYO_{section.upper()}__{key}": value})


@pytest.mark.parametrize(
    ("section", "fields"),
    [
        ("dacc", {"rate": -1}),
        ("dacc", {"rate": True}),
        ("dacc", {"rate": float("nan")}),
        ("dacc", {"rate": "3"}),
        ("dacc", {"concurrency": 0}),
        ("dacc", {"allow_http": "true"}),
        ("dacc", {"auth_retry": 900}),
        ("dacc", {"auth_retry": "15min"}),
        ("dacc", {"auth_retry": "PT15M"}),
        ("dacc", {"auth_retry": timedelta(days=2)}),
        ("dacc", {"backoff_base": timedelta(0)}),
        ("dacc", {"backoff_base": timedelta(seconds=-1)}),
        ("dacc", {"token_file": "token"}),
        ("dacc", {"url": Path("https://dacc.example")}),
        ("aggregation", {"not_before": "tomorrow"}),
        ("aggregation", {"max_age_days": None}),
        ("intake", {"event_clock": None}),
        ("worker", {"state_dir": "state"}),
        ("worker", {"mode": "ON"}),
        ("worker", {"dacc": {"rate": 3}}),
        ("worker", {"dacc": None}),
        ("worker", {"intake": Dacc()}),
    ],
)
def test_what_code_passes_is_checked_too(section: str, fields: dict[str, Any]) -> None:
    """Settings made in Python are refused like those of a file, by the same keys."""
    (key,) = fields
    with pytest.raises(ConfigurationError, match=rf"^{section}\.{key}: found "):
        SECTIONS[section](**fields)


def test_a_changed_copy_is_checked_anew() -> None:
    """`replace` gives a copy and leaves the original; a wrong value is refused."""
    settings = Settings()
    assert settings.replace(mode="local").mode == "local"
    assert settings.mode == "on"
    with pytest.raises(ConfigurationError, match=r"^worker\.mode"):
        settings.replace(mode="loud")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[dacc\n", "is not TOML"),
        (b"[dacc]\nrate = 1\nrate = 2\n", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"dacc = 3\n", "dacc: found 3; allowed: a table"),
        (b"dacc = 'x'\n", "dacc: found 'x'; allowed: a table"),
        (b"[[dacc]]\n", "dacc: found a list; allowed: a table"),
    ],
)
def test_a_file_that_is_no_settings_file(tmp_path: Path, content: bytes, words: str) -> None:
    """A file that is not TOML, or has values outside its tables, is refused in words."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        load(path, {})
    assert words in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file, or a directory, is refused with its path and the reason."""
    for path in (tmp_path / "absent.toml", tmp_path):
        with pytest.raises(ConfigurationError) as refused:
            load(path, {})
        assert str(refused.value).startswith(f"{path}: cannot be read: ")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.2s", 0.2),
        ("250ms", 0.25),
        ("15min", 900),
        ("1h", 3600),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("0s", 0),
        (" 90 s ", 90),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    """Durations of each unit are read, with a fraction and with blanks."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        *["", "15", "min", "15 m", "15m", "15 Min", "1h30min", "-1s", "+1s", "1,5h", ".5s", "1.s"],
        *["1e3s", "inf s", "nan s", "٣s", "1s\n1s", "PT15M", "00:15", "9" * 400 + "d"],
        "1000000000d",
    ],
)
def test_anything_else_is_no_duration(text: str) -> None:
    """What has no number or no known unit, or is too long, is refused with an example."""
    with pytest.raises(ValueError, match="15min"):
        parse_duration(text)


def test_the_state_directory_has_three_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting wins over systemd's directory, and that over the user's state folder."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/y")
    assert Settings().directory == Path("/home/y/.local/state/ecolyo-worker")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert Settings().directory == Path("/home/x/state/ecolyo-worker")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/ecolyo-worker")
    assert Settings().directory == Path("/var/lib/ecolyo-worker")
    assert Settings(state_dir=Path("here")).directory == Path("here")


@pytest.mark.parametrize("schedule", ["0 1 * * *", "30 2 * * 1-5", "*/15 1 * * *", "0 0 29 2 *"])
def test_a_schedule_that_comes_is_taken(schedule: str) -> None:
    """Five fields of cron say when the night is."""
    assert Aggregation(schedule=schedule).schedule == schedule


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "daily",
        "@daily",
        "0 1 * *",
        "0 1 * * * *",
        "60 1 * * *",
        "0 0 30 2 *",
        "R R * * *",
        "a b c d e",
    ],
)
def test_a_schedule_that_never_comes_is_refused(schedule: str) -> None:
    """What is no cron expression of five fields, or names no day that there is, is refused."""
    with pytest.raises(ConfigurationError, match=r"aggregation\.schedule: found .* five fields"):
        Aggregation(schedule=schedule)


@pytest.mark.parametrize(
    ("name", "near"),
    [("ECOLYO_DACC_RATE", "ECOLYO_DACC__RATE"), ("ECOLYO_HTTP_LISTEN", "ECOLYO_HTTP__LISTEN")],
)
def test_a_variable_with_one_underscore_is_refused(name: str, near: str) -> None:
    """A variable of ours that is no setting is not passed over: the right name is told."""
    with pytest.raises(ConfigurationError, match=f"{name}: is no setting; .* as in {near}"):
        load(None, {name: "3"})


def test_variables_that_are_no_settings_are_passed_over() -> None:
    """What names the file, or a test's crash point, is no setting."""
    load(None, {"ECOLYO_CONFIG": "x", "ECOLYO_CRASH_AT": "y", "ECOLYOGRAPH": "z"})


@pytest.mark.parametrize(
    ("text", "words"),
    [("rate = 3", r"write it below \[dacc\]"), ("colour = 3", "known: worker, intake")],
)
def test_a_key_outside_of_every_section_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """A key that stands above all sections is told where it belongs, and in which file."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=rf"every section; {words}.*config\.toml"):
        load(path, {})
