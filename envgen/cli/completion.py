"""`envgen completion`: prints a script that completes commands, options, profiles and files in a shell."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from envgen.cli import app
from envgen.cli.command import Command
from envgen.workspace import Workspace

PREAMBLE = {
    "bash": """\
_envgen_profiles() {
    local names="%s" file
    for file in profiles/*.toml; do [ -e "$file" ] && names="$names $(basename "$file" .toml)"; done
    compgen -W "$names" -- "$1" | sort -u
}
""",
    "zsh": """\
_envgen_profiles() { local -a names=(%s ${(f)"$(print -l profiles/*.toml(N:t:r))"}); compadd -a names }
""",
    "tcsh": "",
}
"""Shell functions that complete profiles: the bundled ones and those in the current folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionArgs:
    """The arguments of `envgen completion`."""

    shell: str


def run(args: CompletionArgs, workspace: Workspace) -> int:
    """Print the script; the exit code is 0."""
    import shtab

    parser = app.complete_parser()
    for action in _actions(parser):
        if action.metavar == "PROFILE":
            action.complete = {"bash": "_envgen_profiles", "zsh": "_envgen_profiles"}  # type: ignore[attr-defined]  # read by shtab
        elif action.metavar in ("FILE", "DIR", "FOLDER", "MODEL"):
            action.complete = shtab.FILE if action.metavar == "FILE" else shtab.DIRECTORY  # type: ignore[attr-defined]
    preamble = {shell: text % " ".join(workspace.project.profiles()) if text else "" for shell, text in PREAMBLE.items()}
    print(shtab.complete(parser, shell=args.shell, preamble=preamble))  # type: ignore[arg-type]  # it accepts a mapping
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every argument of a parser and of its subparsers."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL", help="bash, zsh or tcsh")


COMMAND = Command(arguments=CompletionArgs, add_options=add_options, run=run, example='eval "$(envgen completion bash)"', in_project=False)
