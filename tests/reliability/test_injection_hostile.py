"""Injection by what comes from a hostile place: a probe's report, a model folder, a repository's own git configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from command_line import envgen, refused
from figures import Campaign, campaign
from hostile_git import ATTACKS, MARK, hidden_in_a_folder, repository
from test_model_folders import INDEXES, LIES, ODD, write

from envgen.cli.images.smoke import report_lines
from envgen.core.text import json_text, printable_lines
from envgen.engine import RunRequest, RunResult
from envgen.oci.documents import parse_json
from envgen.smoke import SmokeReport
from envgen.smoke.plan import checks_named
from envgen.smoke.report import FAILED, NOT_RUN, PASSED, CheckResult
from envgen.smoke.run import PhaseRequest, collect

REQUEST = PhaseRequest(
    phase="cpu", tier="cpu", plan=checks_named("a", "b"), container=RunRequest(image="x", command=("x",), environment={}), job={}
)
WELL = RunResult(code=0, out_of_memory=False, stderr="")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**400, float("nan"), float("inf"), "", "abc", PASSED, FAILED, NOT_RUN, "\x1b[2J", "\n", "x" * 200_000,
    "\n::error::x", "\n  ::set-output name=a::b", "##[error]x", "\nsmoke x: passed (passed: 22 of 22)", "\u2028\x9b\x7f",
    [], {}, [[]], {"a": {}}, ["passed"], "a", "b", "gpu",
)  # fmt: skip
KEYS = (
    *("check", "status", "seconds", "peak_memory", "detail", "error", "tier", "name", "cause", "cure"),
    *("plan", "start", "end", "x", "\x1b[2J"),
)


def report(*names: str) -> list[dict[str, Any]]:
    """What an honest probe writes."""
    found: list[dict[str, Any]] = [{"plan": list(names)}]
    for name in names:
        found += [{"start": name}, {"check": name, "status": PASSED, "seconds": 1.0, "peak_memory": 5, "detail": "", "error": ""}]
    return [*found, {"end": "cpu"}]


def changed(events: list[dict[str, Any]], running: Campaign) -> str:
    """Changes `events` at one place, or a few; in words."""
    words = []
    for _ in range(running.random.choice((1, 1, 1, 2, 5))):
        event = running.random.choice(events)
        kind = running.random.choice(("set", "set", "set", "remove", "drop", "repeat", "swap"))
        key, value = running.random.choice(KEYS), running.random.choice(VALUES)
        if kind == "set":
            event[key] = value
        elif kind == "remove" and event:
            event.pop(running.random.choice(sorted(event)))
        elif kind == "drop" and len(events) > 1:
            events.remove(event)
        elif kind == "repeat":
            events.insert(running.random.randrange(len(events)), dict(event))
        else:
            running.random.shuffle(events)
        words.append(f"{kind} {key!r} {str(value)[:40]!r}")
    return ", ".join(words)


def is_sound(results: list[CheckResult]) -> bool:
    """Whether every field of every result is what a report has there."""
    names = {result.name for result in results}
    return {"a", "b"} <= names <= {"a", "b", "cpu"} and all(
        isinstance(result.name, str)
        and result.tier == "cpu"
        and result.status in (PASSED, FAILED, NOT_RUN)
        and 0 <= result.seconds < 1 << 60
        and 0 <= result.peak_memory < 1 << 60
        and all(isinstance(text, str) for text in (result.detail, result.error))
        and (result.cause, result.cure) == ("", "")
        for result in results
    )


def is_plain(found: SmokeReport) -> bool:
    """Whether nothing that is printed of it steers a terminal or a CI, or begins a line as our own last one does."""
    lines = [line for text in report_lines(found) for line in printable_lines(text)]
    texts = [*lines, *json_text(found.as_json()).split("\n")]
    obeyed = [line for line in texts if not line.isprintable() or line.lstrip().startswith("::") or "##[" in line]
    return not obeyed and [line for line in lines if line.startswith("smoke x: ")] == lines[-1:]


def summed_up(results: list[CheckResult]) -> SmokeReport:
    common = dict.fromkeys(("profile", "target", "image", "digest", "base", "python", "model"), "x")
    return SmokeReport(**common, overridden=False, tiers=("cpu",), results=tuple(results))  # type: ignore[arg-type]  # all texts


def test_a_report_of_a_probe_that_is_not_ours() -> None:
    """It ends in a report in which every field is what it should be; a change that says nothing changes nothing."""
    honest = collect(REQUEST, report("a", "b"), WELL)
    with campaign("injection: a probe's report", sample=500, full=20_000) as running:
        for _ in range(running.cases):
            events = report("a", "b")
            words = changed(events, running)
            lines = [json.dumps(event) for event in events]
            results = collect(REQUEST, [event for line in lines if isinstance(event := parse_json(line), dict)], WELL)
            summary = summed_up(results)
            json.dumps(summary.as_json(), allow_nan=False)
            if not is_sound(results) or not is_plain(summary):
                running.failed(words)
            elif results == honest:
                running.harmless()
            else:
                running.detected()


def model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "more").mkdir()
    (folder / "config.json").write_text("{}")
    write(folder / "model.safetensors", {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, 8)
    return folder


def model_folders() -> Iterator[tuple[str, Callable[[Path], object]]]:
    """Each with its name and what makes it of a model that nothing is wrong with."""

    def index(content: bytes) -> Callable[[Path], object]:
        def make(folder: Path) -> None:
            (folder / "model.safetensors").unlink()
            (folder / "model.safetensors.index.json").write_bytes(content)

        return make

    for name, (odd, _) in ODD.items():
        yield name, odd
    for name, (header, _) in LIES.items():
        yield f"header: {name}", lambda folder, header=header: write(folder / "model.safetensors", header, 8)  # type: ignore[misc]
    for name, (content, _) in INDEXES.items():
        yield f"index: {name}", index(content)


def test_model_folders_that_no_honest_program_writes(tmp_path: Path) -> None:
    cases = list(model_folders())
    (tmp_path / "other").write_text("{}")
    with campaign("injection: model folders", sample=len(cases), full=len(cases)) as running:
        for name, make in cases:
            folder = model(tmp_path / "model")
            make(folder)
            if refused(envgen("show", "cpu-base", f"--model={folder}", project=tmp_path, ENVGEN_CACHE=str(tmp_path))):
                running.detected()
            else:
                running.failed(name)
            shutil.rmtree(folder)
        done = envgen("show", "cpu-base", f"--model={model(tmp_path / 'model')}", project=tmp_path, ENVGEN_CACHE=str(tmp_path))
        assert done.code == 0, done


def test_no_program_that_a_repository_names_is_run(tmp_path: Path) -> None:
    with campaign("injection: git configuration", sample=len(ATTACKS) + 1, full=len(ATTACKS) + 1) as running:
        for number, (name, attack) in enumerate(ATTACKS.items()):
            project = repository(tmp_path / str(number) / "project")
            attack(project)
            asked(project, project.parent / MARK, name, running)
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        asked(hidden_in_a_folder(hidden), hidden / MARK, "a repository in a folder", running)


def asked(project: Path, mark: Path, name: str, running: Campaign) -> None:
    """Every command that asks git, in `project`; none may make the mark."""
    mark.unlink(missing_ok=True)
    for words in (("matrix", "--changed-since", "HEAD"), ("diff",), ("diff", "HEAD", "git:HEAD")):
        done = envgen(*words, project=project)
        assert done.code == 0 or refused(done), done
    if mark.exists():
        running.failed(name)
    else:
        running.detected()
