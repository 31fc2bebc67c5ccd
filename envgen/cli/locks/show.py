"""`envgen show`: a profile at a glance, and the memory that a model needs. Runs and fetches nothing."""

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
"model", "env": [[name, value]], "targets": [{"target", "python", "base", "state": "locked" | "stale" | "not locked", "wheels": number,
"bytes": number}], "target", "layers": [{"name", "wheels": number, "bytes": number}], "notices": [{"kind", "package", "text",
"cure"}], "origins": [[path, file]], "remarks": [text], "memory": {"model", "parameters": number, "stored": bytes, "bf16": bytes,
"int8": bytes, "nf4": bytes, "documented_fp16": bytes, "documented_8bit": bytes,
"documented"} | null}"""


class LockState(StrEnum):
    """Whether a target has a lock, and whether it is up to date."""

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
    """One layer group of a lock: its number of wheels and their total bytes."""

    name: str
    wheels: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """A profile; `layers` and `notices` are those of the lock for `target`, none if it is missing or stale.

    `origins` is the file that set each value, by the value's path in TOML, such as `env.HF_HOME`; requirements and constraints
    may have several. `remarks` list requirements that replace others, or that another file's exact version satisfies.
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
    """The arguments of `envgen show`."""

    profile: str
    target: str
    model: str
    json: bool


def run(args: ShowArgs, workspace: Workspace) -> int:
    """Print the overview; the exit code is 0."""
    profile = workspace.project.chosen_profile(args.profile)
    summary = overview(workspace, profile, args.target)
    estimate = None
    if args.model:
        estimate = memory.estimate(cached_model(args.model, workspace.models, workspace.project.model_wheels()))
    if args.json:
        print_json(as_json(summary, args.model, estimate))
        return 0
    lines = [*_lines(summary), *(["", *_memory(args.model, estimate)] if estimate else [])]
    print_lines(with_documents(lines, workspace.project.documents(profile)))
    return 0


def as_json(overview: Overview, model: str, estimate: memory.ModelMemory | None) -> Mapping[str, object]:
    """An overview as JSON, with the memory that `model` needs if there is an estimate."""
    if estimate is None:
        return {**asdict(overview), "memory": None}
    rule = {"documented_fp16": estimate.documented_fp16, "documented_8bit": estimate.documented_8bit, "documented": memory.DOCUMENTED}
    return {**asdict(overview), "memory": {"model": model, **asdict(estimate), **rule}}


def overview(workspace: Workspace, profile: Profile, slug: str) -> Overview:
    """Summarise `profile`, with the layers of the target `slug` (empty: the first with a base, else the first).

    Raises UsageError for an unknown target.
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
        targets=tuple(_state(profile, target, state) for target, state in locks.items()),
        target=chosen.slug,
        layers=_layers(lock) if isinstance(lock, Lock) else (),
        notices=lock.notices if isinstance(lock, Lock) else (),
        origins=_origins(profile),
        remarks=profile.remarks(),
    )


def _origins(profile: Profile) -> tuple[tuple[str, str], ...]:
    """The files that set each value, or removed each table, except `extends`."""
    paths = [path for path, _ in profile.origins if not path.startswith("constraints.")]
    tables = {path for path in paths if any(other.startswith(f"{path}.") for other in paths)}
    return tuple((path, file) for path in paths if path not in {*tables, "extends"} for file in profile.files_of(path))


def _chosen(profile: Profile, slug: str) -> Target:
    targets = profile.find_targets(slug)
    return next((target for target in targets if profile.base(target)), targets[0])


def _lock(workspace: Workspace, profile: Profile, target: Target) -> Lock | LockState:
    """The lock, or why it can't be used."""
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
    """The layer groups, in the order of the image's layers."""
    sizes = {name: [wheel.size for wheel in wheels] for name, wheels in lock.groups.items()}
    return tuple(LayerSummary(name=name, wheels=len(group), bytes=sum(group)) for name, group in sizes.items())


def _lines(overview: Overview) -> Iterator[str]:
    yield f"{overview.profile}: {overview.description}"
    yield f"as of     {overview.as_of}"
    yield f"CUDA      {f'{overview.cuda}, driver >={overview.driver}' if overview.cuda else 'none'}"
    for name, url, packages in overview.indexes:
        yield f"index     {name}: {', '.join(packages)} only from {url}"
    yield f"tiers     {', '.join(overview.tiers)}"
    yield f"model     {overview.model}"
    for name, value in overview.env:
        yield f"env       {name}={value}"
    yield "\ntargets"
    for state in overview.targets:
        kind = "image" if state.base else "lock only"
        yield f"  {state.target:<22} Python {state.python:<8} {kind:<10} {_locked(overview.profile, state)}"
    base = next(state.base for state in overview.targets if state.target == overview.target)
    if base:
        yield f"  base of {overview.target}: {base}"
    yield "\nset by"
    for file in dict.fromkeys(file for _, file in overview.origins):
        paths = ", ".join(path for path, setter in overview.origins if setter == file)
        yield from wrap(paths, 80, initial_indent=f"  {file:<28} ", subsequent_indent=" " * 31, break_on_hyphens=False)
    if overview.remarks:
        yield "\nrequirements"
        yield from (f"  {remark}" for remark in overview.remarks)
    if overview.layers:
        yield f"\nlayers of {overview.target}"
        for group in overview.layers:
            yield f"  {group.name:<22} {group.wheels:>3} wheel{'s' if group.wheels > 1 else ' '} {human_size(group.bytes):>9}"
    if overview.notices:
        yield f"\nnotices of {overview.target}"
        yield from (f"  {notice}" for notice in overview.notices)


def _locked(profile: str, state: TargetState) -> str:
    if state.state == LockState.LOCKED:
        return f"{state.wheels} wheels, {human_size(state.bytes)}"
    return f"{'NOT LOCKED' if state.state == LockState.NOT_LOCKED else 'lock is STALE'} (envgen lock {profile})"


def _memory(model: str, estimate: memory.ModelMemory) -> Iterator[str]:
    yield f"memory for the weights of {model}: {estimate.parameters:,} parameters, {human_size(estimate.stored)} in their files"
    yield f"  {'loaded as':<12}{'from the header':>16}{'by the documented rule':>25}"
    rows = (
        ("bf16, fp16", estimate.bf16, estimate.documented_fp16),
        ("int8", estimate.int8, estimate.documented_8bit),
        ("nf4", estimate.nf4, 0),
    )
    for name, measured, documented in rows:
        yield f"  {name:<12}{human_size(measured):>16}{human_size(documented) if documented else 'not given':>25}"
    yield f"  documented: {memory.DOCUMENTED}"
    yield f"  in addition: about {human_size(memory.PROCESS)} for Python with torch and transformers, and memory for generation"


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, "the target whose layers are shown (default: the first with a base)")
    options.add_model(parser, "show how much memory this model needs: a folder, or a cached wheel:NAME==VERSION or hub:ORG/NAME@COMMIT")
    options.add_json(parser)


COMMAND = Command(arguments=ShowArgs, add_options=add_options, run=run, example="envgen show cpu-base --model ./my-model", shape=SHAPE)
