"""`envgen fetch`: downloads everything locked."""

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
Wheels and the models locked for smoke tests go into the store, each file verified by its sha256. Base images are pulled by digest into
the engine's store, through the registry's mirror if there is one, with the credentials in Docker's configuration.

All targets are fetched; with --images only those with an image. A base that replaces the locked one (`envgen build --base`) is not
fetched: skip the locked one with --no-base, and pull the other into the engine's store.

Exit code 5 if a base can't be fetched: `envgen build --offline` would fail.
"""

SHAPE = """\
{"locks": number, "wheels": {"wheels": number, "size": bytes, "fetched": number, "fetched_size": bytes},
"models": [{"name", "files": number, "size": bytes}],
"bases": [{"base", "platform", "status": "fetched" | "there" | "not fetched", "problem", "hint"}]}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchArgs:
    """The arguments of `envgen fetch`."""

    profiles: tuple[str, ...]
    target: str
    images: bool
    no_base: bool
    json: bool


def run(args: FetchArgs, workspace: Workspace) -> int:
    """Fetch everything; if something can't be fetched, the exit code is that of the error."""
    locks = project.wanted_locks(workspace, args.profiles, args.target, images=args.images)
    wheels = fetch_wheels(workspace, locks)
    models = fetch_models(workspace, locks)
    bases: tuple[BaseState, ...] = ()
    if not args.no_base and any(lock.base for lock in locks):
        bases = fetch_bases(workspace, locks, make_engine(workspace.settings))
    if args.json:
        print_json(as_json(len(locks), wheels, models, bases))
    else:
        new = f"{wheels.fetched} fetched" if wheels.fetched else "nothing to fetch"
        total = sum(model.size for model in models)
        model_words = f"; {pluralize(len(models), 'model')}, {human_size(total)}" if models else ""
        base_words = "; bases skipped (--no-base)" if args.no_base else ""
        wheel_words = f"{pluralize(len(locks), 'lock')}: {wheels.wheels} wheels, {human_size(wheels.size)}"
        print_lines([f"{wheel_words}, {new}{model_words}{base_words}"])
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
    options.add_no_base(parser, "skip the base images; no registry is contacted")
    options.add_json(parser)


COMMAND = Command(arguments=FetchArgs, add_options=add_options, run=run, example="envgen fetch cpu-base", text=TEXT, shape=SHAPE)
