"""envgen.profiles.extends: which requirements of a chain of files count on a target, and what each replaces."""

from dataclasses import replace

import pytest
from packaging.requirements import Requirement
from samples import LINUX, PROFILE, WINDOWS, profile_of

from envgen.core.errors import ProfileError
from envgen.core.target import Target
from envgen.lock import RequiredBy
from envgen.lock.demands import files_of_demands
from envgen.lock.header import lock_without_packages
from envgen.lock.make import query_for
from envgen.profiles import Profile

PIN = '"torch==2.13.0"'
PY312 = Target(python_full="3.12.1", platform="linux/amd64")


def child(*requirements: str, parent: str = PROFILE, more: str = "") -> Profile:
    listed = ", ".join(f"'''{text}'''" for text in requirements)
    return profile_of(f'extends = "small"\nrequirements = [{listed}]\n{more}', "mine", small=parent)


def on(profile: Profile, target: Target = LINUX) -> list[str]:
    return list(profile.for_target(target).requirements)


@pytest.mark.parametrize(
    ("entry", "linux", "windows"),
    [
        ("torch==2.14.0; sys_platform == 'win32'", "torch==2.13.0", 'torch==2.14.0; sys_platform == "win32"'),
        ("demo>=2; sys_platform == 'win32'", "demo>=1", 'demo>=2; sys_platform == "win32"'),
        ("demo[fast]; sys_platform == 'win32'", "demo>=1", "demo>=1"),
        ("demo==2; platform_machine == 'x86_64'", 'demo==2; platform_machine == "x86_64"', "demo>=1"),
    ],
)
def test_an_entry_whose_marker_does_not_hold_replaces_nothing(entry: str, linux: str, windows: str) -> None:
    found = child(entry)
    assert linux in on(found)
    assert windows in on(found, WINDOWS)
    assert entry.partition(";")[0] not in " ".join(text for text in on(found) if text != linux)


def test_several_entries_for_a_package_each_where_it_holds() -> None:
    found = child("torch==2.14.0; sys_platform == 'win32'", "torch==2.12.0; sys_platform == 'linux'", "demo[x]", "demo[y]")
    assert on(found) == ["demo>=1", 'torch==2.12.0; sys_platform == "linux"', "demo[x]", "demo[y]"]
    assert on(found, WINDOWS) == ["demo>=1", 'torch==2.14.0; sys_platform == "win32"', "demo[x]", "demo[y]"]
    assert query_for(found, (), LINUX).requirements == ("demo>=1", "torch==2.12.0", "demo[x]", "demo[y]")


@pytest.mark.parametrize(
    ("entry", "remarks"),
    [
        ("torch>=2.3", ("torch>=2.3: profiles/small.toml has torch==2.13.0, which meets it",)),
        ("torch", ()),
        ("torch==2.13.0", ()),
        ("torch[opt]", ()),
        ("torch==2.12.0", ("torch==2.12.0 replaces torch==2.13.0 of profiles/small.toml",)),
        ("torch==2.13.0+cpu", ("torch==2.13.0+cpu replaces torch==2.13.0 of profiles/small.toml",)),
        (
            "torch==2.12.0; sys_platform == 'win32'",
            ('torch==2.12.0; sys_platform == "win32" replaces torch==2.13.0 of profiles/small.toml (py311-windows-amd64)',),
        ),
        ("demo>=2", ("demo>=2 replaces demo>=1 of profiles/small.toml",)),
        ("demo", ()),
        ("other>=2", ()),
    ],
)
def test_what_an_entry_replaces_or_is_met_by_is_said(entry: str, remarks: tuple[str, ...]) -> None:
    assert child(entry).remarks() == remarks


def test_extras_that_are_lost_are_said_and_a_bare_name_is_not() -> None:
    parent = PROFILE.replace('"demo>=1"', '"demo[fast]", "plain"')
    assert child("demo>=2", "plain>=3", parent=parent).remarks() == ("demo>=2 replaces demo[fast] of profiles/small.toml",)
    assert child("demo[fast]>=2", parent=parent).remarks() == ()


@pytest.mark.parametrize("entry", ["torch>=2.3", "torch", "torch[opt]", "torch<3,>=2.3; python_version >= '3'"])
def test_what_is_met_by_an_exact_version_stands_beside_it(entry: str) -> None:
    found = child(entry)
    assert on(found) == ["demo>=1", "torch==2.13.0", entry.replace("'", '"')]
    assert found.for_target(LINUX).own == ()
    # The index of torch has no dates: an exact version is still there.
    assert query_for(found, (), LINUX).requirements[1] == "torch==2.13.0"


@pytest.mark.parametrize(
    ("entry", "example"),
    [("torch>=2.14", "torch==2.14"), ("torch<2.10", "torch==VERSION"), ("torch>=2.9,~=2.14.1; sys_platform == 'win32'", "torch==2.14.1")],
)
def test_what_an_exact_version_does_not_meet_names_both_files(entry: str, example: str) -> None:
    with pytest.raises(ProfileError) as caught:
        child(entry)
    shown = str(Requirement(entry))
    problem = f"found {shown!r}, which torch==2.13.0 of profiles/small.toml does not meet"
    assert str(caught.value) == f"profiles/mine.toml: requirements: {problem}"
    assert f'as in "{example}"' in caught.value.hint


def test_an_exact_version_that_holds_elsewhere_is_none_here() -> None:
    parent = PROFILE.replace(PIN, "\"torch==2.13.0; sys_platform == 'win32'\"")
    assert on(child("torch>=2.14; sys_platform == 'linux'", parent=parent)) == ["demo>=1", 'torch>=2.14; sys_platform == "linux"']
    with pytest.raises(ProfileError, match=r"torch comes from the index pytorch-cpu, which publishes no upload times"):
        query_for(child("torch; sys_platform == 'linux'", parent=parent), (), LINUX)


def test_the_file_of_a_fault_is_the_one_that_the_entry_stands_in() -> None:
    grandchild = 'extends = "middle"\nrequirements = ["torch>=2.3"]'
    middle = 'extends = "small"\nrequirements = ["torch>=2.14"]'
    with pytest.raises(
        ProfileError, match=r"^profiles/middle.toml: requirements: found 'torch>=2.14', which torch==2.13.0 of profiles/small"
    ):
        profile_of(grandchild, "mine", middle=middle, small=PROFILE)


def test_a_requirement_that_is_shut_out_everywhere_is_an_error() -> None:
    with pytest.raises(ProfileError) as caught:
        child("peft; extra == 'dev'", "demo; sys_platform == 'darwin'", "demo; sys_platform == 'win32'")
    everywhere = "whose marker holds on none of the targets: py311-linux-amd64, py311-windows-amd64"
    assert [str(fault) for fault in caught.value.faults()] == [
        f"profiles/mine.toml: requirements: found {text!r}, {everywhere}"
        for text in ('peft; extra == "dev"', 'demo; sys_platform == "darwin"')
    ]
    assert "add the platform" in caught.value.faults()[0].hint


def test_what_a_child_s_platforms_shut_out_of_its_parent_is_no_fault() -> None:
    parent = PROFILE.replace('"demo>=1"', '"demo>=1", "colorama; sys_platform == \'win32\'"')
    found = child("extra", parent=parent, more='platforms = ["linux/amd64"]')
    assert on(found) == ["demo>=1", "torch==2.13.0", "extra"]
    assert found.requirements == ("demo>=1", "torch==2.13.0", "extra")


@pytest.mark.parametrize("marker", ["python_version >= 'abc'", "'abc' < python_full_version", "implementation_version == ''"])
def test_a_marker_that_every_tool_reads_in_its_own_way_is_refused(marker: str) -> None:
    with pytest.raises(ProfileError, match=r"its marker can't be evaluated: it compares a version with '(abc)?'"):
        child(f"peft; {marker}")


@pytest.mark.parametrize("marker", ["python_version in '3.10 3.11'", "python_version == '3.*'"])
def test_a_marker_that_means_something_is_taken(marker: str) -> None:
    assert on(child(f"peft; {marker}"))[-1].startswith("peft; ")


def test_own_are_the_packages_that_no_other_file_asks_for_on_that_target() -> None:
    parent = PROFILE.replace('"demo>=1"', "\"demo>=1; sys_platform == 'win32'\"")
    found = child("demo>=1", "extra; sys_platform == 'linux'", parent=parent)
    assert found.for_target(LINUX).own == ("demo>=1", 'extra; sys_platform == "linux"')
    assert found.for_target(WINDOWS).own == ()
    assert profile_of().for_target(LINUX).own == ()


def test_an_entry_for_another_target_changes_no_lock_of_this_one() -> None:
    with_other, without = child("demo>=2; sys_platform == 'win32'"), child()
    digests = [lock_without_packages(found, (), target).inputs for target in (LINUX, WINDOWS) for found in (with_other, without)]
    assert digests[0] == digests[1]
    assert digests[2] != digests[3]


def test_a_profile_for_a_target_stays_what_it_is() -> None:
    found = child("demo>=2; python_version >= '3.12'", more='python."3.12".full = "3.12.1"')
    assert on(found, PY312) == ["torch==2.13.0", 'demo>=2; python_version >= "3.12"']
    assert on(found.for_target(PY312), PY312) == on(found, PY312)
    assert on(replace(found, entries=())) == list(found.requirements)


def test_the_files_of_requirements_and_constraints() -> None:
    found = child("torch>=2.3", "extra", more='constraints = ["b"]')
    both = ("profiles/small.toml", "profiles/mine.toml")
    assert found.files_of("requirements") == both
    assert child("torch==2", "demo==2").files_of("requirements") == ("profiles/mine.toml",)
    parent = profile_of(
        'extends = "small"\nconstraints = ["b"]', "mine", small=PROFILE.replace("as_of", 'constraints = ["a", "b"]\nas_of', 1)
    )
    assert parent.constraints == ("a", "b")
    assert set(parent.files_of("constraints")) == set(both)
    assert files_of_demands(found, LINUX) == {
        ("demo", RequiredBy(name="mine", requirement=">=1")): "profiles/small.toml",
        ("torch", RequiredBy(name="mine", requirement="==2.13.0")): "profiles/small.toml",
        ("torch", RequiredBy(name="mine", requirement=">=2.3")): "profiles/mine.toml",
        ("extra", RequiredBy(name="mine", requirement="*")): "profiles/mine.toml",
    }


def test_a_file_that_adds_nothing_but_a_requirement_is_one_of_the_profile_s() -> None:
    middle = 'extends = "small"\ndescription = "x"\nrequirements = ["extra"]'
    found = profile_of('extends = "middle"\ndescription = "y"\nrequirements = ["more"]', "mine", middle=middle, small=PROFILE)
    assert "profiles/middle.toml" in found.files
