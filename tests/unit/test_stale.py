"""envgen.lock.stale: what differs between a lock and its profile, in words."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from samples import BASE, COMMIT, HUB_MODEL, LINUX, PROFILE, ROOT, profile_of, sample_lock

from envgen.core.errors import StaleLockError
from envgen.core.target import Target
from envgen.lock import Lock
from envgen.lock.folder import files_of, write_files
from envgen.lock.header import lock_without_packages
from envgen.lock.stale import up_to_date_lock
from envgen.profiles import Bound, Profile, Project

BOUND = Bound(set_name="documents", package="torch", requirement=">=2.2", role="core", document="paper.txt", section='Section "1"')
HASH_LINE = "demo==1.5 --hash=sha256:"


def good_lock() -> Lock:
    lock = sample_lock()
    return replace(lock_without_packages(profile_of(), (BOUND,), LINUX), installer=lock.installer, packages=lock.packages)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a lock that is up to date."""
    found = Project(folder=tmp_path)
    write_files(found.lock_folder("small", LINUX), files_of(good_lock(), found))
    return found


def differences(project: Project, profile: Profile, bounds: tuple[Bound, ...], target: Target) -> tuple[str, ...]:
    try:
        up_to_date_lock(project, profile, bounds, target)
    except StaleLockError as error:
        if not error.problem.startswith("the lock is stale\n"):
            raise
        return tuple(re.split(r"\n(?!    )", error.problem)[1:])
    return ()


def told(project: Project, old: str = "description", new: str = "description", bounds: tuple[Bound, ...] = (BOUND,)) -> list[str]:
    assert PROFILE.count(old) == 1, old
    profile = profile_of(PROFILE.replace(old, new))
    return list(differences(project, profile, bounds, profile.targets()[0]))


def test_a_good_lock_has_no_differences(project: Project) -> None:
    assert told(project) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("as_of = 2026-09-22", "as_of = 2026-10-01", "as_of: the lock has 2026-09-22, the profile 2026-10-01"),
        ("3.11.16", "3.11.15", "python: the lock has 3.11.16, the profile 3.11.15"),
        ("A small profile", "Another", "description: the lock has A small profile, the profile Another"),
        ('"/models"', '"/other"', "env: the lock has ALPHA=1, HF_HOME=/models, the profile ALPHA=1, HF_HOME=/other"),
        ('["static", "cpu"]', '["static"]', "tiers: the lock has static, cpu, the profile static"),
        (
            "https://torch.example/whl/cpu", "https://t.example",
            "indexes: the lock has pytorch-cpu (https://torch.example/whl/cpu for torch), the profile pytorch-cpu (https://t.example",
        ),
        ("models =", "data =", "layers: the lock has models, cuda, torch, libraries, hugging-face, own, the profile data, cuda,"),
        ('"demo>=1"', '"demo>=2"', "demo: the profile asks for 'demo>=2', the lock has 1.5"),
        ('"demo>=1"', '"demo>=1", "extra"', "extra: the profile asks for 'extra', the lock does not have it"),
        ('"demo>=1", ', "", "demo: in the lock, but the profile does not ask for it"),
        ("[smoke]", '[smoke]\nmodel = "wheel:a==1"', "smoke.model: the lock has none, the profile wheel:a==1"),
        ("uv==0.12.17", "uv==0.12.18", "the profile or a constraint set has changed in a way that may lead to other versions"),
        ('"demo>=1"', '"demo[x]>=1"', "the profile or a constraint set has changed in a way that may lead to other versions"),
    ],
)  # fmt: skip
def test_a_difference_is_said_in_words(project: Project, old: str, new: str, words: str) -> None:
    found = told(project, old, new)
    assert any(text.startswith(words) for text in found), found


def test_a_requirement_of_another_platform_is_no_difference(project: Project) -> None:
    found = told(project, '"demo>=1"', '"demo>=1", "colorama; sys_platform == \'win32\'"')
    assert found == []


def test_a_changed_bound_is_said(project: Project) -> None:
    assert told(project, bounds=(replace(BOUND, requirement=">=2.3"),)) == ["torch: the documented bounds on it have changed"]
    assert told(project, bounds=(BOUND, replace(BOUND, package="other"))) != []


def test_a_rendering_that_was_changed_by_hand_is_shown(project: Project) -> None:
    path = project.lock_folder("small", LINUX) / "requirements.txt"
    path.write_text(path.read_text(encoding="utf-8").replace("demo==1.5", "demo==1.6"), encoding="utf-8")
    (found,) = told(project)
    assert found.startswith("locks/small/py311-linux-amd64/requirements.txt: not what the lock gives\n")
    assert f"    -{HASH_LINE.replace('1.5', '1.6')}" in found
    assert f"    +{HASH_LINE}" in found


@pytest.mark.parametrize("name", ["Dockerfile", "requirements.txt"])
def test_a_rendering_that_is_not_there_is_said(project: Project, name: str) -> None:
    (project.lock_folder("small", LINUX) / name).unlink()
    assert told(project) == [f"locks/small/py311-linux-amd64/{name}: missing"]


def test_a_rendering_that_is_no_text_is_a_difference_and_no_crash(project: Project) -> None:
    (project.lock_folder("small", LINUX) / "Dockerfile").write_bytes(b"\xff\xfe\x00")
    assert len(told(project)) == 1


def test_the_shipped_locks_are_up_to_date() -> None:
    project = Project(folder=ROOT)
    for name in project.profiles():
        profile = project.profile(name)
        for target in profile.targets():
            assert differences(project, profile, project.bounds(profile), target) == ()


def test_a_dockerfile_without_a_base_is_told(project: Project) -> None:
    profile = profile_of(PROFILE.replace(f'base = "{BASE}"\n', ""))
    target = profile.targets()[0]
    folder = project.lock_folder("small", target)
    lock = replace(lock_without_packages(profile, (), target), packages=sample_lock().packages)
    left = (folder / "Dockerfile").read_bytes()
    write_files(folder, files_of(lock, project))
    assert not (folder / "Dockerfile").exists()
    (folder / "Dockerfile").write_bytes(left)
    label = "locks/small/py311-linux-amd64/Dockerfile"
    assert f"{label}: is there, but no image is built for this target any more" in differences(project, profile, (), target)


def test_a_locked_model_is_compared_with_the_profile_s(project: Project) -> None:
    text = PROFILE.replace("[smoke]", f'[smoke]\nmodel = "hub:tests/small@{COMMIT}"\nexpect = "a"')
    profile = profile_of(text)
    lock = replace(
        good_lock(), inputs=lock_without_packages(profile, (BOUND,), LINUX).inputs, model=replace(HUB_MODEL, prompt="", expect="a")
    )
    write_files(project.lock_folder("small", LINUX), files_of(lock, project))
    assert differences(project, profile, (BOUND,), LINUX) == ()
    moved = profile_of(text.replace(COMMIT, "f" * 40).replace('"a"', '"b"'))
    assert differences(project, moved, (BOUND,), LINUX) == (
        f"smoke.model: the lock has hub:tests/small@{COMMIT}, the profile hub:tests/small@{'f' * 40}",
        "smoke.expect: the lock has a, the profile b",
    )
    none = profile_of()
    assert f"smoke.model: the lock has hub:tests/small@{COMMIT}, the profile none" in differences(project, none, (BOUND,), LINUX)
