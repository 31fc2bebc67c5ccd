"""envgen.profiles.error_tables: the documents' error tables, on messages as transformers and torch print them."""

import shlex
import tomllib

import pytest
from samples import ROOT

from envgen.core.errors import ProfileError
from envgen.profiles import Diagnosis, diagnose
from envgen.profiles.error_tables import read_diagnoses

SHIPPED = ROOT / "profiles" / "errors" / "transformers.toml"


@pytest.fixture(scope="module")
def shipped() -> tuple[Diagnosis, ...]:
    return read_diagnoses(tomllib.loads(SHIPPED.read_text(encoding="utf-8")), "t.toml")


def entry(**changes: object) -> dict[str, object]:
    keys = ("pattern", "cause", "cure", "documented", "why", "document", "section")
    return {**{key: f"a {key}" for key in keys}, **changes}


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("ModuleNotFoundError: No module named 'torch'", "PyTorch is not in the image"),
        ("ImportError: Using `device_map` requires the `accelerate` library", "device_map needs accelerate, which is not in the image"),
        ("ModuleNotFoundError: No module named 'accelerate'", "accelerate is not in the image"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "memory"),
        ("You are trying to access a gated repo.", "the model's owner wants to know who downloads it"),
        ("OSError: Can't load tokenizer for 'x'.", "the tokenizer's files are missing or unreadable"),
    ],
)
def test_a_known_message_has_a_cause(shipped: tuple[Diagnosis, ...], message: str, cause: str) -> None:
    found = diagnose(message, shipped)
    assert found is not None
    assert cause in found.cause


@pytest.mark.parametrize("message", ["", "AssertionError: 3 != 4", "No module named 'torchaudio'"])
def test_an_unknown_message_has_none(shipped: tuple[Diagnosis, ...], message: str) -> None:
    assert diagnose(message, shipped) is None


def test_a_cure_never_installs_into_an_image_and_never_redirects(shipped: tuple[Diagnosis, ...]) -> None:
    for found in shipped:
        assert not found.cure.startswith("pip install"), found.cure
        for word in shlex.split(found.cure.replace("'", "")):
            assert not word.startswith((">", "<")), found.cure


def test_every_entry_of_the_documents_says_where_it_comes_from_and_why_it_differs(shipped: tuple[Diagnosis, ...]) -> None:
    assert len(shipped) >= 8
    for found in shipped:
        assert all((found.cause, found.cure, found.documented, found.why, found.document, found.section)), found


def test_the_first_that_matches_is_taken() -> None:
    table = {"error": [entry(pattern="no disk"), entry(pattern="disk", cause="other")]}
    found = read_diagnoses(table, "t.toml")
    assert diagnose("There is NO DISK", found) is found[0]
    assert diagnose("a disk", found) is found[1]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"pattern": "("}, "t.toml: error[0].pattern: found '(', expected a regular expression"),
        (
            {"pattern": "(a+)+b"},
            "t.toml: error[0].pattern: found '(a+)+b', expected a regular expression: a group is repeated without a limit",
        ),
        ({"pattern": "err|fail"}, "t.toml: error[0].pattern: found 'err|fail', expected one that says more: it matches 'error'"),
        ({"pattern": "x*"}, "t.toml: error[0].pattern: found 'x*', expected one that says more: it matches ''"),
        ({"consequence": 1}, "t.toml: error[0].consequence: found an integer (1), expected a boolean"),
        ({"cause": 3}, "t.toml: error[0].cause: found an integer (3), expected a string"),
        ({"cuase": "x"}, "t.toml: error[0].cuase: unknown key"),
    ],
)
def test_faults(change: dict[str, object], fault: str) -> None:
    with pytest.raises(ProfileError) as caught:
        read_diagnoses({"error": [entry(**change)]}, "t.toml")
    assert str(caught.value).startswith(fault)
