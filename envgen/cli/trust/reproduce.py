"""`envgen reproduce`: builds an image twice, or once more, and compares the results."""

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
The two builds run with different folders, clocks, host names and umasks. For each differing blob, the differing files are
listed, each with the difference. With --against, one build is compared with an existing image. Exit code 8 if they differ.
"""

SHAPE = f"""\
{{"profile", "target", "same": boolean, "digest", "other": {{"name", "digest"}},
"differences": [{{"layer", "path", "what", "first", "second"}}],
"causes": [text], "seconds": [number], "depends_on": {{"lock", "base", "python", "compression", "engine", "buildx", "buildkit"}},
"varied": [text], "not_varied": [text], "recorded": {RECORDED_SHAPE}}}"""

SHOWN = 20
"""How many differences of a layer are printed; JSON has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceArgs:
    """The arguments of `envgen reproduce`."""

    profile: str
    target: str
    base: str
    compression: str
    against: str | None
    record: bool
    json: bool


def run(args: ReproduceArgs, workspace: Workspace) -> int:
    if args.against == "":
        raise UsageError("--against", "empty, expected an image", hint="is a variable unset? without --against two builds are compared")
    if args.record and args.against:
        raise UsageError("--record", "requires two builds, but --against makes one", hint="remove --against")
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
    build_options = BuildOptions(base=args.base or None, compression=args.compression)
    plan = Plan(workspace=workspace, lock=lock, options=build_options, make_engine=make_engine)
    reproduction = reproduce.build_against(plan, args.against) if args.against else reproduce.build_twice(plan)
    if args.record and reproduction.same:
        path, records = record_layers(workspace, reproduction.built, records, info.versions())
        workspace.reporter.step(f"layers: recorded in {workspace.project.label(path)}")
    elif args.record:
        workspace.reporter.step("layers: NOT recorded: the two builds differ")
    compared = compare_layers(workspace, reproduction.built, records)
    if args.json:
        print_json(as_json(reproduction, compared, args, info))
    else:
        print_lines(_text(reproduction, compared, args, info))
    return 0 if reproduction.same and not compared.wrong else VerificationError.exit_code


def as_json(reproduction: Reproduction, compared: LayerComparison, args: ReproduceArgs, info: EngineInfo) -> Mapping[str, object]:
    return {
        "profile": reproduction.built.lock.profile,
        "target": reproduction.built.lock.target.slug,
        "same": reproduction.same,
        "digest": reproduction.built.image.digest,
        "other": {"name": reproduction.other.name, "digest": reproduction.other.digest},
        "differences": [asdict(difference) for difference in reproduction.differences],
        "causes": list(reproduction.causes),
        "seconds": [round(seconds, 1) for seconds in reproduction.seconds],
        "depends_on": _depends_on(reproduction, args, info),
        "varied": list(() if args.against else VARIED),
        "not_varied": list(() if args.against else NOT_VARIED),
        "recorded": compared.as_json(),
    }


def _depends_on(reproduction: Reproduction, args: ReproduceArgs, info: EngineInfo) -> dict[str, str]:
    """Everything that determines the digest."""
    return {
        "lock": reproduction.built.lock.digest,
        "base": reproduction.built.base,
        "python": reproduction.built.python,
        "compression": args.compression,
        "engine": info.version,
        **{name.lower(): version for name, version in info.tools.items()},
    }


def _text(reproduction: Reproduction, compared: LayerComparison, args: ReproduceArgs, info: EngineInfo) -> Iterator[str]:
    lock = reproduction.built.lock
    verdict = "the same" if reproduction.same else "NOT THE SAME"
    yield f"reproduce {lock.profile} {lock.target}: {verdict} as {printable(reproduction.other.name)}"
    overridden = " (NOT the locked base)" if reproduction.built.base != lock.base else ""
    facts = {
        "digest": reproduction.built.image.digest,
        **({} if reproduction.same else {"the other": reproduction.other.digest}),
        **_depends_on(reproduction, args, info),
        "builds": " and ".join(f"{seconds:.0f} s" for seconds in reproduction.seconds),
        **({} if args.against else {"varied": ", ".join(VARIED), "not varied": ", ".join(NOT_VARIED)}),
    }
    for name, value in facts.items():
        yield f"  {name:<12} {value}{overridden if name == 'base' else ''}"
    if args.against and not reproduction.same:
        yield from (f"likely cause: {printable(cause)}" for cause in reproduction.causes)
        yield "the digest also depends on the versions of the engine, buildx and BuildKit, which the other image does not record"
    yield from _differences(reproduction)
    yield compared.headline()
    yield from (f"  {line}" for line in wrong_lines(compared, info.versions()))


def _differences(reproduction: Reproduction) -> Iterator[str]:
    if not reproduction.same and not reproduction.differences:
        yield "only the digests were compared: the other image is not here"
    layers = dict.fromkeys(difference.layer for difference in reproduction.differences)
    for layer in layers:
        in_layer = [difference for difference in reproduction.differences if difference.layer == layer]
        yield f"{printable(layer)}:" if layer else "image:"
        yield from (f"  {_line(difference)}" for difference in in_layer[:SHOWN])
        if len(in_layer) > SHOWN:
            yield f"  and {len(in_layer) - SHOWN} more: see --json"


def _line(difference: Difference) -> str:
    path = f"{difference.path}: " if difference.path else ""
    values = " / ".join(value or "nothing" for value in (difference.first, difference.second))
    return printable(f"{path}{difference.what}: {values}" if difference.first or difference.second else f"{path}{difference.what}")


def add_options(parser: ArgumentParser) -> None:
    options.add_profile(parser)
    options.add_target(parser, options.FIRST_WITH_BASE)
    options.add_base(parser)
    options.add_compression(parser)
    parser.add_argument(
        "--against", default=None, metavar="IMAGE", help="compare with this image: a name, the path of an archive, or a digest"
    )
    parser.add_argument("--record", action="store_true", help="record the layers' digests for the Python they were built with")
    options.add_json(parser, "the report as JSON")


COMMAND = Command(arguments=ReproduceArgs, add_options=add_options, run=run, example="envgen reproduce cpu-base", text=TEXT, shape=SHAPE)
