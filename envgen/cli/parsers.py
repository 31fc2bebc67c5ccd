"""The parser of one command or action: its help fits a terminal of 80 columns, and ends with an example."""

import argparse
import re
from textwrap import fill

from envgen.cli.shapes import SHAPES

WIDTH = 80


def add_parser(
    parsers: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str, example: str
) -> argparse.ArgumentParser:
    """A parser called `name`; the first line of `text` stands in the list of commands, all of it in the command's own help."""
    shape = f"\n\n--json: {SHAPES[name]}" if name in SHAPES else ""
    return parsers.add_parser(
        name,
        help=text.partition("\n")[0],
        description=filled(text.rstrip() + shape),
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def filled(text: str) -> str:
    """`text` in lines that fit.

    Blank lines divide its paragraphs; a row of a table, which is indented, and what begins with a label, as in `--json: `, begin a line.
    """
    paragraphs = [re.split(r"\n(?=(?:--)?[a-z]+: |  \S)", paragraph) for paragraph in text.split("\n\n")]
    return "\n\n".join("\n".join(_item(item) for item in items) for items in paragraphs)


def _item(text: str) -> str:
    if text.startswith("  "):
        return text.rstrip()
    indent = "  " if re.match(r"(?:--)?[a-z]+: ", text) else ""
    return fill(" ".join(text.split()), WIDTH, subsequent_indent=indent, break_on_hyphens=False)
