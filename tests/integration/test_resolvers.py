"""Both resolvers against the real index: the same bytes from either, on any machine, and errors that say what is wrong."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import platform
import shutil
import socket
import sys
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from envgen.core.settings import Settings, read_settings
from envgen.core.target import Target
from envgen.lock.resolvers import ResolveRequest
from envgen.lock.resolvers.dated_index import DatedIndex, serve
from envgen.lock.resolvers.piptools import PipToolsResolver
from envgen.lock.resolvers.uv import UvResolver
from envgen.profiles import Index
from envgen.sources import IndexClient, Packages, WheelStore

RESOLVERS = ("uv", "pip-tools")
AS_OF = dt.datetime(2026, 9, 22, tzinfo=dt.UTC)
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
# Not the version of any machine that tests run on, so that a resolver that asks the host gives another answer.
FULL = f"{MINOR}.99"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64", "AMD64": "amd64"}[platform.machine()]
PLATFORM = f"{ {'linux': 'linux', 'darwin': 'macos', 'win32': 'windows'}[sys.platform] }/{MACHINE}"
TARGET = f"py{MINOR.replace('.', '')}-{PLATFORM.replace('/', '-')}"

# colorama is a name that the default index has too.
SMALL = f"""
description = "A small profile whose result depends on the date, the target's exact Python, and a private index"
as_of = 2026-09-22
installer = "uv==0.12.17"
requirements = ["requests", "tqdm<4.68", "colorama==0.4.6"]
platforms = ["{PLATFORM}"]

[python."{MINOR}"]
full = "{FULL}"

[index.private]
url = "https://packages.example.com/simple"
packages = ["colorama"]
upload_times = false
"""

# A proxy of the machine's leads away from loopback.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def write_wheel(folder: Path, name: str, tag: str, *metadata: str) -> None:
    """A small wheel; `name` is the package's name and version as they stand in a file name."""
    package, version = name.split("-")
    head = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{name}-{tag}.whl", "w") as wheel:
        wheel.writestr(f"{package}.py", "mine = True\n")
        wheel.writestr(f"{name}.dist-info/METADATA", head + "".join(f"{line}\n" for line in metadata))
        wheel.writestr(f"{name}.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{name}.dist-info/RECORD", "")


@pytest.fixture(scope="module")
def private(tmp_path_factory) -> Path:
    """A private index: a folder with wheels that have other requirements, or do not fit, on any Python but the target's."""
    folder = tmp_path_factory.mktemp("private")
    write_wheel(
        folder,
        "colorama-0.4.6",
        "py3-none-any",
        f"Requires-Python: =={FULL}",
        f'Requires-Dist: toml==0.10.2; python_full_version == "{FULL}" and implementation_version == "{FULL}"',
        f'Requires-Dist: no-such-package-at-all; python_full_version != "{FULL}"',
    )
    write_wheel(folder, "tagged-1.0", "py3-none-any")
    write_wheel(folder, "wants_tagged-1.0", "py3-none-any", "Requires-Dist: tagged")
    # The target promises glibc 2.28; most machines have a newer one, which would take this.
    write_wheel(folder, "tagged-2.0", f"py3-none-manylinux_2_29_{platform.machine()}")
    return folder


@pytest.fixture
def project(tmp_path) -> Callable[..., Path]:
    """Makes a project folder with one profile called `small`."""

    def make(text: str = SMALL, name: str = "project") -> Path:
        folder = tmp_path / name
        (folder / "profiles").mkdir(parents=True)
        (folder / "profiles" / "small.toml").write_text(text, encoding="utf-8")
        return folder

    return make


def locks(folder: Path) -> dict[str, bytes]:
    """All files of a project's locks, by path."""
    root = folder / "locks"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, run_envgen, private) -> dict[str, bytes]:
    """The lock of the small profile as uv makes it on this machine as it is."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "profiles").mkdir()
    (folder / "profiles" / "small.toml").write_text(SMALL, encoding="utf-8")
    done = run_envgen("lock", "small", cwd=folder, env={"ENVGEN_INDEX_PRIVATE": str(private)})
    assert done.returncode == 0, done.stderr
    return locks(folder)


def test_both_resolvers_lock_cpu_base_to_the_same_bytes(run_envgen, tmp_path):
    found = {}
    for resolver in RESOLVERS:
        folder = tmp_path / resolver
        folder.mkdir()
        done = run_envgen("lock", "cpu-base", "--target", "py311-linux-amd64", "--resolver", resolver, cwd=folder)
        assert done.returncode == 0, done.stderr
        found[resolver] = locks(folder)
    assert sorted(found["uv"]) == [f"cpu-base/py311-linux-amd64/{name}" for name in ("Dockerfile", "envgen.lock", "requirements.txt")]
    assert found["uv"] == found["pip-tools"]


def test_a_lock_follows_the_target_and_the_mapped_index(reference, private):
    text = reference[f"small/{TARGET}/requirements.txt"].decode()
    digest = hashlib.sha256((private / "colorama-0.4.6-py3-none-any.whl").read_bytes()).hexdigest()
    assert f"colorama==0.4.6 --hash=sha256:{digest}" in text
    assert "toml==0.10.2" in text


def test_pip_tools_gives_the_same_bytes(run_envgen, project, private, reference):
    folder = project()
    done = run_envgen("lock", "small", "--resolver", "pip-tools", cwd=folder, env={"ENVGEN_INDEX_PRIVATE": str(private)})
    assert done.returncode == 0, done.stderr
    assert locks(folder) == reference


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_configuration_of_the_machine_is_no_input(run_envgen, project, private, reference, tmp_path, resolver):
    folder = project()
    (tmp_path / "only.txt").write_text("requests<2.30\ntqdm==4.60.0\n", encoding="utf-8")
    nowhere = "http://127.0.0.1:9/simple"
    pip = f"[global]\nindex-url = {nowhere}\nno-index = true\nconstraint = {tmp_path / 'only.txt'}\npre = true\n"
    uv = f"[[index]]\nurl = '{nowhere}'\ndefault = true\n\n[pip]\nresolution = 'lowest'\n"
    for place, text in (
        (tmp_path / "pip.conf", pip),
        (tmp_path / "home/.config/pip/pip.conf", pip),
        (tmp_path / "home/.config/uv/uv.toml", uv.replace("[[index]]", "[[index]]\nname = 'nowhere'")),
        (folder / "uv.toml", uv),
        (folder / ".pip-tools.toml", f"[tool.pip-tools]\nindex-url = '{nowhere}'\npre = true\n"),
        (folder / "pyproject.toml", "[tool.pip-tools]\nno-index = true\n[tool.uv]\nconstraint-dependencies = ['tqdm<4.61']\n"),
        (folder / "pip.py", "raise SystemExit('imported from the project folder')\n"),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    env = dict.fromkeys(("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"), nowhere)
    env |= {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": str(tmp_path / "home/.config")}
    env["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
    env |= {name: str(tmp_path / "only.txt") for name in ("PIP_CONSTRAINT", "UV_CONSTRAINT")}
    env |= {"PIP_NO_INDEX": "1", "PIP_PRE": "1", "UV_PRERELEASE": "allow", "UV_RESOLUTION": "lowest", "UV_EXCLUDE_NEWER": "2020-01-01"}
    env |= {"ENVGEN_CACHE": str(cache()), "ENVGEN_INDEX_PRIVATE": str(private)}
    done = run_envgen("lock", "small", "--resolver", resolver, cwd=folder, env=env)
    assert done.returncode == 0, done.stderr
    assert locks(folder) == reference


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_time_zone_locale_umask_hash_seed_and_folder_are_no_input(run_envgen, project, private, reference, resolver):
    folder = project(name="ein Ordner, mit Ümlaut")
    env = {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONHASHSEED": "4711", "COLUMNS": "40"}
    before = os.umask(0o077)
    try:
        done = run_envgen("lock", "small", "--resolver", resolver, cwd=folder, env={**env, "ENVGEN_INDEX_PRIVATE": str(private)})
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    assert locks(folder) == reference


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(
    ("requirements", "named", "hint"),
    [
        ('"idna>=9999"', ("idna>=9999: the default index has 3.",), "name a version that it has, as in idna==3."),
        ('"requests==2.32.5", "idna<2.5"', ("{resolver}, ", "requests", "idna<2.5"), "loosen a requirement of the profile"),
        ('"no-such-package-by-this-name"', ("no-such-package-by-this-name: the default index has no",), "for a package of your own"),
    ],
    ids=["no such version", "conflict", "no such package"],
)
def test_an_impossible_requirement_is_refused_by_name(run_envgen, project, private, resolver, requirements, named, hint):
    folder = project(SMALL.replace('"requests", "tqdm<4.68"', requirements))
    done = run_envgen("lock", "small", "--resolver", resolver, cwd=folder, env={"ENVGEN_INDEX_PRIVATE": str(private)})
    assert done.returncode == 3, done.stderr
    assert all(word.format(resolver=resolver) in done.stderr for word in named), done.stderr
    assert f"hint:  {hint}" in done.stderr
    for foreign in ("Traceback", "127.0.0.1", "requirements.in", "envgen-query"):
        assert foreign not in done.stderr
    assert not (folder / "locks").exists()


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_an_index_that_does_not_answer_is_named(run_envgen, project, private, resolver):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        env = {"ENVGEN_INDEX_DEFAULT": f"http://{address}/simple", "ENVGEN_INDEX_PRIVATE": str(private)}
        folder = project()
        done = run_envgen("lock", "small", "--resolver", resolver, cwd=folder, env=env)
    assert done.returncode == 3, done.stderr
    assert address in done.stderr
    assert "hint:  check the network" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "locks").exists()


def test_pip_tools_refuses_another_machines_target(run_envgen, tmp_path):
    done = run_envgen("lock", "cpu-base", "--target", "py311-windows-amd64", "--resolver", "pip-tools", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "found the target py311-windows-amd64" in done.stderr
    assert "--target py311-windows-amd64 --resolver uv" in done.stderr
    assert not (tmp_path / "locks").exists()


@pytest.fixture
def static_index(private, tmp_path, monkeypatch) -> Iterator[str]:
    """An index of static pages, without digests and upload times; the page says which Python each file wants."""
    wheel = "colorama-0.4.6-py3-none-any.whl"
    (tmp_path / "colorama").mkdir()
    shutil.copy(private / wheel, tmp_path / "colorama")
    page = f'<!DOCTYPE html><a href="{wheel}" data-requires-python="==&#51;{FULL[1:]}">{wheel}</a>'
    (tmp_path / "colorama" / "index.html").write_text(page, encoding="utf-8")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("resolver", [UvResolver, PipToolsResolver])
def test_a_page_is_read_for_the_targets_python(static_index, settings, sight, resolver):
    moved = replace(settings, mirrors={**settings.mirrors, "private": static_index})
    packages = Packages(IndexClient(moved, {"private": "https://packages.example.com/simple"}), WheelStore(moved.wheels))
    found = resolver(moved, packages).resolve(replace(sight.query, requirements=("colorama==0.4.6",)))
    assert found.versions == (("colorama", "0.4.6"), ("toml", "0.10.2"))


def test_a_mapped_package_that_only_others_require_comes_from_nowhere_else(resolve):
    # The default index has a package of that name as well.
    assert resolve(requirements=("wants-tagged",)) == {"tagged": "1.0", "wants-tagged": "1.0"}


def cache() -> Path:
    """The cache that envgen uses here; named where a test changes HOME, so that nothing is fetched twice."""
    return read_settings(os.environ, Path("nowhere")).cache


@pytest.fixture
def settings(private) -> Settings:
    return read_settings({**os.environ, "ENVGEN_INDEX_PRIVATE": str(private)}, Path("nowhere"))


@pytest.fixture
def sight(settings) -> DatedIndex:
    index = Index(
        name="private", url="https://packages.example.com/simple", packages=("colorama", "tagged", "wants-tagged"), upload_times=False
    )
    query = ResolveRequest(
        requirements=("tagged", "colorama==0.4.6"),
        constraints=(),
        target=Target(python_full=FULL, platform=PLATFORM),
        as_of=AS_OF,
        moved=(("idna", dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),),
        indexes=(index,),
    )
    return DatedIndex(query=query, packages=Packages(IndexClient(settings, {"private": index.url}), WheelStore(settings.wheels)))


@pytest.fixture(params=RESOLVERS)
def resolve(request, sight, settings) -> Callable[..., dict[str, str]]:
    """Resolves the sight's query, with other requirements where they are given."""
    resolver = {"uv": UvResolver, "pip-tools": PipToolsResolver}[request.param](settings, sight.packages)
    return lambda **changes: dict(resolver.resolve(replace(sight.query, **changes)).versions)


def test_the_targets_glibc_counts_and_not_the_machines(resolve):
    assert resolve() == {"colorama": "0.4.6", "tagged": "1.0", "toml": "0.10.2"}


def page(url: str, package: str) -> dict[str, object]:
    with OPENER.open(f"{url}{package}/", timeout=60) as answer:
        assert answer.headers["Content-Type"] == "application/vnd.pypi.simple.v1+json"
        return json.load(answer)


def test_the_view_shows_the_wheels_that_were_there(sight):
    theirs = sight.packages.files("default", "filelock")
    assert any(file.uploaded > AS_OF for file in theirs), "filelock has no release after the date: take another package"
    with serve(sight) as view:
        shown = page(view.url, "filelock")["files"]
        moved = page(view.url, "idna")["files"]
    assert {file["filename"] for file in shown} == {
        file.filename for file in theirs if file.uploaded < AS_OF and file.filename.endswith(".whl")
    }
    assert all(len(file["hashes"]["sha256"]) == 64 and file["core-metadata"] is True for file in shown)
    assert any(file["requires-python"] for file in shown)
    assert max(parse_wheel_filename(file["filename"])[1] for file in moved).base_version == "2.8"


def test_the_view_shows_a_mapped_package_from_its_index_alone(sight, private):
    with serve(sight) as view:
        (file,) = page(view.url, "colorama")["files"]
        with OPENER.open(f"{file['url']}.metadata", timeout=60) as answer:
            assert f"Requires-Python: =={FULL}\n".encode() in answer.read()
        with OPENER.open(file["url"], timeout=60) as answer:
            assert answer.read() == (private / "colorama-0.4.6-py3-none-any.whl").read_bytes()


@pytest.mark.parametrize("path", ["simple/no-such-package-by-this-name/", "file/tqdm/tqdm-0-py3-none-any.whl", "file/../../x", ""])
def test_the_view_has_nothing_else(sight, path):
    with serve(sight) as view, pytest.raises(urllib.error.HTTPError, match="404"):
        OPENER.open(f"{view.root}/{path}", timeout=60)
