"""The shape of the code: layers, names, and what nobody may import."""

import ast
import subprocess
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src" / "chamberlain"
FILES = sorted(SOURCE.rglob("*.py"))
BANNED_NAMES = ("util", "helper", "manager", "misc", "common", "base_")
MANY_LINES = 500


def test_imports_go_downward() -> None:
    """The contracts of pyproject.toml hold."""
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_files_are_named_after_what_they_are() -> None:
    """No drawer for everything: such names say nothing of what is inside."""
    names = [str(file.relative_to(SOURCE)) for file in FILES]

    assert [name for name in names if any(word in name.lower() for word in BANNED_NAMES)] == []


def test_every_module_says_what_it_is_for() -> None:
    """Each module begins with a docstring."""
    silent = [str(file) for file in FILES if not ast.get_docstring(ast.parse(file.read_text()))]

    assert silent == []


def test_sql_is_in_the_store_alone() -> None:
    """No other package holds SQL text."""
    starts = ('"SELECT ', '"INSERT INTO', '"UPDATE ', '"DELETE FROM', '"CREATE TABLE', '"WITH ')
    found = [
        f"{file.relative_to(SOURCE)}: {start}"
        for file in FILES
        if file.relative_to(SOURCE).parts[0] != "store"
        for start in starts
        if start in file.read_text()
    ]

    assert found == []


def test_long_files_are_mentioned() -> None:
    """Length alone never fails a build; a long file is worth a look."""
    for file in FILES:
        lines = len(file.read_text().splitlines())
        if lines > MANY_LINES:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.warn(f"{file.relative_to(SOURCE)} has {lines} lines", stacklevel=1)
