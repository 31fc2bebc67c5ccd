"""Options that several commands share, and the types of option values.

Functions rather than argparse parents: the help lists options in the order in which a command adds them, and defaults differ.
"""

import argparse
import math
import re
from argparse import ArgumentParser

FIRST_WITH_BASE = "the target (default: the first with a base)"

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kKMG]?)B?")
_GPUS = re.compile(r"all|\d+(,\d+)*")


def add_profile(parser: ArgumentParser) -> None:
    parser.add_argument("profile", nargs="?", default="", metavar="PROFILE", help="the profile (default: the project's only one)")


def add_project(parser: ArgumentParser) -> None:
    """Add --project after the command; without it, the one before the command applies."""
    parser.add_argument("--project", default=argparse.SUPPRESS, metavar="DIR", help="the project folder, as before the command")


def add_profiles(parser: ArgumentParser) -> None:
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help="profiles (default: all of the project's)")


def add_target(parser: ArgumentParser, text: str) -> None:
    parser.add_argument("--target", default="", metavar="TARGET", help=text)


def add_locks(parser: ArgumentParser) -> None:
    """Select the locks of some profiles, for one target or all."""
    add_profiles(parser)
    add_target(parser, "one target only (default: all)")
    parser.add_argument("--images", action="store_true", help="only targets with an image: not Windows and macOS")


def add_image(parser: ArgumentParser, text: str = "the image") -> None:
    parser.add_argument("--image", default="", metavar="NAME", help=f"{text} (default: envgen/PROFILE:TARGET)")


def add_base(parser: ArgumentParser, prefix: str = "") -> None:
    parser.add_argument("--base", default="", metavar="REF", help=f"{prefix}build on this image instead of the locked base")


def add_compression(parser: ArgumentParser, text: str = "layer compression (default: zstd)") -> None:
    parser.add_argument("--compression", choices=("zstd", "gzip"), default="zstd", help=text)


def add_push(parser: ArgumentParser, text: str) -> None:
    parser.add_argument("--push", default="", metavar="NAME", help=text)


def add_model(parser: ArgumentParser, text: str) -> None:
    parser.add_argument("--model", default="", metavar="MODEL", help=text)


def add_no_base(parser: ArgumentParser, text: str) -> None:
    parser.add_argument("--no-base", action="store_true", help=text)


def add_json(parser: ArgumentParser, text: str = "the result as JSON") -> None:
    parser.add_argument("--json", action="store_true", help=text)


def size(text: str) -> int:
    """Parse a number of bytes, as in 8GB, 512MB or 1000000. Raises ArgumentTypeError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a size as in 8GB or 512MB")
    return int(float(match[1]) * 1000 ** ("", "K", "M", "G").index(match[2].upper()))


def seconds(text: str) -> float:
    """Parse a positive number of seconds. Raises ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds, as in 600")
    return number


def gpus(text: str) -> str:
    """Check the value of --gpus. Raises ArgumentTypeError."""
    if not _GPUS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected all, or numbers as in 0,1")
    return text


def gpus_or_not(text: str) -> str:
    """Check the value of --gpus where envgen may choose. Raises ArgumentTypeError."""
    if text not in ("auto", "none") and not _GPUS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected auto, none, all, or numbers as in 0,1")
    return text
