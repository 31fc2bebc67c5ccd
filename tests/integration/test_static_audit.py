"""The static audit against what the real uv makes of real wheels: it passes, and finds each of many small changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from uv import find_uv_bin

from envgen.smoke import expected_tree

# Between them: launchers, scripts with a shebang to rewrite, headers, data files, shared libraries, single modules.
WHEELS = (
    "filelock==4.3.1",
    "greenlet==3.5.6",
    "jmespath==1.0.1",
    "jupyterlab-widgets==3.0.17",
    "pyyaml==6.0.4",
    "tqdm==4.70.1",
    "typing-extensions==4.16.0",
)
EPOCH = 315532800
PYTHON = ".".join(map(str, sys.version_info[:3]))
MINOR = ".".join(map(str, sys.version_info[:2]))
TAG = sys.implementation.cache_tag
BASE = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
PROBE = str(files("envgen") / "smoke" / "probe")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An installed environment and the job that describes it; tests change it at will, `reset` undoes that."""

    prefix: Path
    pristine: Path
    job: Path

    @property
    def site_packages(self) -> Path:
        return self.prefix / "lib" / f"python{MINOR}" / "site-packages"

    def reset(self) -> None:
        if self.prefix.exists():
            shutil.rmtree(self.prefix)
        shutil.copytree(self.pristine, self.prefix, symlinks=True)

    def audit(self) -> dict[str, tuple[str, str]]:
        """Return status and detail of each check."""
        command = [BASE, "-B", "-I", "-S", PROBE, "static-files", str(self.job)]
        lines = run(command).splitlines()
        assert json.loads(lines[-1]) == {"end": "static-files"}
        records = [json.loads(line) for line in lines]
        return {record["check"]: (record["status"], record["detail"]) for record in records if "check" in record}


def run(command: list[str], **environment: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def touch(prefix: Path) -> None:
    for path in (*prefix.rglob("*"), prefix):
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def install(wheels: list[Path], prefix: Path) -> None:
    """Make an environment as the rendered Dockerfile does."""
    run([BASE, "-m", "venv", "--without-pip", str(prefix)])
    shutil.rmtree(prefix / "include")
    for script in prefix.glob("bin/[aA]ctivate*"):
        script.unlink()
    command = [find_uv_bin(), "pip", "install", "--python", str(prefix / "bin/python"), "--no-config", "--no-index"]
    settings = {"UV_LINK_MODE": "copy", "UV_NO_INSTALLER_METADATA": "1", "UV_NO_CACHE": "1"}
    run([*command, "--no-deps", *map(str, wheels)], **settings)
    (prefix / ".lock").unlink(missing_ok=True)
    compiling = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    run([str(prefix / "bin/python"), *compiling, str(prefix / f"lib/python{MINOR}/site-packages")])
    touch(prefix)


@pytest.fixture(scope="module")
def installed() -> Iterator[Environment]:
    with tempfile.TemporaryDirectory(prefix="envgen-audit-") as folder:
        root = Path(folder).resolve()
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        run([*download, "-d", str(root / "wheels"), *WHEELS])
        wheels = sorted((root / "wheels").glob("*.whl"))
        assert len(wheels) == len(WHEELS)
        prefix, pristine = root / "venv", root / "pristine"
        install(wheels, prefix)
        tree = expected_tree(wheels, python=PYTHON, prefix=str(prefix))
        job = {
            "expected": tree.to_json(),
            "prefix": str(prefix),
            "python": PYTHON,
            "distributions": dict(tree.distributions),
        }
        (root / "job.json").write_text(json.dumps(job))
        prefix.rename(pristine)
        yield Environment(prefix=prefix, pristine=pristine, job=root / "job.json")


@pytest.fixture
def environment(installed: Environment) -> Environment:
    installed.reset()
    return installed


def test_what_uv_installs_is_what_is_expected(environment: Environment) -> None:
    outcome = environment.audit()
    # The one who runs this owns the environment, which an image never allows; root could not tell.
    assert outcome.pop("not-writable")[0] == ("failed" if os.geteuid() else "not run")
    assert {status for status, _ in outcome.values()} == {"passed"}, outcome


def flip(path: Path, offset: int = -1) -> None:
    """Change one byte and nothing else, not even the modification time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cached(environment: Environment, name: str) -> Path:
    source = environment.site_packages / name
    return source.parent / "__pycache__" / f"{source.stem}.{TAG}.pyc"


def shared_library(environment: Environment) -> Path:
    return next(environment.site_packages.glob("yaml/_yaml*.so"))


def record(environment: Environment) -> Path:
    return next(environment.site_packages.glob("tqdm-*.dist-info/RECORD"))


def replace_by_link(path: Path, target: Path) -> None:
    path.rename(target)
    path.symlink_to(target)


def rename_dist_info(environment: Environment) -> None:
    folder = record(environment).parent
    shutil.copytree(folder, environment.site_packages / "stray-1.0.dist-info")
    metadata = environment.site_packages / "stray-1.0.dist-info" / "METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: stray\nVersion: 1.0\n")


def compile_with(environment: Environment, name: str, mode: str) -> None:
    source = str(environment.site_packages / name)
    run([BASE, "-m", "compileall", "-q", "-f", "--invalidation-mode", mode, source])


def compile_other_source(environment: Environment) -> None:
    """Give one source byte code that does something else, with a header that fits."""
    target = cached(environment, "filelock/asyncio.py")
    header = target.read_bytes()[:16]
    program = "import marshal, sys; sys.stdout.buffer.write(marshal.dumps(compile('evil = 1', sys.argv[1], 'exec')))"
    source = str(environment.site_packages / "filelock/asyncio.py")
    done = subprocess.run([BASE, "-c", program, source], capture_output=True, check=True)
    target.write_bytes(header + done.stdout)


def set_configuration(environment: Environment, old: str, new: str) -> None:
    path = environment.prefix / "pyvenv.cfg"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


CHANGES: dict[str, tuple[str, str, Callable[[Environment], object]]] = {
    "source": ("files", "tqdm/std.py", lambda e: flip(e.site_packages / "tqdm/std.py")),
    "source, seen by byte code": ("byte-code", "std", lambda e: flip(e.site_packages / "tqdm/std.py")),
    "shared library": ("files", "_yaml", lambda e: flip(shared_library(e), 5000)),
    "record": ("files", "RECORD", lambda e: flip(record(e))),
    "launcher": ("files", "bin/tqdm", lambda e: flip(e.prefix / "bin/tqdm")),
    "script": ("files", "bin/jp.py", lambda e: flip(e.prefix / "bin/jp.py")),
    "data": ("files", "share/", lambda e: flip(next(p for p in (e.prefix / "share").rglob("*.json")))),
    "missing file": ("files", "tqdm/utils.py: missing", lambda e: (e.site_packages / "tqdm/utils.py").unlink()),
    "not executable": ("files", "bin/tqdm: mode 644", lambda e: (e.prefix / "bin/tqdm").chmod(0o644)),
    "executable": ("files", "mode 755", lambda e: (e.site_packages / "tqdm/std.py").chmod(0o755)),
    "set-uid": ("files", "mode 4755", lambda e: (e.prefix / "bin/tqdm").chmod(0o4755)),
    "file behind a link": (
        "files",
        "symbolic link",
        lambda e: replace_by_link(e.site_packages / "tqdm/std.py", e.job.parent / "elsewhere.py"),
    ),
    "byte code": ("byte-code", "std", lambda e: flip(cached(e, "tqdm/std.py"), 2000)),
    "byte code, magic": ("byte-code", "magic number", lambda e: flip(cached(e, "tqdm/std.py"), 0)),
    "byte code, source hash": ("byte-code", "another source", lambda e: flip(cached(e, "tqdm/std.py"), 9)),
    "byte code, checked": ("byte-code", "flags", lambda e: compile_with(e, "tqdm/std.py", "checked-hash")),
    "byte code, by time": ("byte-code", "flags", lambda e: compile_with(e, "tqdm/std.py", "timestamp")),
    "byte code of something else": ("byte-code", "asyncio", compile_other_source),
    "byte code, cut": ("byte-code", "unreadable", lambda e: os.truncate(cached(e, "tqdm/std.py"), 900)),
    "byte code, longer": (
        "byte-code",
        "1 bytes after its end",
        lambda e: cached(e, "tqdm/std.py").open("ab").write(b"x"),
    ),
    "byte code missing": ("byte-code", "missing", lambda e: cached(e, "tqdm/std.py").unlink()),
    "byte code, optimised": (
        "foreign-files",
        ".opt-1.pyc: a file",
        lambda e: shutil.copy(cached(e, "tqdm/std.py"), cached(e, "tqdm/std.py").with_name(f"std.{TAG}.opt-1.pyc")),
    ),
    "byte code behind a link": (
        "foreign-files",
        "a link to",
        lambda e: replace_by_link(cached(e, "tqdm/std.py"), e.job.parent / "elsewhere.pyc"),
    ),
    "path file": ("foreign-files", "evil.pth", lambda e: (e.site_packages / "evil.pth").write_text("import os\n")),
    "module": ("foreign-files", "evil.py", lambda e: (e.site_packages / "evil.py").write_text("")),
    "module in a package": ("foreign-files", "evil.py", lambda e: (e.site_packages / "tqdm/evil.py").write_text("")),
    "byte code alone": ("foreign-files", "evil.pyc", lambda e: (e.site_packages / "evil.pyc").write_bytes(b"")),
    "link": ("foreign-files", "evil: a link", lambda e: (e.site_packages / "evil").symlink_to("/etc")),
    "folder": ("foreign-files", "evil: a folder", lambda e: (e.site_packages / "evil").mkdir()),
    "pipe": ("foreign-files", "special file", lambda e: os.mkfifo(e.prefix / "pipe")),
    "program": ("foreign-files", "bin/evil", lambda e: (e.prefix / "bin/evil").write_text("")),
    "other interpreter": ("foreign-files", "bin/python3", lambda e: relink(e.prefix / "bin/python3", "/bin/sh")),
    "other lib64": ("foreign-files", "lib64", lambda e: relink(e.prefix / "lib64", "/lib")),
    "system packages": (
        "foreign-files",
        "include-system-site-packages = true",
        lambda e: set_configuration(e, "packages = false", "packages = true"),
    ),
    "other home": ("foreign-files", "bin/python", lambda e: set_configuration(e, "home = ", "home = /opt")),
    "other version": ("foreign-files", "version", lambda e: set_configuration(e, PYTHON, "3.11.999")),
    "distribution": ("distributions", "stray 1.0: not in the lock", rename_dist_info),
    "distribution missing": ("distributions", "tqdm", lambda e: shutil.rmtree(record(e).parent)),
    "time": ("mtimes", "RECORD", lambda e: os.utime(record(e), (EPOCH, EPOCH + 1))),
    "time of a folder": ("mtimes", "tqdm", lambda e: os.utime(e.site_packages / "tqdm", (EPOCH, 0))),
    "open to all": ("not-writable", "RECORD: mode 666", lambda e: record(e).chmod(0o666)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_by_the_check_that_is_there_for_it(environment: Environment, change: str) -> None:
    check, words, make = CHANGES[change]
    make(environment)
    status, detail = environment.audit()[check]
    assert status == "failed"
    assert words in detail


@pytest.mark.parametrize(
    ("key", "value", "check", "words"),
    [
        ("python", f"{MINOR}.999", "python-version", f"Python {PYTHON} (expected {MINOR}.999)"),
        ("distributions", {"tqdm": "1.0"}, "distributions", "not as locked (expected 1.0)"),
        ("prefix", "/opt/other", "files", "the job expects files for"),
    ],
)
def test_another_lock_is_found(environment: Environment, tmp_path: Path, key: str, value: object, check: str, words: str) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps(json.loads(environment.job.read_text()) | {key: value}))
    other = Environment(prefix=environment.prefix, pristine=environment.pristine, job=job)
    status, detail = other.audit()[check]
    assert status == "failed"
    assert words in detail


def test_a_long_list_is_cut_and_counted(environment: Environment) -> None:
    for number in range(25):
        (environment.site_packages / f"evil{number:02}.py").write_text("")
    _, detail = environment.audit()["foreign-files"]
    assert detail.startswith("25 findings: ")
    assert detail.endswith("; and 15 more")
    assert detail.count("that is in no wheel") == 10
