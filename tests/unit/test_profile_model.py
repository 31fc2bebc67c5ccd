"""envgen.profiles.model: what a profile says of its targets, and which file said it."""

import pytest
from samples import ROOT

from envgen.core.errors import UsageError
from envgen.profiles import Project


def test_an_image_is_built_for_the_first_target_with_a_base_unless_one_is_named() -> None:
    profile = Project(folder=ROOT).profile("cpu-base")
    with_base = [target for target in profile.targets() if profile.base(target)]
    assert profile.image_target("") == with_base[0]
    assert profile.image_target(with_base[-1].slug) == with_base[-1]
    names = ", ".join(target.slug for target in with_base)
    with pytest.raises(UsageError, match="no image is built for py311-windows-amd64") as caught:
        profile.image_target("py311-windows-amd64")
    assert caught.value.hint == f"images are built for: {names}"


def test_a_value_that_no_file_set_is_the_profile_s_own() -> None:
    profile = Project(folder=ROOT).profile("cpu-base")
    assert profile.origin("requirements") == "profiles/cpu-base.toml"
    assert profile.origin("nothing.such") == "profiles/cpu-base.toml"
