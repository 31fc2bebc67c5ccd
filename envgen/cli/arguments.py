"""The arguments of every command. Imports nothing of envgen's own, so that --help is quick."""

import argparse
import sys
from collections.abc import Sequence

from envgen import __version__
from envgen.cli.ci_arguments import INIT, MATRIX, add_completion, add_export, add_init, add_matrix
from envgen.cli.more_arguments import add_doctor, add_run, add_show, gpus, seconds, size, split_at_double_dash
from envgen.cli.parsers import add_parser
from envgen.cli.trust_arguments import (
    AUDIT,
    DIFF,
    FETCH,
    REPRODUCE,
    STORE,
    VERIFY,
    add_audit,
    add_diff,
    add_fetch,
    add_reproduce,
    add_store,
    add_verify,
)

EPILOG = """\
exit codes: 2 profile or command wrong, 3 no resolution, 4 lock stale,
            5 no engine, 6 build failed, 7 smoke failed,
            8 verification failed, 130 interrupted, 1 a bug in envgen
"""

RUN = """\
run a command in an image that was built

As your own user and group, in the current folder (mounted at /workspace), with your Hugging Face cache
(HF_HOME, mounted at /hf) and your HF_TOKEN; with the GPUs where profile, engine and machine have them.
The rest of the file system is read-only, but for /tmp, which is HOME and goes with the container.
Without a COMMAND: python. The exit code is that of the command.
"""

DOCTOR = """\
look for what this machine lacks, or explain an error

Each finding is ok, a warning, a problem, or not applicable, and says how to cure it. The exit code is that of the
first problem: 5 for the engine, 6 for disk, 4 for a lock, 2 for anything else; 0 with warnings alone.
--explain takes a message or a whole traceback, as it was printed: colours, log prefixes and wrapped lines are seen
through. The last error of it counts. It ends with 2 when no table knows that one (profiles/errors/*.toml).
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of one command; argparse itself ends the process with code 2 for a wrong one."""
    parser = make_parser()
    words, command = split_at_double_dash(sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}" + ("; put -- before the command" if options.command == "run" else ""))
    options.words = command
    return options


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="envgen",
        description="Reproducible containers and lockfiles for Hugging Face Transformers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"envgen {__version__}")
    parser.add_argument("--project", default=".", metavar="DIR", help="the folder with profiles/ and locks/ (default: this one)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_lock(commands)
    _add_update(commands)
    _add_why(commands)
    _add_build(commands)
    _add_smoke(commands)
    add_show(add_parser(commands, "show", "say what a profile is, and what a model takes", "envgen show cpu-base --model ./my-model"))
    add_run(add_parser(commands, "run", RUN, "envgen run cpu-base -- python train.py"))
    add_doctor(add_parser(commands, "doctor", DOCTOR, "envgen doctor cpu-base"))
    add_fetch(add_parser(commands, "fetch", FETCH, "envgen fetch cpu-base"))
    add_store(add_parser(commands, "store", STORE, "envgen store export wheels.tar cpu-base"))
    add_diff(add_parser(commands, "diff", DIFF, "envgen diff main --format markdown"))
    add_verify(add_parser(commands, "verify", VERIFY, "envgen verify cuda"))
    add_audit(add_parser(commands, "audit", AUDIT, "envgen audit cuda"))
    add_reproduce(add_parser(commands, "reproduce", REPRODUCE, "envgen reproduce cpu-base"))
    add_export(add_parser(commands, "export", "print a lock in another tool's form", "envgen export cpu-base > pylock.toml"))
    add_matrix(add_parser(commands, "matrix", MATRIX, "envgen matrix --format github --changed-since origin/main"))
    add_init(add_parser(commands, "init", INIT, "envgen init my-team --extends cuda --from requirements.txt"))
    add_completion(add_parser(commands, "completion", "print what completes envgen's words in a shell", 'eval "$(envgen completion bash)"'))
    return parser


def _add_lock(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_parser(commands, "lock", "resolve profiles and write their locks", "envgen lock cpu-base")
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help="the profiles (default: the project's own)")
    parser.add_argument("--target", default="", metavar="TARGET", help="one target only, such as py311-linux-amd64")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 4 when a lock is stale (offline)")
    parser.add_argument("--resolver", choices=("uv", "pip-tools"), default="uv", help="who resolves (default: uv)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def _add_update(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_parser(
        commands, "update", "move a profile on purpose: edits the profile, then locks", "envgen update cpu-base --as-of 2026-11-01"
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--as-of", metavar="DATE", help="read the indexes as of this day")
    parser.add_argument("--package", metavar="NAME", help="with --as-of: only this package")
    parser.add_argument("--base", action="store_true", help="move the bases to the digests their tags have today")
    parser.add_argument("--no-lock", action="store_true", help="edit the profile only")


def _add_why(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_parser(commands, "why", "say why a package is locked in its version", "envgen why cpu-base transformers")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("package", metavar="PACKAGE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first)")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_parser(commands, "build", "build a profile's image and smoke-test it", "envgen build cpu-base")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first with a base)")
    parser.add_argument("--base", default="", metavar="REF", help="build on this image in place of the locked base")
    parser.add_argument("--tag", default="", metavar="NAME", help="the image's name (default: envgen/PROFILE:TARGET)")
    parser.add_argument("--no-cache", action="store_true", help="run every step again")
    parser.add_argument("--offline", action="store_true", help="use no network: all must be in the store (see envgen fetch)")
    parser.add_argument("--compression", choices=("zstd", "gzip"), default="zstd", help="of the layers; gzip is for old registries")
    parser.add_argument("--no-smoke", action="store_true", help="do not test the image")
    parser.add_argument("--push", default="", metavar="NAME", help="push the image, once it is tested, to this repository: REGISTRY/NAME")
    _add_model(parser)
    _add_gpu(parser)
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def _add_smoke(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = add_parser(commands, "smoke", "test an image that was built", "envgen smoke cpu-base --model ./my-model")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first with a base)")
    parser.add_argument("--image", default="", metavar="NAME", help="the image (default: envgen/PROFILE:TARGET)")
    _add_model(parser)
    _add_gpu(parser)
    parser.add_argument("--json", action="store_true", help="the report as JSON")


def _add_gpu(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gpus", type=gpus, default=None, metavar="GPUS", help="give the gpu tier these GPUs: all, or numbers as in 0,1")
    parser.add_argument("--require-gpu", action="store_true", help="exit 7 when the gpu tier did not run (implies --gpus all)")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="",
        metavar="MODEL",
        help="a folder, wheel:NAME==VERSION, hub:ORG/NAME@REVISION, or embedded: a small model that comes with envgen "
        "(default: the one that is locked, else embedded)",
    )
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what to ask the model")
    parser.add_argument("--expect", default="", metavar="TEXT", help="what must stand in its answer")
    parser.add_argument("--memory", type=size, default=0, metavar="SIZE", help="what a test may take at most, as in 8GB (default: all)")
    parser.add_argument("--check-limit", type=seconds, default=None, metavar="SECONDS", help="what a check may take (default: 1800)")
