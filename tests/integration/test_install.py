"""The three ways to have envgen: the wheel, an editable install, and the checkout. Each brings its profiles and locks along."""

from __future__ import annotations

import os
import re
import site
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CARRIED = ("profiles", "templates", "locks")
LOCK = "<envgen>/locks/cpu-base/py311-linux-amd64/envgen.lock"
SOMEBODY_ELSES = re.compile(r"pip3? install (-\S+ )*['\"]?envgen(?!-images)\b")


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A way to start envgen: the words of the command, and what it needs in its environment."""

    command: tuple[str, ...]
    python: str
    home: Path
    env: dict[str, str]

    def run(self, *arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
        return run(*self.command, *arguments, cwd=cwd, env={**self.env, **env})


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=kept | (env or {}), capture_output=True, text=True, check=False)


def pip(*arguments: str | Path) -> None:
    done = run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments, cwd=CHECKOUT.parent)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"


def environment(folder: Path, *what: str | Path) -> Installed:
    """A new virtual environment with envgen installed; the dependencies are those of the environment that tests run in."""
    done = run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    python = folder / "bin" / "python"
    own = next(folder.glob("lib/python3*/site-packages"))
    # A path alone: what lies there comes after this environment's own, and its .pth files are not read.
    (own / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    pip("--python", python, "install", "--no-build-isolation", "--no-deps", "--ignore-installed", *what)
    return Installed(command=(str(folder / "bin" / "envgen"),), python=str(python), home=own, env={})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, CHECKOUT)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module", params=["wheel", "editable", "checkout"])
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp(request.param) / "venv"
    if request.param == "wheel":
        return environment(folder, wheel)
    if request.param == "editable":
        return replace(environment(folder, "--editable", CHECKOUT), home=CHECKOUT)
    return Installed(command=(sys.executable, "-m", "envgen"), python=sys.executable, home=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT)})


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder in which nothing is, and nothing may be left."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_it_is_the_one_that_was_installed(installed: Installed, empty: Path) -> None:
    program = "import envgen; print(envgen.__file__)"
    found = run(installed.python, "-c", program, cwd=empty, env=installed.env).stdout.strip()
    assert Path(found) == installed.home / "envgen" / "__init__.py"


def test_the_version(installed: Installed, empty: Path) -> None:
    version = re.search(r'__version__ = "(.+)"', (CHECKOUT / "envgen" / "__init__.py").read_text())
    assert version
    assert installed.run("--version", cwd=empty).stdout == f"envgen {version[1]}\n"


def test_the_shipped_locks_are_up_to_date(installed: Installed, empty: Path) -> None:
    done = installed.run("lock", "--check", "cpu-base", cwd=empty)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["cpu-base"] * 3
    assert not list(empty.iterdir())


def test_why_says_which_lock_it_read(installed: Installed, empty: Path, tmp_path: Path) -> None:
    done = installed.run("why", "cpu-base", "tokenizers", cwd=empty, ENVGEN_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"lock: {LOCK} (sha256:")
    assert "tokenizers 0.22.2" in done.stdout
    assert "<=0.23.0" in done.stdout
    assert not list(empty.iterdir())


def test_a_build_says_which_lock_it_builds(installed: Installed, empty: Path, tmp_path: Path) -> None:
    done = installed.run("build", "cpu-base", cwd=empty, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 5, done.stderr
    assert done.stderr.startswith(f"lock: {LOCK} (sha256:")
    assert not list(empty.iterdir())


def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    package = {path.relative_to(CHECKOUT).as_posix() for path in files_of(CHECKOUT / "envgen")}
    carried = {f"envgen/_data/{path.relative_to(CHECKOUT).as_posix()}" for folder in CARRIED for path in files_of(CHECKOUT / folder)}
    version = wheel.name.split("-")[1]
    names = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    about = {f"envgen_images-{version}.dist-info/{name}" for name in names}
    with zipfile.ZipFile(wheel) as archive:
        assert set(archive.namelist()) == package | carried | about
    for needed in ("smoke/probe/__main__.py", "smoke/models/embedded/model.safetensors", "_data/templates/Dockerfile.j2"):
        assert f"envgen/{needed}" in package | carried


def files_of(folder: Path) -> list[Path]:
    """The files of a folder of the checkout, without what Python and its tools leave there."""
    left = re.compile(r"__pycache__|\..*")
    return [path for path in folder.rglob("*") if path.is_file() and not any(map(left.fullmatch, path.relative_to(folder).parts))]


def test_the_distribution_has_the_name_that_is_ours(wheel: Path) -> None:
    assert re.fullmatch(r"envgen_images-[^-]+-py3-none-any\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (commands,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "\nName: envgen-images\n" in metadata
    assert commands.split() == ["[console_scripts]", "envgen", "=", "envgen.cli:main"]


def test_nothing_tells_anybody_to_install_somebody_elses_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        texts = {name: archive.read(name).decode(errors="replace") for name in archive.namelist()}
    for path in CHECKOUT.glob("*.md"):
        texts[path.name] = path.read_text()
    assert [name for name, text in texts.items() if SOMEBODY_ELSES.search(text)] == []


@pytest.mark.parametrize("text", ["pip install envgen", "pip install -U envgen", "pip3 install 'envgen[test]'"])
def test_the_search_finds_what_it_is_for(text: str) -> None:
    assert SOMEBODY_ELSES.search(text)
    assert not SOMEBODY_ELSES.search(text.replace("envgen", "envgen-images"))
