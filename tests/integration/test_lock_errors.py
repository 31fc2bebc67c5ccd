"""What a failed lock says, with both resolvers and a real index: the fault where it is known, and no option that envgen has not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from loopback import Answer, Proxy, guarded_by
from test_bad_index import fails_whole
from tiny import ALPHA, BETA, GAMMA, ORIGIN, Site, make_wheel, write_profile

FOREIGN = ("exclude-newer", "--no-build", "--prerelease", "pyproject.toml", "constraints file", "uv pip")
RESOLVERS = ["uv", "pip-tools"]


def fails(site: Site, resolver: str, *words: str, code: int = 3, **env: str) -> str:
    message = fails_whole(site, code, *words, arguments=("lock", "tiny", "--resolver", resolver), **env)
    for word in FOREIGN:
        assert word not in message
    return message


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_what_was_uploaded_later(locked: Site, resolver: str) -> None:
    write_profile(locked.project, requirements=[f"{BETA}>=2"])
    fails(locked, resolver, "2.0 was uploaded on 2026-10-01", "hint:  envgen update tiny --as-of 2026-10-02")


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_a_name_that_is_not_there(locked: Site, resolver: str) -> None:
    write_profile(locked.project, requirements=[ALPHA.replace("alpha", "aplha")])
    fails(locked, resolver, "the default index has no package of that name", f"did you mean '{ALPHA}'?")


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_a_version_that_is_not_there(locked: Site, resolver: str) -> None:
    write_profile(locked.project, requirements=[f"{GAMMA}==7", f"{BETA}==8"])
    message = fails(locked, resolver, f"{GAMMA}==7: the default index has 1.0 as its newest", f"{BETA}==8: the default index has 1.0")
    assert message.count("error: ") == 2


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_an_index_of_its_own_that_wants_credentials(locked: Site, index: Proxy, resolver: str) -> None:
    write_profile(locked.project, own_index=True)
    with guarded_by(index, "ci", "s3cret") as guarded:
        fails(
            locked, resolver, "status 401: the index tiny requires credentials",
            "hint:  set ENVGEN_INDEX_TINY_USERNAME and ENVGEN_INDEX_TINY_PASSWORD", ENVGEN_INDEX_TINY=guarded.url,
        )  # fmt: skip
        wrong = {"ENVGEN_INDEX_TINY_USERNAME": "ci", "ENVGEN_INDEX_TINY_PASSWORD": "s3cret2"}
        message = fails(locked, resolver, "the index tiny refuses the credentials", ENVGEN_INDEX_TINY=guarded.url, **wrong)
        assert "s3cret" not in message


def undated(answer: Answer) -> Answer:
    """The same page without upload times."""
    return replace(answer, body=re.sub(rb', ?"upload-time": ?"[^"]*"', b"", answer.body))


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize("own", [True, False], ids=["its own", "default"])
def test_an_index_without_upload_times(locked: Site, index: Proxy, resolver: str, own: bool) -> None:
    write_profile(locked.project, own_index=own)
    index.faults.add("/", undated)
    name, where = ("the index tiny", "in [index.tiny]") if own else ("the default index", "[index.NAME]")
    env = {"ENVGEN_INDEX_TINY": index.url} if own else {}
    fails(locked, resolver, f"{name} publishes no upload times", where, "upload_times = false", "exact versions", **env)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_a_direct_url(locked: Site, tiny_wheels: Path, resolver: str) -> None:
    name = "envgen-tiny-direct"
    make_wheel(tiny_wheels, name, requires=[f"zz @ {ORIGIN}/zz-1.0-py3-none-any.whl"])
    write_profile(locked.project, requirements=[name])
    fails(locked, resolver, "direct URL", f"{name} 1.0 requires zz @", "by its name")


def test_a_marker_that_the_resolver_reads_differently(locked: Site, tiny_wheels: Path) -> None:
    name = "envgen-tiny-marked"
    make_wheel(tiny_wheels, name, requires=[f"{BETA}; python_version in '3.9, 3.10'"])
    write_profile(locked.project, requirements=[name])
    fails(locked, "uv", f'{name} 1.0 requires {BETA}; python_version in "3.9, 3.10"', "--resolver pip-tools")
    locked.envgen("lock", "tiny", "--resolver", "pip-tools").must_pass()
