"""`envgen store`: what is locked, carried to a machine without a network."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from envgen.cli import options
from envgen.cli.command import Command, describe
from envgen.cli.output import print_json, print_lines
from envgen.cli.wiring import make_engine
from envgen.core.text import human_size
from envgen.lock import project
from envgen.offline import Imported, check_imported, export_store, import_store
from envgen.offline.archive import BASE, MODEL, WHEEL
from envgen.offline.import_ import ImportStatus
from envgen.workspace import Workspace

EXPORT, IMPORT = "export", "import"

TEXT = """\
`export` writes one archive, `import` takes it into the store of another machine, `envgen build --offline` builds there.
"""

EXPORT_TEXT = """\
write what locks need into one archive

Wheels, installers, locked models, and the bases that the engine has, as OCI archives; a base that it has not is left out, and that
is said. Fetch first: envgen fetch. The archive has the same bytes for the same content, and appears whole or not at all.
"""

EXPORT_SHAPE = """\
{"archive", "sha256", "size": bytes, "entries": [{"path", "sha256", "size", "base"}], "left_out": [{"base", "reason"}]}"""

IMPORT_TEXT = """\
take what is in an archive into the store, each file verified

Bases go into the engine's store. What is here already stays as it is. Exit code 8 for an archive that is not whole, holds anything
that it does not name, or a file that is not what its sha256 says; 5 when the engine can't take a base.
"""

IMPORT_SHAPE = """\
{"archive", "items": [{"name", "kind": "wheel" | "model" | "base", "status": "taken" | "there" | "left out", "reason", "hint"}]}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreArgs:
    """What `envgen store` is called with; `profiles`, `target` and `images` say what is exported."""

    action: str
    archive: str
    profiles: tuple[str, ...]
    target: str
    images: bool
    no_base: bool
    json: bool


def run(args: StoreArgs, workspace: Workspace) -> int:
    return _export(args, workspace) if args.action == EXPORT else _import(args, workspace)


def _export(args: StoreArgs, workspace: Workspace) -> int:
    locks = project.wanted_locks(workspace, args.profiles, args.target, images=args.images)
    engine = None if args.no_base or not any(lock.base for lock in locks) else make_engine(workspace.settings)
    found = export_store(workspace, locks, Path(args.archive), engine)
    if args.json:
        print_json(asdict(found))
        return 0
    count = Counter(entry.kind for entry in found.entries)
    without = f" (LEFT OUT: {len(found.left_out)})" if found.left_out else ""
    models = f", files of models: {count[MODEL]}" if count[MODEL] else ""
    counted = f"wheels: {count[WHEEL]}{models}, bases: {count[BASE]}{without}"
    print_lines([f"{found.archive}: {human_size(found.size)}; {counted}", f"sha256 {found.sha256}"])
    return 0


def _import(args: StoreArgs, workspace: Workspace) -> int:
    items = import_store(workspace, Path(args.archive), None if args.no_base else make_engine(workspace.settings))
    if args.json:
        print_json(import_json(args.archive, items))
    else:
        print_lines(_counted(items))
    check_imported(items)
    return 0


def _counted(items: Sequence[Imported]) -> Iterator[str]:
    """How many of each kind were imported, were there, or were left out."""
    counts = Counter((item.kind, item.status) for item in items)
    for kind in (WHEEL, MODEL, BASE):
        numbers = [f"{counts[kind, status]} {status}" for status in ImportStatus if counts[kind, status]]
        if numbers:
            yield f"{kind}s: {', '.join(numbers)}"


def import_json(archive: str, items: Sequence[Imported]) -> Mapping[str, object]:
    return {"archive": archive, "items": [asdict(item) for item in items]}


def add_options(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=ArgumentParser)
    export = actions.add_parser(EXPORT, help=EXPORT_TEXT.partition("\n")[0])
    describe(export, EXPORT_TEXT, "envgen store export wheels.tar cpu-base --target py311-linux-amd64", EXPORT_SHAPE)
    export.add_argument("archive", metavar="FILE", help="the archive to write, as in wheels.tar")
    options.add_locks(export)
    options.add_no_base(export, "write no base into it")
    options.add_json(export)
    options.add_project(export)
    bring = actions.add_parser(IMPORT, help=IMPORT_TEXT.partition("\n")[0])
    describe(bring, IMPORT_TEXT, "envgen store import wheels.tar", IMPORT_SHAPE)
    bring.add_argument("archive", metavar="FILE", help="the archive to read")
    bring.set_defaults(profiles=(), target="", images=False)
    options.add_no_base(bring, "take no base out of it")
    options.add_json(bring)
    options.add_project(bring)


COMMAND = Command(arguments=StoreArgs, add_options=add_options, run=run, example="envgen store export wheels.tar cpu-base", text=TEXT)
