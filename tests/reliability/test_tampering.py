"""Tampering: a single change anywhere between the profile and the image is found, or the result is the same, byte for byte."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
from changes import Changed, forged, one_byte, one_field
from command import Done
from command_line import envgen, refused
from figures import Campaign, campaign
from loopback import Proxy

from envgen.core.errors import VerificationError
from envgen.lock import Lock, parse_lock
from envgen.lock.folder import files_of
from envgen.lock.header import lock_without_packages
from envgen.profiles import Profile, Project
from envgen.profiles.catalog import shipped
from envgen.sources import WheelStore

TARGET = "py311-linux-amd64"
FOLDER = f"locks/tiny/{TARGET}"
LOCK = f"{FOLDER}/envgen.lock"
EVERY = 20
"""Of so many cases one goes through the installed command as well."""

PAPERS = f"""\
description = "what papers say"
[[bound]]
package = "{tiny.BETA}"
requirement = ">=1,<3"
document = "paper.txt"
section = "Table 1"
role = "core"
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, tiny_index: Proxy) -> tiny.Site:
    """A project with everything of its own: profile, constraint set, templates, and a lock with its renderings."""
    folder = tmp_path_factory.mktemp("tampered")
    project = folder / "project"
    path = tiny.write_profile(project, base=tiny.locked_base()[0], own_index=True)
    path.write_text(path.read_text().replace("constraints = []", 'constraints = ["papers"]') + '\n[env]\nHF_HOME = "/models"\n')
    (project / "profiles" / "constraints").mkdir()
    (project / "profiles" / "constraints" / "papers.toml").write_text(PAPERS)
    shutil.copytree(shipped() / "templates", project / "templates")
    site = tiny.Site(project=project, env={"ENVGEN_INDEX_TINY": tiny_index.url, "ENVGEN_CACHE": str(folder / "cache")})
    site.envgen("lock", "tiny").must_pass()
    site.envgen("lock", "--check", "tiny").must_pass()
    return site


def checked(site: tiny.Site, number: int) -> Done:
    """What `lock --check` ends with, now and then as the installed command too, which must end the same."""
    done = envgen("lock", "--check", "tiny", project=site.project)
    if number % EVERY == 0:
        assert site.envgen("lock", "--check", "tiny").code == done.code
    return done


def each(
    running: Campaign, site: tiny.Site, name: str, change: Callable[[bytes, Campaign], Changed], same: Callable[[tiny.Site], bool]
) -> None:
    """Makes each change of the campaign in the file `name`; `same` says that what a check takes gives the same result."""
    path = site.project / name
    before = path.read_bytes()
    try:
        for number in range(running.cases):
            changed = change(before, running)
            path.write_bytes(changed.content)
            done = checked(site, number)
            if refused(done):
                running.detected()
            elif same(site):
                running.harmless()
            else:
                running.failed(f"{name}: {changed.words}")
    finally:
        path.write_bytes(before)


def a_byte(content: bytes, running: Campaign) -> Changed:
    return one_byte(content, running.random)


def never(_site: tiny.Site) -> bool:
    """No change of this file may pass."""
    return False


@pytest.mark.parametrize("name", ["envgen.lock", "requirements.txt", "Dockerfile"])
def test_a_byte_of_what_is_locked(original: tiny.Site, name: str) -> None:
    with campaign(f"tampering: {name}", sample=25, full=120) as running:
        each(running, original, f"{FOLDER}/{name}", a_byte, never)


def test_a_field_of_a_lock(original: tiny.Site) -> None:
    with campaign("tampering: envgen.lock, one field", sample=20, full=100) as running:
        each(running, original, LOCK, lambda content, case: one_field(content, case.random), never)


def test_a_field_of_a_lock_with_a_digest_that_fits(original: tiny.Site) -> None:
    """Whoever makes the digest anew still has the renderings against them; what they get past these is not in the image."""
    folder = original.project / LOCK
    catalog = Project(folder=original.project)
    before = parse_lock(folder.read_bytes(), LOCK)

    def change(content: bytes, running: Campaign) -> Changed:
        changed = one_field(content, running.random)
        return replace(changed, content=forged(changed.content))

    def same(_site: tiny.Site) -> bool:
        return installed(parse_lock(folder.read_bytes(), LOCK), catalog) == installed(before, catalog)

    with campaign("tampering: envgen.lock, one field and its digest", sample=20, full=100) as running:
        each(running, original, LOCK, change, same)


def installed(lock: Lock, catalog: Project) -> tuple[object, ...]:
    """What of a lock is in an image, but for the label that names the lock."""
    files = files_of(lock, catalog)
    dockerfile = [line for line in files["Dockerfile"].splitlines() if not line.startswith(b"LABEL envgen.lock=")]
    hashes = {group: [wheel.sha256 for wheel in wheels] for group, wheels in lock.groups.items()}
    return files["requirements.txt"], dockerfile, hashes


def inputs(project: Path) -> tuple[object, ...]:
    """What a project's profile and its constraint sets come to."""
    catalog = Project(folder=project)
    profile: Profile = replace(catalog.profile("tiny"), origins=())
    bounds = catalog.bounds(profile)
    return profile, bounds, [lock_without_packages(profile, bounds, target) for target in profile.targets()]


@pytest.mark.parametrize("name", ["profiles/tiny.toml", "profiles/constraints/papers.toml"])
def test_a_byte_of_the_inputs(original: tiny.Site, name: str) -> None:
    before = inputs(original.project)
    with campaign(f"tampering: {name}", sample=25, full=120) as running:
        each(running, original, name, a_byte, lambda site: inputs(site.project) == before)


@pytest.mark.parametrize("name", ["templates/Dockerfile.j2", "templates/requirements.txt.j2"])
def test_a_byte_of_a_template(original: tiny.Site, name: str) -> None:
    lock = parse_lock((original.project / LOCK).read_bytes(), LOCK)
    before = files_of(lock, Project(folder=original.project))
    with campaign(f"tampering: {name}", sample=25, full=120) as running:
        each(running, original, name, a_byte, lambda site: files_of(lock, Project(folder=site.project)) == before)


def test_a_byte_of_a_wheel_in_the_store(original: tiny.Site, tmp_path: Path) -> None:
    """What is lent to a build is read again, and a damaged wheel is taken out of the store."""
    lock = parse_lock((original.project / LOCK).read_bytes(), LOCK)
    shutil.copytree(original.store, tmp_path / "wheels")
    store = WheelStore(tmp_path / "wheels")
    assert not store.missing(lock.wheels)
    with campaign("tampering: wheels in the store", sample=30, full=150) as running:
        for _ in range(running.cases):
            wheel = running.random.choice(lock.wheels)
            path = store.path(wheel.sha256, wheel.file)
            before = path.read_bytes()
            changed = one_byte(before, running.random)
            path.write_bytes(changed.content)
            if is_lent(store, lock) or path.exists():
                running.failed(f"{wheel.file}: {changed.words}")
            else:
                running.detected()
            path.write_bytes(before)


def is_lent(store: WheelStore, lock: Lock) -> bool:
    try:
        with store.linked_dirs(lock.groups):
            return True
    except VerificationError:
        return False


def test_a_byte_of_what_the_store_remembers(original: tiny.Site, index: Proxy, tmp_path: Path) -> None:
    """Metadata is kept beside the wheels, and an input of a lock: what was changed is asked for again."""
    site = original.copy(tmp_path)
    before = site.locks()
    notes = sorted(site.store.glob("*/METADATA"))
    with campaign("tampering: metadata in the store", sample=4, full=20) as running:
        for _ in range(running.cases):
            path = running.random.choice(notes)
            content = path.read_bytes()
            changed = one_byte(content, running.random)
            path.unlink()  # the file is shared with the other store
            path.write_bytes(changed.content)
            site.envgen("lock", "tiny").must_pass()
            if site.locks() == before and path.read_bytes() == content:
                running.harmless()
            else:
                running.failed(f"{path.name}: {changed.words}")
