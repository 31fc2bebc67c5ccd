"""Injection: what a text field says is refused, or stays what it is: no instruction, no option, no line, no path of its own."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny
from built import docker, inspect
from command_line import envgen, refused
from documents import CONSTRAINTS, PROFILES, SETTINGS
from figures import campaign
from loopback import Proxy
from mutation import places, toml
from packaging.requirements import Requirement
from samples import sample_lock

from envgen.core.settings import read_settings
from envgen.lock import Lock, parse_lock
from envgen.lock.folder import files_of
from envgen.lock.header import lock_without_packages
from envgen.lock.make import query_for
from envgen.lock.resolvers.uv import UvResolver
from envgen.profiles import Project
from envgen.profiles.secret_values import is_secret
from envgen.sources import IndexClient, Packages, WheelStore

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
    catalog = Project(folder=project)
    profile = catalog.profile(name)
    bounds = catalog.bounds(profile)
    settings = read_settings({"ENVGEN_CACHE": str(project / "cache")}, project)
    for target in profile.targets():
        lock = locked(lock_without_packages(profile, bounds, target))
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
        resolver = UvResolver(settings, Packages(IndexClient(settings, profile.index_urls), WheelStore(settings.wheels)))
        assert tomllib.loads("\n".join(resolver._project(query)))["project"]["dependencies"] == list(query.requirements)
        assert {word.partition("=")[0] for word in map(str, resolver._command(query)) if word.startswith("-")} <= OPTIONS


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


NAMES = ("it's", '"q"', "$(touch x)", "`id`", "${HOME}", SUM, "{% if %}", "a,b=c;d", "a\nb", "é 🎉", "-x", "#", "%41", "..a")
"""What a folder may be called; all of it at once is one name."""


def in_image(payload: str) -> bool:
    """Whether a value of the environment may hold it."""
    return not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", payload)


def test_accepted_payloads_arrive_as_they_are(image_site: tiny.Site, index: Proxy, tmp_path: Path) -> None:
    """In the real engine, from a project, a cache and a folder for temporary files whose names are payloads themselves."""
    place = tmp_path / " ".join(NAMES)
    (place / "tmp").mkdir(parents=True)
    site = image_site.copy(place)
    accepted = [payload for payload in PAYLOADS if in_image(payload)]
    # What looks like a secret is refused in [env].
    values = {f"P{number}": payload for number, payload in enumerate(accepted) if not is_secret(f"P{number}", payload)}
    described = " | ".join(accepted)
    path = site.project / "profiles" / "tiny.toml"
    document = tomllib.loads(path.read_text())
    path.write_text(toml({**document, "description": described, "env": values}))
    tag = "envgen-tests/payloads"
    with campaign("injection: accepted payloads in an image", sample=len(values), full=len(values)) as running:
        try:
            site.envgen("lock", "tiny", TMPDIR=str(place / "tmp")).must_pass()
            site.envgen("build", "tiny", "--no-smoke", "--tag", tag, *tiny.base_arguments(), TMPDIR=str(place / "tmp")).must_pass()
            site.envgen("smoke", "tiny", "--image", tag, TMPDIR=str(place / "tmp")).must_pass()
            config = inspect(tag)["Config"]
            program = "import json, os; print(json.dumps(dict(os.environ)))"
            seen = json.loads(docker("run", "--rm", "--network=none", tag, "python", "-c", program))
        finally:
            docker("image", "rm", "--force", tag)
        assert config["Labels"]["org.opencontainers.image.description"] == described
        for name, payload in values.items():
            if f"{name}={payload}" in config["Env"] and seen[name] == payload:
                running.harmless()
            else:
                running.failed(f"{name}: {payload!r} arrives as {seen.get(name)!r}")
    assert not list(tmp_path.rglob(MARK))
    assert sorted(entry.name for entry in place.iterdir()) == ["cache", "project", "tmp"]
    assert not list((place / "tmp").iterdir()), "something was left behind"


@pytest.mark.parametrize("option", ["--tag", "--base"])
def test_no_payload_is_the_name_of_an_image(option: str, tmp_path: Path) -> None:
    """They would become attributes of an output, or part of the engine's URL."""
    names = [payload for payload in PAYLOADS if not re.fullmatch(r"[A-Z]+|-.*", payload)]
    with campaign(f"injection: {option}", sample=len(names), full=len(names)) as running:
        for payload in names:
            done = envgen("build", "cpu-base", f"{option}={payload}", project=tmp_path)
            if refused(done) and done.code == 2:
                running.detected()
            else:
                running.failed(f"{option}={payload!r}: {done}")


def test_no_payload_is_a_model(tmp_path: Path) -> None:
    with campaign("injection: model names", sample=len(PAYLOADS) * 3, full=len(PAYLOADS) * 3) as running:
        for prefix in ("", "hub:", "wheel:"):
            for payload in PAYLOADS:
                done = envgen("show", "cpu-base", f"--model={prefix}{payload}", project=tmp_path, ENVGEN_CACHE=str(tmp_path))
                if refused(done):
                    running.detected()
                else:
                    running.failed(f"--model={prefix}{payload!r}: {done}")
        assert not list(tmp_path.iterdir())
