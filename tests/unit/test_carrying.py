"""Fetched, exported, imported: lock.needs, image.bases and offline, with an engine that is a table."""

import errno
import hashlib
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from oci_samples import Images, Shelf
from samples import COMMIT, sample_lock

from envgen.cli.output import QuietReporter
from envgen.core.errors import BuildError, DiskFullError, EngineError, EnvgenError, UsageError, VerificationError
from envgen.core.settings import read_settings
from envgen.engine import Engine
from envgen.image import BuildOptions, build_image, fetch_bases
from envgen.image.bases import BaseStatus, cached_base, check_fetched, find_base, local_name
from envgen.image.build import make_request
from envgen.lock import Lock, LockedModel, Package
from envgen.lock.folder import files_of, write_files
from envgen.lock.model import LockedIndex
from envgen.lock.project import bases_of, by_indexes, require_cached, wheels_of
from envgen.offline import check_imported, export_store, import_store, require_models
from envgen.offline.archive import StoreArchive, base_entry, model_entry, write_archive
from envgen.offline.import_ import ImportStatus
from envgen.profiles import Project
from envgen.sources import HubName, LockedModelFiles
from envgen.sources.models import HubFile
from envgen.workspace import Workspace


class Ears(QuietReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def step(self, text: str) -> None:
        self.heard.append(text)


@dataclass(frozen=True, kw_only=True)
class World:
    """A lock with three wheels and a base, a store that has the wheels, and an engine that has the base."""

    workspace: Workspace
    lock: Lock
    shelf: Shelf

    @property
    def engine(self) -> Engine:
        return cast(Any, self.shelf)

    def elsewhere(self, folder: Path) -> "World":
        """Another machine: nothing is there."""
        return World(workspace=workspace(folder), lock=self.lock, shelf=Shelf(self.shelf.images))


def workspace(folder: Path, **environ: str) -> Workspace:
    settings = read_settings({"ENVGEN_CACHE": str(folder / "cache"), **environ}, folder)
    return Workspace(project=Project(folder=folder), settings=settings, reporter=Ears())


def content_of(name: str) -> bytes:
    return f"the wheel of {name}".encode() * 50


def lock_on(base: str) -> Lock:
    """The sample lock, each of whose wheels has the content above."""
    lock = sample_lock(base=base)
    assert lock.installer is not None

    def real(package: Package) -> Package:
        return replace(package, wheel=named(package.wheel))

    def named(wheel: Any) -> Any:
        content = content_of(wheel.name)
        return replace(wheel, sha256=hashlib.sha256(content).hexdigest(), size=len(content))

    return replace(lock, packages=tuple(map(real, lock.packages)), installer=named(lock.installer))


@pytest.fixture
def world(tmp_path: Path) -> World:
    images = Images()
    digest = images.image("base")
    lock = lock_on(f"python:3.11-slim-bookworm@{digest}")
    found = World(workspace=workspace(tmp_path / "here"), lock=lock, shelf=Shelf(images, {f"mirror.example/python@{digest}": digest}))
    for wheel in lock.fetched:
        assert found.workspace.store.add_from_stream(wheel.file, wheel.sha256, [content_of(wheel.name)])
    return found


def store_of(workspace: Workspace) -> list[str]:
    """The files in a store, without the locks that keep processes apart."""
    root = workspace.settings.wheels
    return sorted(path.name for path in root.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_wheels_and_bases_that_several_locks_need_are_there_once(world: World) -> None:
    other = replace(world.lock, profile="other", platform="linux/arm64", packages=world.lock.packages[:2])
    assert [wheel.name for wheel in wheels_of([world.lock, other])] == ["demo", "demo-data", "numpy", "torch", "uv"]
    assert bases_of([world.lock, other, replace(other, base="")]) == ((world.lock.base, "linux/amd64"), (world.lock.base, "linux/arm64"))


def test_each_wheel_is_asked_of_an_index_of_its_own_lock(world: World) -> None:
    index = LockedIndex(name="pytorch-cpu", url="https://other.example", packages=("torch",))
    other = replace(world.lock, indexes=(index,), packages=(replace(world.lock.packages[-1], wheel=sample_lock().packages[-1].wheel),))
    groups = [
        (dict(urls), [wheel.name for wheel in wheels]) for urls, wheels in by_indexes([world.lock, other], wheels_of([world.lock, other]))
    ]
    assert groups == [
        ({"pytorch-cpu": "https://torch.example/whl/cpu"}, ["demo", "demo-data", "numpy", "torch", "uv"]),
        ({"pytorch-cpu": "https://other.example"}, ["torch"]),
    ]


def test_what_is_missing_is_listed_with_the_command_that_brings_it(world: World, tmp_path: Path) -> None:
    require_cached(world.workspace.store, [world.lock])
    with pytest.raises(BuildError, match=r"(?s)^wheel store: missing, 5 of 5 wheels:\ndemo-1.5.*\nuv-") as caught:
        require_cached(world.elsewhere(tmp_path).workspace.store, [world.lock, replace(world.lock, profile="other")])
    assert caught.value.hint == "with a network: envgen fetch small other; from an archive: envgen store import FILE"


def test_a_base_is_found_by_its_digest_and_given_a_name(world: World) -> None:
    digest = world.lock.base.partition("@")[2]
    found = find_base(world.engine, world.lock.base)
    assert found is not None
    assert found.digest == digest
    assert cached_base(world.engine, world.lock.base, world.lock) == local_name(digest) == f"localhost/envgen-base:{digest[7:]}"
    assert world.shelf.names[local_name(digest)] == digest
    assert world.shelf.pulled == []


@pytest.mark.parametrize(("reference", "cure"), [("", "envgen fetch small"), ("debian:13", "docker pull debian:13")])
def test_a_base_that_is_not_there_is_said(world: World, tmp_path: Path, reference: str, cure: str) -> None:
    other = world.elsewhere(tmp_path)
    with pytest.raises(BuildError, match=r"not in the engine's store, and this is an offline build") as caught:
        cached_base(other.engine, reference or world.lock.base, world.lock)
    assert cure in caught.value.hint


def test_bases_come_through_the_mirror_and_stay_what_they_are(world: World, tmp_path: Path) -> None:
    digest = world.lock.base.partition("@")[2]
    other = world.elsewhere(tmp_path)
    workspace = replace(other.workspace, settings=replace(other.workspace.settings, registries={"docker.io": "mirror.example"}))
    mirrored = f"mirror.example/library/{world.lock.base}"
    other.shelf.registry[mirrored] = digest
    (state,) = fetch_bases(workspace, [world.lock, world.lock], other.engine)
    assert (state.status, other.shelf.pulled) == (BaseStatus.FETCHED, [(mirrored, "linux/amd64")])
    assert other.shelf.names[local_name(digest)] == digest
    (again,) = fetch_bases(workspace, [world.lock], other.engine)
    assert (again.status, len(other.shelf.pulled)) == (BaseStatus.THERE, 1)
    check_fetched([state, again])


def test_another_platform_of_the_same_base_is_fetched_too(world: World) -> None:
    digest = world.lock.base.partition("@")[2]
    world.shelf.registry[world.lock.base] = digest
    states = fetch_bases(world.workspace, [world.lock, replace(world.lock, platform="linux/arm64")], world.engine)
    assert [state.status for state in states] == [BaseStatus.THERE, BaseStatus.FETCHED]
    assert world.shelf.pulled == [(world.lock.base, "linux/arm64")]


def test_a_base_that_can_not_be_had_does_not_stop_the_others(world: World, tmp_path: Path) -> None:
    other = world.elsewhere(tmp_path)
    gone = replace(world.lock, base=f"gone:1@sha256:{'0' * 64}")
    other.shelf.registry[world.lock.base] = world.lock.base.partition("@")[2]
    states = fetch_bases(other.workspace, [gone, world.lock], other.engine)
    assert [state.status for state in states] == [BaseStatus.NOT_FETCHED, BaseStatus.FETCHED]
    with pytest.raises(EngineError, match=r"(?s)NOT fetched: an offline build would fail\ngone:1@.*no such host") as caught:
        check_fetched(states)
    assert caught.value.hint == "check the network; without bases: --no-base"
    assert cast(Ears, other.workspace.reporter).heard[0].startswith(f"base: NOT fetched: {gone.base} for linux/amd64: can't be pulled")


def test_everything_gets_to_another_machine(world: World, tmp_path: Path) -> None:
    archive, other = tmp_path / "a.tar", world.elsewhere(tmp_path / "there")
    exported = export_store(world.workspace, [world.lock], archive, world.engine)
    assert (exported.left_out, exported.size) == ((), archive.stat().st_size)
    assert exported.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    items = import_store(other.workspace, archive, other.engine)
    assert {item.status for item in items} == {ImportStatus.TAKEN}
    assert store_of(other.workspace) == store_of(world.workspace) == sorted(wheel.file for wheel in world.lock.fetched)
    require_cached(other.workspace.store, [world.lock])
    assert other.shelf.names == {local_name(world.lock.base.partition("@")[2]): world.lock.base.partition("@")[2]}
    assert {item.status for item in import_store(other.workspace, archive, other.engine)} == {ImportStatus.THERE}
    check_imported(items)


def test_the_same_content_gives_the_same_archive(world: World, tmp_path: Path) -> None:
    first, second, other = tmp_path / "1.tar", tmp_path / "2.tar", world.elsewhere(tmp_path / "there")
    export_store(world.workspace, [world.lock], first, world.engine)
    import_store(other.workspace, first, other.engine)
    export_store(other.workspace, [world.lock, world.lock], second, other.engine)
    assert first.read_bytes() == second.read_bytes()
    assert b"mirror.example" not in first.read_bytes()


def test_a_base_that_an_engine_has_not_is_left_out_and_said(world: World, tmp_path: Path) -> None:
    engine = world.elsewhere(tmp_path).engine
    exported = export_store(world.workspace, [world.lock], tmp_path / "a.tar", engine)
    assert [(found.base, found.reason) for found in exported.left_out] == [(world.lock.base, "not in the engine's store")]
    assert f"base: LEFT OUT: {world.lock.base}: not in the engine's store; envgen fetch small" in cast(Ears, world.workspace.reporter).heard
    wanted = [world.lock, replace(world.lock, platform="linux/arm64")]
    world.shelf.images.blobs.clear()
    exported = export_store(world.workspace, wanted, tmp_path / "a.tar", world.engine)
    assert len(exported.left_out) == 1


def test_a_base_without_the_platform_of_a_lock_is_left_out(world: World, tmp_path: Path) -> None:
    images = world.shelf.images
    index = images.several(amd64=images.image("amd64"))
    lock = replace(world.lock, base=f"python:3@{index}")
    world.shelf.names["python:3"] = index
    assert export_store(world.workspace, [lock], tmp_path / "a.tar", world.engine).left_out == ()
    exported = export_store(world.workspace, [lock, replace(lock, platform="linux/arm64")], tmp_path / "a.tar", world.engine)
    assert "found 0 matching images" in exported.left_out[0].reason


def test_without_an_engine_there_are_no_bases(world: World, tmp_path: Path) -> None:
    archive, other = tmp_path / "a.tar", world.elsewhere(tmp_path / "there")
    assert [found.reason for found in export_store(world.workspace, [world.lock], archive, None).left_out] == ["--no-base"]
    export_store(world.workspace, [world.lock], archive, world.engine)
    items = import_store(other.workspace, archive, None)
    assert [item.status for item in items if item.kind == "base"] == [ImportStatus.LEFT_OUT]
    check_imported(items)
    require_cached(other.workspace.store, [world.lock])


def test_an_engine_that_takes_no_base_is_said_after_the_wheels(world: World, tmp_path: Path) -> None:
    archive, other = tmp_path / "a.tar", world.elsewhere(tmp_path / "there")
    export_store(world.workspace, [world.lock], archive, world.engine)
    other.shelf.refuses = "no engine answers"
    items = import_store(other.workspace, archive, other.engine)
    require_cached(other.workspace.store, [world.lock])
    with pytest.raises(EngineError, match=r"(?s)NOT loaded.*no engine answers") as caught:
        check_imported(items)
    assert "--no-base" in caught.value.hint


def test_an_archive_gives_no_image_a_name_of_its_own_choice(world: World, tmp_path: Path) -> None:
    """A base that somebody else saved may bring images that call themselves anything."""
    images, digest = world.shelf.images, world.lock.base.partition("@")[2]
    evil = images.image("evil")
    world.shelf.names["envgen/cpu-base:py311-linux-amd64"] = evil
    other = world.elsewhere(tmp_path / "there")
    hostile = images.write(tmp_path / "hostile.tar", {"python:3.11": digest, "envgen/cpu-base:py311-linux-amd64": evil})
    archive, content = tmp_path / "a.tar", hostile.read_bytes()
    with archive.open("wb") as stream:
        write_archive(stream, {base_entry(world.lock.base, hashlib.sha256(content).hexdigest(), len(content)): hostile})
    import_store(other.workspace, archive, other.engine)
    assert other.shelf.names == {local_name(digest): digest}


def test_a_base_under_another_digest_is_refused(world: World, tmp_path: Path) -> None:
    images, archive, other = world.shelf.images, tmp_path / "a.tar", world.elsewhere(tmp_path / "there")
    saved = images.write(tmp_path / "saved.tar", {"x": images.image("another")})
    entry = base_entry(f"python:3@sha256:{'0' * 64}", hashlib.sha256(saved.read_bytes()).hexdigest(), saved.stat().st_size)
    with archive.open("wb") as stream:
        write_archive(stream, {entry: saved})
    with pytest.raises(VerificationError, match=r"blobs/sha256/0{64} is missing"):
        import_store(other.workspace, archive, other.engine)
    assert other.shelf.names == {}


def test_a_wheel_that_is_missing_writes_nothing(world: World, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"missing, 5 of 5 wheels"):
        export_store(world.elsewhere(tmp_path / "there").workspace, [world.lock], tmp_path / "a.tar", None)
    assert not list(tmp_path.glob("*.tar"))


@pytest.mark.parametrize("damage", [b"", b"x" * 900], ids=["shorter", "another"])
def test_a_damaged_wheel_writes_nothing_and_leaves_what_was_there(world: World, tmp_path: Path, damage: bytes) -> None:
    wheel = world.lock.fetched[0]
    world.workspace.store.path(wheel.sha256, wheel.file).write_bytes(damage)
    (tmp_path / "a.tar").write_bytes(b"an older archive")
    with pytest.raises(VerificationError, match=r"corrupt: .*; nothing was written"):
        export_store(world.workspace, [world.lock], tmp_path / "a.tar", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "here"]
    assert (tmp_path / "a.tar").read_bytes() == b"an older archive"


@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError), (errno.EROFS, UsageError)])
def test_a_disk_that_takes_no_more_has_nothing_of_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[EnvgenError]
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    archive, other = tmp_path / "a.tar", world.elsewhere(tmp_path / "there")
    export_store(world.workspace, [world.lock], archive, None)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(kind) as caught:
        export_store(world.workspace, [world.lock], tmp_path / "b.tar", None)
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["a.tar"]
    with pytest.raises(DiskFullError):
        import_store(other.workspace, archive, None)
    assert store_of(other.workspace) == []


def test_a_huge_archive_is_refused_before_anything_is_taken(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, other = tmp_path / "a.tar", world.elsewhere(tmp_path / "there")
    export_store(world.workspace, [world.lock], archive, None)
    monkeypatch.setattr("envgen.sources.wheel_store.free_space", lambda folder: (folder, 1000))
    with pytest.raises(DiskFullError, match=r"for the wheels of the archive"):
        import_store(other.workspace, archive, None)
    with pytest.raises(DiskFullError, match=r"for the archive"):
        export_store(world.workspace, [world.lock], tmp_path / "b.tar", None)
    assert store_of(other.workspace) == []
    assert not list(tmp_path.glob("*b.tar*"))


def test_what_was_taken_before_a_fault_is_whole(world: World, tmp_path: Path) -> None:
    archive, other = tmp_path / "a.tar", world.elsewhere(tmp_path / "there")
    export_store(world.workspace, [world.lock], archive, None)
    with StoreArchive(archive) as found, tarfile.open(archive) as tar:
        last = max(found.entries, key=lambda entry: entry.path)
        place = tar.getmember(last.path).offset_data
    content = bytearray(archive.read_bytes())
    content[place] ^= 1
    archive.write_bytes(content)
    with pytest.raises(VerificationError, match=rf"{last.path} has sha256 .*, expected {last.sha256}"):
        import_store(other.workspace, archive, None)
    assert store_of(other.workspace) == sorted(wheel.file for wheel in world.lock.fetched if wheel.sha256 != last.sha256)


def test_a_wheel_that_is_here_stays_as_it_is_and_is_read_all_the_same(world: World) -> None:
    wheel = world.lock.fetched[0]
    path = world.workspace.store.path(wheel.sha256, wheel.file)
    before = path.stat().st_ino
    assert not world.workspace.store.add_from_stream(wheel.file, wheel.sha256, [content_of(wheel.name)])
    with pytest.raises(VerificationError, match=rf"expected {wheel.sha256}"):
        world.workspace.store.add_from_stream(wheel.file, wheel.sha256, [b"another"])
    assert path.stat().st_ino == before


def test_an_interruption_leaves_nothing(world: World, tmp_path: Path) -> None:
    def interrupted() -> Iterable[bytes]:
        yield b"some of it"
        raise KeyboardInterrupt

    other = world.elsewhere(tmp_path / "there")
    with pytest.raises(KeyboardInterrupt):
        other.workspace.store.add_from_stream("x-1.0-py3-none-any.whl", "0" * 64, interrupted())
    assert store_of(other.workspace) == []


def test_without_a_network_nobody_is_asked(world: World, tmp_path: Path) -> None:
    client = world.workspace.offline().client({})
    with pytest.raises(UsageError, match=r"^--offline: \S+ would have to be asked$") as caught:
        client.files("default", "demo")
    assert "envgen fetch" in caught.value.hint
    assert not world.workspace.settings.offline


def test_a_template_that_can_not_be_told_where_the_base_is_is_refused(world: World, tmp_path: Path) -> None:
    folder = world.workspace.project.folder / "templates"
    folder.mkdir()
    (folder / "Dockerfile.j2").write_text("ARG BASE={{ lock.base }}\nFROM ${BASE}\n", encoding="utf-8")
    project = world.workspace.project
    write_files(project.lock_folder(world.lock.profile, world.lock.target), files_of(world.lock, project))
    with pytest.raises(UsageError, match=r"has no ARG BASE_FROM, .* from localhost/envgen-base:"):
        build_image(world.workspace.offline(), world.lock, world.engine, BuildOptions())


def test_a_build_has_the_dockerfile_that_was_checked_and_renders_none(world: World) -> None:
    project = world.workspace.project
    folder = project.lock_folder(world.lock.profile, world.lock.target)
    write_files(folder, files_of(world.lock, project))
    (project.folder / "templates").mkdir()
    (project.folder / "templates" / "Dockerfile.j2").write_text("{{ no such thing", encoding="utf-8")
    request, _ = make_request(world.workspace, world.lock, world.engine, BuildOptions())
    assert request.dockerfile == (folder / "Dockerfile").read_bytes()


MODEL_FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 90, "tokenizer.json": b"{}"}
MODEL = LockedModelFiles(
    repo="tests/small",
    commit=COMMIT,
    files=tuple(HubFile(name=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content)) for name, content in MODEL_FILES.items()),
)


@pytest.fixture
def tested(world: World) -> World:
    """The world with a lock that has a model of the hub, which is here."""
    assert world.workspace.models.add_from_stream(MODEL, lambda file: [MODEL_FILES[file.name]])
    return replace(world, lock=replace(world.lock, model=LockedModel(source=MODEL)))


def model_folder(world: World) -> Path:
    return world.workspace.models.folder(MODEL.repo, MODEL.commit)


def test_a_model_gets_to_another_machine(tested: World, tmp_path: Path) -> None:
    archive, again, other = tmp_path / "a.tar", tmp_path / "b.tar", tested.elsewhere(tmp_path / "there")
    exported = export_store(tested.workspace, [tested.lock, replace(tested.lock, profile="other")], archive, None)
    assert [entry.file for entry in exported.entries if entry.kind == "model"] == list(MODEL_FILES)
    items = import_store(other.workspace, archive, None)
    assert [(item.name, item.status) for item in items if item.kind == "model"] == [(MODEL.name, ImportStatus.TAKEN)]
    assert {path.name: path.read_bytes() for path in other.workspace.models.verify(MODEL).iterdir()} == MODEL_FILES
    assert {path.stat().st_mode & 0o777 for path in model_folder(other).iterdir()} == {0o644}
    require_models(other.workspace, [tested.lock])
    export_store(other.workspace, [tested.lock], again, None)
    assert archive.read_bytes() == again.read_bytes()
    inode = model_folder(other).stat().st_ino
    assert [item.status for item in import_store(other.workspace, archive, None) if item.kind == "model"] == [ImportStatus.THERE]
    assert model_folder(other).stat().st_ino == inode


def test_who_brings_a_model_does_not_say_what_belongs_to_it(tested: World, tmp_path: Path) -> None:
    """Without a list it is nobody's word: a lock says which files there are, or the hub is asked."""
    archive, other = tmp_path / "a.tar", tested.elsewhere(tmp_path / "there")
    less = replace(MODEL, files=MODEL.files[:2])
    content = {model_entry(less, file): model_folder(tested) / file.name for file in less.files}
    with archive.open("wb") as stream:
        write_archive(stream, content)
    import_store(other.workspace, archive, None)
    assert other.workspace.models.cached(HubName(repo=MODEL.repo, revision=MODEL.commit)) is None
    with pytest.raises(BuildError, match=rf"missing, 1 file:\n{MODEL.name}: tokenizer.json"):
        require_models(other.workspace, [tested.lock])
    with pytest.raises(VerificationError, match=r"tokenizer.json: found no file"):
        other.workspace.models.verify(MODEL)
    assert not model_folder(other).exists()


def test_a_model_with_a_fault_is_not_taken_at_all(tested: World, tmp_path: Path) -> None:
    archive, other = tmp_path / "a.tar", tested.elsewhere(tmp_path / "there")
    export_store(tested.workspace, [tested.lock], archive, None)
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"weightsweights", b"weightsWeights", 1))
    with pytest.raises(VerificationError, match=r"model.safetensors has sha256 .*, expected "):
        import_store(other.workspace, archive, None)
    assert not model_folder(other).exists()
    assert [path.name for path in model_folder(other).parent.rglob("*")] == [".partial", f"{COMMIT}.lock"]
    with pytest.raises(VerificationError, match=r"config.json: found sha256 "):
        other.workspace.models.add_from_stream(MODEL, lambda _file: [b"another"])
    archive.write_bytes(content)
    import_store(other.workspace, archive, None)
    assert model_folder(other).is_dir()


def test_a_model_that_lost_a_file_comes_out_of_an_archive(tested: World, tmp_path: Path) -> None:
    export_store(tested.workspace, [tested.lock], tmp_path / "a.tar", None)
    (model_folder(tested) / "config.json").unlink()
    assert ImportStatus.TAKEN in [item.status for item in import_store(tested.workspace, tmp_path / "a.tar", None) if item.kind == "model"]
    tested.workspace.models.verify(MODEL)


def test_a_model_that_is_missing_or_damaged_is_not_exported(tested: World, tmp_path: Path) -> None:
    (model_folder(tested) / "config.json").write_bytes(b"[]")
    with pytest.raises(VerificationError, match=r"config.json: found sha256 ") as caught:
        export_store(tested.workspace, [tested.lock], tmp_path / "a.tar", None)
    assert caught.value.hint == "fetch it again: envgen fetch small"
    with pytest.raises(BuildError, match=r"locked models: missing, 3 files:\n") as lacking:
        export_store(tested.workspace, [tested.lock], tmp_path / "a.tar", None)
    assert "envgen fetch small" in lacking.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here"]


def test_a_wheel_with_a_model_goes_with_the_wheels(world: World, tmp_path: Path) -> None:
    other = world.elsewhere(tmp_path / "there")
    source = replace(world.lock.fetched[0], name="a-model", file="a_model-1.0-py3-none-any.whl")
    content = content_of(source.name)
    source = replace(source, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    lock = replace(world.lock, model=LockedModel(source=source))
    with pytest.raises(BuildError, match=r"locked models: missing, 1 file:\nwheel:a-model==.*: a_model-1.0"):
        export_store(world.workspace, [lock], tmp_path / "a.tar", None)
    world.workspace.store.add_from_stream(source.file, source.sha256, [content])
    export_store(world.workspace, [lock], tmp_path / "a.tar", None)
    import_store(other.workspace, tmp_path / "a.tar", None)
    require_models(other.workspace, [lock])
    assert source.file in store_of(other.workspace)


def test_what_a_killed_export_left_goes_with_the_next(world: World, tmp_path: Path) -> None:
    left = tmp_path / "envgen-archive-0123456789abcdef"
    left.mkdir()
    (left / "archive.part").write_bytes(b"half of it")
    left.with_name(f"{left.name}.alive").write_bytes(b"")
    export_store(world.workspace, [world.lock], tmp_path / "a.tar", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "here"]
