"""Injection: what a text field says is refused, or stays what it is: no instruction, no option, no line, no path of its own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import envgen, refused
from documents import CONSTRAINTS, PROFILES, SETTINGS
from figures import campaign
from mutation import places, toml
from packaging.requirements import Requirement
from samples import sample_lock

from envgen.catalog import Catalog
from envgen.index import IndexClient
from envgen.lock import Lock
from envgen.lock_file import parse_lock
from envgen.lock_folder import files_of
from envgen.locking import outline, query_for
from envgen.resolve.uv import UvResolver
from envgen.settings import read_settings

MARK = "envgen-was-here"
"""A file that a shell would make, did a payload reach one."""

SUM, ITS_RESULT = "{{ 7919 * 104729 }}", "829348951"
PAYLOADS = (
    f"$(touch {MARK})", f"`touch {MARK}`", f"; touch {MARK} #", f"&& touch {MARK}", f"| touch {MARK}", f"'; touch {MARK}; '",
    f'"; touch {MARK}; "', "it's", '"', '\\"', "\\", "a\\", "$HOME", "${PATH}", "$$", "%PATH%", "~", "*", "!", "#", "<<EOF", "EOF", "LINES",
    "<<'LINES'", "\n", f"\nRUN touch {MARK}", f"x\nRUN touch {MARK}\n", "\\\nRUN x", "\r\nUSER 0", "\rUSER 0", "\x0bUSER 0", "\x0cUSER 0",
    "\x85USER 0", "\u2028--index-url http://127.0.0.1:1/", "\u2029USER 0", "\nEOF\nUSER 0", "\0", "\x1b[2J", "\x7f", "\u202etxt.exe",
    "é 🎉",
    SUM, "{% for x in y %}", "{# x #}", "{{ lock.__class__.__mro__ }}", "../../../etc/passwd", "/etc/passwd", "..", "-rf", "--index-url",
    "--index-url=http://127.0.0.1:1/", "-e git+file:///x", "--extra-index-url http://127.0.0.1:1/", "# comment", " ", "\t", "a b",
    "a,b", "a=b", "a;b", "type=local,dest=/", "x,push=true", "https://u:p@127.0.0.1/", "file:///etc/passwd", "[/red]", "[link=x]y[/link]",
    "; os_name != '\u2028--index-url http://127.0.0.1:1/'", "; os_name != '\x85-e file:///x'", "; os_name != 'a\x0c-r /etc/passwd'",
)  # fmt: skip
INSTRUCTIONS = re.compile(r"(FROM|ARG|RUN|COPY|ENV|LABEL|USER|WORKDIR|CMD)\b")
OPTIONS = frozenset(
    """--constraints --no-config --quiet --no-header --no-annotate --no-emit-package --only-binary --python --python-version
    --python-platform --exclude-newer --exclude-newer-package --no-index --find-links --default-index""".split()  # noqa: SIM905
)
"""The options that uv is given; none comes from a file."""


def changed(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """`document` with each payload as each of its texts and names: in place of it, before it, and behind it."""
    for number, (holder, key) in enumerate(places(document)):
        for payload in PAYLOADS:
            texts = (payload, holder[key] + payload, payload + holder[key]) if isinstance(holder[key], str) else ()
            for text in texts:
                yield f"place {number}: {text!r}", with_value(document, number, text)
            if isinstance(holder, dict):
                for name in (payload, key + payload):
                    yield f"key {number}: {name!r}", with_name(document, number, name)


def with_value(document: dict[str, Any], number: int, text: str) -> dict[str, Any]:
    found = deepcopy(document)
    holder, key = list(places(found))[number]
    holder[key] = text
    return found


def with_name(document: dict[str, Any], number: int, name: str) -> dict[str, Any]:
    found = deepcopy(document)
    holder, key = list(places(found))[number]
    holder[name] = holder.pop(key)
    return found


def instructions(dockerfile: str) -> list[str]:
    """The instructions of a Dockerfile by their names, as a parser sees them that knows continued lines and here-documents."""
    found, lines = [], iter(dockerfile.split("\n"))
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = INSTRUCTIONS.match(line)
        assert match, f"no instruction: {line!r}"
        while line.endswith("\\"):
            line = next(lines)
        if "<<EOF" in line and match[1] == "RUN":
            assert any(inner == "EOF" for inner in lines), "a here-document without an end"
        found.append(match[1])
    return found


def check_contained(project: Path, name: str) -> None:
    """What was accepted is a value and nothing else: in the Dockerfile, in requirements.txt, and in what a resolver is given."""
    catalog = Catalog(project=project)
    profile = catalog.profile(name)
    bounds = catalog.bounds(profile)
    settings = read_settings({"ENVGEN_CACHE": str(project / "cache")}, project)
    for target in profile.targets():
        lock = locked(outline(profile, bounds, target))
        files = {file: content.decode() for file, content in files_of(lock, catalog).items()}
        assert ITS_RESULT not in "".join(files.values())
        assert parse_lock(files["envgen.lock"].encode(), "x/y/z") == lock
        for line in files["requirements.txt"].splitlines():
            assert re.fullmatch(r"#.*|--find-links https?://[^\s'\"$`]+|[a-z0-9-]+==[a-z0-9.+!]+ --hash=sha256:[0-9a-f]{64}", line), line
        if lock.base:
            plain = replace(lock, description="x", env=tuple((key, "x") for key, _ in lock.env))
            assert instructions(files["Dockerfile"]) == instructions(files_of(plain, catalog)["Dockerfile"].decode())
        query = query_for(profile, bounds, target)
        assert "\n".join(query.requirements).splitlines() == list(query.requirements)
        assert "\n".join(query.constraints).splitlines() == list(query.constraints)
        assert all(Requirement(text).name for text in query.constraints)
        resolver = UvResolver(settings, IndexClient(settings, {index.name: index.url for index in profile.indexes}))
        assert tomllib.loads("\n".join(resolver._project(query)))["project"]["dependencies"] == list(query.requirements)
        assert {word for word in map(str, resolver._command(query)) if word.startswith("-")} <= OPTIONS


def locked(lock: Lock) -> Lock:
    """`lock` with packages from the default index and, where it has a base, an installer."""
    sample = sample_lock()
    packages = tuple(replace(package, layer=lock.layers[0]) for package in sample.packages if package.wheel.index == "default")
    return replace(lock, packages=packages, installer=sample.installer if lock.base else None)


@pytest.mark.parametrize(
    ("file", "document"),
    [
        ("profiles/small.toml", PROFILES[0]),
        ("profiles/small.toml", PROFILES[1]),
        ("profiles/constraints/papers.toml", CONSTRAINTS),
        ("envgen.toml", SETTINGS),
    ],
    ids=["profile", "profile that extends another", "constraint set", "envgen.toml"],
)
def test_every_text_field_with_every_payload(
    file: str, document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    project = tmp_path / "project"
    (project / "profiles" / "constraints").mkdir(parents=True)
    (project / "profiles" / "small.toml").write_text(toml({**PROFILES[0], "constraints": ["papers"]}))
    (project / "profiles" / "constraints" / "papers.toml").write_text(toml(CONSTRAINTS))
    kind = request.node.callspec.id
    cases = list(changed(document))
    with campaign(f"injection: {kind}", sample=150, full=len(cases)) as running:
        for words, found in running.random.sample(cases, running.cases):
            (project / file).write_text(toml(found))
            if refused(envgen("show", "small", project=project)):
                running.detected()
                continue
            try:
                check_contained(project, "small")
                running.harmless()
            except AssertionError as error:
                running.failed(f"{file}: {words}: {error}")
        assert [path.name for path in tmp_path.iterdir()] == ["project"], "something was written elsewhere"
        assert not list(tmp_path.rglob(MARK))
