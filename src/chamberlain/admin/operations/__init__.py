"""The operations, by what they are about. `load` imports them all, so that `OPERATIONS` has them."""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from chamberlain.admin.operation import OPERATIONS, Operation


def load() -> Mapping[str, Operation[Any, Any]]:
    """Every operation, by its name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return OPERATIONS
