"""envgen.cli.output: nothing that is printed steers a terminal."""

import ast
import json
from pathlib import Path

import pytest
from samples import ROOT

from envgen.cli import print_error
from envgen.cli.output import LiveReporter, PlainReporter, QuietReporter, print_json, print_lines
from envgen.core.errors import UsageError

HOSTILE = "wheel \x1b[2J\u202e of\n\ttwo lines"
SHOWN = "wheel \\x1b[2J\\u202e of\n        two lines\n"
COMMANDS = sorted(path for path in (ROOT / "envgen" / "cli").rglob("*.py") if path.name not in ("output.py", "__init__.py"))


def test_a_result_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines([HOSTILE, "", "end"])
    assert capsys.readouterr() == (f"{SHOWN}\nend\n", "")


def test_nothing_to_print_is_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines([])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("kind", "shown"), [(PlainReporter, SHOWN), (LiveReporter, SHOWN), (QuietReporter, "")])
def test_progress_steers_no_terminal(kind: type[PlainReporter], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with kind() as reporter:
        reporter.step(HOSTILE)
    assert capsys.readouterr() == ("", shown)


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_commands_print_text_through_it_alone(path: Path) -> None:
    """What they print themselves is made for a shell."""
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    printed = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "print"]
    assert [text for text in printed if not text.startswith("shtab.complete(")] == []


COMMANDS_TO_A_CI = ("::error::x", "  \t::set-output name=a::b", "##[error]x", "well: ##[add-mask]x", "a\n   ::stop-commands::x")


@pytest.mark.parametrize("text", COMMANDS_TO_A_CI)
def test_nothing_that_is_printed_is_a_command_to_a_ci(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_lines([text])
    PlainReporter().step(text)
    print_error(UsageError(text, text, hint=text))
    print_json({text: [text]})
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).split("\n")
    assert [line for line in lines if line.lstrip().startswith("::") or "##[" in line] == []
    assert "::" in printed.err or "##" in printed.err


@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_steers_no_terminal_and_says_the_same(ascii_only: bool, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a\x7f\x9b\u202e\u2028\ud83d\U000e0001é": ["##[x]", "\x1b[2J", *COMMANDS_TO_A_CI, None, 1.5]}
    print_json(value, ascii_only=ascii_only)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert all(line.isprintable() for line in printed.split("\n"))
    assert ("é" in printed) is not ascii_only


def test_a_transfer_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in (PlainReporter, LiveReporter):
        with kind() as reporter, reporter.transfer("\x1b]0;mine\x07", 5) as count:
            count(5)
    assert "\x1b]0;" not in capsys.readouterr().err


def test_a_thread_that_is_left_behind_says_nothing_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    """One that holds standard error when Python ends would abort it."""
    with PlainReporter() as reporter:
        reporter.step("while it runs")
    reporter.step("afterwards")
    assert capsys.readouterr().err == "while it runs\n"
