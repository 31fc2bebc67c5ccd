"""`envgen diff`: shows what changed between two sets of locks, or two images."""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache

from envgen.cli.command import Command
from envgen.cli.output import print_lines
from envgen.cli.trust import diff_markdown, diff_text
from envgen.cli.wiring import make_engine
from envgen.core.errors import UsageError, VerificationError
from envgen.core.git import GitRepo
from envgen.core.text import json_text
from envgen.trust.diff import (
    ImageComparison,
    ImageSide,
    LockComparison,
    LockSide,
    OperandFinder,
    check_profile,
    compare_images,
    compare_locks,
    restrict_to_common,
)
from envgen.trust.diff.operands import GIT, Side
from envgen.workspace import Workspace

TEXT = """\
A and B are each the first of these that matches:
  git:REVISION, image:NAME, sha256:DIGEST   explicit forms
  a file      an envgen.lock, or an image as an OCI archive
  a folder    of a target, of a profile, of all locks, or a project
  a revision  of the project's git repository, such as main or HEAD~1
  an image    in the engine's store

A name that is both a path and a revision is rejected: write ./NAME or git:NAME. B defaults to the current locks, and A to
HEAD. One lock, or one profile's folder, is compared with the same part of the other side; two single locks are compared
whatever their profiles and targets.

Locks give a reason for each package that moved, or say that there is none; sizes are of wheels. Images give the compressed
size of each layer, and reasons if the locks of both are here.

--format json has kind (locks, images), different, before, after, facts or labels, packages [{change: {kind, name, before,
after}, reasons: [{text, places}], places}], layers, and pushes or push; sizes are in bytes. Markdown fits into a pull
request comment: what is longer is truncated, with a line that says how much.
"""

Comparison = LockComparison | ImageComparison


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffArgs:
    """The arguments of `envgen diff`."""

    before: str
    after: str
    profile: str
    format: str
    exit_code: bool


def run(args: DiffArgs, workspace: Workspace) -> int:
    """Print the comparison; the exit code is 0, or 8 for a difference with --exit-code."""
    finder = OperandFinder(
        project=workspace.project.folder,
        repository=GitRepo(workspace.settings, workspace.project.folder),
        engine=cache(lambda: make_engine(workspace.settings)),
        profile=args.profile,
    )
    before = finder.find(args.before or f"{GIT}HEAD")
    after = finder.find(args.after) if args.after else _now(finder, before)
    comparison = _compare(before, after, finder, workspace)
    print_lines(_lines(comparison, args))
    return VerificationError.exit_code if args.exit_code and comparison.different else 0


def _now(finder: OperandFinder, before: Side) -> LockSide:
    if isinstance(before, ImageSide):
        raise UsageError(before.label, "an image, but no other image to compare it with", hint="name another image; or see: envgen audit")
    return finder.now()


def _compare(before: Side, after: Side, finder: OperandFinder, workspace: Workspace) -> Comparison:
    if isinstance(before, LockSide) and isinstance(after, LockSide):
        before, after = restrict_to_common(before, after)
        check_profile(finder.profile, before, after)
        return compare_locks(before, after)
    if isinstance(before, ImageSide) and isinstance(after, ImageSide):
        if finder.profile:
            raise UsageError(f"--profile {finder.profile}", "does not apply to images", hint="remove --profile")
        return compare_images((before, after), finder.engine, workspace.project, workspace.reporter.step)
    image, locks = (before, after) if isinstance(before, ImageSide) else (after, before)
    problem = f"found {image.label} against {locks.label}, expected two images or two sets of locks"
    raise UsageError("diff", problem, hint="compare an image with its lock: envgen audit PROFILE --image NAME")


def _lines(comparison: Comparison, args: DiffArgs) -> Iterator[str]:
    if args.format == "json":
        yield json_text(as_json(comparison))
    elif args.format == "markdown":
        yield diff_markdown.document(comparison, _command_line(args))
    else:
        yield from diff_text.lines(comparison)


def _command_line(args: DiffArgs) -> str:
    """The command that prints the full comparison, for a truncated comment."""
    words = ["envgen diff", args.before, args.after, *(["--profile", args.profile] if args.profile else [])]
    return " ".join(word for word in words if word)


def as_json(comparison: Comparison) -> dict[str, object]:
    """A comparison as JSON: its fields by name, as in the classes of envgen.trust.diff, after `kind` (locks, images) and `different`.

    Locks: before, after: text; compared, same: [{profile, target}]; added, removed: [{wheels, bytes, places}];
    facts: [{fact: {name, before, after}, places}]; packages: [{change: {kind, name, before, after}, reasons: [{text, places}], places}];
    layers: [{layer: {name, before, after, changed}, places}]; pushes: [{changed, total, places}]. Sizes are bytes of wheels.
    Images: before, after: {label, digest, size, lock, known_as}; labels: [{name, before, after}]; packages as above, without
    places; layers: [{digest, size, side, group, holds}]; push. Sizes are bytes of compressed layers.
    """
    body = asdict(comparison)
    if isinstance(comparison, LockComparison):
        return {"kind": "locks", "different": comparison.different, **body}
    return {"kind": "images", "different": comparison.different, **body, "push": comparison.push}


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("before", nargs="?", default="", metavar="A", help="the old state (default: git:HEAD)")
    parser.add_argument("after", nargs="?", default="", metavar="B", help="the new state (default: the current locks)")
    parser.add_argument("--profile", default="", metavar="PROFILE", help="this profile's locks only")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="the output format (default: text)")
    parser.add_argument("--exit-code", action="store_true", help="exit 8 if there is a difference")


COMMAND = Command(arguments=DiffArgs, add_options=add_options, run=run, example="envgen diff main --format markdown", text=TEXT)
