"""`envgen update` moves what it is told to move and nothing else; bases come from a real registry through a mirror."""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
import subprocess
import tomllib
from contextlib import ExitStack
from pathlib import Path

import pytest
from built import docker, inspect
from loopback import LOOPBACK, free_port
from registry import TAG, Registry, registry_in
from tiny import ALPHA, BETA, GAMMA, Site, base_name, locked_base

PINNED = re.compile(rf"python:{TAG}@sha256:[0-9a-f]{{64}}")


def profile_of(site: Site) -> Path:
    return site.project / "profiles" / "tiny.toml"


def versions(site: Site) -> dict[str, str]:
    lock = next(content for name, content in site.locks().items() if name.endswith("envgen.lock"))
    return {package["name"]: package["version"] for package in tomllib.loads(lock.decode())["package"]}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"], ids=["unix", "windows"])
def test_the_date_moves_and_nothing_else(locked: Site, newline: bytes) -> None:
    path = profile_of(locked)
    before = path.read_bytes().replace(b"\n", newline)
    path.write_bytes(before)
    path.chmod(0o640)
    done = locked.envgen("update", "tiny", "--as-of", "2026-10-15").must_pass()
    assert done.stdout.splitlines()[1:] == ["tiny: 1 upgraded"]
    assert path.read_bytes() == before.replace(b"2026-09-22", b"2026-10-15")
    assert path.stat().st_mode & 0o777 == 0o640
    assert versions(locked) == {ALPHA: "1.0", BETA: "2.0", GAMMA: "1.0"}
    locked.envgen("lock", "--check", "tiny").must_pass()


def test_a_move_that_can_not_be_locked_is_taken_back(locked: Site) -> None:
    profile, locks = profile_of(locked).read_bytes(), locked.locks()
    closed = f"http://{LOOPBACK}:{free_port()}/simple"
    locked.envgen("update", "tiny", "--as-of", "2026-10-15", ENVGEN_INDEX_DEFAULT=closed).must_fail(3, "hint:  check the network")
    assert profile_of(locked).read_bytes() == profile
    assert locked.locks() == locks


def test_without_a_lock_only_the_profile_is_edited(locked: Site) -> None:
    before = locked.locks()
    locked.envgen("update", "tiny", "--as-of", "2026-10-15", "--no-lock").must_pass()
    assert b"2026-10-15" in profile_of(locked).read_bytes()
    assert locked.locks() == before
    locked.envgen("lock", "--check", "tiny").must_fail(4, "as_of: the lock has 2026-09-22, the profile 2026-10-15")


def test_one_package_moves_on_a_date_of_its_own(locked: Site) -> None:
    path = profile_of(locked)
    before = path.read_text()
    locked.envgen("update", "tiny", "--package", "Envgen_Tiny.Beta", "--as-of", "2026-10-15").must_pass()
    after = path.read_text()
    assert after.startswith(before.rstrip("\n"))
    assert tomllib.loads(after) == tomllib.loads(before) | {"package": {BETA: {"as_of": dt.date(2026, 10, 15)}}}
    assert versions(locked) == {ALPHA: "1.0", BETA: "2.0", GAMMA: "1.0"}

    # The second time there is an entry to move.
    done = locked.envgen("update", "tiny", "--package", BETA, "--as-of", "2026-09-25").must_pass()
    assert done.stdout.splitlines()[1:] == ["tiny: 1 downgraded"]
    assert path.read_text() == after.replace("2026-10-15", "2026-09-25")
    assert versions(locked)[BETA] == "1.0"


def test_a_package_that_stays_is_said(locked: Site) -> None:
    done = locked.envgen("update", "tiny", "--package", GAMMA, "--as-of", "2026-10-15").must_pass()
    stays = f"{GAMMA} stays 1.0: no newer release was there on 2026-10-15 (envgen why tiny {GAMMA})"
    assert done.stdout.splitlines()[1:] == ["tiny: no package has another version", stays]


def test_what_holds_a_package_back_is_said(locked: Site) -> None:
    path = profile_of(locked)
    path.write_text(path.read_text().replace(f'"{BETA}"', f'"{BETA}<2"'))
    done = locked.envgen("update", "tiny", "--package", BETA, "--as-of", "2026-10-15").must_pass()
    assert f"{BETA} stays 1.0: 2.0: tiny asks for <2 (envgen why tiny {BETA})" in done.stdout.splitlines()


@pytest.mark.parametrize(("words", "ago"), [("today", 0), ("7 days ago", 7), ("2 weeks ago", 14)])
def test_a_day_in_words_is_written_as_a_date(locked: Site, words: str, ago: int) -> None:
    before = profile_of(locked).read_text()
    days = [dt.datetime.now(tz=dt.UTC).date()]
    done = locked.envgen("update", "tiny", "--as-of", words, "--no-lock").must_pass()
    days.append(dt.datetime.now(tz=dt.UTC).date())
    written = tomllib.loads(profile_of(locked).read_text())["as_of"]
    assert written in [day - dt.timedelta(days=ago) for day in days]
    assert profile_of(locked).read_text() == before.replace("2026-09-22", f"{written}")
    assert f"profiles/tiny.toml: as_of set to {written}\n" in done.stderr


def test_where_there_is_git_the_command_that_tells_more_is_named(locked: Site) -> None:
    git = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "first"]):
        subprocess.run([*git, *words], cwd=locked.project, check=True)
    profile_of(locked).write_text(profile_of(locked).read_text().replace("2026-09-22", "2026-10-15"))
    assert locked.envgen("lock").must_pass().stdout.splitlines()[1:] == ["tiny: 1 upgraded: envgen diff HEAD"]
    assert BETA in locked.envgen("diff", "HEAD").stdout
    assert locked.envgen("lock").must_pass().stdout.splitlines()[1:] == []
    (row,) = json.loads(locked.envgen("lock", "--json").must_pass().stdout)
    assert (row["status"], row["changes"], row["remarks"]) == ("unchanged", {}, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tiny", "--as-of", "2999-01-01"), ("--as-of", "2999-01-01", "has not begun in UTC")),
        (("tiny", "--as-of", "22.9.2026"), ("--as-of", "'22.9.2026'", "expected a date")),
        (("tiny", "--as-of", "2026-02-30"), ("--as-of", "'2026-02-30'", "expected a date")),
        (("tiny",), ("nothing to move", "--as-of DATE")),
        (("tiny", "--package", "envgen-tiny-beta"), ("--package", "needs a date")),
        (("tiny", "--package", "envgen-tiny-bta", "--as-of", "2026-10-15"), ("is in no lock of tiny", "did you mean 'envgen-tiny-beta'?")),
        (("cpu-base", "--as-of", "2026-10-15"), ("cpu-base", "comes with envgen", 'extends = "cpu-base"')),
        (("tinny", "--as-of", "2026-10-15"), ("tinny", "tiny")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_refused_changes_nothing(locked: Site, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    profile, locks = profile_of(locked).read_bytes(), locked.locks()
    locked.envgen("update", *arguments).must_fail(2, *words)
    assert profile_of(locked).read_bytes() == profile
    assert locked.locks() == locks
    assert [path.name for path in profile_of(locked).parent.iterdir()] == ["tiny.toml"]


def test_a_base_moves_to_the_digest_that_its_tag_has_today(image: Site, registry: Registry, tmp_path: Path) -> None:
    path = profile_of(image)
    before = path.read_text()
    old_base, old_full = locked_base()

    first = registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.17\n", tmp_path / "first")
    done = image.envgen("update", "tiny", "--base", **registry.env).must_pass()
    moved = before.replace(old_base, f"python:{TAG}@{first}").replace(old_full, "3.11.17")
    assert path.read_text() == moved
    assert f"base of Python 3.11 moved from {old_base}: python:{TAG}@{first} (Python 3.11.17)" in done.stderr
    assert registry.address not in path.read_text() + str(image.locks())
    assert all(first.encode() in content for name, content in image.locks().items() if not name.endswith(".txt"))
    image.envgen("lock", "--check", "tiny").must_pass()
    done = image.envgen("update", "tiny", "--base", "--no-lock", **registry.env).must_pass()
    assert f"base of Python 3.11 unchanged: python:{TAG}@{first} (Python 3.11.17)" in done.stderr
    assert path.read_text() == moved

    second = registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.18\n", tmp_path / "second")
    assert second != first
    image.envgen("update", "tiny", "--base", "--no-lock", **registry.env).must_pass()
    assert path.read_text() == moved.replace(first, second).replace("3.11.17", "3.11.18")

    third = registry.push("FROM scratch\nLABEL python=unknown\n", tmp_path / "third")
    done = image.envgen("update", "tiny", "--base", "--no-lock", **registry.env).must_pass()
    assert path.read_text() == moved.replace(first, third).replace("3.11.17", "3.11.18")
    assert "it does not report its Python version" in done.stderr


def refused(site: Site, code: int, *words: str, **env: str) -> None:
    """The bases are not moved, and nothing else is."""
    profile, locks = profile_of(site).read_bytes(), site.locks()
    site.envgen("update", "tiny", "--base", **env).must_fail(code, *words)
    assert profile_of(site).read_bytes() == profile
    assert site.locks() == locks


def test_a_tag_that_was_deleted_is_said_plainly(image: Site, registry: Registry, tmp_path: Path) -> None:
    registry.forget(registry.push("FROM scratch\nLABEL will=go\n", tmp_path / "image"))
    words = (registry.reference, "its registry has no such tag: it was deleted or never existed", "hint:  name another base")
    refused(image, 5, *words, **registry.env)


def test_a_registry_that_does_not_answer_is_not_one_without_the_tag(image: Site) -> None:
    address = f"{LOOPBACK}:{free_port()}"
    refused(image, 5, address, "its registry does not answer", "hint:  check the network", ENVGEN_REGISTRY_MIRROR=f"docker.io={address}")


def test_a_registry_that_says_nothing_is_not_waited_for_for_ever(image: Site) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        mirror = f"docker.io={LOOPBACK}:{silent.getsockname()[1]}"
        refused(image, 5, "does not answer: timed out after 1 s", ENVGEN_REGISTRY_MIRROR=mirror, ENVGEN_PATIENCE="1")


def test_a_base_comes_through_a_pull_through_cache(image: Site, registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.17\n", tmp_path / "image")
    (tmp_path / "cache-of-registry").mkdir()
    with registry_in(tmp_path / "cache-of-registry", upstream=registry.address) as cache:
        image.envgen("update", "tiny", "--base", "--no-lock", **cache.env).must_pass()
        assert f'base = "python:{TAG}@{digest}"' in profile_of(image).read_text()
        registry.forget(digest)
        registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.18\n", tmp_path / "later")
        image.envgen("update", "tiny", "--base", "--no-lock", **cache.env).must_pass()
        assert 'full = "3.11.18"' in profile_of(image).read_text()


def test_a_cache_that_can_not_reach_its_registry_says_that_there_is_no_such_tag(image: Site, tmp_path: Path) -> None:
    for name in ("origin", "mirror"):
        (tmp_path / name).mkdir()
    with ExitStack() as origins:
        origin = origins.enter_context(registry_in(tmp_path / "origin"))
        with registry_in(tmp_path / "mirror", upstream=origin.address) as cache:
            origins.close()
            refused(image, 5, "has no such tag", "hint:  name another base", "or the mirror can't reach its registry", **cache.env)


def test_a_tag_that_stands_for_another_python_now(image: Site, registry: Registry, tmp_path: Path) -> None:
    registry.push("FROM scratch\nENV PYTHON_VERSION=3.12.1\n", tmp_path / "image")
    refused(image, 2, 'profiles/tiny.toml: python."3.11".base', "has Python 3.12.1 now, expected 3.11", **registry.env)


def test_credentials_are_those_of_dockers_own_configuration(image: Site, guarded: Registry, registry: Registry, tmp_path: Path) -> None:
    digest = registry.push("FROM scratch\nENV PYTHON_VERSION=3.11.17\n", tmp_path / "image")
    nobody = {"DOCKER_CONFIG": str(tmp_path / "nobody")}
    wrong = guarded.logged_in(tmp_path / "wrong", "open barley")
    for config in (nobody, wrong):
        refused(image, 5, "its registry refuses access", f"hint:  docker login {guarded.address}", **guarded.env, **config)
    image.envgen("update", "tiny", "--base", "--no-lock", **guarded.env, **guarded.logged_in(tmp_path / "right")).must_pass()
    assert f'base = "python:{TAG}@{digest}"' in profile_of(image).read_text()


def test_a_profile_without_a_base_has_none_to_move(locked: Site) -> None:
    refused(locked, 2, "--base", "no Python of tiny has a base to move")


def test_a_build_on_a_base_through_the_mirror_names_the_origin(image: Site, registry: Registry, tag: str, tmp_path: Path) -> None:
    program = ("python3.11", "-c", "import platform; print(platform.python_version())")
    python = docker("run", "--rm", "--network=none", base_name(), *program).strip()
    digest = registry.push(f"FROM {base_name()}\nENV PYTHON_VERSION={python}\n", tmp_path / "base")
    image.envgen("update", "tiny", "--base", **registry.env).must_pass()
    registry.push("FROM scratch\nLABEL the-tag=moves-on\n", tmp_path / "later")

    done = image.envgen("build", "tiny", "--no-smoke", "--json", "--tag", tag, **registry.env).must_pass()
    labels = inspect(tag)["Config"]["Labels"]
    assert labels["org.opencontainers.image.base.name"] == f"python:{TAG}@{digest}"
    assert PINNED.fullmatch(labels["org.opencontainers.image.base.name"])
    assert labels["envgen.python"] == python
    assert "envgen.base.override" not in labels
    assert registry.address not in json.dumps(labels)
    assert json.loads(done.stdout)["image"]["digest"] == inspect(tag)["Id"]
