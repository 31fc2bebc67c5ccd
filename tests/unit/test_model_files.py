"""envgen.model_files: which files a lock's model has, and which of them are not here."""

import hashlib
import io
import tomllib
import zipfile
from pathlib import Path

import pytest
from samples import COMMIT, HUB_MODEL, ROOT, sample_lock, wheel

from envgen import model_files
from envgen.catalog import Catalog
from envgen.cli.show import QuietReporter
from envgen.lock import Lock, LockedModel
from envgen.model_name import Repository
from envgen.settings import read_settings
from envgen.workspace import Workspace

NAMES = ("config.json", "model.safetensors", "tokenizer.json")
CONVERTER = next(
    entry for entry in tomllib.loads((ROOT / "profiles/models/wheels.toml").read_text("utf-8"))["wheel"] if entry["name"] == "gguf"
)


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    settings = read_settings({"ENVGEN_CACHE": str(tmp_path / "cache")}, tmp_path)
    return Workspace(catalog=Catalog(project=tmp_path), settings=settings, reporter=QuietReporter())


def put(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_lock_without_a_model_has_none(work: Workspace) -> None:
    assert model_files.files(work, sample_lock()) == ()
    model_files.fetch(work, sample_lock())  # asks nobody


def test_the_files_of_a_model_of_the_hub(work: Workspace) -> None:
    lock = sample_lock(model=HUB_MODEL)
    assert isinstance(HUB_MODEL.source, Repository)
    found = model_files.files(work, lock)
    folder = work.settings.models / "hub" / "tests--small" / COMMIT
    assert [file.path for file in found] == [folder / name for name in NAMES]
    assert [(file.sha256, file.size) for file in found] == [(file.sha256, file.size) for file in HUB_MODEL.source.files]
    assert model_files.missing(work, lock) == found
    for name in NAMES[:2]:
        put(folder / name)
    assert [file.path.name for file in model_files.missing(work, lock)] == [NAMES[2]]


def lock_with_wheel(work: Workspace, *names: str) -> Lock:
    """A lock whose model is a wheel of these files, which is in the store."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    content = buffer.getvalue()
    found = wheel("demo-model", sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    put(work.store.path(found.sha256, found.file), content)
    return sample_lock(model=LockedModel(source=found))


def test_a_model_in_a_wheel_is_one_file_in_the_wheel_store(work: Workspace) -> None:
    lock = sample_lock(model=LockedModel(source=wheel("demo-model")))
    (found,) = model_files.missing(work, lock)
    assert found.path == work.store.path(found.sha256, "demo_model-1.0-py3-none-any.whl")
    assert model_files.missing(work, lock_with_wheel(work, "demo/config.json", "demo/model.safetensors", "demo/x.gguf")) == ()
    assert len(model_files.files(work, lock_with_wheel(work, "demo/config.json", "demo/model.safetensors", "demo/x.gguf"))) == 1


def test_with_gguf_comes_the_wheel_that_converts_it(work: Workspace) -> None:
    lock = lock_with_wheel(work, "demo/x.gguf")
    path = work.store.path(CONVERTER["sha256"], f"gguf-{CONVERTER['version']}-py3-none-any.whl")
    assert [file.path for file in model_files.missing(work, lock)] == [path]
    put(path, b"12345")
    _, converter = model_files.files(work, lock)
    assert (converter.path, converter.sha256, converter.size) == (path, CONVERTER["sha256"], 5)
    model_files.fetch(work, lock)  # all is here: asks nobody
