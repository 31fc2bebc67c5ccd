"""envgen.lock.demands: a second look at a resolution that takes no resolver's word for it."""

from dataclasses import replace

import pytest
from packaging.requirements import Requirement
from samples import LINUX, PROFILE, WINDOWS, profile_of, wheel

from envgen.core.errors import ResolutionError
from envgen.core.target import Target
from envgen.lock import RequiredBy
from envgen.lock.demands import bounds_of, check_bounds, check_cuda, demands_of, inherited
from envgen.lock.select import SelectedWheel
from envgen.profiles import Bound


def chosen(name: str, version: str = "1.0", *requires: str, python: str = "") -> SelectedWheel:
    return SelectedWheel(wheel=wheel(name, version), requires=tuple(Requirement(text) for text in requires), requires_python=python)


def bound(package: str, requirement: str) -> Bound:
    return Bound(set_name="papers", package=package, requirement=requirement, role="core", document="paper.txt", section="One")


def asked(requirements: list[str], *packages: SelectedWheel, target: Target = LINUX) -> dict[str, list[str]]:
    found = demands_of(requirements, "small", packages, target)
    return {name: [f"{demand.name} {demand.requirement}" for demand in demands] for name, demands in found.items()}


def test_who_asks_for_what() -> None:
    assert asked(["a>=1,<3", "b"], chosen("a", "1.0", "B_b.B>=1"), chosen("b"), chosen("b-b-b")) == {
        "a": ["small <3,>=1"],
        "b": ["small *"],
        "b-b-b": ["a >=1"],
    }


def test_the_order_of_packages_makes_no_difference() -> None:
    packages = (chosen("a", "1.0", "c>=1", "b"), chosen("b", "1.0", "c<9"), chosen("c"))
    assert demands_of(["a"], "small", packages, LINUX) == demands_of(["a"], "small", packages[::-1], LINUX)


def test_a_missing_package_is_found() -> None:
    with pytest.raises(ResolutionError, match=r"^py311-linux-amd64: b: resolved to nothing, but a asks for b>=1$"):
        asked(["a"], chosen("a", "1.0", "b>=1"))


def test_an_unneeded_package_is_found() -> None:
    with pytest.raises(ResolutionError, match=r"^py311-linux-amd64: resolved, but nobody asks for them: b, c$"):
        asked(["a"], chosen("a"), chosen("c", "1.0", "b"), chosen("b", "1.0", "c"))


def test_a_wrong_version_is_found() -> None:
    with pytest.raises(ResolutionError, match=r"^py311-linux-amd64: b: resolved to 2.0, but a asks for b<2$"):
        asked(["a"], chosen("a", "1.0", "b<2"), chosen("b", "2.0"))


def test_a_prerelease_that_was_resolved_is_taken() -> None:
    assert asked(["a>=1"], chosen("a", "2.0rc1")) == {"a": ["small >=1"]}


def test_a_local_version_satisfies_the_public_one() -> None:
    assert asked(["torch==2.13.0"], chosen("torch", "2.13.0+cpu")) == {"torch": ["small ==2.13.0"]}


def test_an_extra_brings_its_packages_and_only_those() -> None:
    a = chosen("a", "1.0", "b; extra == 'Fast_Er'", "c; extra == 'other'")
    assert asked(["a[fast-er]"], a, chosen("b")) == {"a": ["small [fast-er]"], "b": ["a *"]}
    with pytest.raises(ResolutionError, match=r"nobody asks for them: b"):
        asked(["a"], a, chosen("b"))


def test_an_extra_that_two_ask_for_in_turn_is_expanded_each_time() -> None:
    a = chosen("a", "1.0", "x; extra == 'one'", "y; extra == 'two'")
    assert set(asked(["a[one]", "b"], a, chosen("b", "1.0", "a[two]"), chosen("x"), chosen("y"))) == {"a", "b", "x", "y"}


def test_a_circle_ends() -> None:
    assert asked(["a[all]"], chosen("a", "1.0", "b", "a[all]; extra == 'all'"), chosen("b", "1.0", "a")) == {
        "a": ["a [all]", "b *", "small [all]"],
        "b": ["a *"],
    }


def test_markers_are_those_of_the_target() -> None:
    a = chosen("a", "1.0", "colorama; sys_platform == 'win32'", "uvloop; sys_platform != 'win32' and python_full_version >= '3.11.4'")
    assert set(asked(["a"], a, chosen("uvloop"))) == {"a", "uvloop"}
    assert set(asked(["a"], a, chosen("colorama"), target=WINDOWS)) == {"a", "colorama"}
    assert set(asked(["a"], a, target=Target(python_full="3.11.0", platform="linux/amd64"))) == {"a"}


def test_a_marker_in_the_profile_counts_too() -> None:
    requirements = ["a", "b; sys_platform == 'win32'"]
    assert set(asked(requirements, chosen("a"))) == {"a"}
    assert set(asked(requirements, chosen("a"), chosen("b"), target=WINDOWS)) == {"a", "b"}


def test_bounds_are_kept_with_their_source_and_order() -> None:
    bounds = (bound("a", ">=1"), bound("b", ">=2"), bound("a", ""), bound("a", "<9"))
    assert [(found.requirement, found.source) for found in bounds_of("a", bounds)] == [(">=1", "paper.txt, One"), ("<9", "paper.txt, One")]


def test_a_documented_bound_is_checked_again() -> None:
    check_bounds([chosen("a", "1.5")], [bound("a", ">=1"), bound("b", ">=9")], LINUX)
    with pytest.raises(ResolutionError) as caught:
        check_bounds([chosen("a", "0.5")], [bound("a", ">=1")], LINUX)
    assert str(caught.value) == "py311-linux-amd64: a: resolved to 0.5, but the documented bound is >=1 (paper.txt, One)"


def test_a_wheel_s_own_python_bound_is_checked() -> None:
    with pytest.raises(ResolutionError, match=r"^py311-linux-amd64: a: 1.0 wants Python >=3.12, the target has 3.11.16$"):
        check_bounds([chosen("a", python=">=3.12")], [], LINUX)


@pytest.mark.parametrize("python", ["", ">=3.11", ">=3.5.*", "nonsense"])
def test_a_python_bound_that_nobody_can_read_is_passed_over(python: str) -> None:
    check_bounds([chosen("a", python=python)], [], LINUX)


def test_what_a_profile_adds_is_told_from_what_it_inherits() -> None:
    profile = profile_of('extends = "small"\nrequirements = ["extra"]', "mine", small=PROFILE)
    demands = {
        "demo": (RequiredBy(name="mine", requirement=">=1"),),
        "torch": (RequiredBy(name="mine", requirement="==2.13.0"),),
        "numpy": (RequiredBy(name="torch", requirement="*"), RequiredBy(name="extra", requirement="*")),
        "extra": (RequiredBy(name="mine", requirement="*"),),
        "helper": (RequiredBy(name="extra", requirement="*"),),
    }
    assert inherited(profile, demands) == {"demo", "torch", "numpy"}


@pytest.mark.parametrize(
    ("packages", "problem"),
    [
        ((chosen("torch", "2.13.0"), chosen("nvidia-cuda-runtime", "13.0.96")), ""),
        ((chosen("torch", "2.10.0"), chosen("nvidia-cuda-runtime-cu12", "12.8.90")), "torch 2.10.0 with CUDA 12.8"),
        ((chosen("torch", "2.13.0"), chosen("nvidia-cuda-runtime", "13.2.10")), "torch 2.13.0 with CUDA 13.2"),
        ((chosen("torch", "2.13.0+cpu"),), "torch 2.13.0+cpu with no CUDA"),
        ((chosen("torch", "2.13.0+cu130"),), ""),
        ((chosen("torch", "2.8.0+cu128"),), "torch 2.8.0+cu128 with CUDA 12.8"),
        ((), "no torch with no CUDA"),
    ],
    ids=["right", "another CUDA", "another minor", "no CUDA", "libraries inside", "another CUDA inside", "no torch"],
)
def test_a_resolution_must_bring_the_cuda_of_the_profile(packages: tuple[SelectedWheel, ...], problem: str) -> None:
    profile = replace(profile_of(), cuda="13.0")
    check_cuda(profile_of(), packages, LINUX)
    if not problem:
        check_cuda(profile, packages, LINUX)
        return
    with pytest.raises(ResolutionError, match=f"resolved to {problem.replace('+', '[+]')}, but the profile is for CUDA 13.0"):
        check_cuda(profile, packages, LINUX)
