"""What the help of a command says of its JSON has the keys of what is printed: those of samples of it."""

import argparse
import datetime as dt
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from samples import sample_lock

from envgen.cli import doctor
from envgen.cli.app import COMMANDS, command_parsers, complete_parser, parse
from envgen.cli.images import build, smoke
from envgen.cli.locks import init, lock, show, why
from envgen.cli.offline import fetch, store
from envgen.cli.output import QuietReporter
from envgen.cli.trust import audit, reproduce, verify
from envgen.core.settings import read_settings
from envgen.core.target import Target
from envgen.doctor import Finding
from envgen.engine import EngineInfo
from envgen.image import Built, LayerComparison
from envgen.image.bases import BaseState
from envgen.image.publish import Published
from envgen.lock import Lock, Package
from envgen.lock.project import WrittenLock
from envgen.lock.why import HeldBack
from envgen.offline import Exported, FetchedWheels, Imported
from envgen.offline.fetch import FetchedModel
from envgen.profiles import Project
from envgen.profiles.error_tables import Explanation
from envgen.profiles.scaffold import Scaffold
from envgen.smoke import SmokeReport
from envgen.smoke.memory import ModelMemory
from envgen.trust.audit import AuditReport
from envgen.trust.report import Status
from envgen.trust.reproduce import Reproduction
from envgen.trust.verify import Verdict, VerificationReport
from envgen.workspace import Workspace

TOOLS = {"buildx": "1", "BuildKit": "1"}

MAPS = {"changes", "counts", "labels", "states"}
"""Values whose own keys are names of things."""

VALUES: dict[Any, object] = {
    str: "x", int: 1, float: 1.0, bool: True, Path: Path("x"), object: "x", dt.datetime: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    Lock: sample_lock(), Target: sample_lock().target, re.Pattern[str]: re.compile("x"),
}  # fmt: skip


def sample(kind: Any) -> Any:
    """A value of a type with something in every part of it, by its annotations."""
    if kind in VALUES:
        return VALUES[kind]
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{field.name: sample(hints[field.name]) for field in fields(kind) if field.init})  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return sample(next(one for one in arguments if one is not type(None)))
    if get_origin(kind) in (tuple, list, Sequence):
        return tuple(sample(one) for one in arguments if one is not ...)
    if get_origin(kind) in (dict, Mapping):
        return {sample(arguments[0]): sample(arguments[1])}
    raise AssertionError(f"no sample of {kind}")


def rows() -> object:
    workspace = Workspace(project=Project(folder=Path("/x")), settings=read_settings({}, Path("/x")), reporter=QuietReporter())
    return lock.written_rows(workspace, workspace.project.profile("cpu-base"), [sample(WrittenLock)])


def image() -> Mapping[str, object]:
    return smoke.image_json(sample(Built), sample(LayerComparison), "x")


def verification() -> object:
    return VerificationReport(locks=("x",), entries=(Verdict(kind="wheel", name="x", status=Status.GONE),)).as_json()


def reproduction() -> object:
    args = parse(["reproduce", "small"]).arguments
    return reproduce.as_json(sample(Reproduction), sample(LayerComparison), args, replace(sample(EngineInfo), tools=TOOLS))


BODIES: dict[str, tuple[str, Callable[[], object]]] = {
    "lock": (lock.SHAPE, rows),
    "why": (why.SHAPE, lambda: why.as_json(sample(Package), [sample(HeldBack)], "x", {})),
    "build": (build.SHAPE, lambda: smoke.as_json(image(), sample(SmokeReport), sample(Published))),
    "smoke": (smoke.SHAPE, lambda: smoke.as_json(image(), sample(SmokeReport), None)),
    "show": (show.SHAPE, lambda: show.as_json(sample(show.Overview), "x", sample(ModelMemory))),
    "doctor": (doctor.SHAPE, lambda: [doctor.findings_json([sample(Finding)]), doctor.explanation_json(sample(Explanation), "x")]),
    "fetch": (fetch.SHAPE, lambda: fetch.as_json(1, sample(FetchedWheels), [sample(FetchedModel)], [sample(BaseState)])),
    "store export": (store.EXPORT_SHAPE, lambda: asdict(sample(Exported))),
    "store import": (store.IMPORT_SHAPE, lambda: store.import_json("x", [sample(Imported)])),
    "verify": (verify.SHAPE, verification),
    "audit": (audit.SHAPE, lambda: sample(AuditReport).as_json()),
    "reproduce": (reproduce.SHAPE, reproduction),
    "init": (init.SHAPE, lambda: init.as_json(sample(Scaffold), ["x"], ["x"])),
}


def keys(body: object) -> Iterator[str]:
    """All keys in what is printed."""
    if isinstance(body, Mapping):
        yield from body
        for key, value in body.items():
            if key not in MAPS:
                yield from keys(value)
    elif isinstance(body, Sequence) and not isinstance(body, str):
        for value in body:
            yield from keys(value)


@pytest.mark.parametrize("command", BODIES)
def test_the_keys_are_those_of_what_is_printed(command: str) -> None:
    shape, body = BODIES[command]
    # A key follows a brace or a comma; a value, in quotes as well, follows a colon or a bar.
    assert set(re.findall(r'[{,]\s*"([^"]+)"', f",{shape}")) == set(keys(body()))


def test_every_command_with_json_says_its_shape() -> None:
    seen = set()
    for parser in command_parsers(complete_parser()):
        below = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        for one in below[0].values() if below else [parser]:
            if any("--json" in action.option_strings for action in one._actions):
                name = one.prog.removeprefix("envgen ")
                assert "\n--json: " in one.format_help(), name
                seen.add(name)
    assert seen == set(BODIES)
    assert {name.split()[0] for name in seen} < set(COMMANDS)
