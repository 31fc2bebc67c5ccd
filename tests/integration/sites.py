"""Fixtures for projects of tiny wheels, with their index: also for the campaigns of tests/reliability."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import loopback
import pytest
import tiny


@pytest.fixture(scope="session")
def tiny_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the index of tiny wheels serves; a test may add wheels of other names."""
    return tiny.fill_index(tmp_path_factory.mktemp("tiny-wheels"))


@pytest.fixture(scope="session")
def tiny_index(tiny_wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[loopback.Proxy]:
    """An index of tiny wheels behind the proxy that can make its answers wrong."""
    log = tmp_path_factory.mktemp("tiny-index") / "log"
    with loopback.index_of(tiny_wheels, log) as upstream, loopback.proxy_for(upstream) as proxy:
        yield proxy


@pytest.fixture
def index(tiny_index: loopback.Proxy) -> Iterator[loopback.Proxy]:
    """The index of tiny wheels with nothing wrong."""
    tiny_index.faults.clear()
    yield tiny_index
    tiny_index.faults.clear()


@pytest.fixture(scope="session")
def locked_site(tmp_path_factory: pytest.TempPathFactory, tiny_index: loopback.Proxy) -> tiny.Site:
    """A lock-only project whose default index is the tiny one, locked; tests change copies of it."""
    folder = tmp_path_factory.mktemp("locked")
    tiny.write_profile(folder / "project")
    env = {"ENVGEN_INDEX_DEFAULT": tiny_index.url, "ENVGEN_CACHE": str(folder / "cache")}
    site = tiny.Site(project=folder / "project", env=env)
    site.envgen("lock", "tiny").must_pass()
    return site


@pytest.fixture(scope="session")
def image_site(tmp_path_factory: pytest.TempPathFactory, tiny_index: loopback.Proxy) -> tiny.Site:
    """A project with a tiny image, locked: its installer comes from the real default index; tests change copies of it."""
    folder = tmp_path_factory.mktemp("image")
    tiny.write_profile(folder / "project", base=tiny.locked_base()[0], own_index=True)
    env = {"ENVGEN_INDEX_TINY": tiny_index.url, "ENVGEN_CACHE": str(folder / "cache")}
    site = tiny.Site(project=folder / "project", env=env)
    site.envgen("lock", "tiny").must_pass()
    return site


@pytest.fixture
def locked(locked_site: tiny.Site, index: loopback.Proxy, tmp_path: Path) -> tiny.Site:
    """A lock-only project of the test's own, with an empty store."""
    site = locked_site.copy(tmp_path)
    site.forget()
    return site


@pytest.fixture
def image(image_site: tiny.Site, index: loopback.Proxy, tmp_path: Path) -> tiny.Site:
    """A project with a tiny image of the test's own, and a store that has the installer alone."""
    site = image_site.copy(tmp_path)
    site.forget()
    return site
