"""What is logged, and what must never be."""

import logging
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from chamberlain.runtime import log
from tests.support.log import restored_logging


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    """Leave logging as other tests expect it."""
    with restored_logging():
        yield


def test_json_lines_carry_the_request_and_no_locals(tmp_path: Path) -> None:
    """Each line is one JSON object; a traceback in it shows no local variable, for these hold secrets."""
    file = tmp_path / "log"
    log.configure("info", "json", file)
    password = "hunter2"
    token = log.request_id.set("r1")
    try:
        raise ValueError("broken")
    except ValueError:
        log.get_logger("test").exception("failed", user="@a:b")
    finally:
        log.request_id.reset(token)
    text = file.read_text()
    line = orjson.loads(text)

    assert (line["message"], line["area"], line["request"], line["user"]) == ("failed", "test", "r1", "@a:b")
    assert password not in text


def test_readable_lines_show_no_locals_either(tmp_path: Path) -> None:
    """The console form has a plain traceback."""
    file = tmp_path / "log"
    log.configure("info", "console", file)
    password = "hunter2"
    try:
        raise ValueError("broken")
    except ValueError:
        log.get_logger("test").exception("failed")
    text = file.read_text()

    assert "ValueError: broken" in text
    assert password not in text


def test_lines_below_the_level_are_not_written(tmp_path: Path) -> None:
    """The level holds for our own loggers and for those of libraries, which are heard from warning upward."""
    file = tmp_path / "log"
    log.configure("warning", "json", file)
    log.get_logger("test").info("quiet")
    logging.getLogger("library").info("quiet")
    logging.getLogger("library").warning("loud")

    assert [orjson.loads(line)["message"] for line in file.read_text().splitlines()] == ["loud"]
