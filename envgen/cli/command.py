"""The Command class: a command's options, help and function. Each command's module defines one, COMMAND."""

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

    `add_options` adds an option for each field of `arguments`. `text` is the help below the command's summary. `shape` describes
    the output of --json: keys, and values that are not plain text. Keys may be added, never removed.
    Unless a command is `in_project`, no project is searched above the current folder.
    """

    arguments: type[A]
    add_options: Callable[[ArgumentParser], None]
    run: Callable[[A, Workspace], int]
    example: str
    text: str = ""
    shape: str = ""
    in_project: bool = True

    def fill(self, parser: ArgumentParser, summary: str) -> None:
        """Add this command's options and help to `parser`."""
        self.add_options(parser)
        options.add_project(parser)
        describe(parser, f"{summary}\n\n{self.text}", self.example, self.shape)

    def read(self, options: Namespace) -> A:
        """Convert the parsed options to the command's own class of arguments."""
        values = {field.name: getattr(options, field.name) for field in fields(self.arguments)}
        return self.arguments(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def describe(parser: ArgumentParser, text: str, example: str, shape: str = "") -> None:
    """Set the help of `parser`: wrapped to 80 columns, with an example at the end."""
    parser.description = filled(text.rstrip() + (f"\n\n--json: {shape}" if shape else ""))
    parser.epilog = f"example: {example}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def filled(text: str) -> str:
    """Wrap the paragraphs of `text`.

    Indented table rows and labels, as in `--json: `, start a new line.
    """
    paragraphs = [re.split(r"\n(?=(?:--)?[a-z]+: |  \S)", paragraph) for paragraph in text.split("\n\n")]
    return "\n\n".join("\n".join(_item(item) for item in items) for items in paragraphs)


def _item(text: str) -> str:
    if text.startswith("  "):
        return text.rstrip()
    indent = "  " if re.match(r"(?:--)?[a-z]+: ", text) else ""
    return fill(" ".join(text.split()), WIDTH, subsequent_indent=indent, break_on_hyphens=False)
