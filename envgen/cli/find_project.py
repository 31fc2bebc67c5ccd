"""Which project a command means: the nearest folder upwards that is one, as git finds its repository."""

import stat
from collections.abc import Iterator
from pathlib import Path

from envgen.profiles.catalog import LOCK_FILE


def find_project(start: Path, home: Path | None) -> Path | None:
    """The nearest project in `start` or above it, None where there is none.

    The search ends at the root of a git repository, at `home`, and below a folder that everybody may write, such as /tmp: anyone
    could put settings with a proxy of their own there.
    """
    return next((folder for folder in _upwards(start, home) if is_project(folder)), None)


def is_project(folder: Path) -> bool:
    """Whether `folder` has profiles, settings or locks of envgen."""
    return (folder / "envgen.toml").is_file() or any(folder.glob("profiles/*.toml")) or any(folder.glob(f"locks/*/*/{LOCK_FILE}"))


def _upwards(start: Path, home: Path | None) -> Iterator[Path]:
    for folder in (start, *start.parents):
        if folder != start and folder.stat().st_mode & stat.S_IWOTH:
            return
        yield folder
        # In a worktree or a submodule .git is a file.
        if folder == home or (folder / ".git").exists():
            return
