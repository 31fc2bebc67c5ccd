"""`envgen show`: a profile at a glance, and the memory that a model needs. Runs nothing, fetches nothing."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from textwrap import wrap

from envgen.cli import options
from envgen.cli.citations import with_documents
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.core.errors import StaleLockError
from envgen.core.target import Target
from envgen.core.text import human_size
from envgen.lock import Lock, project
from envgen.lock.notice import Notice
from envgen.profiles import Profile
from envgen.smoke import cached_model, memory
from envgen.sources.models import EMBEDDED
from envgen.workspace import Workspace

SHAPE = """\
{"profile", "description", "as_of": instant, "cuda", "driver", "indexes": [[name, url, [package]]], "tiers": [text],
"env": [[name, value]], "targets": [{"target", "python", "base", "state": "locked" | "stale" | "not locked", "wheels": number,
"bytes": number}], "target", "layers": [{"name", "wheels": number, "bytes": number}], "notices": [{"kind", "package", "text",
"cure"}], "origins": [[path, file]], "remarks": [text], "memory": {"model", "parameters": number, "stored": bytes, "bf16": bytes,
"int8": bytes, "nf4": bytes, "documented_fp16": bytes, "documented_8bit": bytes,
"documented"} | null}"""


class LockState(StrEnum):
    """Whether a target has a lock, and whether that is up to date."""

    LOCKED = "locked"
    STALE = "stale"
    NOT_LOCKED = "not locked"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """One target: its base (empty: lock only), whether its lock is up to date, and that lock's wheels and their bytes."""

    target: str
    python: str
    base: str
    state: LockState
    wheels: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSummary:
    """One layer group of a lock: how many wheels it has, and their bytes together."""

    name: str
    wheels: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A profile; `layers` and `notices` are those of the lock for `target`, and none where that is not locked or stale.

    `origins` has the file that set each value, by the value's path in TOML, such as `env.HF_HOME`; requirements and constraints
    may come from several. `remarks` say which requirements replace others, and which are met by an exact version of another file.
    """

    profile: str
    description: str
    as_of: str
    cuda: str
    driver: str
    indexes: tuple[tuple[str, str, tuple[str, ...]], ...]
    tiers: tuple[str, ...]
    model: str
    env: tuple[tuple[str, str], ...]
    targets: tuple[TargetState, ...]
    target: str
    layers: tuple[LayerSummary, ...]
    notices: tuple[Notice, ...]
    origins: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowArgs:
    """What `envgen show` is called with."""

    profile: str
    target: str
    model: str
    json: bool


def run(args: ShowArgs, workspace: Workspace) -> int:
    """Prints it; the exit code is 0."""
    profile = workspace.project.chosen_profile(args.profile)
    found = overview(workspace, profile, args.target)
    estimate = None
    if args.model:
        estimate = memory.estimate(cached_model(args.model, workspace.models, workspace.project.model_wheels()))
    if args.json:
        print_json(as_json(found, args.model, estimate))
        return 0
    lines = [*_lines(found), *(["", *_memory(args.model, estimate)] if estimate else [])]
    print_lines(with_documents(lines, workspace.project.documents(profile)))
    return 0


def as_json(found: Overview, model: str, estimate: memory.ModelMemory | None) -> Mapping[str, object]:
    """A profile at a glance, and the memory that `model` takes, if there is an estimate of it."""
    if estimate is None:
        return {**asdict(found), "memory": None}
    rule = {"documented_fp16": estimate.documented_fp16, "documented_8bit": estimate.documented_8bit, "documented": memory.DOCUMENTED}
    return {**asdict(found), "memory": {"model": model, **asdict(estimate), **rule}}


def overview(workspace: Workspace, profile: Profile, slug: str) -> Overview:
    """An overview of `profile`, with the layers of the target `slug` (empty: the first with a base, or the first).

    Raises UsageError for a target that it does not have.
    """
    targets = profile.targets()
    chosen = _chosen(profile, slug)
    locks = {target: _lock(workspace, profile, target) for target in targets}
    lock = locks[chosen]
    return Overview(
        profile=profile.name,
        description=profile.description,
        as_of=f"{profile.as_of_instant():%Y-%m-%dT%H:%M:%SZ}",
        cuda=profile.cuda,
        driver=profile.driver,
        indexes=tuple((index.name, index.url, index.packages) for index in profile.indexes_for(chosen)),
        tiers=profile.tiers,
        model=profile.model or EMBEDDED,
        env=profile.env,
        targets=tuple(_state(profile, target, found) for target, found in locks.items()),
        target=chosen.slug,
        layers=_layers(lock) if isinstance(lock, Lock) else (),
        notices=lock.notices if isinstance(lock, Lock) else (),
        origins=_origins(profile),
        remarks=profile.remarks(),
    )


def _origins(profile: Profile) -> tuple[tuple[str, str], ...]:
    """The file of each single value, and of each table that was removed, and the files of what adds up; `extends` is not a value."""
    paths = [path for path, _ in profile.origins if not path.startswith("constraints.")]
    tables = {path for path in paths if any(other.startswith(f"{path}.") for other in paths)}
    return tuple((path, file) for path in paths if path not in {*tables, "extends"} for file in profile.files_of(path))


def _chosen(profile: Profile, slug: str) -> Target:
    targets = profile.find_targets(slug)
    return next((target for target in targets if profile.base(target)), targets[0])


def _lock(workspace: Workspace, profile: Profile, target: Target) -> Lock | LockState:
    """The lock, or why there is none to use."""
    if workspace.project.find_lock_folder(profile.name, target) is None:
        return LockState.NOT_LOCKED
    try:
        return project.check_lock(workspace, profile, target)
    except StaleLockError:
        return LockState.STALE


def _state(profile: Profile, target: Target, lock: Lock | LockState) -> TargetState:
    base = profile.base(target)
    if isinstance(lock, LockState):
        return TargetState(target=target.slug, python=target.python_full, base=base, state=lock)
    return TargetState(
        target=target.slug,
        python=target.python_full,
        base=base,
        state=LockState.LOCKED,
        wheels=len(lock.wheels),
        bytes=sum(wheel.size for wheel in lock.wheels),
    )


def _layers(lock: Lock) -> tuple[LayerSummary, ...]:
    """The groups that have wheels, in the order of the image's layers."""
    sizes = {name: [wheel.size for wheel in wheels] for name, wheels in lock.groups.items()}
    return tuple(LayerSummary(name=name, wheels=len(found), bytes=sum(found)) for name, found in sizes.items())


def _lines(found: Overview) -> Iterator[str]:
    yield f"{found.profile}: {found.description}"
    yield f"as of     {found.as_of}"
    yield f"CUDA      {f'{found.cuda}, driver >={found.driver}' if found.cuda else 'none'}"
    for name, url, packages in found.indexes:
        yield f"index     {name}: {', '.join(packages)} from {url} alone"
    yield f"tiers     {', '.join(found.tiers)}"
    yield f"model     {found.model}"
    for name, value in found.env:
        yield f"env       {name}={value}"
    yield "\ntargets"
    for state in found.targets:
        yield f"  {state.target:<22} Python {state.python:<8} {'image' if state.base else 'lock only':<10} {_locked(found.profile, state)}"
    base = next(state.base for state in found.targets if state.target == found.target)
    if base:
        yield f"  base of {found.target}: {base}"
    yield "\nset by"
    for file in dict.fromkeys(file for _, file in found.origins):
        paths = ", ".join(path for path, setter in found.origins if setter == file)
        yield from wrap(paths, 80, initial_indent=f"  {file:<28} ", subsequent_indent=" " * 31, break_on_hyphens=False)
    if found.remarks:
        yield "\nrequirements"
        yield from (f"  {remark}" for remark in found.remarks)
    if found.layers:
        yield f"\nlayers of {found.target}"
        for group in found.layers:
            yield f"  {group.name:<22} {group.wheels:>3} wheel{'s' if group.wheels > 1 else ' '} {human_size(group.bytes):>9}"
    if found.notices:
        yield f"\nnotices of {found.target}"
        yield from (f"  {notice}" for notice in found.notices)


def _locked(profile: str, state: TargetState) -> str:
    if state.state == LockState.LOCKED:
        return f"{state.wheels} wheels, {human_size(state.bytes)}"
    return f"{'NOT LOCKED' if state.state == LockState.NOT_LOCKED else 'lock is STALE'} (envgen lock {profile})"


def _memory(model: str, found: memory.ModelMemory) -> Iterator[str]:
    yield f"memory for the weights of {model}: {found.parameters:,} parameters, {human_size(found.stored)} in their files"
    yield f"  {'loaded as':<12}{'from the header':>16}{'by the documented rule':>25}"
    rows = (("bf16, fp16", found.bf16, found.documented_fp16), ("int8", found.int8, found.documented_8bit), ("nf4", found.nf4, 0))
    for name, ours, documented in rows:
        yield f"  {name:<12}{human_size(ours):>16}{human_size(documented) if documented else 'says nothing':>25}"
    yield f"  documented: {memory.DOCUMENTED}"
    yield f"  beside them: about {human_size(memory.PROCESS)} for Python with torch and transformers, and what generating takes"


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, "whose layers are shown (default: the first with a base)")
    options.add_model(
        parser, "say how much memory this model takes: a folder, or wheel:NAME==VERSION or hub:ORG/NAME@COMMIT that were fetched before"
    )
    options.add_json(parser, "all of it as JSON")


COMMAND = Command(arguments=ShowArgs, add_options=add_options, run=run, example="envgen show cpu-base --model ./my-model", shape=SHAPE)
