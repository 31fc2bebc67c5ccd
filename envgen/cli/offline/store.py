"""`envgen store`: carries everything locked to a machine without a network."""

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
`export` writes an archive, `import` adds it to the store of another machine, and `envgen build --offline` builds there.
"""

EXPORT_TEXT = """\
write everything that locks need to an archive

Wheels, installers, locked models, and the bases that the engine has, as OCI archives; a missing base is left out and reported. Run
envgen fetch first. The archive is written atomically, and the same content gives the same bytes.
"""

EXPORT_SHAPE = """\
{"archive", "sha256", "size": bytes, "entries": [{"path", "sha256", "size", "base"}], "left_out": [{"base", "reason"}]}"""

IMPORT_TEXT = """\
add the files of an archive to the store, verifying each

Bases go into the engine's store. Existing files are kept. Exit code 8 if the archive is incomplete, or contains a file that its
manifest does not list or that does not match its sha256; 5 if the engine can't load a base.
"""

IMPORT_SHAPE = """\
{"archive", "items": [{"name", "kind": "wheel" | "model" | "base", "status": "taken" | "there" | "left out", "reason", "hint"}]}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreArgs:
    """The arguments of `envgen store`; `profiles`, `target` and `images` are for export."""

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
    exported = export_store(workspace, locks, Path(args.archive), engine)
    if args.json:
        print_json(asdict(exported))
        return 0
    count = Counter(entry.kind for entry in exported.entries)
    left_out = f" (LEFT OUT: {len(exported.left_out)})" if exported.left_out else ""
    models = f", model files: {count[MODEL]}" if count[MODEL] else ""
    counts = f"wheels: {count[WHEEL]}{models}, bases: {count[BASE]}{left_out}"
    print_lines([f"{exported.archive}: {human_size(exported.size)}; {counts}", f"sha256 {exported.sha256}"])
    return 0


def _import(args: StoreArgs, workspace: Workspace) -> int:
    items = import_store(workspace, Path(args.archive), None if args.no_base else make_engine(workspace.settings))
    if args.json:
        print_json(import_json(args.archive, items))
    else:
        print_lines(_counts(items))
    check_imported(items)
    return 0


def _counts(items: Sequence[Imported]) -> Iterator[str]:
    """How many of each kind were imported, already there, or left out."""
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
    options.add_no_base(export, "leave out the bases")
    options.add_json(export)
    options.add_project(export)
    import_ = actions.add_parser(IMPORT, help=IMPORT_TEXT.partition("\n")[0])
    describe(import_, IMPORT_TEXT, "envgen store import wheels.tar", IMPORT_SHAPE)
    import_.add_argument("archive", metavar="FILE", help="the archive to read")
    import_.set_defaults(profiles=(), target="", images=False)
    options.add_no_base(import_, "skip the bases")
    options.add_json(import_)
    options.add_project(import_)


COMMAND = Command(arguments=StoreArgs, add_options=add_options, run=run, example="envgen store export wheels.tar cpu-base", text=TEXT)
