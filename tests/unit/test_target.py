"""envgen.core.target: everything follows from the target's own values, whatever the host is."""

import os
import platform
import sys
import sysconfig
from collections.abc import Callable

import pytest
from packaging import tags
from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename
from samples import LINUX, ROOT, WINDOWS

from envgen.core.target import PLATFORMS, Target

HOSTS = {
    ("Linux", "x86_64"): "linux/amd64",
    ("Linux", "aarch64"): "linux/arm64",
    ("Darwin", "arm64"): "macos/arm64",
    ("Windows", "AMD64"): "windows/amd64",
}
KNOWN = (
    "torch-2.13.0-cp{minor}-cp{minor}-manylinux_2_28_{machine}.whl",
    "numpy-2.4.6-cp{minor}-cp{minor}-manylinux_2_27_{machine}.manylinux_2_28_{machine}.whl",
    "tokenizers-0.22.2-cp39-abi3-manylinux_2_17_{machine}.manylinux2014_{machine}.whl",
    "psutil-7.2.2-cp36-abi3-manylinux_2_17_{machine}.whl",
    "uv-0.12.17-py3-none-manylinux_2_17_{machine}.whl",
    "demo-1.0-py3-none-any.whl",
    "demo-1.0-py2.py3-none-any.whl",
    "demo-1.0-py{minor}-none-any.whl",
    "demo-1.0-cp{minor}-none-any.whl",
    "demo-1.0-cp{minor}-cp{minor}-macosx_11_0_arm64.whl",
    "demo-1.0-cp{minor}-cp{minor}-macosx_14_0_arm64.whl",
    "demo-1.0-cp{minor}-cp{minor}-win_amd64.whl",
    "demo-1.0-cp{minor}-cp{minor}-win32.whl",
    "demo-1.0-cp{minor}-cp{minor}-musllinux_1_2_{machine}.whl",
    "demo-1.0-cp{minor}-cp{minor}t-manylinux_2_28_{machine}.whl",
    "demo-1.0-cp27-cp27mu-manylinux1_{machine}.whl",
    "demo-1.0-pp311-pypy311_pp73-manylinux_2_28_{machine}.whl",
)


def host() -> Target:
    return Target(python_full=platform.python_version(), platform=HOSTS[platform.system(), platform.machine()])


def best(name: str, order: list[Tag]) -> int | None:
    return min((order.index(tag) for tag in parse_wheel_filename(name)[3] if tag in order), default=None)


@pytest.mark.parametrize(
    ("platform_name", "slug", "uv_platform"),
    [
        ("linux/amd64", "py311-linux-amd64", "x86_64-manylinux_2_28"),
        ("linux/arm64", "py311-linux-arm64", "aarch64-manylinux_2_28"),
        ("macos/arm64", "py311-macos-arm64", "aarch64-apple-darwin"),
        ("windows/amd64", "py311-windows-amd64", "x86_64-pc-windows-msvc"),
    ],
)
def test_names_of_every_platform(platform_name: str, slug: str, uv_platform: str) -> None:
    assert platform_name in PLATFORMS
    target = Target(python_full="3.11.16", platform=platform_name)
    assert (target.slug, target.uv_platform, target.python) == (slug, uv_platform, "3.11")


def test_markers_know_the_full_version() -> None:
    redis = Marker('python_full_version < "3.11.3"')
    assert not redis.evaluate(LINUX.markers())
    assert redis.evaluate(Target(python_full="3.11.0", platform="linux/amd64").markers())


@pytest.mark.parametrize(
    ("marker", "linux", "windows"),
    [
        ('sys_platform == "win32"', False, True),
        ('platform_system == "Linux" and platform_machine == "x86_64"', True, False),
        ('os_name == "nt" and platform_machine == "AMD64"', False, True),
        ('extra == "dev"', False, False),
        ('implementation_name == "cpython"', True, True),
    ],
)
def test_markers_of_another_platform(marker: str, linux: bool, windows: bool) -> None:
    assert Marker(marker).evaluate(LINUX.markers()) is linux
    assert Marker(marker).evaluate(WINDOWS.markers()) is windows


def test_markers_name_every_variable_of_the_standard() -> None:
    from packaging.markers import default_environment

    assert default_environment().keys() <= LINUX.markers().keys()


@pytest.mark.parametrize("platform_name", PLATFORMS)
def test_wheel_tags_do_not_ask_the_host(platform_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target(python_full="3.12.4", platform=platform_name)
    before = target.wheel_tags()

    def asked(*_arguments: object, **_options: object) -> object:
        raise AssertionError("the host was asked")

    for owner, name in ((platform, "machine"), (platform, "mac_ver"), (platform, "system"), (platform, "libc_ver"), (os, "confstr")):
        monkeypatch.setattr(owner, name, asked)
    for name in ("get_platform", "get_config_var", "get_config_vars"):
        monkeypatch.setattr(sysconfig, name, asked)
    monkeypatch.setattr(sys, "platform", "plan9")
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    assert target.wheel_tags() == before


@pytest.mark.parametrize("platform_name", PLATFORMS)
def test_wheel_tags_are_each_there_once(platform_name: str) -> None:
    found = Target(python_full="3.11.16", platform=platform_name).wheel_tags()
    assert len(found) == len(set(found))
    assert Tag("py3", "none", "any") in found


def test_wheel_tags_agree_with_packaging_here() -> None:
    ours, theirs = list(host().wheel_tags()), list(tags.sys_tags())
    names = [text.format(minor=host().python.replace(".", ""), machine=platform.machine()) for text in KNOWN]
    locked = ROOT / "locks" / "cpu-base" / f"py311-{host().platform.replace('/', '-')}" / "envgen.lock"
    names += [line.split('"')[1] for line in locked.read_text(encoding="utf-8").splitlines() if line.startswith("file = ")]
    assert len(names) > 40
    assert [name for name in names if (best(name, ours) is None) != (best(name, theirs) is None)] == []
    taken = [name for name in names if best(name, ours) is not None]
    # The order that both give must be the same, not the ranks: a host may know more tags than a target promises.
    assert sorted(taken, key=lambda name: best(name, ours) or 0) == sorted(taken, key=lambda name: best(name, theirs) or 0)


def test_a_glibc_of_the_future_is_not_promised() -> None:
    older = Target(python_full="3.11.16", platform="linux/amd64", glibc="2.17")
    names = {tag.platform for tag in older.wheel_tags()}
    assert "manylinux_2_17_x86_64" in names
    assert "manylinux2014_x86_64" in names
    assert "manylinux1_x86_64" in names
    assert "manylinux_2_18_x86_64" not in names


def test_old_manylinux_does_not_exist_on_arm() -> None:
    names = {tag.platform for tag in Target(python_full="3.11.16", platform="linux/arm64").wheel_tags()}
    assert "manylinux2014_aarch64" in names
    assert not any(name.startswith(("manylinux1_", "manylinux2010_", "manylinux_2_12_")) for name in names)


def test_a_macos_of_the_future_is_not_promised() -> None:
    names = {tag.platform for tag in Target(python_full="3.11.16", platform="macos/arm64", macos="14.0").wheel_tags()}
    assert "macosx_14_0_arm64" in names
    assert "macosx_11_0_universal2" in names
    assert "macosx_15_0_arm64" not in names


def test_a_time_zone_changes_nothing(in_zone: Callable[[str], None]) -> None:
    before = LINUX.wheel_tags(), LINUX.markers()
    in_zone("Pacific/Kiritimati")
    assert (LINUX.wheel_tags(), LINUX.markers()) == before
