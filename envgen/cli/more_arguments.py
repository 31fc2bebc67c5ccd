"""The arguments of the commands that look at a profile, at this machine, and that run an image."""

import argparse
import math
import re
from collections.abc import Sequence

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kKMG]?)B?")
_GPUS = re.compile(r"all|\d+(,\d+)*")


def split_at_double_dash(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before and after `--` for `run`, whose command is nothing that argparse may look into; all of them for another."""
    if "run" not in words or "--" not in words or words.index("run") > words.index("--"):
        return list(words), []
    place = words.index("--")
    return list(words[:place]), list(words[place + 1 :])


def size(text: str) -> int:
    """A number of bytes, as in 8GB, 512MB or 1000000. Raises what argparse makes an error of."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a size as in 8GB or 512MB")
    return int(float(match[1]) * 1000 ** ("", "K", "M", "G").index(match[2].upper()))


def seconds(text: str) -> float:
    """A time above 0. Raises what argparse makes an error of."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds, as in 600")
    return found


def gpus(text: str) -> str:
    """The value of --gpus. Raises what argparse makes an error of."""
    if not _GPUS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected all, or numbers as in 0,1")
    return text


def gpus_or_not(text: str) -> str:
    """The value of --gpus where it may be left to envgen."""
    if text not in ("auto", "none") and not _GPUS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected auto, none, all, or numbers as in 0,1")
    return text


def add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="whose layers are shown (default: the first with a base)")
    parser.add_argument(
        "--model",
        default="",
        metavar="MODEL",
        help="say how much memory this model takes: a folder, or wheel:NAME==VERSION or hub:ORG/NAME@COMMIT that were fetched before",
    )
    parser.add_argument("--json", action="store_true", help="all of it as JSON")


def add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("profile", nargs="?", default="", metavar="PROFILE", help="what this machine is to build and run (default: all)")
    parser.add_argument(
        "--explain", default=None, metavar="TEXT", help="look an error text up in the tables of known errors (-: from standard input)"
    )
    parser.add_argument("--json", action="store_true", help="the findings as JSON")


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.usage = "envgen run [OPTIONS] PROFILE [-- COMMAND ...]"
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--target", default="", metavar="TARGET", help="the target (default: the first with a base)")
    parser.add_argument("--image", default="", metavar="NAME", help="the image (default: envgen/PROFILE:TARGET)")
    parser.add_argument(
        "--gpus", type=gpus_or_not, default="auto", metavar="GPUS", help="auto, none, all, or numbers as in 0,1 (default: auto)"
    )
    parser.add_argument("--network", choices=("bridge", "none", "host"), default="bridge", help="the command's network (default: bridge)")
