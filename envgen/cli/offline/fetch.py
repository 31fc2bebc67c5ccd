"""`envgen fetch`: all that is locked, brought here."""

from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from envgen.cli import options
from envgen.cli.command import Command
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.text import human_size, pluralize
from envgen.image import fetch_bases
from envgen.image.bases import BaseState, check_fetched
from envgen.lock import project
from envgen.offline import FetchedWheels, fetch_models, fetch_wheels
from envgen.offline.fetch import FetchedModel
from envgen.workspace import Workspace

TEXT = """\
Wheels go into the store, and the models that locks name for the test, each file verified by its sha256. The bases of images are pulled
by their digest into the engine's store, through the registry's mirror if there is one, with the credentials of Docker's own
configuration.

All targets are fetched, unless --images leaves out those that no image is built for. A base that stands in for the locked one
(`envgen build --base`) is not fetched: leave the locked one out with --no-base, and pull the other into the engine's store.

Exit code 5 when a base can't be had: `envgen build --offline` would fail then.
"""

SHAPE = """\
{"locks": number, "wheels": {"wheels": number, "size": bytes, "fetched": number, "fetched_size": bytes},
"models": [{"name", "files": number, "size": bytes}],
"bases": [{"base", "platform", "status": "fetched" | "there" | "not fetched", "problem", "hint"}]}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchArgs:
    """What `envgen fetch` is called with."""

    profiles: tuple[str, ...]
    target: str
    images: bool
    no_base: bool
    json: bool


def run(args: FetchArgs, workspace: Workspace) -> int:
    """Fetches; the exit code is that of an error if something could not be had."""
    locks = project.wanted_locks(workspace, args.profiles, args.target, images=args.images)
    wheels = fetch_wheels(workspace, locks)
    models = fetch_models(workspace, locks)
    bases: tuple[BaseState, ...] = ()
    if not args.no_base and any(lock.base for lock in locks):
        bases = fetch_bases(workspace, locks, make_engine(workspace.settings))
    if args.json:
        print_json(as_json(len(locks), wheels, models, bases))
    else:
        new = f"{wheels.fetched} fetched just now" if wheels.fetched else "nothing to fetch"
        total = sum(model.size for model in models)
        tested = f"; {pluralize(len(models), 'model')}, {human_size(total)}" if models else ""
        without = "; no base (--no-base)" if args.no_base else ""
        counted = f"{pluralize(len(locks), 'lock')}: {wheels.wheels} wheels, {human_size(wheels.size)}"
        print_lines([f"{counted}, {new}{tested}{without}"])
    check_fetched(bases)
    return 0


def as_json(locks: int, wheels: FetchedWheels, models: Sequence[FetchedModel], bases: Sequence[BaseState]) -> Mapping[str, object]:
    return {
        "locks": locks,
        "wheels": asdict(wheels),
        "models": [asdict(model) for model in models],
        "bases": [asdict(base) for base in bases],
    }


def add_options(parser: ArgumentParser) -> None:
    options.add_locks(parser)
    options.add_no_base(parser, "leave the bases to the engine: no registry is asked")
    options.add_json(parser)


COMMAND = Command(arguments=FetchArgs, add_options=add_options, run=run, example="envgen fetch cpu-base", text=TEXT, shape=SHAPE)
