"""The arguments of the commands for continuous integration and for other tools."""

import argparse


def add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first)")
    parser.add_argument("--format", choices=("pylock",), default="pylock", help="pylock: PEP 751, for a file named pylock.toml (default)")
    parser.add_argument("--offline", action="store_true", help="paths into the wheel store in place of URLs (see envgen fetch)")


MATRIX = """\
list every profile on every target, for people, for GitHub Actions, or for docker buildx bake

github: {"include": [...]}, the value of a job's strategy.matrix; json: the same entries as a plain list.

bake: a file for docker buildx bake, run in the project's folder; what it builds has the digests of envgen build.
The builder fetches each wheel by its hash, unless --wheels hands them in. Test the images with envgen smoke.
"""


def add_matrix(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help="the profiles (default: the project's own)")
    parser.add_argument("--format", choices=("table", "json", "github", "bake"), default="table", help="of the answer (default: table)")
    parser.add_argument("--changed-since", default="", metavar="REV", help="only what differs since this git revision can affect")
    parser.add_argument("--images", action="store_true", help="only targets that an image is built for")
    parser.add_argument("--wheels", default="", metavar="DIR", help="bake: put the wheels into this folder and hand them in")
    parser.add_argument("--base", default="", metavar="REF", help="bake: build on this image in place of the locked base")
    parser.add_argument("--compression", choices=("zstd", "gzip"), default="zstd", help="bake: of the layers")
    parser.add_argument("--push", default="", metavar="NAME", help="bake: push the images to this repository, as REGISTRY/NAME")
    parser.add_argument("--cache", default="", metavar="NAME", help="bake: keep the builder's cache in this repository")


INIT = """\
make a new project: a profile, its constraint set, a workflow, and what else a repository has around them

What is there already is left as it is. --from takes over what a requirements.txt (with what it includes), the dependencies of a
pyproject.toml, or a conda environment.yml ask for, and says what it could not take.
"""


def add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="where (default: this folder)")
    parser.add_argument("--name", default="", metavar="NAME", help="the profile's name (default: the folder's)")
    parser.add_argument("--extends", default="cpu-base", metavar="PROFILE", help="what it stands on: cpu-base (default), cuda or bnb-quant")
    parser.add_argument("--from", dest="source", default="", metavar="FILE", help="requirements.txt, pyproject.toml or environment.yml")
    parser.add_argument("--as-of", default="", metavar="DATE", help="read the indexes as of this day (default: as the extended profile)")
    parser.add_argument("--json", action="store_true", help="the result as JSON")


def add_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), metavar="SHELL", help="bash, zsh or tcsh")
