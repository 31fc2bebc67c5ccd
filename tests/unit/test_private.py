"""envgen.lock.checks.private: what a mapped index has is not taken from the default one, unless the profile says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from samples import INDEX, LINUX, Server, client_for, make_wheel, profile_of

from envgen.core.errors import ProfileError
from envgen.lock import RequiredBy
from envgen.lock.checks.private import check_private, name_mapped
from envgen.lock.header import lock_without_packages
from envgen.lock.make import query_for
from envgen.lock.resolvers import ResolveRequest
from envgen.lock.select import SelectedWheel
from envgen.profiles import Profile
from envgen.sources import Packages, Wheel, WheelStore

CORP = "https://corp.example/simple"
PROFILE = """
description = "x"
as_of = 2026-09-22
requirements = ["kernels==1.0"]
platforms = ["linux/amd64"]
installer = "uv==0.12.17"
[python."3.11"]
full = "3.11.16"
[index.corp]
url = "https://corp.example/simple"
packages = ["kernels"]
upload_times = false
"""


@pytest.fixture
def server() -> Server:
    """The index corp: kernels requires lib and the public numpy, lib requires helper; the default one has the same names."""
    found = Server()
    for root, version, names in ((CORP, "1.0", ("kernels", "lib", "helper")), (INDEX, "99.0", ("kernels", "lib", "helper", "numpy"))):
        for name in names:
            file = f"{name}-{version}-py3-none-any.whl"
            requires = {"kernels": ["lib", "numpy", "other; sys_platform == 'win32'"], "lib": ["helper"]}.get(name, [])
            found.page(f"{root}/{name}/", json.dumps({"files": [{"filename": file, "url": file}]}))
            found.page(f"{root}/{name}/{file}", make_wheel(name, version, requires), "application/zip")
    return found


def named(text: str, server: Server, tmp_path: Path) -> tuple[Profile, ResolveRequest, Packages]:
    profile = profile_of(text)
    packages = Packages(client_for(server, tmp_path, corp=CORP), WheelStore(tmp_path / "wheels"))
    return profile, query_for(profile, (), LINUX), packages


def test_a_private_name_that_is_not_mapped_is_refused_before_anybody_is_asked(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ProfileError) as caught:
        name_mapped(*named(PROFILE, server, tmp_path))
    assert str(caught.value) == (
        "profiles/small.toml: index.corp: kernels requires lib: the index corp has it, "
        "but it would come from the default index, where anybody may put that name"
    )
    assert caught.value.hint == ('in [index.corp]: packages = ["kernels", "lib"]\nor, if the public one is meant: public = ["lib"]')
    assert not [request for request in server.seen if str(request.url).startswith(INDEX)]


def test_mapped_names_are_named_to_the_resolver_as_far_as_they_lead(server: Server, tmp_path: Path) -> None:
    text = PROFILE.replace('["kernels"]', '["kernels", "lib", "helper", "unused"]')
    assert name_mapped(*named(text, server, tmp_path)).requirements == ("kernels==1.0", "lib", "helper")
    assert not [request for request in server.seen if str(request.url).startswith(INDEX)]


@pytest.mark.parametrize("public", ['["lib"]', '["*"]'])
def test_the_profile_may_say_that_the_public_one_is_meant(server: Server, tmp_path: Path, public: str) -> None:
    text = f"{PROFILE}public = {public}\n"
    assert name_mapped(*named(text, server, tmp_path)).requirements == ("kernels==1.0",)


def test_what_is_public_is_no_input_of_a_lock() -> None:
    """It decides whether a lock is refused, and nothing that stands in one."""
    plain, said = profile_of(PROFILE), profile_of(f'{PROFILE}public = ["lib"]\n')
    assert lock_without_packages(said, (), LINUX) == lock_without_packages(plain, (), LINUX)
    assert said.indexes[0].public == ("lib",)


def chosen(name: str, index: str) -> SelectedWheel:
    wheel = Wheel(name=name, version="1.0", file=f"{name}-1.0-py3-none-any.whl", sha256="0" * 64, size=1, index=index, uploaded=None)
    return SelectedWheel(wheel=wheel, requires=(), requires_python="")


def test_a_resolution_is_not_believed(server: Server, tmp_path: Path) -> None:
    """Whatever was looked at before: here, that an older release requires it."""
    profile, query, packages = named(PROFILE, server, tmp_path)
    entries = [chosen("kernels", "corp"), chosen("lib", "default"), chosen("numpy", "default")]
    by_kernels = (RequiredBy(name="kernels", requirement="*"),)
    demands = {"kernels": (RequiredBy(name="small", requirement="==1.0"),), "lib": by_kernels, "numpy": by_kernels}
    with pytest.raises(ProfileError, match="kernels requires lib: the index corp has it"):
        check_private(profile, query, entries, demands, packages)
    check_private(profile, query, [entries[0], entries[2]], demands, packages)
    check_private(profile, query, entries, {**demands, "lib": (RequiredBy(name="numpy", requirement="*"),)}, packages)


def test_a_bucket_that_refuses_what_it_lacks_has_it_not(server: Server, tmp_path: Path) -> None:
    server.page(f"{CORP}/lib/", "no", "text/plain", 403)
    assert name_mapped(*named(PROFILE, server, tmp_path)).requirements == ("kernels==1.0",)


@pytest.mark.parametrize("public", ['["a b"]', "true", "[1]"])
def test_public_holds_names(public: str) -> None:
    with pytest.raises(ProfileError, match=r"index\.corp\.public"):
        profile_of(f"{PROFILE}public = {public}\n")
