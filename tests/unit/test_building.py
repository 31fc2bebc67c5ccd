"""envgen.image.build and .estimate: which layers are believed to be in the compression that was asked for, and when a build may begin."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from samples import sample_lock

from envgen.cli.output import QuietReporter
from envgen.core.errors import DiskFullError
from envgen.core.settings import read_settings
from envgen.engine import BuildRequest, Engine, EngineInfo, Image
from envgen.engine.interface import Blob, OnLine
from envgen.image import BuildOptions, build_image
from envgen.image.estimate import check_disk
from envgen.image.layers import own_layers
from envgen.lock import Lock
from envgen.lock.folder import files_of, write_files
from envgen.profiles import Project
from envgen.sources import Wheel, wheel_store
from envgen.workspace import Workspace

FULL = sample_lock()
INFO = EngineInfo(name="Docker", version="26.1", tools={}, data_root="")


class Builder:
    """An engine whose builder has some layers in another compression than was asked for, until it is told to use no cache."""

    def __init__(self, lock: Lock, cached: Mapping[str, str]) -> None:
        self._lock, self._cached = lock, cached
        self.orders: list[BuildRequest] = []

    def image(self, _name: str) -> Image | None:
        return None

    def build(self, order: BuildRequest, _on_line: OnLine) -> Image:
        self.orders.append(order)
        return Image(name=order.tag, digest=f"sha256:{len(self.orders)}", size=1, labels={})

    def descriptions(self, _image: Image) -> tuple[str, ...]:
        return ()

    def layers(self, _image: Image) -> tuple[Blob, ...]:
        order = self.orders[-1]
        cached = self._cached if order.cache else {}
        # The base's layer is as its registry has it, whatever was asked for.
        kinds = {"base": "gzip", **{name: cached.get(name, order.compression) for name in own_layers(self._lock)}}
        return tuple(
            Blob(digest=f"sha256:{name}", size=1, media_type=f"application/vnd.oci.image.layer.v1.tar+{kind}")
            for name, kind in kinds.items()
        )


def made(folder: Path) -> Workspace:
    settings = read_settings({"ENVGEN_CACHE": str(folder / "cache")}, folder)
    return Workspace(project=Project(folder=folder), settings=settings, reporter=QuietReporter())


def put_wheels(workspace: Workspace, lock: Lock) -> Lock:
    """The lock with wheels that are in the store, and its Dockerfile in the project."""

    def kept(wheel: Wheel) -> Wheel:
        digest = hashlib.sha256(wheel.file.encode()).hexdigest()
        path = workspace.store.path(digest, wheel.file)
        path.parent.mkdir(parents=True)
        path.write_bytes(wheel.file.encode())
        return replace(wheel, sha256=digest)

    assert lock.installer
    packages = tuple(replace(package, wheel=kept(package.wheel)) for package in lock.packages)
    found = replace(lock, packages=packages, installer=kept(lock.installer))
    write_files(workspace.project.lock_folder(found.profile, found.target), files_of(found, workspace.project))
    return found


@pytest.mark.parametrize(
    ("cached", "caches"),
    [
        ({}, [True]),
        ({"torch": "gzip"}, [True, False]),
        ({"own": "gzip", "skeleton": "gzip"}, [True, False]),
        (dict.fromkeys(own_layers(FULL), "gzip"), [True, False]),
        ({"workdir": "gzip"}, [True]),
    ],
    ids=["none", "one", "two", "all", "the one with nothing in it"],
)
def test_a_layer_in_another_compression_is_built_again(tmp_path: Path, cached: Mapping[str, str], caches: list[bool]) -> None:
    workspace = made(tmp_path)
    lock = put_wheels(workspace, FULL)
    builder = Builder(lock, cached)
    built = build_image(workspace, lock, cast(Engine, builder), BuildOptions())
    assert [order.cache for order in builder.orders] == caches
    assert built.image.digest == f"sha256:{len(caches)}", "the image that was built last is the one that counts"


def test_without_a_cache_every_step_runs_and_there_is_nothing_to_build_again(tmp_path: Path) -> None:
    workspace = made(tmp_path)
    builder = Builder(FULL, {"torch": "gzip"})
    build_image(workspace, put_wheels(workspace, FULL), cast(Engine, builder), BuildOptions(cache=False))
    assert [order.cache for order in builder.orders] == [False]


@pytest.mark.parametrize(
    ("free", "words"),
    [
        ({}, ""),
        ({"cache": 1000}, "for the missing wheels"),
        ({"engine": 1_000_000_000}, "for the build"),
    ],
    ids=["plenty", "no room for wheels", "no room for the build"],
)
def test_a_build_begins_only_where_there_is_room_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: dict[str, int], words: str
) -> None:
    for name in ("cache", "engine"):
        (tmp_path / name / "wheels").mkdir(parents=True)
    workspace, info = made(tmp_path), replace(INFO, data_root=str(tmp_path / "engine"))

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=free.get(path.relative_to(tmp_path).parts[0], 10**12))

    monkeypatch.setattr(wheel_store.shutil, "disk_usage", usage)
    if not words:
        check_disk(workspace, FULL, info)
        return
    with pytest.raises(DiskFullError, match=words):
        check_disk(workspace, FULL, info)


def test_the_disk_of_an_engine_elsewhere_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel_store.shutil, "disk_usage", lambda _path: SimpleNamespace(free=1_000_000_000))
    check_disk(made(tmp_path), FULL, INFO)
