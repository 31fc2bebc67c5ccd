"""Making a lock from a profile, and its files: written whole, and read back."""

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from envgen.catalog import DOCKERFILE, LOCK_FILE, REQUIREMENTS_FILE, Catalog
from envgen.constraints import Bound
from envgen.errors import DiskFullError, ProfileError, StaleLockError, UsageError
from envgen.evidence import bounds_of, check_bounds, demands_of, inherited
from envgen.index import IndexClient
from envgen.layers import groups_for, layer_of
from envgen.lock import Lock, LockedIndex, Package, dump_lock, input_digest
from envgen.lock_file import parse_lock
from envgen.profile import Profile
from envgen.render import render_dockerfile, render_requirements
from envgen.resolve import Query, Resolver
from envgen.select import choose_wheel, choose_wheels
from envgen.target import Target
from envgen.threads import uninterrupted
from envgen.wheels import WheelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a resolution draws on: a resolver, the indexes, and the wheel store."""

    resolver: Resolver
    client: IndexClient
    store: WheelStore


def query_for(profile: Profile, bounds: Sequence[Bound], target: Target) -> Query:
    """What is asked of a resolver for `profile` on `target`.

    Raises ProfileError for a requirement without an exact version that comes from an index without upload times.
    """
    _check_exact(profile, target, [Requirement(text).name for text in profile.requirements])
    return Query(
        requirements=profile.requirements,
        constraints=tuple(f"{bound.package}{bound.requirement}" for bound in bounds if bound.requirement and bound.package != "python"),
        target=target,
        as_of=profile.instant(),
        moved=tuple((name, profile.instant(name)) for name, _ in profile.moved),
        indexes=profile.indexes_for(target),
    )


def _check_exact(profile: Profile, target: Target, packages: Sequence[str]) -> None:
    """Raises ProfileError for one of `packages` whose index publishes no upload times and that has no exact version."""
    exact = {requirement.name for text in profile.requirements if _is_exact(requirement := Requirement(text))}
    for index in profile.indexes_for(target):
        for package in index.packages:
            if not index.upload_times and package in packages and package not in exact:
                problem = f"{package} comes from the index {index.name}, which publishes no upload times: expected an exact version"
                raise ProfileError(f"profiles/{profile.name}.toml: requirements", problem, hint=f'as in "{package}==1.2.3"')


def _is_exact(requirement: Requirement) -> bool:
    return any(part.operator in ("==", "===") and "*" not in part.version for part in requirement.specifier)


def make_lock(profile: Profile, bounds: Sequence[Bound], target: Target, sources: Sources) -> Lock:
    """The lock of `profile` for `target`, from nothing but its inputs and the indexes.

    Raises ResolutionError, IndexUnavailableError or ProfileError.
    """
    query = query_for(profile, bounds, target)
    # Chosen by version, not resolved: the exact uv that the profile names.
    name, _, version = profile.installer.partition("==") if profile.base(target) else ("", "", "")
    asked = [*(canonicalize_name(Requirement(text).name) for text in profile.requirements), *filter(None, [name])]
    sources.client.prefetch([(query.index_of(package), package) for package in asked])
    chosen = choose_wheels(query, sources.resolver.resolve(query), sources.client, sources.store)
    installer = choose_wheel(query, (name, version), sources.client, sources.store) if name else None
    _check_exact(profile, target, [entry.wheel.name for entry in chosen])
    if any(entry.wheel.name == profile.name for entry in chosen):
        problem = "has the name of a package that it locks, so that a lock could not tell who asks for what"
        raise ProfileError(f"profiles/{profile.name}.toml", problem, hint=f"rename it, as in profiles/{profile.name}-env.toml")
    check_bounds(chosen, bounds, target)
    demands = demands_of(profile.requirements, profile.name, chosen, target)
    from_parent = inherited(profile, demands)
    packages = tuple(
        Package(
            wheel=entry.wheel,
            layer=layer_of(entry.wheel.name, profile.layers, entry.wheel.name in from_parent),
            demands=demands[entry.wheel.name],
            bounds=bounds_of(entry.wheel.name, bounds),
        )
        for entry in chosen
    )
    return replace(outline(profile, bounds, target), installer=installer, packages=packages)


def outline(profile: Profile, bounds: Sequence[Bound], target: Target) -> Lock:
    """The lock without its wheels: all that follows from its inputs alone."""
    base = profile.base(target)
    return Lock(
        profile=profile.name,
        description=profile.description,
        target=target.slug,
        platform=target.platform,
        as_of=profile.instant(),
        inputs=_digest(profile, bounds, target),
        python=target.python_full,
        base=base,
        tiers=profile.tiers if base else (),
        layers=tuple(group.name for group in groups_for(profile.layers)),
        env=profile.env,
        indexes=tuple(LockedIndex(name=index.name, url=index.url, packages=index.packages) for index in profile.indexes_for(target)),
        installer=None,
        packages=(),
    )


def _digest(profile: Profile, bounds: Sequence[Bound], target: Target) -> str:
    values = {key: value for key, value in asdict(profile).items() if key not in ("origins", "pythons", "platforms", "indexes")}
    indexes = [asdict(index) for index in profile.indexes_for(target)]
    return input_digest(
        {
            **values,
            "indexes": indexes,
            "base": profile.base(target),
            "bounds": [asdict(bound) for bound in bounds],
            "target": asdict(target),
        }
    )


def files_of(lock: Lock, catalog: Catalog) -> dict[str, bytes]:
    """The lock and its renderings, by file name."""
    files = {REQUIREMENTS_FILE: render_requirements(lock, catalog.template("requirements.txt.j2")).encode()}
    if lock.base:
        files[DOCKERFILE] = render_dockerfile(lock, catalog.template("Dockerfile.j2")).encode()
    return {**files, LOCK_FILE: dump_lock(lock)}


def write_files(folder: Path, files: dict[str, bytes]) -> bool:
    """Writes `files` into `folder`, each whole, the lock last; says whether anything changed.

    An interruption waits until all are in place, and a failure puts back what was there, so that a lock and its renderings
    stay together. A Dockerfile that is not among them belonged to a base that the profile has no more, and is removed.
    Raises UsageError when the folder can't be written, DiskFullError when the disk is full.
    """
    dropped = [] if DOCKERFILE in files else [folder / DOCKERFILE]
    same = all((folder / name).is_file() and (folder / name).read_bytes() == content for name, content in files.items())
    if same and not any(path.exists() for path in dropped):
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = {name: (folder / name).read_bytes() if (folder / name).exists() else None for name in files}
        with uninterrupted():
            _replace_all(folder, files, before)
            for path in dropped:
                path.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(str(folder), "the disk is full; nothing was changed", hint="make room there") from error
        problem = f"can't be written: {error.strerror or error}; nothing was changed"
        raise UsageError(str(error.filename or folder), problem, hint="make room there, or remove what is in the way") from error
    return True


def _replace_all(folder: Path, files: dict[str, bytes], before: dict[str, bytes | None]) -> None:
    """Puts `files` in place, or back what was there `before`. Raises OSError."""
    placed = []
    try:
        for name, content in files.items():
            _write(folder / f".{name}.new", content)
        for name in files:
            (folder / f".{name}.new").replace(folder / name)
            placed.append(name)
    except OSError:
        for name in placed:
            content_before = before[name]
            if content_before is None:
                (folder / name).unlink(missing_ok=True)
            else:
                _write(folder / f".{name}.new", content_before)
                (folder / f".{name}.new").replace(folder / name)
        raise
    finally:
        for name in files:
            with suppress(OSError):
                (folder / f".{name}.new").unlink()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o644)


def read_lock(catalog: Catalog, profile: Profile, target: Target) -> tuple[Lock, Path]:
    """The lock of `profile` for `target` and its folder. Raises StaleLockError when there is none that can be read."""
    folder = catalog.find_lock_folder(profile.name, target)
    if folder is None:
        label = catalog.label(catalog.lock_folder(profile.name, target) / LOCK_FILE)
        raise StaleLockError(label, "there is no lock", hint=f"run: envgen lock {profile.name}")
    return parse_lock((folder / LOCK_FILE).read_bytes(), catalog.label(folder / LOCK_FILE)), folder
