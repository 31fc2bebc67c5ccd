"""`envgen reproduce`: builds an image again and compares it, with itself or with one that was built elsewhere."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.images.smoke import RECORDED_SHAPE
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.errors import UsageError, VerificationError
from envgen.core.text import printable
from envgen.engine import EngineInfo
from envgen.image import BuildOptions, LayerComparison
from envgen.image.estimate import check_disk, check_platform
from envgen.image.layer_record import check_writable, compare_layers, record_layers, records_of, wrong_lines
from envgen.lock import project
from envgen.oci import Difference
from envgen.offline import fetch_wheels
from envgen.trust.reproduce import NOT_VARIED, VARIED, Plan, Reproduction, reproduce
from envgen.workspace import Workspace

TEXT = """\
The two builds run in different folders, under different clocks, host names and umasks. Where a blob differs, each file in it
that does is named with what differs. With --against, one build is compared with an image that somebody else
made. Exit code 8 when they are not the same.
"""

SHAPE = f"""\
{{"profile", "target", "same": boolean, "digest", "other": {{"name", "digest"}},
"differences": [{{"layer", "path", "what", "first", "second"}}],
"causes": [text], "seconds": [number], "depends_on": {{"lock", "base", "python", "compression", "engine", "buildx", "buildkit"}},
"varied": [text], "not_varied": [text], "recorded": {RECORDED_SHAPE}}}"""

SHOWN = 20
"""Differences of one layer that the text shows; the JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceArgs:
    """What `envgen reproduce` is called with."""

    profile: str
    target: str
    base: str
    compression: str
    against: str | None
    record: bool
    json: bool


def run(args: ReproduceArgs, workspace: Workspace) -> int:
    if args.against == "":
        raise UsageError("--against", "names no image", hint="is a variable empty? without --against two builds are compared")
    if args.record and args.against:
        raise UsageError("--record", "takes two builds of our own", hint="leave --against out")
    profile = workspace.project.chosen_profile(args.profile)
    lock = project.checked_lock(workspace, profile, profile.image_target(args.target))
    if args.record:
        check_writable(workspace, lock)
    records = records_of(workspace, lock)
    engine = make_engine(workspace.settings)
    info = engine.check()
    check_platform(lock, info)
    check_disk(workspace, lock, info)
    fetch_wheels(workspace, [lock])
    asked = BuildOptions(base=args.base or None, compression=args.compression)
    plan = Plan(workspace=workspace, lock=lock, options=asked, make_engine=make_engine)
    found = reproduce.build_against(plan, args.against) if args.against else reproduce.build_twice(plan)
    if args.record and found.same:
        path, records = record_layers(workspace, found.built, records, info.versions())
        workspace.reporter.step(f"layers: recorded in {workspace.project.label(path)}")
    elif args.record:
        workspace.reporter.step("layers: NOT recorded: the two builds are not the same")
    compared = compare_layers(workspace, found.built, records)
    if args.json:
        print_json(as_json(found, compared, args, info))
    else:
        print_lines(_text(found, compared, args, info))
    return 0 if found.same and not compared.wrong else VerificationError.exit_code


def as_json(found: Reproduction, compared: LayerComparison, args: ReproduceArgs, info: EngineInfo) -> Mapping[str, object]:
    return {
        "profile": found.built.lock.profile,
        "target": found.built.lock.target.slug,
        "same": found.same,
        "digest": found.built.image.digest,
        "other": {"name": found.other.name, "digest": found.other.digest},
        "differences": [asdict(difference) for difference in found.differences],
        "causes": list(found.causes),
        "seconds": [round(seconds, 1) for seconds in found.seconds],
        "depends_on": _depends_on(found, args, info),
        "varied": list(() if args.against else VARIED),
        "not_varied": list(() if args.against else NOT_VARIED),
        "recorded": compared.as_json(),
    }


def _depends_on(found: Reproduction, args: ReproduceArgs, info: EngineInfo) -> dict[str, str]:
    """All that the digest is a function of."""
    return {
        "lock": found.built.lock.digest,
        "base": found.built.base,
        "python": found.built.python,
        "compression": args.compression,
        "engine": info.version,
        **{name.lower(): version for name, version in info.tools.items()},
    }


def _text(found: Reproduction, compared: LayerComparison, args: ReproduceArgs, info: EngineInfo) -> Iterator[str]:
    lock = found.built.lock
    yield f"reproduce {lock.profile} {lock.target}: {'the same' if found.same else 'NOT THE SAME'} as {printable(found.other.name)}"
    overridden = " (NOT the locked base)" if found.built.base != lock.base else ""
    facts = {
        "digest": found.built.image.digest,
        **({} if found.same else {"the other": found.other.digest}),
        **_depends_on(found, args, info),
        "builds": " and ".join(f"{seconds:.0f} s" for seconds in found.seconds),
        **({} if args.against else {"differed": ", ".join(VARIED), "not varied": ", ".join(NOT_VARIED)}),
    }
    for name, value in facts.items():
        yield f"  {name:<12} {value}{overridden if name == 'base' else ''}"
    if args.against and not found.same:
        yield from (f"likely cause: {printable(cause)}" for cause in found.causes)
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
        yield f"{printable(layer)}:" if layer else "image:"
        yield from (f"  {_line(difference)}" for difference in here[:SHOWN])
        if len(here) > SHOWN:
            yield f"  and {len(here) - SHOWN} more: --json has them all"


def _line(difference: Difference) -> str:
    path = f"{difference.path}: " if difference.path else ""
    values = " / ".join(value or "nothing" for value in (difference.first, difference.second))
    return printable(f"{path}{difference.what}: {values}" if difference.first or difference.second else f"{path}{difference.what}")


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, options.FIRST_WITH_BASE)
    options.add_base(parser)
    options.add_compression(parser)
    parser.add_argument("--against", default=None, metavar="IMAGE", help="compare with this: a name, an archive's path, or a digest")
    parser.add_argument("--record", action="store_true", help="record the layers' digests for the Python they were built with")
    options.add_json(parser, "the report as JSON")


COMMAND = Command(arguments=ReproduceArgs, add_options=add_options, run=run, example="envgen reproduce cpu-base", text=TEXT, shape=SHAPE)
