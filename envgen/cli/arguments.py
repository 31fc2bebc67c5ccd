"""The arguments of every command. Imports nothing of envgen's own, so that --help is quick."""

import argparse
from collections.abc import Sequence

from envgen import __version__

EPILOG = """\
exit codes: 2 profile or command wrong, 3 no resolution, 4 lock stale, 5 no engine,
            6 build failed, 7 smoke failed, 8 verification failed,
            130 interrupted, 1 a bug in envgen
"""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of one command; argparse itself ends the process with code 2 for a wrong one."""
    parser = argparse.ArgumentParser(
        prog="envgen",
        description="Reproducible containers and lockfiles for Hugging Face Transformers environments.",
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
    return parser.parse_args(arguments)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, example: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=text, description=text, epilog=f"example: {example}", formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _add_lock(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "lock", "resolve profiles and write their locks", "envgen lock cpu-base")
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help="the profiles (default: all)")
    parser.add_argument("--target", default="", metavar="TARGET", help="one target only, such as py311-linux-amd64")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 4 when a lock is stale (offline)")
    parser.add_argument("--resolver", choices=("uv", "pip-tools"), default="uv", help="who resolves (default: uv)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def _add_update(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(
        commands, "update", "move a profile on purpose: edits the profile, then locks", "envgen update cpu-base --as-of 2026-11-01"
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--as-of", metavar="DATE", help="read the indexes as of this day")
    parser.add_argument("--package", metavar="NAME", help="with --as-of: only this package")
    parser.add_argument("--base", action="store_true", help="move the bases to the digests their tags have today")
    parser.add_argument("--no-lock", action="store_true", help="edit the profile only")


def _add_why(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "why", "say why a package is locked in its version", "envgen why cpu-base transformers")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("package", metavar="PACKAGE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first)")
    parser.add_argument("--json", action="store_true", help="the answer as JSON")


def _add_build(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "build", "build a profile's image and smoke-test it", "envgen build cpu-base")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first with a base)")
    parser.add_argument("--base", default="", metavar="REF", help="build on this image in place of the locked base")
    parser.add_argument("--tag", default="", metavar="NAME", help="the image's name (default: envgen/PROFILE:TARGET)")
    parser.add_argument("--no-cache", action="store_true", help="run every step again")
    parser.add_argument("--no-smoke", action="store_true", help="do not test the image")
    _add_model(parser)
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def _add_smoke(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _command(commands, "smoke", "test an image that was built", "envgen smoke cpu-base --model ./my-model")
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first with a base)")
    parser.add_argument("--image", default="", metavar="NAME", help="the image (default: envgen/PROFILE:TARGET)")
    _add_model(parser)
    parser.add_argument("--json", action="store_true", help="the report as JSON")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="",
        metavar="MODEL",
        help="a folder, wheel:NAME==VERSION, or hub:ORG/NAME@REVISION (default: a small model that comes with envgen)",
    )
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what to ask the model")
    parser.add_argument("--expect", default="", metavar="TEXT", help="what must stand in its answer")
