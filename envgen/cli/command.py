"""A command: the options it has, the help for them, and the function that runs it. Each command's module has one, COMMAND."""

import argparse
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass, fields
from textwrap import fill
from typing import TYPE_CHECKING, Generic, TypeVar

from envgen.cli import options
from envgen.workspace import Workspace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

A = TypeVar("A", bound="DataclassInstance")

WIDTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[A]):
    """A command of envgen.

    `add_options` adds the options that `arguments` has fields for. `text` is the help below the command's line in the list of commands,
    `shape` describes what --json prints: keys, and values where they are not plain text. Keys may be added; none is ever removed.
    A command that is not `in_project` looks for none above the current folder.
    """

    arguments: type[A]
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[A, Workspace], int]
    example: str
    text: str = ""
    shape: str = ""
    in_project: bool = True

    def fill(self, parser: ArgumentParser, summary: str) -> None:
        """Adds the options and the help of this command to `parser`."""
        self.add_options(parser)
        options.add_project(parser)
        describe(parser, f"{summary}\n\n{self.text}", self.example, self.shape)

    def read(self, options: Namespace) -> A:
        """The parsed options as the command's own class of arguments."""
        found = {field.name: getattr(options, field.name) for field in fields(self.arguments)}
        return self.arguments(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})


def describe(parser: ArgumentParser, text: str, example: str, shape: str = "") -> None:
    """Sets the help of `parser`: it fits a terminal of 80 columns and ends with an example."""
    parser.description = filled(text.rstrip() + (f"\n\n--json: {shape}" if shape else ""))
    parser.epilog = f"example: {example}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


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
