"""`envgen show`: what a profile is, and what a model takes of memory."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap

from envgen.cli.show import size
from envgen.overview import LOCKED, NOT_LOCKED, Overview, TargetState, overview
from envgen.smoke import memory
from envgen.smoke.find_model import cached_model
from envgen.workspace import Workspace


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints it; the exit code is 0."""
    found = overview(workspace, workspace.project.profile(options.profile), options.target)
    estimate = None
    if options.model:
        estimate = memory.estimate(cached_model(options.model, workspace.models, workspace.project.model_wheels()))
    if options.json:
        body: dict[str, object] = {**asdict(found), "memory": None}
        if estimate:
            rule = {
                "documented_fp16": estimate.documented_fp16,
                "documented_8bit": estimate.documented_8bit,
                "documented": memory.DOCUMENTED,
            }
            body["memory"] = {"model": options.model, **asdict(estimate), **rule}
        print(json.dumps(body, indent=2))
        return 0
    print(*_lines(found), sep="\n")
    if estimate:
        print("", *_memory(options.model, estimate), sep="\n")
    return 0


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
    if found.layers:
        yield f"\nlayers of {found.target}"
        for group in found.layers:
            yield f"  {group.name:<22} {group.wheels:>3} wheel{'s' if group.wheels > 1 else ' '} {size(group.bytes):>9}"


def _locked(profile: str, state: TargetState) -> str:
    if state.state == LOCKED:
        return f"{state.wheels} wheels, {size(state.bytes)}"
    return f"{'NOT LOCKED' if state.state == NOT_LOCKED else 'lock is STALE'} (envgen lock {profile})"


def _memory(model: str, found: memory.ModelMemory) -> Iterator[str]:
    yield f"memory for the weights of {model}: {found.parameters:,} parameters, {size(found.stored)} in their files"
    yield f"  {'loaded as':<12}{'from the header':>16}{'by the documented rule':>25}"
    rows = (("bf16, fp16", found.bf16, found.documented_fp16), ("int8", found.int8, found.documented_8bit), ("nf4", found.nf4, 0))
    for name, ours, documented in rows:
        yield f"  {name:<12}{size(ours):>16}{size(documented) if documented else 'says nothing':>25}"
    yield f"  documented: {memory.DOCUMENTED}"
    yield f"  beside them: about {size(memory.PROCESS)} for Python with torch and transformers, and what generating takes"
