"""What a worker without a logger of its own writes into its host's log."""

import logging
from pathlib import Path

import pytest

from ecolyo_worker import Settings, Worker
from ecolyo_worker.log import Logger


@pytest.fixture
def logger(tmp_path: Path) -> Logger:
    """The logger of a worker that was given none."""
    return Worker(Settings(state_dir=tmp_path)).logger


def test_a_line_is_the_event_and_its_fields(
    logger: Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes from `ecolyo_worker`, with its level and where the call stands."""
    logger.bind(instance="a.example").warning("rows wait 100%s", rows=3, reason="it's late")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("ecolyo_worker", "WARNING")
    assert record.filename == "test_host_log.py"
    assert record.getMessage() == (
        "event='rows wait 100%s' instance='a.example' rows=3 reason=\"it's late\""
    )


def test_the_level_is_the_hosts(logger: Logger, caplog: pytest.LogCaptureFixture) -> None:
    """A line is written from the level on that the host has set."""
    for level in (logging.ERROR, logging.DEBUG):
        caplog.set_level(level, "ecolyo_worker")
        for log in (logger.debug, logger.info, logger.warning, logger.error):
            log("it happens")
    names = [record.levelname for record in caplog.records]
    assert names == ["ERROR", "DEBUG", "INFO", "WARNING", "ERROR"]


def test_a_bound_field_is_on_no_other_logger(
    logger: Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """What is bound is on the lines of the logger that `bind` gives, which can be bound again."""
    logger.bind(a=1).bind(b=2).error("both", a=3)
    logger.error("none")
    assert [one.getMessage() for one in caplog.records] == ["event='both' a=3 b=2", "event='none'"]


def test_an_error_shows_where_it_came_from(
    logger: Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """The host's formatter writes the lines of `exc_info` behind the line."""
    try:
        int("why")
    except ValueError as error:
        logger.warning("a visit was ended by a bug", error="ValueError", exc_info=error)
    assert caplog.records[0].getMessage().endswith("error='ValueError'")
    assert "in test_an_error_shows_where_it_came_from" in caplog.text
    assert caplog.text.endswith("literal for int() with base 10: 'why'\n")
