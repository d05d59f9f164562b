"""Every setting is explained, and the example file is a working settings file."""

import re
from pathlib import Path

import pytest

from chamberlain.config.documented import find_setting, list_settings, tables
from chamberlain.config.example import render_example
from chamberlain.config.load import load


@pytest.mark.parametrize("setting", list_settings(), ids=lambda setting: setting.key)
def test_every_setting_has_a_docstring(setting: object) -> None:
    """A setting without a sentence under it cannot be explained to anyone."""
    text = getattr(setting, "text", "")

    assert text.endswith(".")


def test_every_section_says_what_it_is_for() -> None:
    """Each section has a docstring."""
    assert [table.name for table in tables() if not table.text] == []


def test_the_example_is_a_working_file(tmp_path: Path) -> None:
    """The example as printed gives the defaults for the name in it."""
    file = tmp_path / "example.toml"
    file.write_text(render_example("example.org"))

    assert load(file, {}) == load(environment={}, flags={"server_name": "example.org"})


def test_every_default_in_the_example_may_be_uncommented(tmp_path: Path) -> None:
    """Spelling out every default that is not in parentheses changes nothing."""
    text = re.sub(r"^# (?=[a-z0-9_]+ = [^(])", "", render_example("example.org"), flags=re.MULTILINE)
    file = tmp_path / "all.toml"
    file.write_text(text)

    assert "\npool_size = 8\n" in text
    assert load(file, {}) == load(environment={}, flags={"server_name": "example.org"})


def test_settings_are_found_by_their_name_in_any_spelling() -> None:
    """Places in lists may be written or left out."""
    for key in ("listeners[].port", "listeners[3].port", "listeners.port"):
        found = find_setting(key)

        assert found is not None
        assert found.variable == "CHAMBERLAIN__LISTENERS__0__PORT"
    assert find_setting("listeners.prot") is None
