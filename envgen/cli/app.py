"""Lists the commands, and parses a command line into a command and its arguments.

A command's module is imported only for its options or help, so that `envgen --help` is fast.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from envgen import __version__
from envgen.core.errors import UsageError
from envgen.core.toml import suggestion

if TYPE_CHECKING:
    from envgen.cli.command import Command

COMMANDS = {
    "lock": ("locks.lock", "resolve profiles and write their locks"),
    "update": ("locks.update", "move a profile to another date or base, then lock it"),
    "why": ("locks.why", "explain why a package is locked at its version"),
    "build": ("images.build", "build a profile's image and smoke-test it"),
    "smoke": ("images.smoke", "test a built image"),
    "show": ("locks.show", "show a profile, and the memory a model needs"),
    "run": ("images.run", "run a command in a built image"),
    "doctor": ("doctor", "check what this machine lacks, or explain an error"),
    "fetch": ("offline.fetch", "download everything locked, to build without a network"),
    "store": ("offline.store", "carry everything locked to a machine without a network"),
    "diff": ("trust.diff", "show what changed between two sets of locks or two images, and why"),
    "verify": ("trust.verify", "check that everything locked still exists and still has its hash"),
    "audit": ("trust.audit", "compare an image with its lock, file by file, without running anything in it"),
    "reproduce": ("trust.reproduce", "build an image twice without a cache and compare every blob"),
    "export": ("locks.export", "print a lock in another tool's format"),
    "matrix": ("images.matrix", "list every profile on every target, for people, GitHub Actions or docker buildx bake"),
    "init": ("locks.init", "create a project: a profile, its constraint set, a workflow and other repository files"),
    "completion": ("completion", "print a completion script for a shell"),
}
"""The module of each command, below envgen.cli, and the first line of its help, in the order of `envgen --help`."""

EPILOG = """\
exit codes: 2 profile or command wrong, 3 no resolution, 4 lock stale,
            5 no engine, 6 build failed, 7 smoke failed,
            8 verification failed, 130 interrupted, 1 a bug in envgen
"""


class Invocation(NamedTuple):
    """A parsed command line: the command, its arguments (of the command's own class), and the project folder (None: to be found)."""

    name: str
    arguments: Any
    project: str | None
    json: bool


OTHER_NAMES = {
    "list": "profiles and their targets: envgen matrix; one profile: envgen show NAME",
    "ls": "profiles and their targets: envgen matrix; one profile: envgen show NAME",
    "profiles": "envgen matrix",
    "test": "envgen smoke PROFILE",
    "check": "locks: envgen lock --check; this machine: envgen doctor",
    "explain": 'envgen doctor --explain "ERROR TEXT"; a pin: envgen why PROFILE PACKAGE',
    "push": "envgen build PROFILE --push REGISTRY/NAME",
    "pull": "envgen fetch PROFILE",
    "add": "add it to requirements in profiles/NAME.toml, then: envgen lock",
    "install": "add it to requirements in profiles/NAME.toml, then: envgen lock",
    "upgrade": "envgen update PROFILE --as-of DATE",
    "new": "envgen init",
    "help": "envgen --help; of one command: envgen COMMAND --help",
}
"""Hints for names that other tools use for commands."""


class MainParser(argparse.ArgumentParser):
    """The parser above those of the commands."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Raise UsageError for an unknown command."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            hint = OTHER_NAMES.get(value) or suggestion(value, tuple(COMMANDS))
            raise UsageError("envgen", f"no such command: {value!r}", hint=hint)
        super()._check_value(action, value)


class CommandParser(argparse.ArgumentParser):
    """A command's parser, which loads the options from the command's module on first use."""

    command: "Command[Any] | None" = None

    def load(self) -> "Command[Any]":
        """Import the command and add its options and help to this parser."""
        if self.command is None:
            name = self.prog.split()[-1]
            module, summary = COMMANDS[name]
            self.command = import_module(f"envgen.cli.{module}").COMMAND
            self.command.fill(self, summary)
        return self.command

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self.load()
        return super().parse_known_args(args, namespace)


def run(invocation: Invocation) -> int:
    """Run a command and return its exit code."""
    from envgen.cli.output import make_reporter
    from envgen.cli.wiring import make_workspace

    reporter = make_reporter(quiet=invocation.json)
    command = _command(invocation.name)
    with reporter:
        workspace = make_workspace(invocation.project, reporter, search=command.in_project)
        return command.run(invocation.arguments, workspace)


def parse(arguments: Sequence[str] | None) -> Invocation:
    """Parse a command line; argparse exits with code 2 if it is invalid."""
    parser = _make_parser()
    words, command = split_at_double_dash(sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}" + ("; put -- before the command" if options.command == "run" else ""))
    options.words = command
    return Invocation(
        name=options.command,
        arguments=_command(options.command).read(options),
        project=options.project,
        json=getattr(options, "json", False),
    )


def split_at_double_dash(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split `words` at `--` for `run`, whose command argparse must not parse; other commands are returned unsplit."""
    if "run" not in words or "--" not in words or words.index("run") > words.index("--"):
        return list(words), []
    position = words.index("--")
    return list(words[:position]), list(words[position + 1 :])


def complete_parser() -> argparse.ArgumentParser:
    """Return the parser with the options of every command loaded."""
    parser = _make_parser()
    for subparser in command_parsers(parser):
        subparser.load()
    return parser


def command_parsers(parser: argparse.ArgumentParser) -> list[CommandParser]:
    """Return the commands' parsers, in order."""
    return [
        subparser
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for subparser in action.choices.values()
        if isinstance(subparser, CommandParser)
    ]


def _make_parser() -> argparse.ArgumentParser:
    parser = MainParser(
        prog="envgen",
        description="Reproducible containers and lockfiles for Hugging Face Transformers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"envgen {__version__}")
    parser.add_argument("--project", metavar="DIR", help="the folder with profiles/ and locks/ (default: the nearest, from this one up)")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=CommandParser)
    for name, (_, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
    return parser


def _command(name: str) -> "Command[Any]":
    command: Command[Any] = import_module(f"envgen.cli.{COMMANDS[name][0]}").COMMAND
    return command
