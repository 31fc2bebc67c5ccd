"""Bad input: whatever stands in a profile, a lock, an index page or a wheel, it is taken or refused with a message."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from changes import forged
from command_line import envgen, refused
from documents import CONSTRAINTS, PROFILES, SETTINGS
from figures import SEED, Campaign, campaign
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from mutation import damaged, files_like, mutated, texts, toml
from samples import INDEX, LINUX, PROFILE, Server, client_for, sample_lock, wheel
from wrong_wheels import wheels

from envgen.core.errors import EnvgenError
from envgen.core.requirements import read_needs
from envgen.lock import make
from envgen.lock.demands import demands_of
from envgen.lock.folder import files_of
from envgen.lock.model import dump_lock
from envgen.lock.select import SelectedWheel, best_wheel, versions_of
from envgen.profiles import Project
from envgen.smoke import expected_tree
from envgen.sources import Packages, WheelStore

Case = TypeVar("Case")
DEADLINE = 20_000
"""Milliseconds that one case may take, on a machine that has other things to do: more is as bad as a traceback."""

FILE = {
    "filename": "demo-1.0-py3-none-any.whl",
    "url": "https://files.example/demo-1.0-py3-none-any.whl",
    "hashes": {"sha256": "a" * 64},
    "size": 1234,
    "upload-time": "2026-08-01T12:30:15.123Z",
    "yanked": False,
    "requires-python": ">=3.9",
}
JSON_PAGE: dict[str, Any] = {"meta": {"api-version": "1.1"}, "name": "demo", "files": [FILE, {**FILE, "filename": "demo-0.9.tar.gz"}]}
HTML_PAGE = b"""<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"><base href="/files/"></head><body>
<a href="demo-1.0-py3-none-any.whl#sha256=%s" data-upload-time="2026-08-01T12:30:15.1Z" data-requires-python="&gt;=3.9">demo</a>
<a href='https://files.example/demo-0.9-py3-none-any.whl' data-yanked="">demo</a></body></html>""" % (b"a" * 64)
KINDS = ("application/vnd.pypi.simple.v1+json", "text/html", "text/html; charset=idna", "text/html; charset=undefined", "image/png", "")


def check_all(running: Campaign, cases: st.SearchStrategy[Case], refuses: Callable[[Case], bool]) -> None:
    """Tries as many of `cases` as the campaign has; `refuses` says of one whether it was refused, and raises for anything else."""
    quick = settings(max_examples=running.cases, database=None, deadline=DEADLINE, suppress_health_check=list(HealthCheck))

    @seed(SEED)
    @settings(quick, phases=[Phase.generate, Phase.shrink])
    @given(cases)
    def check(case: Case) -> None:
        if refuses(case):
            running.detected()
        else:
            running.harmless()

    check()


def refusal(function: Callable[[], object]) -> bool:
    """Whether `function` refuses what it was given with an error of envgen's own; anything else is raised."""
    try:
        function()
    except EnvgenError:
        return True
    return False


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a good profile, its constraint set, and a lock that says what an envgen without wheels can say."""
    (tmp_path / "profiles" / "constraints").mkdir(parents=True)
    text = PROFILE.replace("requirements =", 'constraints = ["papers"]\nrequirements =')
    (tmp_path / "profiles" / "small.toml").write_text(text)
    (tmp_path / "profiles" / "constraints" / "papers.toml").write_text(toml(CONSTRAINTS))
    return tmp_path


def checked(project: Path, profile: str, **env: str) -> bool:
    """Whether `show` refuses a profile; `lock --check` must in any case, since there is no lock that fits."""
    shown = refused(envgen("show", profile, project=project, **env))
    assert refused(envgen("lock", "--check", profile, project=project, **env))
    return shown


def test_profiles(project: Path) -> None:
    path = project / "profiles" / "bad.toml"

    def refuses(content: bytes) -> bool:
        path.write_bytes(content)
        return checked(project, "bad")

    with campaign("bad input: profiles", sample=200, full=2500) as running:
        check_all(running, st.one_of(*(files_like(document, toml) for document in PROFILES)), refuses)


def test_constraint_sets(project: Path) -> None:
    path = project / "profiles" / "constraints" / "papers.toml"

    def refuses(content: bytes) -> bool:
        path.write_bytes(content)
        return checked(project, "small")

    with campaign("bad input: constraint sets", sample=150, full=1500) as running:
        check_all(running, files_like(CONSTRAINTS, toml), refuses)


def test_settings(project: Path) -> None:
    path = project / "envgen.toml"

    def refuses(content: bytes) -> bool:
        path.write_bytes(content)
        return checked(project, "small")

    with campaign("bad input: envgen.toml", sample=100, full=1000) as running:
        check_all(running, files_like(SETTINGS, toml), refuses)


def lock_with_another_value(lock: str) -> st.SearchStrategy[bytes]:
    """A lock in which one line says something else, in the layout that envgen writes."""
    lines = lock.splitlines()
    places = st.sampled_from([number for number, line in enumerate(lines) if " = " in line])

    def put(place: tuple[int, object]) -> bytes:
        number, value = place
        key = lines[number].partition(" = ")[0]
        return "\n".join([*lines[:number], toml({"x": value}).rstrip("\n").replace('"x"', key, 1), *lines[number + 1 :], ""]).encode()

    return st.tuples(places, st.one_of(texts, st.integers(), st.lists(texts, max_size=2))).map(put)


def test_locks(project: Path) -> None:
    lock = sample_lock()
    folder = project / "locks" / "small" / lock.target.slug
    folder.mkdir(parents=True)
    written = dump_lock(lock)
    for name, content in files_of(lock, Project(folder=project)).items():
        (folder / name).write_bytes(content)

    def refuses(content: bytes) -> bool:
        (folder / "envgen.lock").write_bytes(content)
        done = envgen("lock", "--check", "small", "--target", lock.target.slug, project=project)
        assert refused(done)
        assert done.code == 4
        return True

    cases = st.one_of(files_like(tomllib.loads(written.decode()), toml), damaged(written), lock_with_another_value(written.decode()))
    with campaign("bad input: locks", sample=200, full=2000) as running:
        check_all(running, st.one_of(cases, cases.map(forged), cases.map(forged)), refuses)


def test_index_pages(tmp_path: Path) -> None:
    server, url = Server(), f"{INDEX}/demo/"
    ranks = {tag: rank for rank, tag in enumerate(LINUX.wheel_tags())}

    def refuses(answer: tuple[bytes, str]) -> bool:
        server.page(url, answer[0], kind=answer[1])

        def ask() -> None:
            client = client_for(server, tmp_path)
            files = client.files("default", "demo")
            versions_of(files)
            file = best_wheel(files, make.Version("1.0"), ranks)
            if file is not None:
                server.answers.pop(file.url, None)
                refusal(lambda: client.size(file))
                refusal(lambda: Packages(client, WheelStore(tmp_path / "store")).metadata(file))

        return refusal(ask)

    json_page = st.one_of(
        mutated(JSON_PAGE).map(lambda page: json.dumps(page, default=str).encode()), damaged(json.dumps(JSON_PAGE).encode())
    )
    deep = st.sampled_from((b'{"files": ' + b"[" * 100_000, b'{"files": [{"size": ' + b"9" * 5000 + b"}]}"))
    html_page = st.one_of(
        damaged(HTML_PAGE), damaged(HTML_PAGE).flatmap(damaged), st.just(b"<base " * 2_000), st.just(b"<a href='" * 20_000)
    )
    answers = st.one_of(
        st.tuples(st.one_of(json_page, json_page, json_page, deep), st.just(KINDS[0])),
        st.tuples(html_page, st.just(KINDS[1])),
        st.tuples(st.one_of(json_page, html_page), st.sampled_from(KINDS)),
    )
    with campaign("bad input: index pages", sample=200, full=2000) as running:
        check_all(running, answers, refuses)


def test_wheels(tmp_path: Path) -> None:
    locked = wheel("demo")
    store = WheelStore(tmp_path)
    path = store.path(locked.sha256, locked.file)
    path.parent.mkdir()

    def refuses(content: bytes) -> bool:
        path.write_bytes(content)

        def demands() -> None:
            needs = read_needs(store.metadata_of(locked), locked.file, "default")
            demands_of(["demo[extra]"], "small", [SelectedWheel(wheel=locked, requires=needs.requires, requires_python="")], LINUX)

        # Both, whatever the other says.
        return refusal(demands) | refusal(lambda: expected_tree([path], python=LINUX.python_full))

    with campaign("bad input: wheels", sample=200, full=2000) as running:
        check_all(running, wheels(), refuses)
