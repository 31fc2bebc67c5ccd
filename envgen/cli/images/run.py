"""`envgen run`: runs a command in a built image."""

import os
import sys
from argparse import ArgumentParser
from dataclasses import dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.images.smoke import doubt_about
from envgen.cli.wiring import make_engine
from envgen.core.errors import SmokeError, UsageError
from envgen.engine.gpus import Gpus, find_gpus
from envgen.image import find_built
from envgen.image.run import RunOptions, choose_gpus, current_user, plan
from envgen.lock import project
from envgen.workspace import Workspace

TEXT = """\
Runs as your own user and group, in the current folder (mounted at /workspace), with your Hugging Face cache
(HF_HOME, mounted at /hf) and HF_TOKEN, and with GPUs if profile, engine and machine have them.
The rest of the file system is read-only except /tmp, which is HOME and is removed with the container.
COMMAND defaults to python. The exit code is the command's.
"""

ENDS = {
    125: "docker could not start it; see: envgen doctor {profile}",
    127: "the image has no program {program!r}",
    137: "killed, often for lack of memory",
}
"""What an exit code usually means to docker and shells; a command may use it for something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArgs:
    """The arguments of `envgen run`; `words` are the command and its arguments."""

    profile: str
    target: str
    image: str
    gpus: str
    network: str
    words: tuple[str, ...]


def run(args: RunArgs, workspace: Workspace) -> int:
    """Run the command on our own standard streams and return its exit code."""
    profile = workspace.project.chosen_profile(args.profile)
    lock = project.check_lock(workspace, profile, profile.image_target(args.target))
    user = current_user(os.environ)
    engine = make_engine(workspace.settings)
    info = engine.check()
    gpus = choose_gpus(lock, args.gpus, info, find_gpus(workspace.settings.environment()) if lock.cuda else Gpus())
    try:
        built = find_built(lock, engine, args.image)
    except SmokeError as error:
        raise UsageError(error.where, error.problem, hint=error.hint) from error
    run_options = RunOptions(command=args.words, gpus=args.gpus, network=args.network)
    planned = plan(built.image, gpus, run_options, user, workspace.settings)
    workspace.reporter.step(f"run: {planned.summary}")
    if doubt := doubt_about(built, workspace, args.image):
        workspace.reporter.step(f"warning: {built.image.name}: {doubt}")
    for warning in planned.warnings:
        workspace.reporter.step(f"warning: {warning}")
    code = engine.attach(planned.request, terminal=sys.stdin.isatty() and sys.stdout.isatty())
    if code in ENDS:
        meaning = ENDS[code].format(profile=profile.name, program=(*args.words, "python")[0])
        workspace.reporter.step(f"run: exit code {code}, which usually means: {meaning}")
    return code


def add_options(parser: ArgumentParser) -> None:
    parser.usage = "envgen run [OPTIONS] [PROFILE] [-- COMMAND ...]"
    options.add_profile(parser)
    options.add_target(parser, options.FIRST_WITH_BASE)
    options.add_image(parser)
    parser.add_argument(
        "--gpus", type=options.gpus_or_not, default="auto", metavar="GPUS", help="auto, none, all, or numbers as in 0,1 (default: auto)"
    )
    parser.add_argument("--network", choices=("bridge", "none", "host"), default="bridge", help="the command's network (default: bridge)")


COMMAND = Command(arguments=RunArgs, add_options=add_options, run=run, example="envgen run cpu-base -- python train.py", text=TEXT)
