"""Lazy imports for a package's `__init__`: each name is imported on first use (PEP 562).

    if TYPE_CHECKING:
        from envgen.lock.model import Lock as Lock
    else:
        __getattr__ = lazy(__name__, {"Lock": "model"})

The `else` keeps mypy strict: a module with a `__getattr__` has every name, of type Any.
"""

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """Return a `__getattr__` for `package` that imports each of `names` from the submodule it maps to.

    Raises ValueError if a name is also a submodule's: `package.name` would then depend on import order.
    """
    if clash := sorted(set(names) & {module.partition(".")[0] for module in names.values()}):
        raise ValueError(f"{package}: {', '.join(clash)}: the name of a module too")

    def __getattr__(name: str) -> object:  # noqa: N807 - it becomes the module's
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        value: object = getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
