"""envgen.cli: arguments, words and exit codes."""

import argparse
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import PROFILE

from envgen import __version__
from envgen.cli import app, main, print_error
from envgen.cli.app import COMMANDS, complete_parser, parse
from envgen.cli.locks.lock import LockArgs
from envgen.core.errors import EnvgenError, ProfileError, ProfileErrors, StaleLockError


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENVGEN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE, encoding="utf-8")
    return tmp_path


def ended(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    return caught.value.code


def test_help_names_every_command_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n    {command.split()[0]} " in text
    for code in range(1, 9):
        assert f"{code} " in text.partition("exit codes:")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(command, "--help") == 0
    assert f"envgen {command} " in capsys.readouterr().out.partition("\nexample: ")[2]


@pytest.mark.parametrize(
    "arguments", [(), ("why",), ("build", "a", "b"), ("lock", "--resolver", "poetry"), ("lock", "--chek"), ("update", "a", "b")]
)
def test_a_wrong_command_line_ends_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*arguments) == 2
    assert "usage: envgen" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "small"), []),
        (("run", "small", "--"), []),
        (("run", "small", "--", "python", "x.py", "--json", "--", "--gpus"), ["python", "x.py", "--json", "--", "--gpus"]),
        (("--project", ".", "run", "--gpus", "0,1", "small", "--", "ls"), ["ls"]),
    ],
)
def test_what_follows_the_dashes_is_the_command(arguments: tuple[str, ...], words: list[str]) -> None:
    found = parse(arguments)
    assert (found.name, found.arguments.profile, list(found.arguments.words)) == ("run", "small", words)


def test_dashes_mean_for_other_commands_what_they_always_do() -> None:
    assert parse(["lock", "--", "run"]).arguments.profiles == ("run",)


def test_a_command_without_dashes_is_told_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("run", "small", "python", "x.py") == 2
    assert "unrecognized arguments: python x.py; put -- before the command" in capsys.readouterr().err
    assert ended("lock", "--chek") == 2
    assert "before the command" not in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "some", "0,", "1,all", "-1"])
def test_gpus_that_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("run", f"--gpus={text}", "small") == 2
    assert "expected auto, none, all, or numbers as in 0,1" in capsys.readouterr().err


def test_a_command_that_is_not_called_is_not_imported() -> None:
    parser = app._make_parser()
    parser.format_help()
    assert not any(below.command for below in app.command_parsers(parser))
    parser.parse_known_args(["lock", "--check"])
    assert [below.prog for below in app.command_parsers(parser) if below.command] == ["envgen lock"]


def test_arguments_have_a_class_of_their_own_that_nothing_changes() -> None:
    kinds = [below.load().arguments for below in app.command_parsers(complete_parser())]
    assert len(set(kinds)) == len(COMMANDS)
    for kind in kinds:
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("bild", "did you mean 'build'?"),
        ("locks", "did you mean 'lock'?"),
        ("list", "profiles and their targets: envgen matrix; one profile: envgen show NAME"),
        ("frobnicate", f"use one of {', '.join(COMMANDS)}"),
    ],
)
def test_a_command_that_there_is_not(word: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == f"error: envgen: no such command: {word!r}\nhint:  {hint}\n"


def test_other_names_are_no_commands_and_lead_to_some() -> None:
    assert not app.OTHER_NAMES.keys() & COMMANDS.keys()
    for hint in app.OTHER_NAMES.values():
        named = re.findall(r"envgen (\w+)", hint)
        assert named or "envgen --help" in hint
        assert set(named) <= {*COMMANDS, "COMMAND"}


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (("--project", "a", "lock"), "a"),
        (("lock", "--project", "a"), "a"),
        (("--project", "b", "lock", "--project", "a"), "a"),
        (("store", "export", "x.tar", "--project", "a"), "a"),
        (("store", "--project", "a", "export", "x.tar"), "a"),
        (("run", "small", "--project", "a", "--", "ls", "--project", "b"), "a"),
    ],
)
def test_the_project_may_be_named_before_the_command_or_after_it(arguments: tuple[str, ...], folder: str) -> None:
    assert parse(arguments).project == folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("show",), ""), (("show", "--json"), ""), (("why", "torch"), "error: locks/small/py311-linux-amd64/envgen.lock: there is no lock\n")],
)
def test_the_only_profile_of_a_project_need_not_be_named(
    arguments: tuple[str, ...], message: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--project", str(project), *arguments]) == (4 if message else 0)
    out, err = capsys.readouterr()
    assert err.startswith(message)
    assert message or "small" in out


@pytest.mark.parametrize("command", ["show", "build", "smoke", "run", "audit", "reproduce", "export"])
def test_of_several_profiles_one_must_be_named(command: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "profiles" / "other.toml").write_text(PROFILE, encoding="utf-8")
    assert main(["--project", str(project), command]) == 2
    assert capsys.readouterr().err == ("error: profile: this project has several, and none is named\nhint:  name one of other, small\n")


def test_the_next_command_after_init_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "My Team"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("profile       my-team, after the folder My Team\n")
    assert out.endswith("\nnext: cd 'My Team' && envgen lock && envgen build my-team\n")
    assert main(["init", "team"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("written ")
    assert out.endswith("\nnext: cd team && envgen lock && envgen build team\n")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--version") == 0
    assert capsys.readouterr().out == f"envgen {__version__}\n"


def test_defaults() -> None:
    found = parse(["lock"])
    assert (found.project, found.json) == (None, False)
    assert found.arguments == LockArgs(profiles=(), target="", check=False, resolver="uv", json=False)
    options = parse(["build", "small", "--no-smoke", "--base", "x"]).arguments
    assert (options.no_smoke, options.no_cache, options.base, options.model, options.tag) == (True, False, "x", "", "")


def test_an_error_is_printed_with_its_cure(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(StaleLockError("locks/x", "the lock is stale\none\ntwo", hint="run: envgen lock x"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: locks/x: the lock is stale\n       one\n       two\nhint:  run: envgen lock x\n"


def test_an_error_without_a_cure_and_without_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(EnvgenError("x", "y"))
    print_error(EnvgenError("", ""))
    assert capsys.readouterr().err == "error: x: y\nerror: \n"


def test_an_error_fits_a_terminal_and_is_one_line_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = EnvgenError("profiles/x.toml", "a problem of many words " * 8, hint="run: envgen lock --target py311-linux-amd64 x y z " * 3)
    print_error(error)
    assert len(capsys.readouterr().err.splitlines()) == 2
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    print_error(error)
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line[:7] for line in lines if line[:7].strip()] == ["error: ", "hint:  "]
    assert " ".join(" ".join(lines).split()) == " ".join(f"error: {error} hint: {error.hint}".split())


def test_all_faults_are_printed_each_with_its_cure(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(ProfileErrors((ProfileError("a", "one", hint="do this"), ProfileError("b", "two"))))
    assert capsys.readouterr().err == "error: a: one\nhint:  do this\nerror: b: two\n"


@pytest.mark.parametrize("kind", [kind for kind in EnvgenError.__subclasses__() if kind.__module__ == "envgen.core.errors"])
def test_the_exit_code_is_that_of_the_error(
    kind: type[EnvgenError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_options: object) -> int:
        raise kind("here", "wrong", hint="do that")

    monkeypatch.setattr(app, "run", fail)
    assert main(["lock"]) == kind.exit_code
    assert capsys.readouterr().err == "error: here: wrong\nhint:  do that\n"


def test_an_interruption_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for number, code in ((None, 130), (signal.SIGTERM, 143)):

        def interrupt(_options: object, number: int | None = number) -> int:
            if number is None:
                raise KeyboardInterrupt
            signal.raise_signal(number)
            return 0

        monkeypatch.setattr(app, "run", interrupt)
        assert main(["lock"]) == code
        assert capsys.readouterr().err == "interrupted; no partial files left behind\n"


def test_a_bug_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_options: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["lock"])


def test_a_check_of_what_is_up_to_date(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--project", str(tmp_path), "lock", "--check", "cpu-base", "--target", "py311-linux-amd64"]) == 0
    out, err = capsys.readouterr()
    assert out.split() == ["cpu-base", "py311-linux-amd64", "up", "to", "date"]
    assert err == ""


def test_a_check_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--project", str(tmp_path), "lock", "--check", "--json", "cpu-base"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["profile"] for row in rows} == {"cpu-base"}
    assert all(row["status"] == "up to date" for row in rows)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--project", "/nowhere/at/all", "lock"], "error: --project /nowhere/at/all: no such folder\n"),
        (
            ["lock", "small", "--target", "py312-linux-amd64"],
            "error: --target py312-linux-amd64: small has no such target\nhint:  use one of py311-linux-amd64, py311-windows-amd64\n",
        ),
        (["lock", "smal"], "error: profile: there is no profile 'smal'\nhint:  did you mean 'small'?\n"),
        (
            ["build", "small", "--target", "py311-windows-amd64"],
            "error: profile small: no image is built for py311-windows-amd64\nhint:  images are built for: py311-linux-amd64\n",
        ),
    ],
)
def test_a_wrong_command_is_said(project: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = arguments if "--project" in arguments else ["--project", str(project), *arguments]
    assert main(line) == 2
    assert capsys.readouterr().err == words


def test_a_check_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(project.rglob("*"))
    assert main(["--project", str(project), "lock", "--check", "small", "--target", "py311-linux-amd64"]) == 4
    assert sorted(project.rglob("*")) == before
    assert capsys.readouterr().err == (
        "error: locks/small/py311-linux-amd64/envgen.lock: there is no lock\nhint:  run: envgen lock small\n"
    )


def test_a_check_reports_every_stale_lock(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--project", str(project), "lock", "--check", "small"]) == 4
    said = capsys.readouterr().err
    assert "py311-linux-amd64/envgen.lock: there is no lock" in said
    assert "py311-windows-amd64/envgen.lock: there is no lock" in said


def helps(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """The help of a parser and of those below it."""
    yield parser.prog, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from helps(below)


def test_every_help_fits_80_columns_and_has_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = dict(helps(complete_parser()))
    assert len(found) > 15
    for prog, text in found.items():
        assert max(map(len, text.splitlines())) <= 80, prog
        assert "example: " in text or prog.count(" ") != 1, prog
