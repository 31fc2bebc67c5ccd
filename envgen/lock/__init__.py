"""Locks of profiles, one per target. `write_locks` makes them; `check_lock` returns one that is up to date, offline.

The rest is in modules: `lock.why` explains a pin, `lock.render` writes the renderings, `lock.pylock` exports `pylock.toml`.
Raises ResolutionError and its subclasses (3), StaleLockError (4), ProfileError (2). Independent of the engine.
"""

from typing import TYPE_CHECKING

from envgen.core.lazy import lazy

__all__ = [
    "Lock",
    "LockedBound",
    "LockedModel",
    "Package",
    "RequiredBy",
    "check_lock",
    "checked_lock",
    "parse_lock",
    "wanted_locks",
    "write_locks",
]

if TYPE_CHECKING:
    from envgen.lock.format import parse_lock
    from envgen.lock.model import Lock, LockedBound, LockedModel, Package, RequiredBy
    from envgen.lock.project import check_lock, checked_lock, wanted_locks, write_locks
else:
    __getattr__ = lazy(
        __name__,
        {
            "Lock": "model",
            "Package": "model",
            "LockedModel": "model",
            "RequiredBy": "model",
            "LockedBound": "model",
            "write_locks": "project",
            "check_lock": "project",
            "checked_lock": "project",
            "wanted_locks": "project",
            "parse_lock": "format",
        },
    )
