"""`envgen run`: a command in an image that was built."""

import argparse
import os
import sys

from envgen.core.errors import SmokeError, UsageError
from envgen.engine.docker import DockerEngine
from envgen.engine.gpus import Gpus, find_gpus
from envgen.image.build import find_built
from envgen.image.run import RunOptions, choose_gpus, plan, this_caller
from envgen.lock import project
from envgen.workspace import Workspace

ENDS = {
    125: "docker could not start it; try: envgen doctor {profile}",
    127: "the image has no program {program!r}",
    137: "it was killed, by the kernel for memory or by somebody",
}
"""What an exit code mostly means, as docker and shells have it; a command may give it a meaning of its own."""


def command(options: argparse.Namespace, workspace: Workspace) -> int:
    """Runs it on our own standard streams; its exit code."""
    profile = workspace.project.profile(options.profile)
    lock = project.check_lock(workspace, profile, profile.image_target(options.target))
    caller = this_caller(os.environ)
    engine = DockerEngine(workspace.settings)
    info = engine.check()
    gpus = choose_gpus(lock, options.gpus, info, find_gpus(workspace.settings.environment()) if lock.cuda else Gpus())
    try:
        built = find_built(lock, engine, options.image)
    except SmokeError as error:
        raise UsageError(error.where, error.problem, hint=error.hint) from error
    wishes = RunOptions(command=tuple(options.words), gpus=options.gpus, network=options.network)
    planned = plan(built.image.name, gpus, wishes, caller, workspace.settings)
    workspace.reporter.step(f"run: {planned.summary}")
    for warning in planned.warnings:
        workspace.reporter.step(f"warning: {warning}")
    code = engine.attach(planned.order, terminal=sys.stdin.isatty() and sys.stdout.isatty())
    if code in ENDS:
        meaning = ENDS[code].format(profile=profile.name, program=(*options.words, "python")[0])
        workspace.reporter.step(f"run: ended with {code}, which mostly means: {meaning}")
    return code
