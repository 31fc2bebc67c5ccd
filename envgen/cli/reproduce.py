"""`envgen reproduce`: is an image the same when it is built again, or as somebody else built it?"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict

from envgen.core.errors import UsageError, VerificationError
from envgen.engine import EngineInfo
from envgen.engine.docker import DockerEngine
from envgen.image.build import BuildOptions
from envgen.image.estimate import check_disk, check_platform
from envgen.image.layer_record import LayerComparison, check_writable, compare_layers, record_layers, records_of, wrong_lines
from envgen.lock import project
from envgen.oci.entries import Difference
from envgen.offline.fetch import fetch_wheels
from envgen.trust.reproduce import reproduce
from envgen.trust.reproduce.environments import NOT_VARIED, VARIED
from envgen.trust.reproduce.reproduce import Plan, Reproduction
from envgen.workspace import Workspace

SHOWN = 20
"""Differences of one layer that the text shows; the JSON has all."""


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    if options.against == "":
        raise UsageError("--against", "names no image", hint="is a variable empty? without --against two builds are compared")
    if options.record and options.against:
        raise UsageError("--record", "takes two builds of our own", hint="leave --against out")
    profile = workspace.project.profile(options.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(options.target))
    if options.record:
        check_writable(workspace, lock)
    records = records_of(workspace, lock)
    engine = DockerEngine(workspace.settings)
    info = engine.check()
    check_platform(lock, info)
    check_disk(workspace, lock, info)
    fetch_wheels(workspace, [lock])
    asked = BuildOptions(base=options.base or None, compression=options.compression)
    plan = Plan(workspace=workspace, lock=lock, options=asked, make_engine=DockerEngine)
    found = reproduce.build_against(plan, options.against) if options.against else reproduce.build_twice(plan)
    if options.record and found.same:
        path, records = record_layers(workspace, found.built, records, info.versions())
        workspace.reporter.step(f"layers: recorded in {workspace.project.label(path)}")
    elif options.record:
        workspace.reporter.step("layers: NOT recorded: the two builds are not the same")
    compared = compare_layers(workspace, found.built, records)
    if options.json:
        print(json.dumps(_as_json(found, compared, options, info), indent=2))
    else:
        print("\n".join(_text(found, compared, options, info)))
    return 0 if found.same and not compared.wrong else VerificationError.exit_code


def _as_json(found: Reproduction, compared: LayerComparison, options: argparse.Namespace, info: EngineInfo) -> dict[str, object]:
    return {
        "profile": found.built.lock.profile,
        "target": found.built.lock.target.slug,
        "same": found.same,
        "digest": found.built.image.digest,
        "other": {"name": found.other.name, "digest": found.other.digest},
        "differences": [asdict(difference) for difference in found.differences],
        "causes": list(found.causes),
        "seconds": [round(seconds, 1) for seconds in found.seconds],
        "depends_on": _depends_on(found, options, info),
        "varied": list(() if options.against else VARIED),
        "not_varied": list(() if options.against else NOT_VARIED),
        "recorded": compared.as_json(),
    }


def _depends_on(found: Reproduction, options: argparse.Namespace, info: EngineInfo) -> dict[str, str]:
    """All that the digest is a function of."""
    return {
        "lock": found.built.lock.digest,
        "base": found.built.base,
        "python": found.built.python,
        "compression": options.compression,
        "engine": info.version,
        **{name.lower(): version for name, version in info.tools.items()},
    }


def _text(found: Reproduction, compared: LayerComparison, options: argparse.Namespace, info: EngineInfo) -> Iterator[str]:
    lock = found.built.lock
    yield f"reproduce {lock.profile} {lock.target}: {'the same' if found.same else 'NOT THE SAME'} as {_printable(found.other.name)}"
    overridden = " (NOT the locked base)" if found.built.base != lock.base else ""
    facts = {
        "digest": found.built.image.digest,
        **({} if found.same else {"the other": found.other.digest}),
        **_depends_on(found, options, info),
        "builds": " and ".join(f"{seconds:.0f} s" for seconds in found.seconds),
        **({} if options.against else {"differed": ", ".join(VARIED), "not varied": ", ".join(NOT_VARIED)}),
    }
    for name, value in facts.items():
        yield f"  {name:<12} {value}{overridden if name == 'base' else ''}"
    if options.against and not found.same:
        yield from (f"likely cause: {_printable(cause)}" for cause in found.causes)
        yield "what a digest also depends on, and the other image does not say: the versions of the engine, buildx and BuildKit"
    yield from _differences(found)
    yield compared.headline()
    yield from (f"  {line}" for line in wrong_lines(compared, info.versions()))


def _differences(found: Reproduction) -> Iterator[str]:
    if not found.same and not found.differences:
        yield "only the digests could be compared: the other image is not here"
    layers = dict.fromkeys(difference.layer for difference in found.differences)
    for layer in layers:
        here = [difference for difference in found.differences if difference.layer == layer]
        yield f"{_printable(layer)}:" if layer else "image:"
        yield from (f"  {_line(difference)}" for difference in here[:SHOWN])
        if len(here) > SHOWN:
            yield f"  and {len(here) - SHOWN} more: --json has them all"


def _line(difference: Difference) -> str:
    path = f"{difference.path}: " if difference.path else ""
    values = " / ".join(value or "nothing" for value in (difference.first, difference.second))
    return _printable(f"{path}{difference.what}: {values}" if difference.first or difference.second else f"{path}{difference.what}")


def _printable(text: str) -> str:
    """`text` without what a terminal would obey: names in somebody else's archive may hold anything."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
