"""The CI matrix: every profile on every target, and which of them a change affects."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from envgen.core.errors import StaleLockError
from envgen.core.target import Target
from envgen.lock import folder as lock_folder
from envgen.profiles import Profile, Project
from envgen.profiles.catalog import TEMPLATES, TOOLKIT

RUNNERS = {
    "linux/amd64": "ubuntu-24.04",
    "linux/arm64": "ubuntu-24.04-arm",
    "macos/arm64": "macos-15",
    "windows/amd64": "windows-2025",
}
"""GitHub's own runner for each platform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixEntry:
    """One profile on one target.

    `image` is whether an image is built for it, on `base`; `lock` is the digest of its lock, empty if there is none; `gpu` is whether
    its gpu tier needs a GPU, which GitHub's runners lack.
    """

    profile: str
    target: str
    platform: str
    python: str
    runner: str
    image: bool
    base: str
    tag: str
    tiers: tuple[str, ...]
    gpu: bool
    lock: str


def matrix_entries(project: Project, profiles: Sequence[Profile], changed: Collection[str] | None = None) -> Iterator[MatrixEntry]:
    """The entries of `profiles`; if `changed` files are given, only those they affect."""
    for profile in profiles:
        for target in profile.targets():
            if changed is None or is_affected(project, profile, target, changed):
                yield _entry(project, profile, target)


def _entry(project: Project, profile: Profile, target: Target) -> MatrixEntry:
    try:
        lock, _ = lock_folder.read_lock(project, profile, target)
    except StaleLockError:
        lock = None
    base = profile.base(target)
    tiers = profile.tiers if base else ()
    return MatrixEntry(
        profile=profile.name,
        target=target.slug,
        platform=target.platform,
        python=target.python_full,
        runner=RUNNERS[target.platform],
        image=bool(base),
        base=base,
        tag=lock.tag if lock and base else "",
        tiers=tiers,
        gpu="gpu" in tiers,
        lock=lock.digest if lock else "",
    )


def is_affected(project: Project, profile: Profile, target: Target, changed: Collection[str]) -> bool:
    """Whether one of the `changed` files (relative to the project) affects the lock or image of `profile` for `target`."""
    folder = f"{project.lock_folder(profile.name, target).relative_to(project.folder).as_posix()}/"
    return any(name in _sources(profile) or name.startswith(folder) for name in changed)


def _sources(profile: Profile) -> frozenset[str]:
    """The files that define `profile`, with its constraint sets and the templates, relative to the project."""
    return frozenset(
        {
            *profile.files,
            *(f"profiles/constraints/{name}.toml" for name in profile.constraints),
            *([TOOLKIT] if profile.cuda else []),
            *(f"templates/{name}" for name in TEMPLATES),
        }
    )
