"""The arguments of the commands that compare, check, and carry what was locked."""

import argparse

from envgen.cli.parsers import add_parser

REPRODUCE = """\
build an image twice without any cache, and compare every blob

The two builds run in different folders, under different clocks, host names and umasks. Where a blob differs, each file in it
that does is named with what differs. With --against, one build is compared with an image that somebody else
made. Exit code 8 when they are not the same.
"""

VERIFY = """\
ask whether everything locked still exists and still has its hash

Asks indexes, registries, and the hub of locked models; downloads no wheel and no weights. Each wheel must be listed by its index with
the locked hash, each base be in its registry by its digest, and the hub have each file of a model with its hash. Lists yanked releases
and known vulnerabilities too, from the index's own data.

Exit code 8 when something is gone, changed, yanked or vulnerable, and also when something could not be asked (NOT CHECKED:
an index or a registry gives no answer): a nightly job that could not look must not be green. What an index never
publishes, such as hashes or vulnerabilities, is said in the first line, and is no failure: no night would be another.
A base's tag that moved or was deleted is said too, and is none: the digest is what is locked. Where a mirror stands in for
an index or a registry, the mirror is what is asked: a pull-through cache answers from what it has kept.

--json: {"headline": text, "verdict": "findings" | "not checked" | "verified", "locks": ["PROFILE/TARGET"],
         "counts": {kind: {status: number}},
         "findings": [entry], "not_checked": [entry], "not_published": [entry], "information": [entry]}
entry:  {"kind": "wheel" | "base" | "model" | "vulnerabilities", "name": text, "status": text, "detail": text,
         "cure": text, "locks": ["PROFILE/TARGET"]}

Verdict "findings" and "not checked" both exit with 8.
"""

AUDIT = """\
compare an image with its lock, file by file, without running anything in it

Needs no network. Every file must come from a locked wheel, from the base, or from the recipe; byte code is compiled again, by the
Python of the base. Exit code 0 only when everything was compared and nothing found; 8 for a difference, and also when
something could not be compared, such as byte code without an engine that has the base: the report says what, and why.
"""

FETCH = """\
bring all that is locked here, to build without a network

Wheels go into the store, and the models that locks name for the test, each file verified by its sha256. The bases of images are pulled
by their digest into the engine's store, through the registry's mirror if there is one, with the credentials of Docker's own
configuration.

Exit code 5 when a base can't be had: `envgen build --offline` would fail then.
--json: {"locks": number, "wheels": {"wheels": number, "size": bytes, "fetched": number, "fetched_size": bytes},
         "models": [{"name", "files": number, "size": bytes}],
         "bases": [{"base", "platform", "status": "fetched" | "there" | "not fetched", "problem", "hint"}]}
"""

STORE = """\
carry what is locked to a machine without a network

`export` writes one archive, `import` takes it into the store of another machine, `envgen build --offline` builds there.
"""

EXPORT = """\
write what locks need into one archive

Wheels, installers, locked models, and the bases that the engine has, as OCI archives; a base that it has not is left out, and that
is said. Fetch first: envgen fetch. The archive has the same bytes for the same content, and appears whole or not at all.

--json: {"archive", "sha256", "size": bytes, "entries": [{"path", "sha256", "size", "base"}], "left_out": [{"base", "reason"}]}
"""

IMPORT = """\
take what is in an archive into the store, each file verified

Bases go into the engine's store. What is here already stays as it is. Exit code 8 for an archive that is not whole, holds anything
that it does not name, or a file that is not what its sha256 says; 5 when the engine can't take a base.

--json: {"archive", "items": [{"name", "kind": "wheel" | "model" | "base", "status": "taken" | "there" | "left out", "reason", "hint"}]}
"""

DIFF = """\
say what changed between two sets of locks or two images, and why

A and B are each the first of these that fits:
  git:REVISION, image:NAME, sha256:DIGEST   what they say they are
  a file      an envgen.lock, or an image as an OCI archive
  a folder    of a target, of a profile, of all locks, or a project
  a revision  of the project's git repository, such as main or HEAD~1
  an image    in the engine's store

What is both a path and a revision is refused: write ./NAME or git:NAME. Without B it is the locks as they are now; without
both, HEAD against these. One lock, or one profile's folder, is compared with the same part of the other side; two single
locks are compared whatever they are of.

Locks give a reason for each package that moved, or say that they have none; sizes are those of wheels. Images give
the compressed size of each layer, and reasons where the locks of both are here.

--format json has kind (locks, images), different, before, after, facts or labels, packages [{change: {kind, name, before,
after}, reasons: [{text, places}], places}], layers, and pushes or push; sizes are in bytes. Markdown fits into a comment
on a pull request: what is longer is cut, with a line that says how much.
"""


def add_reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first with a base)")
    parser.add_argument("--base", default="", metavar="REF", help="build on this image in place of the locked base")
    parser.add_argument("--compression", choices=("zstd", "gzip"), default="zstd", help="of the layers")
    parser.add_argument("--against", default=None, metavar="IMAGE", help="compare with this: a name, an archive's path, or a digest")
    parser.add_argument("--record", action="store_true", help="record the layers' digests for the Python they were built with")
    parser.add_argument("--json", action="store_true", help="the report as JSON")


def add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help="the profiles (default: the project's own)")
    parser.add_argument("--target", default="", metavar="TARGET", help="one target only")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")


def add_audit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first with a base)")
    parser.add_argument(
        "--image", default="", metavar="NAME", help="the image, or the path of an OCI archive (default: envgen/PROFILE:TARGET)"
    )
    parser.add_argument("--json", action="store_true", help="the report as JSON, with every finding")


def add_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", nargs="?", default="", metavar="A", help="what there was (default: git:HEAD)")
    parser.add_argument("after", nargs="?", default="", metavar="B", help="what there is (default: the locks as they are now)")
    parser.add_argument("--profile", default="", metavar="PROFILE", help="this profile's locks only")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="of the answer (default: text)")
    parser.add_argument("--exit-code", action="store_true", help="exit 8 when there is a difference")


def add_fetch(parser: argparse.ArgumentParser) -> None:
    _add_locks(parser)
    parser.add_argument("--no-base", action="store_true", help="leave the bases to the engine: no registry is asked")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def add_store(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    export = add_parser(actions, "export", EXPORT, "envgen store export wheels.tar cpu-base --target py311-linux-amd64")
    export.add_argument("archive", metavar="FILE", help="the archive to write, as in wheels.tar")
    _add_locks(export)
    bring = add_parser(actions, "import", IMPORT, "envgen store import wheels.tar")
    bring.add_argument("archive", metavar="FILE", help="the archive to read")
    for action, help_text in ((export, "write no base into it"), (bring, "take no base out of it")):
        action.add_argument("--no-base", action="store_true", help=help_text)
        action.add_argument("--json", action="store_true", help="the result as JSON")


def _add_locks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help="the profiles (default: the project's own)")
    parser.add_argument("--target", default="", metavar="TARGET", help="one target only (default: all)")
