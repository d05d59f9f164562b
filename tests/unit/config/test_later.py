"""Nobody sets something in vain without being told."""

import re
from pathlib import Path

import chamberlain
from chamberlain.config.documented import list_settings
from chamberlain.config.later import NOT_YET, find_idle, has_effect
from chamberlain.config.load import load

SOURCE = Path(chamberlain.__file__).parent


def test_a_setting_without_effect_is_told_when_it_is_made() -> None:
    """Only what differs from the default is told."""
    plain = load(environment={}, flags={"server_name": "a.example"})
    mail = load(
        environment={},
        flags={"server_name": "a.example", "smtp.host": "mail.example", "smtp.sender": "chat@a.example"},
    )

    assert find_idle(plain) == []
    assert find_idle(mail) == ["smtp.host", "smtp.sender"]


def test_the_list_names_real_settings() -> None:
    """Every entry covers at least one setting."""
    keys = [setting.key for setting in list_settings()]

    assert [entry for entry in NOT_YET if all(has_effect(k) or not k.startswith(entry) for k in keys)] == []


def test_what_the_code_acts_on_is_not_on_the_list() -> None:
    """No module outside the settings reads an entry as `section.name`."""
    text = "\n".join(
        f.read_text() for f in SOURCE.rglob("*.py") if f.parent.name != "config" and f.name != "diagnosis.py"
    )

    assert [entry for entry in NOT_YET if re.search(rf"config\.{re.escape(entry)}\b", text)] == []
