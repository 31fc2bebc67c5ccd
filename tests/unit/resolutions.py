"""Made-up resolutions: wheels with their metadata, and who asks for each by the real walk through them."""

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from packaging.requirements import Requirement
from samples import AS_OF, INDEX, LINUX, ROOT, Server, client_for, profile_of, wheel

from envgen.core.target import Target
from envgen.lock import Lock, Package
from envgen.lock.checks.paths import ComparedPaths
from envgen.lock.checks.refusals import Resolved
from envgen.lock.demands import demands_of
from envgen.lock.header import lock_without_packages
from envgen.lock.resolvers import ResolveRequest
from envgen.lock.select import SelectedWheel
from envgen.profiles import Bound, Index, Profile, Project
from envgen.sources import IndexFile, Packages, WheelStore

CPU_INDEX = "https://torch.example/whl/cpu"
PLAIN = """
description = "A profile for checks"
as_of = 2026-09-22
installer = "uv==0.12.17"
requirements = ["demo"]
platforms = ["linux/amd64", "linux/arm64", "macos/arm64", "windows/amd64"]

[python."3.11"]
full = "3.11.16"
"""
MAPPED = Index(name="pytorch-cpu", url=CPU_INDEX, packages=("torch",), platforms=("linux/amd64",), upload_times=False)

_FOLDERS = tempfile.TemporaryDirectory()  # goes when Python ends


def selected(name: str, version: str = "1.0", *requires: str, extras: Sequence[str] = (), **fields: object) -> SelectedWheel:
    """A wheel that was chosen; `fields` are those of the wheel, and `yanked`: the index's reason."""
    reason = fields.pop("yanked", None)
    found = wheel(name, version, **fields)
    file = IndexFile(
        index=found.index,
        filename=found.file,
        url=f"{INDEX}/{found.file}",
        sha256=found.sha256,
        yanked=reason is not None,
        yanked_because=str(reason or "") or None,
    )
    needs = tuple(Requirement(text) for text in requires)
    return SelectedWheel(wheel=found, requires=needs, requires_python="", extras=frozenset(extras), file=file)


def profile(requirements: Sequence[str], *, cuda: str = "", indexes: tuple[Index, ...] = ()) -> Profile:
    return replace(profile_of(PLAIN), requirements=tuple(requirements), cuda=cuda, indexes=indexes)


def packages_of(pages: Mapping[str, Sequence[Mapping[str, object]]], folder: Path | None = None) -> Packages:
    """The packages of indexes whose pages list these files; a key is a package of the default index, or the URL of a page."""
    folder = folder or Path(tempfile.mkdtemp(dir=_FOLDERS.name))
    server = Server()
    for name, files in pages.items():
        url = name if "://" in name else f"{INDEX}/{name}/"
        listed = [{"url": f"{url}{file['filename']}", "hashes": {"sha256": "0" * 64}, "size": 1000, **file} for file in files]
        server.page(url, json.dumps({"files": listed}))
    return Packages(client_for(server, folder, **{"pytorch-cpu": CPU_INDEX}), WheelStore(folder / "wheels"))


def resolved(
    asked: Sequence[str] | Profile,
    *chosen: SelectedWheel,
    target: Target = LINUX,
    packages: Packages | None = None,
    paths: ComparedPaths | None = None,
    bounds: tuple[Bound, ...] = (),
) -> Resolved:
    """The resolution of a profile, or of these requirements."""
    ours = asked if isinstance(asked, Profile) else profile(asked)
    project = Project(folder=ROOT)
    return Resolved(
        profile=ours,
        target=target,
        query=query(ours, target),
        chosen=chosen,
        demands=demands_of(ours.requirements, ours.name, chosen, target),
        bounds=bounds,
        packages=packages or packages_of({}),
        pairs=project.pairs(),
        toolkit=project.toolkit(),
        paths=paths or ComparedPaths(),
    )


def query(ours: Profile, target: Target) -> ResolveRequest:
    return ResolveRequest(
        requirements=ours.requirements, constraints=(), target=target, as_of=AS_OF, moved=(), indexes=ours.indexes_for(target)
    )


def lock_of(found: Resolved) -> Lock:
    packages = tuple(
        Package(wheel=entry.wheel, layer="libraries", demands=found.demands[entry.wheel.name], bounds=()) for entry in found.chosen
    )
    return replace(lock_without_packages(found.profile, found.bounds, found.target), packages=packages)


def day(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
