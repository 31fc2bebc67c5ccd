"""A private index beside the default one, which has packages of the same names: real indexes, both resolvers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import loopback
import pytest
from tiny import BETA, Site, make_wheel

KERNELS, LIB = "envgen-private-kernels", "envgen-private-lib"


@pytest.fixture(scope="module")
def corp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[loopback.Proxy]:
    """The private index: kernels requires lib."""
    folder = tmp_path_factory.mktemp("corp")
    make_wheel(folder, KERNELS, requires=[LIB, BETA])
    make_wheel(folder, LIB)
    with loopback.index_of(folder, tmp_path_factory.mktemp("corp-log") / "log") as upstream, loopback.proxy_for(upstream) as proxy:
        yield proxy


@pytest.fixture
def site(locked: Site, tiny_wheels: Path, corp: loopback.Proxy) -> Site:
    """A project whose kernels come from corp; the default index has strangers' packages of both names."""
    make_wheel(tiny_wheels, KERNELS, "99.0")
    make_wheel(tiny_wheels, LIB, "99.0")
    corp.faults.clear()
    return Site(project=locked.project, env={**locked.env, "ENVGEN_INDEX_CORP": corp.url})


def write(site: Site, *more: str, packages: tuple[str, ...] = (KERNELS,), requirements: tuple[str, ...] = (KERNELS,)) -> None:
    path = site.project / "profiles" / "tiny.toml"
    words = ", ".join(f'"{name}"' for name in packages)
    lines = [
        'description = "x"', "as_of = 2026-09-22", 'installer = "uv==0.12.17"', 'platforms = ["linux/amd64"]',
        f"requirements = [{', '.join(f'{name!r}' for name in requirements)}]", '[python."3.11"]', 'full = "3.11.16"',
        "[index.corp]", 'url = "https://corp.example/simple"', f"packages = [{words}]", *more,
    ]  # fmt: skip
    path.write_text("\n".join(lines) + "\n")


def lock_text(site: Site) -> str:
    return next(content for name, content in site.locks().items() if name.endswith("envgen.lock")).decode()


@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
def test_a_private_name_is_not_taken_from_the_default_index(site: Site, index: loopback.Proxy, resolver: str) -> None:
    write(site)
    before = site.locks()
    site.envgen("lock", "tiny", "--resolver", resolver).must_fail(
        2, "index.corp", f"{KERNELS} requires {LIB}: the index corp has it", f'packages = ["{KERNELS}", "{LIB}"]', f'public = ["{LIB}"]'
    )
    assert site.locks() == before
    assert not [path for path in index.faults.seen if "private" in path], "a private name was told to the default index"


@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
def test_a_mapped_name_is_never_asked_of_the_default_index(site: Site, index: loopback.Proxy, resolver: str) -> None:
    """Though the profile does not name it: kernels requires it."""
    write(site, packages=(KERNELS, LIB))
    site.envgen("lock", "tiny", "--resolver", resolver).must_pass()
    assert f'name = "{LIB}"\nversion = "1.0"' in lock_text(site)
    assert f'name = "{BETA}"\nversion = "1.0"' in lock_text(site)
    assert not [path for path in index.faults.seen if "private" in path]
    site.envgen("why", "tiny", LIB).must_pass()
    assert not [path for path in index.faults.seen if "private" in path]


def test_both_resolvers_agree(site: Site) -> None:
    write(site, packages=(KERNELS, LIB))
    site.envgen("lock", "tiny").must_pass()
    assert "unchanged" in site.envgen("lock", "tiny", "--resolver", "pip-tools").must_pass().stdout


def test_the_profile_may_say_that_the_public_one_is_meant(site: Site) -> None:
    write(site, f'public = ["{LIB}"]')
    site.envgen("lock", "tiny").must_pass()
    assert f'name = "{LIB}"\nversion = "99.0"' in lock_text(site)


def test_a_public_package_that_requires_a_mapped_one(site: Site, tiny_wheels: Path) -> None:
    """uv maps only what it is asked for by name, so it is asked again."""
    public = "envgen-public-tool"
    make_wheel(tiny_wheels, public, requires=[LIB])
    write(site, packages=(LIB,), requirements=(public,))
    site.envgen("lock", "tiny").must_pass()
    assert f'name = "{LIB}"\nversion = "1.0"' in lock_text(site)
    assert "unchanged" in site.envgen("lock", "tiny", "--resolver", "pip-tools").must_pass().stdout
