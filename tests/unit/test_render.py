"""envgen.lock.render: a lock becomes a Dockerfile and requirements, byte for byte, and nothing in it can break out."""

import itertools
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from samples import AS_OF, BASE, NASTY, ROOT, sample_lock

from envgen.image.layer_record import RECORD_FILE
from envgen.lock import Lock, parse_lock
from envgen.lock.folder import files_of
from envgen.lock.labels import labels_of
from envgen.lock.render import render_dockerfile, render_requirements
from envgen.profiles import Project

GOLDEN = ROOT / "tests" / "golden"
SUMS = "sha256sum *) | diff /tmp/sums -\n"
COMMITTED = sorted((ROOT / "locks").glob("*/*/envgen.lock"))
NASTY_VALUES = (
    NASTY, "$HOME", "${PATH}", "$$", "\\", "\\\\", '"', '\\"', '"\\', "'", "a b  c", " ", "", "#", "x # y", "$(touch /x)", "`id`",
    "{{ lock }}", "{% for %}", "{# #}", "<<EOF", "EOF", "\\$HOME", "é\u2028\u0085", "a=b c=d", '" && id "', "a\\", "%PATH%", "\x7f",
)  # fmt: skip


def project() -> Project:
    return Project(folder=ROOT)


def dockerfile(lock: Lock) -> str:
    return render_dockerfile(lock, project().template("Dockerfile.j2"))


def requirements(lock: Lock) -> str:
    return render_requirements(lock, project().template("requirements.txt.j2"))


def unquoted(word: str) -> str:
    """What Docker makes of a word in double quotes; fails where something would be expanded or the quotes end early."""
    assert word[0] == word[-1] == '"', word
    found, rest = [], list(word[1:-1])
    while rest:
        character = rest.pop(0)
        assert character not in '"$', f"{character} is not escaped in {word}"
        if character == "\\":
            assert rest, f"the last quote is escaped in {word}"
            assert rest[0] in '"$\\', f"an escape that means nothing in {word}"
            character = rest.pop(0)
        found.append(character)
    return "".join(found)


def instructions(text: str) -> list[str]:
    """The Dockerfile's instructions, each in one text, with continued lines and the bodies of here-documents."""
    found: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        whole = line
        while whole.endswith("\\"):
            whole = whole[:-1] + next(lines)
        if whole.startswith("RUN") and (ends := re.findall(r"<<-?'?(\w+)'?", whole)):
            for end in ends:
                while (body := next(lines)) != end:
                    whole += "\n" + body
        found.append(whole)
    return found


@pytest.mark.parametrize("value", NASTY_VALUES)
def test_a_value_can_not_leave_its_quotes(value: str) -> None:
    lock = sample_lock(env=(("FIRST", value), ("SECOND", "x")), description=value)
    text = dockerfile(lock)
    expected = dockerfile(sample_lock(env=(("FIRST", "plain"), ("SECOND", "x")), description="plain"))
    assert [line.split(" ")[0] for line in instructions(text)] == [line.split(" ")[0] for line in instructions(expected)]
    (env,) = [line for line in text.split("\n") if line.startswith("ENV FIRST=")]
    assert unquoted(env.removeprefix("ENV FIRST=")) == value
    (label,) = [line for line in text.split("\n") if line.startswith("LABEL org.opencontainers.image.description=")]
    assert unquoted(label.partition("=")[2]) == value


@pytest.mark.parametrize("name", ["small", "bare"])
def test_a_rendering_is_what_was_reviewed(name: str) -> None:
    lock = parse_lock((GOLDEN / name / "envgen.lock").read_bytes(), f"tests/golden/{name}/envgen.lock")
    expected = {path.name: path.read_text(encoding="utf-8") for path in (GOLDEN / name).iterdir()}
    found = {file: content.decode() for file, content in files_of(lock, project()).items()}
    assert found == expected, "reviewed and meant? then run: python tests/golden/write.py"


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
def test_the_committed_renderings_are_those_of_their_lock(path: Path) -> None:
    lock = parse_lock(path.read_bytes(), str(path))
    expected = {file.name: file.read_text(encoding="utf-8") for file in path.parent.iterdir() if file.name != RECORD_FILE}
    assert {file: content.decode() for file, content in files_of(lock, project()).items()} == expected


def test_the_same_bytes_everywhere(in_zone: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = files_of(sample_lock(), project())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    for zone in ("Pacific/Kiritimati", "America/St_Johns"):
        in_zone(zone)
        before = os.umask(0o077)
        try:
            assert files_of(sample_lock(), project()) == expected
        finally:
            os.umask(before)


def every_lock() -> list[Lock]:
    return [sample_lock(), *(lock for path in COMMITTED if (lock := parse_lock(path.read_bytes(), str(path))).base)]


@pytest.mark.parametrize("lock", every_lock(), ids=lambda lock: lock.profile)
def test_install_steps_have_no_network(lock: Lock) -> None:
    steps = [step for step in instructions(dockerfile(lock)) if step.startswith("RUN")]
    fetching = [step for step in steps if "pip --isolated" in step]
    installing = [step for step in steps if step not in fetching]
    assert len(installing) >= len(lock.groups) + 2
    assert sum("uv pip install" in step for step in installing) == len(lock.groups)
    assert all(step.startswith("RUN --network=none") for step in installing)
    assert all("--no-deps" in step for step in steps if "pip install" in step or "download" in step)
    assert all("--require-hashes" in step for step in fetching)
    assert all(SUMS in step.partition("uv pip install")[0] for step in installing if "uv pip install" in step)
    assert all("--mount=type=bind" in step for step in installing if "uv pip install" in step)


@pytest.mark.parametrize("lock", every_lock(), ids=lambda lock: lock.profile)
def test_nothing_unpinned_is_pulled(lock: Lock) -> None:
    text = dockerfile(lock)
    assert not re.search(r"^#\s*(syntax|escape|check)\s*=", text, re.MULTILINE | re.IGNORECASE)
    (base,) = re.findall(r"^ARG BASE=(.*)$", text, re.MULTILINE)
    assert base == lock.base
    assert re.fullmatch(r".+@sha256:[0-9a-f]{64}", base)
    stages = {"scratch", *re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)}
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages == {"${BASE_FROM}"}
    assert re.findall(r"^ARG BASE_FROM=?.*$", text, re.MULTILINE) == ["ARG BASE_FROM=${BASE}"], "in a stage, it would get into the history"
    assert set(re.findall(r"from=([\w.-]+)", text)) <= stages


@pytest.mark.parametrize("lock", every_lock(), ids=lambda lock: lock.profile)
def test_every_wheel_is_installed_once_and_by_its_hash(lock: Lock) -> None:
    installs = [step for step in instructions(dockerfile(lock)) if "uv pip install" in step]
    for found in lock.wheels:
        lines = f"\n{found.name}=={found.version}\n", f"\n{found.sha256}  {found.file}\n"
        assert [sum(line in step for line in lines) for step in installs if any(line in step for line in lines)] == [2], found.name
    assert not any("uv==" in step for step in installs)


@pytest.mark.parametrize("lock", every_lock(), ids=lambda lock: lock.profile)
def test_what_the_history_says_of_a_layer_is_the_same_in_every_profile(lock: Lock) -> None:
    """BuildKit writes the value of an ARG into it, or not, by its version, and the stage and number of a step."""
    stages = "\n".join(instructions(dockerfile(lock))).split("\nFROM ")
    first = next(position for position, stage in enumerate(stages) if stage.startswith("base AS start\n"))
    words = [[step.split(" ")[0] for step in stage.split("\n")[1:]] for stage in stages[first:]]
    assert words[:-1] == [["COPY"], ["WORKDIR"], *[["COPY"] for _ in lock.groups]]
    assert set(words[-1]) == {"ENV", "LABEL", "USER", "CMD"}
    names = ["base", "start", "workdir", *(f"with-{group}" for group in lock.groups)]
    expected = [f"{below} AS {name}" for below, name in itertools.pairwise(names)]
    assert [stage.partition("\n")[0] for stage in stages[first:]] == [*expected, names[-1]]


def test_layers_are_copied_in_their_order_and_the_user_is_not_root() -> None:
    steps = instructions(dockerfile(sample_lock()))
    last = steps[steps.index("FROM base AS start") :]
    copies = [step.split("--from=")[1].split()[0] for step in last if step.startswith("COPY")]
    assert copies == ["skeleton", "layer-models", "layer-torch", "layer-libraries", "layer-own"]
    assert all(step.startswith("COPY --link ") for step in last if step.startswith("COPY"))
    assert [step for step in last if step.startswith("USER")] == ["USER 10001:10001"]
    assert "RUN" not in {step.split()[0] for step in last}


def test_the_profile_s_date_is_in_no_layer() -> None:
    later = replace(sample_lock(), as_of=AS_OF.replace(day=23))
    before, after = instructions(dockerfile(sample_lock())), instructions(dockerfile(later))
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert [step.split("=")[0] for step in changed] == ["LABEL envgen.as-of", "LABEL envgen.lock"]


def test_an_index_is_an_argument_and_asked_for_its_own_packages_only() -> None:
    text = dockerfile(sample_lock())
    assert "\nARG INDEX_PYTORCH_CPU=https://torch.example/whl/cpu\n" in text
    (fetch,) = [step for step in instructions(text) if "torch==" in step and "download" in step]
    assert 'set -- --no-index --find-links "${INDEX_PYTORCH_CPU}/torch/"' in fetch
    assert "--extra-index-url" not in text


def test_requirements_link_only_to_what_is_locked() -> None:
    lines = [line for line in requirements(sample_lock()).splitlines() if not line.startswith("#")]
    assert lines[0] == "--find-links https://torch.example/whl/cpu/torch/"
    assert [line.split("==")[0] for line in lines[1:]] == ["demo", "demo-data", "numpy", "torch"]
    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}$", line) for line in lines[1:])
    assert not any("index-url" in line for line in lines)


def test_labels_say_what_an_image_was_made_from() -> None:
    labels = labels_of(sample_lock())
    assert labels["envgen.profile"] == "small"
    assert labels["envgen.target"] == "py311-linux-amd64"
    assert labels["envgen.as-of"] == "2026-09-22T00:00:00Z"
    assert labels["envgen.lock"] == sample_lock().digest
    assert (labels["org.opencontainers.image.base.name"], labels["envgen.python"]) == (BASE, "3.11.16")
    assert f"ARG BASE={BASE}\n" in dockerfile(sample_lock())


def test_groups_without_wheels_are_left_out() -> None:
    assert list(sample_lock().groups) == ["models", "torch", "libraries", "own"]


def test_requirements_have_a_header_that_renovate_reads() -> None:
    """Renovate's pip-compile manager wants comment lines, then one with four spaces, the command, and what it is given."""
    for path in sorted((ROOT / "locks").glob("*/*/requirements.txt")):
        match = re.match(r"^(#.*?\r?\n)+# {4}(?P<command>\S*)(?P<arguments> .*?)?\r?\n", path.read_text(encoding="utf-8"))
        assert match, path
        assert match["command"] == "envgen"
        assert match["arguments"].split() == ["lock", path.parts[-3]]
