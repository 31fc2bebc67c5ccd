"""envgen.cli.output: nothing that is printed steers a terminal."""

import ast
from pathlib import Path

import pytest
from samples import ROOT

from envgen.cli.output import LiveReporter, PlainReporter, QuietReporter, print_lines

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
    """What they print themselves is made for programs: JSON, and what a shell reads."""
    calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
    printed = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "print"]
    assert [text for text in printed if not text.startswith(("json.dumps(", "shtab.complete("))] == []
