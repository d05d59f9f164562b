"""The reference is fresh, and nothing is left out of it."""

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import click
import pytest

from chamberlain.admin import operations
from chamberlain.config.documented import list_settings
from chamberlain.http import registry

ROOT = Path(__file__).resolve().parents[3]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """`tools/gen_docs.py` as a module."""
    found = importlib.util.spec_from_file_location("gen_docs", ROOT / "tools" / "gen_docs.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_generated_files_are_fresh(generator: ModuleType) -> None:
    """What `make gen` would write is what is committed."""
    assert [str(file.relative_to(ROOT)) for file in generator.stale_files()] == []


def test_every_setting_is_in_the_reference() -> None:
    """Settings are found by their dotted name and their variable."""
    text = (ROOT / "docs/reference/configuration.md").read_text()

    assert [s.key for s in list_settings() if f"`{s.key}`" not in text or s.variable not in text] == []


def test_every_endpoint_is_in_the_reference() -> None:
    """Endpoints are found by any of their paths."""
    text = (ROOT / "docs/reference/endpoints.md").read_text()
    paths = [path for endpoint in registry.load() for path in (endpoint.path, *endpoint.aliases)]

    assert [path for path in paths if f"`{path}`" not in text] == []


def test_every_operation_is_in_the_reference() -> None:
    """Operations are found by their name and by their path."""
    text = (ROOT / "docs/reference/operations.md").read_text()
    found = operations.load().values()
    paths = [operation.route.path for operation in found if operation.route is not None]

    assert [name for name in (*operations.load(), *paths) if f"`{name}`" not in text] == []


def test_every_command_and_option_explains_itself(generator: ModuleType) -> None:
    """Each command has a docstring, each option a help text or a name that says it."""
    silent = []
    for name, command in generator.walk_commands():
        if not command.help:
            silent.append(name)
        for option in command.params:
            if isinstance(option, click.Option) and not option.help and not option.prompt:
                silent.append(f"{name} {option.opts[0]}")

    assert silent == []


def test_pages_link_to_files_that_exist() -> None:
    """A relative link in README, CONTRIBUTING or docs leads somewhere."""
    broken = []
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        for part in page.read_text().split("](")[1:]:
            target = part.split(")")[0].split("#")[0]
            if target and "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")

    assert broken == []


def test_source_files_named_in_the_docs_exist() -> None:
    """The architecture pages name modules by path; each of them is there."""
    missing = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if page.parent.name in ("reference", "decisions"):
            continue
        for quoted in page.read_text().split("`")[1::2]:
            words = quoted.split()
            if not words or "/" not in words[0] or not words[0].endswith(".py"):
                continue
            name = words[0]
            if not (ROOT / name).exists() and not (ROOT / "src" / "chamberlain" / name).exists():
                missing.append(f"{page.name}: {name}")

    assert missing == []


def test_every_decision_is_on_the_index_page() -> None:
    """A decision that nobody finds is made again."""
    folder = ROOT / "docs" / "decisions"
    index = (folder / "index.md").read_text()

    assert [page.name for page in folder.glob("0*.md") if f"({page.name})" not in index] == []


@pytest.mark.parametrize("life", ["message", "transaction", "join"])
def test_functions_named_on_the_life_of_something_exist(life: str) -> None:
    """Who follows the page through the code finds each method that it names, in the class that it says."""
    page = (ROOT / "docs" / f"life-of-a-{life}.md").read_text()
    named = [name for name in page.split("`")[1::2] if re.fullmatch(r"([A-Z]\w*\.|_)[a-z_]\w*", name)]
    defined = set()
    for file in (ROOT / "src" / "chamberlain").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            owner = node.name + "." if isinstance(node, ast.ClassDef) else ""
            inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, FUNCTIONS)]
            defined |= {child.name for child in inner} | {owner + child.name for child in inner}

    assert len(named) > 10
    assert [name for name in named if name not in defined] == []
