"""`envgen diff`: what changed between two sets of locks, or two images."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache

from envgen.cli import diff_markdown, diff_text
from envgen.core.errors import UsageError, VerificationError
from envgen.core.git import GitRepo
from envgen.engine.docker import DockerEngine
from envgen.trust.diff.images import ImageComparison, compare_images
from envgen.trust.diff.locks import compare_locks
from envgen.trust.diff.model import LockComparison
from envgen.trust.diff.operands import GIT, ImageSide, LockSide, OperandFinder, Side, check_profile, restrict_to_common
from envgen.workspace import Workspace

Comparison = LockComparison | ImageComparison


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Prints it; the exit code is 0, or with --exit-code that of a verification that failed when there is a difference."""
    finder = OperandFinder(
        project=workspace.project.folder,
        repository=GitRepo(workspace.settings, workspace.project.folder),
        engine=cache(lambda: DockerEngine(workspace.settings)),
        profile=options.profile,
    )
    before = finder.find(options.before or f"{GIT}HEAD")
    after = finder.find(options.after) if options.after else _now(finder, before)
    found = _compare(before, after, finder, workspace)
    print(*_lines(found, options), sep="\n")
    return VerificationError.exit_code if options.exit_code and found.different else 0


def _now(finder: OperandFinder, before: Side) -> LockSide:
    if isinstance(before, ImageSide):
        raise UsageError(before.label, "an image, with nothing to compare it with", hint="name another image; or see: envgen audit")
    return finder.now()


def _compare(before: Side, after: Side, finder: OperandFinder, workspace: Workspace) -> Comparison:
    if isinstance(before, LockSide) and isinstance(after, LockSide):
        before, after = restrict_to_common(before, after)
        check_profile(finder.profile, before, after)
        return compare_locks(before, after)
    if isinstance(before, ImageSide) and isinstance(after, ImageSide):
        if finder.profile:
            raise UsageError(f"--profile {finder.profile}", "both sides are images, and each has one profile", hint="leave --profile out")
        return compare_images((before, after), finder.engine, workspace.project, workspace.reporter.step)
    image, locks = (before, after) if isinstance(before, ImageSide) else (after, before)
    problem = f"found {image.label} against {locks.label}, expected two images, or locks on both sides"
    raise UsageError("diff", problem, hint="compare an image with its lock: envgen audit PROFILE --image NAME")


def _lines(found: Comparison, options: argparse.Namespace) -> Iterator[str]:
    if options.format == "json":
        yield json.dumps(as_json(found), indent=2)
    elif options.format == "markdown":
        yield diff_markdown.document(found, _command_line(options))
    else:
        yield from diff_text.lines(found)


def _command_line(options: argparse.Namespace) -> str:
    """The command that tells all, for whoever reads a comment that was cut."""
    words = ["envgen diff", options.before, options.after, *(["--profile", options.profile] if options.profile else [])]
    return " ".join(word for word in words if word)


def as_json(found: Comparison) -> dict[str, object]:
    """A comparison as JSON: its fields by name, as the classes of envgen.compare say, after `kind` (locks, images) and `different`.

    Locks: before, after: text; compared, same: [{profile, target}]; added, removed: [{wheels, bytes, places}];
    facts: [{fact: {name, before, after}, places}]; packages: [{change: {kind, name, before, after}, reasons: [{text, places}], places}];
    layers: [{layer: {name, before, after, changed}, places}]; pushes: [{changed, total, places}]. Sizes are bytes of wheels.
    Images: before, after: {label, digest, size, lock, known_as}; labels: [{name, before, after}]; packages as above, without
    places; layers: [{digest, size, side, group, holds}]; push. Sizes are bytes of compressed layers.
    """
    body = asdict(found)
    if isinstance(found, LockComparison):
        return {"kind": "locks", "different": found.different, **body}
    return {"kind": "images", "different": found.different, **body, "push": found.push}
