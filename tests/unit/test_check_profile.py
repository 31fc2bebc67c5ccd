"""envgen.profiles.constraints.check_profile: what the documents have against a profile."""

import pytest
from samples import PROFILE, ROOT, profile_of

from envgen.core.errors import ProfileError, ProfileErrors
from envgen.profiles import Bound, Project
from envgen.profiles.constraints import check_profile

REFUSED = Bound(
    set_name="papers", package="flash-attn", requirement="", role="optional", document="paper.txt", section="Usage",
    refused="published as source only", cure="build a wheel",
)  # fmt: skip
PYTHON = Bound(
    set_name="papers", package="python", requirement=">=3.10", role="required", document="paper.txt", section="System Requirements"
)


def asking(*requirements: str, mapped: str = "") -> str:
    listed = ", ".join(f'"{text}"' for text in ("torch==2.13.0", *requirements))
    text = PROFILE.replace('["demo>=1", "torch==2.13.0"]', f"[{listed}]")
    return text.replace('packages = ["torch"]', f'packages = ["torch", "{mapped}"]') if mapped else text


def test_the_python_floor_names_its_source() -> None:
    old = profile_of(PROFILE.replace('[python."3.11"]\nfull = "3.11.16"', '[python."3.9"]\nfull = "3.9.20"'))
    with pytest.raises(ProfileError) as caught:
        check_profile(old, (PYTHON,))
    assert str(caught.value) == (
        'profiles/small.toml: python."3.9": not supported: the documented floor is >=3.10\n(paper.txt, System Requirements)'
    )
    assert caught.value.hint.startswith("use one of 3.10, 3.11")
    check_profile(profile_of(), (PYTHON,))


def test_what_is_refused_is_said_with_the_reason_and_the_way() -> None:
    with pytest.raises(ProfileError) as caught:
        check_profile(profile_of(asking("Flash_Attn>=2")), (REFUSED,))
    assert str(caught.value) == (
        "profiles/small.toml: requirements: found 'flash-attn>=2', which can't be locked: published as source only\n(paper.txt, Usage)"
    )
    assert caught.value.hint == "build a wheel"


def test_all_that_is_refused_is_said_at_once() -> None:
    other = Bound(set_name="papers", package="auto-gptq", requirement="", role="optional", document="d", section="s", refused="archived")
    with pytest.raises(ProfileErrors) as caught:
        check_profile(profile_of(asking("flash-attn", "auto-gptq")), (REFUSED, other))
    assert len(caught.value.faults()) == 2


def test_an_index_of_the_users_own_has_the_last_word() -> None:
    check_profile(profile_of(asking("flash-attn", mapped="flash-attn")), (REFUSED,))


def test_nothing_else_is_refused() -> None:
    check_profile(profile_of(asking("flash")), (REFUSED,))


def test_the_shipped_sets_refuse_what_is_source_only_or_retired() -> None:
    project = Project(folder=ROOT)
    refused = {bound.package for bound in project.bounds(project.profile("bnb-quant")) if bound.refused}
    assert refused == {"auto-gptq", "autoawq", "gptqmodel", "flash-attn"}
    assert all(bound.cure for bound in project.bounds(project.profile("bnb-quant")) if bound.refused)


FLOOR = Bound(set_name="papers", package="torch", requirement=">=2.14", role="core", document="paper.txt", section="One")


def test_a_requirement_outside_of_a_documented_bound_is_said_with_its_source() -> None:
    with pytest.raises(ProfileError) as caught:
        check_profile(profile_of(), (FLOOR,))
    assert str(caught.value) == (
        "profiles/small.toml: requirements: found 'torch==2.13.0', but the documented bound is >=2.14\n(paper.txt, One)"
    )
    check_profile(profile_of(PROFILE.replace("torch==2.13.0", "torch>=2.13")), (FLOOR,))
