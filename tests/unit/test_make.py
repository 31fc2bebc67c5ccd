"""envgen.lock.make: a lock is a function of its inputs, and its files are written whole or not at all."""

import datetime as dt
import json
import os
import signal
import threading
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
from samples import (
    BASE,
    COMMIT,
    INDEX,
    LINUX,
    PROFILE,
    ROOT,
    WINDOWS,
    Server,
    client_for,
    hub_for,
    make_wheel,
    profile_of,
    serve_model,
)

from envgen.cli.output import QuietReporter
from envgen.core.errors import (
    DiskFullError,
    EnvgenError,
    HubRefusedError,
    IndexRefusedError,
    ProfileError,
    ProfileErrors,
    ResolutionError,
    StaleLockError,
    UsageError,
)
from envgen.core.settings import read_settings
from envgen.core.target import Target
from envgen.image.layer_record import read_records, write_records
from envgen.lock import Lock, LockedModel, parse_lock
from envgen.lock.folder import read_lock, write_files
from envgen.lock.header import lock_without_packages
from envgen.lock.make import make_lock, query_for
from envgen.lock.model import digest_of, dump_lock
from envgen.lock.notice import NoticeKind
from envgen.lock.resolvers import Resolution, ResolveRequest
from envgen.profiles import Bound, Index, Profile, Project
from envgen.sources import Hub, IndexClient, IndexFile, LockedModelFiles, Packages, WheelStore
from envgen.sources.models import HubFile
from envgen.workspace import Workspace

BOUND = Bound(set_name="papers", package="torch", requirement=">=2.2", role="core", document="paper.txt", section="One")
VERSIONS = (("demo", "1.5"), ("demo-data", "2.0"), ("torch", "2.13.0+cpu"))
FILES = {"requirements.txt": b"r2", "Dockerfile": b"d2", "envgen.lock": b"l2"}


def digest(text: str, target: Target | None = None, bounds: tuple[Bound, ...] = (BOUND,), **others: str) -> str:
    profile = profile_of(text, **others)
    return lock_without_packages(profile, bounds, target or profile.targets()[0]).inputs


def changed(old: str, new: str) -> str:
    assert PROFILE.count(old) == 1, old
    return PROFILE.replace(old, new)


SAME = {
    "comments": PROFILE.replace("\n", " # a remark\n").replace('""" # a remark', '"""'),
    "empty lines": PROFILE.replace("\n", "\n\n"),
    "spaces around =": PROFILE.replace(" = ", "="),
    "spaces in a requirement": changed('"demo>=1"', '"demo >= 1"'),
    "another spelling of a name": changed('"demo>=1"', '"Demo>=1"'),
    "keys of a table turned": changed('HF_HOME = "/models"\nALPHA = "1"', 'ALPHA = "1"\nHF_HOME = "/models"'),
    "top-level keys turned": changed(
        'description = "A small profile"\nas_of = 2026-09-22', 'as_of = 2026-09-22\ndescription = "A small profile"'
    ),
    "dotted keys": changed('[smoke]\ntiers = ["static", "cpu"]', "").replace(
        "\ndescription", '\nsmoke.tiers = ["static", "cpu"]\ndescription'
    ),
    "another kind of quotes": changed('"A small profile"', "'A small profile'"),
    "a slash at the end of a URL": changed("whl/cpu", "whl/cpu/"),
    "line ends": PROFILE.replace("\n", "\r\n"),
    "the embedded model named": changed("[smoke]", '[smoke]\nmodel = "embedded"'),
    "a platform that is another target's": changed('"windows/amd64"]\nins', '"macos/arm64"]\nins'),
}
OTHER = {
    "description": changed("A small profile", "Another"),
    "as_of": changed("2026-09-22", "2026-09-23"),
    "requirement": changed("demo>=1", "demo>=2"),
    "another requirement": changed('"demo>=1"', '"demo>=1", "numpy"'),
    "an extra": changed("demo>=1", "demo[x]>=1"),
    "a marker": changed("demo>=1", "demo>=1; python_version > '3'"),
    "installer": changed("uv==0.12.17", "uv==0.12.18"),
    "full Python": changed("3.11.16", "3.11.15"),
    "base": changed("slim-bookworm", "slim-trixie"),
    "base digest": changed("a" * 64, "b" * 64),
    "index URL": changed("whl/cpu", "whl/cpu2"),
    "index name": changed("pytorch-cpu", "pytorch"),
    "index packages": changed('["torch"]', '["torch", "torchvision"]'),
    "upload times": changed("upload_times = false", "upload_times = true"),
    "layers": changed('["demo-*"]', '["demo"]'),
    "env": changed("/models", "/other"),
    "tiers": changed('["static", "cpu"]', '["static"]'),
    "a package's own date": PROFILE + "\n[package.demo]\nas_of = 2026-10-01\n",
    "a model": changed("[smoke]", f'[smoke]\nmodel = "hub:tests/small@{COMMIT}"'),
    "what a model is asked": changed("[smoke]", f'[smoke]\nmodel = "hub:tests/small@{COMMIT}"\nprompt = "x"'),
    "order of layers": changed('models = ["demo-*"]', 'b = ["b"]\nmodels = ["demo-*"]'),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_what_means_nothing_changes_no_digest(text: str) -> None:
    assert digest(text) == digest(PROFILE)


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_every_meaningful_value_changes_the_digest(text: str) -> None:
    assert digest(text) != digest(PROFILE)


def test_target_and_bounds_are_inputs_too() -> None:
    assert digest(PROFILE, WINDOWS) != digest(PROFILE)
    assert digest(PROFILE, replace(LINUX, glibc="2.17")) != digest(PROFILE)
    assert digest(PROFILE, bounds=()) != digest(PROFILE)
    assert digest(PROFILE, bounds=(replace(BOUND, requirement=">=2.3"),)) != digest(PROFILE)
    assert digest(PROFILE, bounds=(replace(BOUND, section="Two"),)) != digest(PROFILE)


def test_a_child_that_adds_nothing_but_its_name_differs_by_its_name_alone() -> None:
    child = lock_without_packages(profile_of('extends = "small"', "mine", small=PROFILE), (BOUND,), LINUX)
    parent = lock_without_packages(profile_of(), (BOUND,), LINUX)
    assert replace(child, profile="small", inputs=parent.inputs) == parent


def test_the_digest_is_the_same_in_every_zone(in_zone: Callable[[str], None]) -> None:
    expected = digest(PROFILE)
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles"):
        in_zone(zone)
        assert digest(PROFILE) == expected


def test_a_query_is_what_the_profile_says() -> None:
    query = query_for(profile_of(PROFILE + "\n[package.demo]\nas_of = 2026-10-01\n"), (BOUND, replace(BOUND, package="python")), LINUX)
    assert query.requirements == ("demo>=1", "torch==2.13.0")
    assert query.constraints == ("torch>=2.2",)
    assert query.cutoff("demo") == dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    assert query.cutoff("torch") == query.as_of == dt.datetime(2026, 9, 22, tzinfo=dt.UTC)
    assert (query.index_of("torch"), query.index_of("demo")) == ("pytorch-cpu", "default")
    assert (query.publishes_times("torch"), query.publishes_times("demo")) == (False, True)


@pytest.mark.parametrize("requirement", ["torch", "torch>=2.13", "torch==2.*", "torch!=2.13.0"])
def test_an_index_without_upload_times_wants_an_exact_version(requirement: str) -> None:
    with pytest.raises(
        ProfileError, match=r"torch comes from the index pytorch-cpu, which publishes no upload times: expected an exact version"
    ):
        query_for(profile_of(changed("torch==2.13.0", requirement)), (), LINUX)
    query_for(profile_of(changed("torch==2.13.0", requirement)), (), WINDOWS)


class Answer:
    """A resolver that always says the same."""

    name = "answer"

    def __init__(self, *versions: tuple[str, str]) -> None:
        self._versions = versions

    def resolve(self, _query: ResolveRequest) -> Resolution:
        return Resolution(versions=self._versions)


def wheel_of(name: str, version: str) -> tuple[str, bytes]:
    requires = {"demo": ["demo-data", "torch"]}.get(name, [])
    tags = {"torch": "cp311-cp311-manylinux_2_28_x86_64", "uv": "py3-none-manylinux_2_17_x86_64"}.get(name, "py3-none-any")
    return f"{name.replace('-', '_')}-{version}-{tags}.whl", make_wheel(name, version, requires)


@dataclass(frozen=True, kw_only=True)
class Served(Workspace):
    """A workspace with these packages and this hub, whatever its settings say."""

    served: Packages
    models_from: Hub

    def packages(self, _urls: Mapping[str, str]) -> Packages:
        return self.served

    @property
    def hub(self) -> Hub:
        return self.models_from


def served(folder: Path, client: IndexClient, hub: Hub) -> Served:
    settings, project = read_settings({}, folder), Project(folder=folder)
    packages = Packages(client, WheelStore(folder / "wheels"))
    return Served(project=project, settings=settings, reporter=QuietReporter(), served=packages, models_from=hub)


def locking(profile: Profile, bounds: tuple[Bound, ...], target: Target, asked: tuple[Workspace, Answer]) -> Lock:
    return make_lock(asked[0], profile, bounds, target, cast(Any, asked[1]))


def sources(folder: Path, *versions: tuple[str, str], reverse: bool = False, **urls: str) -> tuple[Workspace, Answer]:
    """Indexes that hold the wheels of VERSIONS and the installer; `reverse` lists everything in another order."""
    import hashlib

    server = Server()
    for name, version in (*VERSIONS, ("uv", "0.12.17"), *versions):
        index = "https://torch.example/whl/cpu" if name == "torch" else INDEX
        file, content = wheel_of(name, version)
        older = file.replace(version, "0.1")
        time = {} if name == "torch" else {"upload-time": "2026-08-01T12:30:15.5Z"}
        files = [
            {
                "filename": listed,
                "url": f"{index}/{listed}",
                "size": len(content),
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                **time,
            }
            for listed in (older, file)
        ]
        server.page(f"{index}/{name}/", json.dumps({"files": files[::-1] if reverse else files}))
        server.page(f"{index}/{file}", content, "application/zip")
    client = client_for(server, folder, **{"pytorch-cpu": "https://torch.example/whl/cpu", **urls})
    hub = hub_for(server, folder)
    serve_model(server, {"config.json": b"{}", "model.safetensors": b"weights", "README.md": b"x"})
    return served(folder, client, hub), Answer(*(versions or VERSIONS))


def test_a_lock_is_made_with_all_its_reasons(tmp_path: Path) -> None:
    data = tomllib.loads(dump_lock(locking(profile_of(), (BOUND,), LINUX, sources(tmp_path))).decode())
    assert {package["name"]: package["layer"] for package in data["package"]} == {
        "demo": "libraries",
        "demo-data": "models",
        "torch": "torch",
    }
    torch = data["package"][2]
    assert torch["uploaded"] == "not published"
    assert torch["index"] == "pytorch-cpu"
    assert torch["required_by"] == [{"name": "demo", "requirement": "*"}, {"name": "small", "requirement": "==2.13.0"}]
    assert torch["bounds"] == [{"set": "papers", "requirement": ">=2.2", "source": "paper.txt, One"}]
    assert data["package"][0]["uploaded"] == dt.datetime(2026, 8, 1, 12, 30, 15, tzinfo=dt.UTC)
    assert data["installer"]["version"] == "0.12.17"


def test_the_order_of_an_index_and_the_place_of_the_cache_change_nothing(tmp_path: Path) -> None:
    first = dump_lock(locking(profile_of(), (BOUND,), LINUX, sources(tmp_path / "a")))
    assert dump_lock(locking(profile_of(), (BOUND,), LINUX, sources(tmp_path / "b" / "c", reverse=True))) == first


def test_a_wheel_of_the_samples_is_the_same_at_any_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_wheel("demo")
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert make_wheel("demo") == first


def test_what_only_another_package_asks_for_has_to_be_exact_too_where_there_are_no_upload_times(tmp_path: Path) -> None:
    mapped = '\n[index.mine]\nurl = "https://mine.example/simple"\npackages = ["demo-data"]\nupload_times = false\n'
    with pytest.raises(ProfileError, match=r"demo-data comes from the index mine, which publishes no upload times: expected an exact"):
        locking(profile_of(PROFILE + mapped), (BOUND,), LINUX, sources(tmp_path, mine=INDEX))
    exact = profile_of(changed('"demo>=1"', '"demo>=1", "demo-data==2.0"') + mapped)
    assert len(locking(exact, (BOUND,), LINUX, sources(tmp_path, mine=INDEX)).packages) == 3


def test_a_layer_may_be_too_large_where_there_is_an_image_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envgen.profiles.layer_groups.LIMIT", 100)
    with pytest.raises(ProfileError, match=r"^profiles/small.toml: py311-linux-amd64: the wheels of the layer group \w+ are "):
        locking(profile_of(), (BOUND,), LINUX, sources(tmp_path))
    without_base = profile_of(changed(f'base = "{BASE}"', ""))
    assert len(locking(without_base, (BOUND,), LINUX, sources(tmp_path)).packages) == 3


def test_a_resolver_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(EnvgenError, match=r"demo-data: resolved to nothing, but demo asks for demo-data"):
        locking(profile_of(), (BOUND,), LINUX, sources(tmp_path, VERSIONS[0], VERSIONS[2]))
    with pytest.raises(EnvgenError, match=r"resolved, but nobody asks for them: extra"):
        locking(profile_of(), (BOUND,), LINUX, sources(tmp_path, *VERSIONS, ("extra", "1.0")))
    with pytest.raises(EnvgenError, match=r"demo: resolved to 0.5, but small asks for demo>=1"):
        locking(profile_of(), (BOUND,), LINUX, sources(tmp_path, ("demo", "0.5"), *VERSIONS[1:]))
    with pytest.raises(EnvgenError, match=r"resolved to 2.13.0\+cpu, but the documented bound is >=3"):
        locking(profile_of(), (replace(BOUND, requirement=">=3"),), LINUX, sources(tmp_path))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_files_are_written_and_a_second_time_nothing_changes(tmp_path: Path) -> None:
    folder = tmp_path / "locks" / "small" / "target"
    before = os.umask(0o077)
    try:
        assert write_files(folder, FILES)
    finally:
        os.umask(before)
    assert contents(folder) == FILES
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    times = [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]
    assert not write_files(folder, FILES)
    assert [path.stat().st_mtime_ns for path in sorted(folder.iterdir())] == times


def test_a_lock_and_the_record_of_its_layers_leave_each_other_alone(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    assert read_records(Project(folder=tmp_path), tmp_path, "small") == {}
    assert write_records(tmp_path, b"record")
    assert not write_records(tmp_path, b"record")
    assert write_files(tmp_path, {"envgen.lock": b"another"})
    assert contents(tmp_path)["layers.toml"] == b"record"
    assert not (tmp_path / "Dockerfile").exists()
    with pytest.raises(StaleLockError, match=r"^layers.toml: not written by envgen"):
        read_records(Project(folder=tmp_path), tmp_path, "small")


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_way_changes_nothing(tmp_path: Path, name: str) -> None:
    old = {other: b"old" for other in FILES if other != name}
    for other, content in old.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / name).mkdir()
    (tmp_path / name / "keep").write_bytes(b"")
    with pytest.raises(UsageError, match=r"can't be written: Is a directory; nothing was changed"):
        write_files(tmp_path, FILES)
    assert contents(tmp_path) == old


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("existing", [True, False])
def test_a_rename_that_fails_puts_everything_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, existing: bool) -> None:
    old = dict.fromkeys(FILES, b"old") if existing else {}
    for other, content in old.items():
        (tmp_path / other).write_bytes(content)
    replace_file = Path.replace
    failed = []

    def fail_once(path: Path, target: Path) -> Path:
        if path.name == f"{name}.new" and not failed:
            failed.append(path)
            raise OSError(5, "Input/output error", str(path))
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", fail_once)
    with pytest.raises(UsageError, match=r"Input/output error; nothing was changed"):
        write_files(tmp_path, FILES)
    assert contents(tmp_path) == old
    assert write_files(tmp_path, FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_disk_that_is_full_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in FILES:
        (tmp_path / other).write_bytes(b"old")
    write_bytes = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if path.name == f"{name}.new":
            write_bytes(path, content[:1])
            raise OSError(28, "No space left on device", str(path))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFullError, match=r"the disk is full; nothing was changed"):
        write_files(tmp_path, FILES)
    assert contents(tmp_path) == dict.fromkeys(FILES, b"old")


def test_a_place_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file", encoding="utf-8")
    with pytest.raises(UsageError, match=r"locks.*can't be written: (Not a directory|File exists)"):
        write_files(tmp_path / "locks" / "small", FILES)


def test_what_a_killed_run_left_is_no_hindrance(tmp_path: Path) -> None:
    assert write_files(tmp_path, FILES)
    left = tmp_path / "envgen-lock-0123abcd"
    left.mkdir()
    (left / "envgen.lock.new").write_bytes(b"half")
    left.with_suffix(".alive").touch()
    assert not write_files(tmp_path, FILES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("others", [0, 3], ids=["alone", "beside other threads"])
def test_an_interruption_waits_until_all_are_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    replace_file = Path.replace
    done = threading.Event()
    threads = [threading.Thread(target=done.wait, daemon=True) for _ in range(others)]

    def interrupt(path: Path, target: Path) -> Path:
        os.kill(os.getpid(), signal.SIGINT)
        return replace_file(path, target)

    monkeypatch.setattr(Path, "replace", interrupt)
    for thread in threads:
        thread.start()
    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, FILES)
    done.set()
    assert contents(tmp_path) == FILES
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_lock_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StaleLockError, match=r"^locks/small/py311-linux-amd64/envgen.lock: there is no lock$") as caught:
        read_lock(Project(folder=tmp_path), profile_of(), LINUX)
    assert caught.value.hint == "run: envgen lock small"


def test_the_committed_locks_are_those_of_their_profiles() -> None:
    project = Project(folder=ROOT)
    for name in project.profiles():
        profile = project.profile(name)
        for target in profile.targets():
            lock, _ = read_lock(project, profile, target)
            expected = lock_without_packages(profile, project.bounds(profile), target)
            assert replace(lock, installer=None, packages=()) == expected


def test_a_base_that_was_dropped_takes_its_dockerfile_along(tmp_path: Path) -> None:
    assert write_files(tmp_path, FILES)
    without = {name: content for name, content in FILES.items() if name != "Dockerfile"}
    assert write_files(tmp_path, without)
    assert contents(tmp_path) == without
    assert not write_files(tmp_path, without)


def test_a_profile_that_is_called_like_one_of_its_packages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"^profiles/demo.toml: has the name of a package that it locks"):
        locking(profile_of(name="demo"), (BOUND,), LINUX, sources(tmp_path))


class Offer:
    """A client of an index that lists these files of torch, or refuses to."""

    def __init__(self, *files: str, refuses: bool = False) -> None:
        self._files, self._refuses = files, refuses

    def location(self, index: str) -> str:
        return f"https://torch.example/{index}"

    def files(self, index: str, package: str) -> tuple[IndexFile, ...]:
        assert (index, package) == ("pytorch-cu127", "torch")
        if self._refuses:
            raise IndexRefusedError(index, "found status 403")
        return tuple(IndexFile(index=index, filename=name, url="") for name in self._files)


@pytest.mark.parametrize(
    ("client", "has"),
    [
        (Offer(), "no torch at all"),
        (Offer(refuses=True), "no torch at all"),
        (Offer("torch-2.9.0+cu127-cp311-cp311-manylinux_2_28_x86_64.whl", "torch-x.whl"), "2.9.0 as its newest"),
    ],
    ids=["no page", "refused", "other versions"],
)
def test_a_cuda_that_no_index_offers_is_said_before_anything_is_resolved(client: Offer, has: str, tmp_path: Path) -> None:
    index = Index(name="pytorch-cu127", url="https://torch.example/whl/cu127", packages=("torch",), upload_times=False)
    profile = replace(profile_of(), cuda="12.7", indexes=(index,))
    asked = served(tmp_path, cast(Any, client), cast(Any, None))
    with pytest.raises(ResolutionError) as caught:
        make_lock(asked, profile, (), LINUX, cast(Any, None))
    assert str(caught.value) == (
        "py311-linux-amd64: cuda: no index has torch 2.13.0 built for CUDA 12.7: https://torch.example/pytorch-cu127 has " + has
    )


@pytest.mark.parametrize("asked", ["2.7", "2.7.0", "2.7.0.0"])
def test_a_release_of_torch_is_known_in_any_spelling(asked: str, tmp_path: Path) -> None:
    """It goes on to the resolver, which is none here."""
    index = Index(name="pytorch-cu127", url="https://torch.example/whl/cu127", packages=("torch",), upload_times=False)
    profile = replace(profile_of(PROFILE.replace("torch==2.13.0", f"torch=={asked}")), cuda="12.7", indexes=(index,))
    offer = Offer("torch-2.7.0+cu127-cp311-cp311-manylinux_2_28_x86_64.whl")
    with pytest.raises(AttributeError):
        make_lock(served(tmp_path, cast(Any, offer), cast(Any, None)), profile, (), LINUX, cast(Any, None))


def test_the_release_that_fits_torch_is_named(tmp_path: Path) -> None:
    text = PROFILE.replace('packages = ["torch"]', 'packages = ["torch", "torchvision", "torchaudio"]')
    text = text.replace('"demo>=1"', '"torchvision", "torchaudio"')
    with pytest.raises(ProfileErrors) as caught:
        make_lock(sources(tmp_path)[0], profile_of(text), (), LINUX, cast(Any, None))
    assert [fault.hint for fault in caught.value.faults()] == [
        'for torch 2.13.0 that is "torchvision==0.28.0"',
        'for torch 2.13.0 that is "torchaudio==2.11.0"',
    ]


def test_a_lock_that_is_refused_says_all_of_it(tmp_path: Path) -> None:
    """Through make_lock itself: the checks are asked, with what the index says."""
    profile = profile_of(PROFILE.replace("demo>=1", "demo[fast]>=1"))
    with pytest.raises(ResolutionError, match=r"^py311-linux-amd64: demo\[fast\]: 1.5 has no extra 'fast'$"):
        locking(profile, (BOUND,), LINUX, sources(tmp_path))


def test_a_notice_is_in_the_lock(tmp_path: Path) -> None:
    """These wheels have no RECORD, which installers want."""
    made = locking(profile_of(), (BOUND,), LINUX, sources(tmp_path))
    assert [(notice.kind, notice.package) for notice in made.notices] == [
        (NoticeKind.NOT_COMPARED, name) for name in ("demo", "demo-data", "torch")
    ]
    assert parse_lock(dump_lock(made), "x") == made


def with_model(model: str) -> str:
    return changed("[smoke]", f'[smoke]\nmodel = "{model}"\nprompt = "Who?"')


def test_a_model_of_the_hub_is_locked_by_commit_and_by_each_file(tmp_path: Path) -> None:
    made = locking(profile_of(with_model(f"hub:tests/small@{COMMIT}")), (BOUND,), LINUX, sources(tmp_path))
    files = (
        HubFile(name="config.json", sha256=sha256(b"{}"), size=2),
        HubFile(name="model.safetensors", sha256=sha256(b"weights"), size=7),
    )
    assert made.model == LockedModel(source=LockedModelFiles(repo="tests/small", commit=COMMIT, files=files), prompt="Who?")
    assert parse_lock(dump_lock(made), "x") == made


def test_a_model_in_a_wheel_is_locked_by_its_hash(tmp_path: Path) -> None:
    made = locking(profile_of(with_model("wheel:Demo_Data==2.0")), (BOUND,), LINUX, sources(tmp_path))
    assert made.model
    assert made.model.source == made.packages[1].wheel
    assert made.model.name == "wheel:demo-data==2.0"
    assert parse_lock(dump_lock(made), "x") == made


def test_a_target_without_an_image_has_no_model(tmp_path: Path) -> None:
    profile = profile_of(with_model("hub:tests/none@main").replace(f'base = "{BASE}"', ""))
    assert locking(profile, (BOUND,), LINUX, sources(tmp_path)).model is None


def test_a_revision_that_may_move_is_refused_with_the_commit_that_it_is(tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        locking(profile_of(with_model("hub:tests/small@main")), (BOUND,), LINUX, sources(tmp_path))
    assert str(caught.value) == (
        "profiles/small.toml: smoke.model: found the revision 'main', which may move, expected a commit of 40 hexadecimal digits"
    )
    assert caught.value.hint == f'as of now that is: model = "hub:tests/small@{COMMIT}"'


def test_a_model_that_the_hub_does_not_show_is_refused(tmp_path: Path) -> None:
    for revision in ("main", COMMIT):
        with pytest.raises(HubRefusedError, match="the hub shows no model tests/none: the name is wrong, or it is private and HF_TOKEN is"):
            locking(profile_of(with_model(f"hub:tests/none@{revision}")), (BOUND,), LINUX, sources(tmp_path))


def sha256(content: bytes) -> str:
    return digest_of(content).removeprefix("sha256:")


class Counting(Answer):
    """Counts how often it is asked."""

    asked = 0

    def resolve(self, query: ResolveRequest) -> Resolution:
        Counting.asked += 1
        return super().resolve(query)


def test_equal_questions_of_several_profiles_are_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "asked", 0)
    workspace, resolver = sources(tmp_path)[0], Counting(*VERSIONS)
    others = [
        profile_of(),
        profile_of(changed("A small profile", "Another"), "other"),
        profile_of(changed('ALPHA = "1"', 'ALPHA = "2"'), "env"),
    ]
    made = [locking(profile, (BOUND,), LINUX, (workspace, resolver)) for profile in others]
    assert Counting.asked == 1
    assert [lock.profile for lock in made] == ["small", "other", "env"]
    locking(profile_of(changed("demo>=1", "demo>=1.1")), (BOUND,), LINUX, (workspace, resolver))
    assert Counting.asked == 2


def test_what_is_being_done_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(QuietReporter, "detail", lambda _self, text: told.append(text))
    locking(profile_of(), (BOUND,), LINUX, sources(tmp_path))
    assert told == [
        "small py311-linux-amd64: reading the indexes",
        "small py311-linux-amd64: resolving with answer",
        "small py311-linux-amd64: reading the metadata of 3 wheels",
    ]
