"""Every endpoint of the server: what the modules of the API families have declared."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable, Sequence
from types import ModuleType

from chamberlain.http.endpoint import Endpoint, endpoints_of

FAMILIES = (
    "chamberlain.http.client",
    "chamberlain.http.admin",
    "chamberlain.http.server",
    "chamberlain.http.appservice",
)
"""The packages whose modules declare endpoints."""

SINGLE_MODULES = (
    "chamberlain.http.wellknown",
    "chamberlain.http.health",
    "chamberlain.http.openapi",
)
"""Modules that declare endpoints and belong to no family."""


def load() -> list[Endpoint]:
    """Every endpoint, after importing every module that declares one, in the order of their names."""
    found: list[Endpoint] = []
    for module in _modules():
        found.extend(endpoints_in(module))
    return found


def _modules() -> Iterable[ModuleType]:
    for name in SINGLE_MODULES:
        yield importlib.import_module(name)
    for family in FAMILIES:
        if importlib.util.find_spec(family) is None:
            continue
        package = importlib.import_module(family)
        for found in sorted(
            pkgutil.walk_packages(package.__path__, family + "."), key=lambda module: module.name
        ):
            yield importlib.import_module(found.name)


def endpoints_in(module: ModuleType) -> Sequence[Endpoint]:
    """The endpoints that this module declares itself, in the order of their definition."""
    return [
        record
        for value in vars(module).values()
        for record in endpoints_of(value)
        if record.module == module.__name__
    ]
