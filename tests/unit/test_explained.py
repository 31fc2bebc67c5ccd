"""envgen.profiles.error_tables: what people meet is known however they paste it, and what nobody knows stays unknown."""

import json
import re
import textwrap
import time
from collections.abc import Callable

import pytest
from error_texts import HOSTILE, KNOWN, UNKNOWN

from envgen.profiles import Diagnosis, Project, diagnose, error_message
from envgen.profiles.error_tables import explain
from envgen.smoke.report import FAILED, CheckResult
from envgen.smoke.run import _diagnosed


def frames(number: int) -> str:
    """The frames of a traceback, three lines each; their source raises an error that is known, and counts for nothing."""
    source = "    raise ImportError(\"No module named 'torch'\")\n    ^^^^^^\n"
    path = "/usr/lib/python3.11/site-packages/p"
    return "Traceback (most recent call last):\n" + "".join(f'  File "{path}/m{n}.py", line {n}, in f\n{source}' for n in range(number))


FRAMES = frames(3)
NOBODY = FRAMES + "ValueError: nobody knows this\n"
WHITE, RED, OFF = "\x1b[1;37m", "\x1b[31m", "\x1b[0m"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Diagnosis, ...]:
    return Project(folder=tmp_path_factory.mktemp("empty")).diagnoses()


def raised(message: str) -> str:
    """A traceback that ends in `message`."""
    head = message.partition(": ")[0].rpartition(".")[2]
    return FRAMES + (message if head.endswith(("Error", "Exception", "Warning", "Enabled")) else f"RuntimeError: {message}") + "\n"


def prefixed(prefix: str) -> Callable[[str], str]:
    return lambda message: "".join(f"{prefix}{line}\n" for line in raised(message).splitlines())


def boxed(message: str) -> str:
    lines = textwrap.wrap(message, 70)
    return (
        "\u256d\u2500 Error \u2500\u2500\u256e\n"
        + "".join(f"\u2502 {line:<70} \u2502\n" for line in lines)
        + "\u2570\u2500\u2500\u2500\u256f\n"
    )


def rich(message: str) -> str:
    inner = ["/a/b.py:7 in <module>", "    6 \u2502   x = 1", "\u2771   7 \u2502   raise ImportError(\"No module named 'torch'\")"]
    box = "".join(f"\u2502 {line:<70} \u2502\n" for line in inner)
    head = "\u256d\u2500\u2500 Traceback (most recent call last) \u2500\u2500\u256e\n"
    return head + box + "\u2570\u2500\u2500\u2500\u256f\n" + raised(message).removeprefix(FRAMES)


def notebook(message: str) -> str:
    head = "ImportError                               Traceback (most recent call last)\nCell In[1], line 1\n----> 1 import x\n\n"
    return (
        head
        + "File ~/x.py:12, in f(a)\n     10 y\n---> 12 raise ImportError(\"No module named 'torch'\")\n\n"
        + raised(message).removeprefix(FRAMES)
    )


def built(message: str) -> str:
    failed = 'process "/bin/sh -c pip install x" did not complete successfully: exit code: 1'
    step = f"#12 0.345 {message}\n#12 ERROR: {failed}\n------\n > [5/10] RUN pip install x:\n0.345 {message}\n------\n"
    return f"{step}ERROR: failed to solve: {failed}\n"


def wrapped(width: int) -> Callable[[str], str]:
    return lambda message: "\n".join(message[start : start + width].rstrip() for start in range(0, len(message), width))


PASTED: dict[str, Callable[[str], str]] = {
    "traceback": lambda message: raised(message).replace(FRAMES, frames(66)),
    "CRLF": lambda message: raised(message).replace("\n", "\r\n"),
    "no indentation": lambda message: "".join(f"{line.strip()}\n" for line in raised(message).splitlines() if "^" not in line),
    "colours": lambda message: "".join(f"{RED}{word}{OFF} {WHITE}" for word in message.split(" ")) + OFF,
    "colours without escapes": lambda message: f"[1;31m{message}[0m",
    "escaped colours": lambda message: f"\\x1b[31m{message}\\x1b[0m",
    "a title": lambda message: f"\x1b]0;title\x07{message}",
    "BuildKit": prefixed("#39 12.61 "),
    "BuildKit's summary": prefixed("12.61 "),
    "a failed build": built,
    "compose": prefixed("web-1  | "),
    "Kubernetes": prefixed("2026-11-28T21:00:00.123456789Z stderr F "),
    "a rank": prefixed("[rank0]: "),
    "vLLM": prefixed("(EngineCore_0 pid=123) ERROR 11-28 10:11:12 [core.py:396] "),
    "logging": prefixed("2026-11-28 21:00:00,123 - root - ERROR - "),
    "loguru": prefixed("2026-11-28 21:00:00.123 | ERROR    | __main__:main:12 - "),
    "klog": prefixed("E1128 12:00:00.123456     123 file.cc:12] "),
    "syslog": prefixed("Nov 28 21:23:36 host-1 prog[123]: "),
    "GitHub": prefixed("2026-11-28T21:00:00.1234567Z "),
    "an annotation": lambda message: f"##[error]{message}",
    "pytest": lambda message: f">       raise ImportError(\"No module named 'torch'\")\nE       {message}\n\nx.py:3: ImportError\n",
    "a quote": prefixed("> "),
    "a box": boxed,
    "rich": rich,
    "a notebook": notebook,
    "JSON": lambda message: json.dumps({"log": raised(message), "stream": "stderr"}),
    "repr": lambda message: repr(raised(message)),
    "wrapped at 80": wrapped(80),
    "wrapped at 41": wrapped(41),
    "wrapped between words": lambda message: textwrap.fill(message, 60, subsequent_indent="    "),
    "a BOM": lambda message: f"\ufeff{message}",
    "double quotes": lambda message: message.replace("'", '"'),
    "typographic quotes": lambda message: message.replace(" '", " \u2018").replace("'", "\u2019"),
    "bytes": lambda message: message.replace(" '", " b'"),
    "HTML": lambda message: (
        message.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&quot;").replace(">", "&gt;").replace("<", "&lt;")
    ),
    "no-break spaces": lambda message: message.replace(" ", "\u00a0"),
    "Windows": lambda message: raised(message).replace("/usr/lib/python3.11/", "C:\\Users\\new\\") + "PS C:\\Users\\new> ",
    "beside another one": lambda message: f"TypeError: Descriptors cannot be created directly.\n{raised(message)}",
    "its direct effect": lambda message: (
        f"{raised(message)}\nThe above exception was the direct cause of the following exception:\n\n{NOBODY}"
    ),
}
EACH = ("traceback", "colours", "BuildKit", "Windows", "beside another one", "wrapped at 80")
"""Forms that every message is tried in; the others take a quarter of them each."""

SHORT = [(message, cause) for message, cause in KNOWN if "\n" not in message]


@pytest.mark.parametrize(("message", "cause"), KNOWN)
def test_what_people_meet_is_known(tables: tuple[Diagnosis, ...], message: str, cause: str) -> None:
    found = diagnose(message, tables)
    assert found is not None
    assert cause in found.cause
    assert not re.search(r"\{\w+\}", found.cause + found.cure), "a placeholder that nothing fills"


def test_every_entry_is_met(tables: tuple[Diagnosis, ...]) -> None:
    met = {found.pattern for message, _ in KNOWN if (found := diagnose(message, tables))}
    assert [entry.cause for entry in tables if not entry.consequence and entry.pattern not in met] == []


@pytest.mark.parametrize("form", PASTED)
def test_however_it_is_pasted(tables: tuple[Diagnosis, ...], form: str) -> None:
    missed = []
    for message, cause in SHORT if form in EACH else SHORT[list(PASTED).index(form) % 4 :: 4]:
        found = diagnose(PASTED[form](message), tables)
        if found is None or not any(word in found.cause for word in (cause, cause.split(",")[0])):
            missed.append((message, found and found.cause))
    assert missed == []


@pytest.mark.parametrize("message", UNKNOWN)
def test_what_nobody_knows_stays_unknown(tables: tuple[Diagnosis, ...], message: str) -> None:
    assert explain(message, tables) is None


def test_the_last_error_counts(tables: tuple[Diagnosis, ...]) -> None:
    first, second = "ModuleNotFoundError: No module named 'torch'", "RuntimeError: CUDA error: out of memory"
    found = explain(f"{raised(first)}\n{raised(second)}", tables)
    assert found is not None
    assert "GPU's memory" in found.diagnosis.cause
    assert found.error == second
    assert [error for error, _ in found.others] == [first], "and the other one is named"


@pytest.mark.parametrize("between", ["", "\nDuring handling of the above exception, another exception occurred:\n\n"])
def test_an_unknown_error_after_a_known_one_is_unknown(tables: tuple[Diagnosis, ...], between: str) -> None:
    assert explain(raised("ModuleNotFoundError: No module named 'torch'") + between + NOBODY, tables) is None


def test_of_a_chain_the_last_known_error_counts(tables: tuple[Diagnosis, ...]) -> None:
    cause = "\nThe above exception was the direct cause of the following exception:\n\n"
    text = (
        raised("httpx.ConnectError: [Errno -3] Temporary failure in name resolution")
        + cause
        + raised("OSError: Can't load tokenizer for 'x'.")
    )
    found = explain(text, tables)
    assert found is not None
    assert "tokenizer's files" in found.diagnosis.cause
    assert ["resolved" in other.cause for _, other in found.others] == [True]


def test_information_and_frames_are_no_errors(tables: tuple[Diagnosis, ...]) -> None:
    assert explain("INFO: No module named 'torch'\nDEBUG CUDA out of memory", tables) is None
    assert explain(NOBODY, tables) is None, "its frames raise one that is known"
    text = "Exception ignored in: <function f>\nTraceback (most recent call last):\n  File \"x\", line 1, in f\nTypeError: 'NoneType'\n"
    found = explain(raised("RuntimeError: CUDA error: out of memory") + text, tables)
    assert found is not None
    assert "GPU's memory" in found.diagnosis.cause


def test_a_warning_counts_where_there_is_no_error(tables: tuple[Diagnosis, ...]) -> None:
    warning = (
        "x.py:3: UserWarning: CUDA initialization: The NVIDIA driver on your system is too old (found version 12040).\n  return f() > 0\n"
    )
    alone = diagnose(warning, tables)
    assert alone is not None
    assert "driver is older" in alone.cause
    assert diagnose(warning + NOBODY, tables) is None
    before = diagnose("ImportError: No module named 'torch'\n" + warning, tables)
    assert before is not None
    assert "PyTorch is not" in before.cause


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_ends(tables: tuple[Diagnosis, ...], text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixteenth of what is read of a text: all of it is read in tests/reliability/test_hostile_texts.py."""
    monkeypatch.setattr(error_message, "TEXT_LIMIT", error_message.TEXT_LIMIT // 16)
    before = time.process_time()
    assert explain(text, tables) is None
    assert time.process_time() - before < 4, "seconds of this process; 0.4 on an idle machine"


def test_a_long_text_is_read_from_its_end(tables: tuple[Diagnosis, ...]) -> None:
    found = diagnose(("-" * 600 + "\n") * 10_000 + raised("RuntimeError: CUDA error: out of memory"), tables)
    assert found is not None
    assert "GPU's memory" in found.cause


def test_no_pattern_is_unbounded(tables: tuple[Diagnosis, ...]) -> None:
    for entry in tables:
        assert not re.search(r"(?<![\\\w])\.[*+]", entry.pattern.pattern), entry.pattern


def test_every_entry_says_where_it_comes_from(tables: tuple[Diagnosis, ...]) -> None:
    for entry in tables:
        assert entry.document, entry
        assert entry.section, entry
        assert not entry.cure.startswith("pip install"), entry.cure
        assert "load_in_4bit=True" not in entry.cure.replace("BitsAndBytesConfig(load_in_4bit=True)", ""), entry.cure


def test_a_failed_check_is_looked_up_the_same_way(tables: tuple[Diagnosis, ...]) -> None:
    error = prefixed("2026-11-28T21:00:00.1Z ")("RuntimeError: operator torchvision::nms does not exist").replace(
        "operator", f"{RED}operator{OFF}"
    )
    result = CheckResult(tier="cpu", name="load", status=FAILED, detail="it failed", error=error)
    found = _diagnosed(result, "mine", tables)
    assert "not a pair" in str(found.cause)
    assert "profiles/mine.toml" in str(found.cure)
    assert _diagnosed(CheckResult(tier="cpu", name="load", status=FAILED, detail="", error=NOBODY), "mine", tables).cause == result.cause
