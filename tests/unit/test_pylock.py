"""A lock as pylock.toml: read back by the standard's own reader it has the same pins."""

import tomllib
from pathlib import Path

import pytest
from packaging.pylock import Pylock
from samples import INDEX, LINUX, Server, client_for, sample_lock

from envgen.core.errors import ResolutionError, VerificationError
from envgen.lock.pylock import paths_of, render_pylock, urls_of
from envgen.sources import WheelStore

LOCK = sample_lock()
PLACES = {wheel.file: f"https://files.example/{wheel.file}" for wheel in LOCK.wheels}


def page(*entries: str) -> str:
    return f'{{"files": [{", ".join(entries)}]}}'


def served(tmp_path: Path, **changed: str) -> Server:
    """An index with all wheels of the lock; `changed` are other pages for some packages."""
    server = Server()
    client_for(server, tmp_path)
    for wheel in LOCK.wheels:
        origin = "https://torch.example/whl/cpu" if wheel.index == "pytorch-cpu" else INDEX
        entry = f'{{"filename": "{wheel.file}", "url": "/f/{wheel.file}#sha256=abc", "hashes": {{"sha256": "{wheel.sha256}"}}}}'
        server.page(f"{origin}/{wheel.name}/", changed.get(wheel.name, page(entry)))
    return server


def urls(server: Server, tmp_path: Path) -> dict[str, str | Path]:
    client = client_for(server, tmp_path, **{"pytorch-cpu": "https://torch.example/whl/cpu"})
    return urls_of(LOCK, client)


def test_the_standards_own_reader_reads_the_same_pins() -> None:
    found = Pylock.from_dict(tomllib.loads(render_pylock(LOCK, LINUX, PLACES)))
    pins = {(package.name, str(package.version), package.wheels[0].name, package.wheels[0].hashes["sha256"]) for package in found.packages}
    assert pins == {(wheel.name, wheel.version, wheel.file, wheel.sha256) for wheel in LOCK.wheels}
    assert {package.wheels[0].size for package in found.packages} == {wheel.size for wheel in LOCK.wheels}
    assert {package.wheels[0].upload_time for package in found.packages} == {wheel.uploaded for wheel in LOCK.wheels}


@pytest.mark.parametrize(
    ("changed", "fits"),
    [({}, True), ({"python_version": "3.12"}, False), ({"platform_machine": "aarch64"}, False), ({"sys_platform": "darwin"}, False)],
)
def test_it_is_for_its_target_alone(changed: dict[str, str], fits: bool) -> None:
    found = Pylock.from_dict(tomllib.loads(render_pylock(LOCK, LINUX, PLACES)))
    assert found.environments is not None
    assert all(marker.evaluate({**LINUX.markers(), **changed}) for marker in found.environments) == fits


def test_the_urls_are_those_of_the_indexes_now(tmp_path: Path) -> None:
    found = urls(served(tmp_path), tmp_path)
    torch = LOCK.package("torch")
    assert torch is not None
    assert found[torch.wheel.file] == f"https://torch.example/f/{torch.wheel.file}"
    assert found[LOCK.wheels[0].file] == f"https://index.example/f/{LOCK.wheels[0].file}"


def test_a_wheel_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ResolutionError, match="is not there any more"):
        urls(served(tmp_path, demo=page()), tmp_path)


def test_a_wheel_that_is_another_one_now(tmp_path: Path) -> None:
    entry = f'{{"filename": "demo-1.5-py3-none-any.whl", "url": "x", "hashes": {{"sha256": "{"b" * 64}"}}}}'
    with pytest.raises(VerificationError, match="has sha256 bbbb"):
        urls(served(tmp_path, demo=page(entry)), tmp_path)


def test_paths_are_only_given_for_what_is_in_the_store(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="missing in the wheel store"):
        paths_of(LOCK, WheelStore(tmp_path))
