"""The JSON Schemas for editors say what the readers take."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from samples import PROFILE, ROOT

from envgen.core.target import PLATFORMS
from envgen.profiles.constraints import ROLES
from envgen.profiles.model import TIERS

SCHEMAS = ROOT / "envgen" / "profiles" / "schemas"
PROFILES = sorted((ROOT / "profiles").glob("*.toml"))
PAIRS = sorted((ROOT / "profiles" / "pairs").glob("*.toml"))
CONSTRAINTS = sorted((ROOT / "profiles" / "constraints").glob("*.toml"))


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    Draft7Validator.check_schema(found)
    return found


def faults(name: str, text: str) -> list[str]:
    """What the schema has against a TOML text; dates are strings to editors."""
    data = json.loads(json.dumps(tomllib.loads(text), default=lambda value: value.isoformat()))
    return [error.json_path for error in Draft7Validator(schema(name)).iter_errors(data)]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_the_shipped_profiles_fit_and_name_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults("profile", text) == []
    assert (path.parent / text.partition("\n")[0].removeprefix("#:schema ")).resolve() == SCHEMAS / "profile.json"


@pytest.mark.parametrize("path", CONSTRAINTS, ids=lambda path: path.stem)
def test_the_shipped_constraint_sets_fit_and_name_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults("constraints", text) == []
    assert (path.parent / text.partition("\n")[0].removeprefix("#:schema ")).resolve() == SCHEMAS / "constraints.json"


@pytest.mark.parametrize("path", PAIRS, ids=lambda path: path.stem)
def test_the_shipped_pairs_fit_and_name_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults("pairs", text) == []
    assert (path.parent / text.partition("\n")[0].removeprefix("#:schema ")).resolve() == SCHEMAS / "pairs.json"


def test_a_profile_with_everything_fits() -> None:
    assert faults("profile", PROFILE) == []


@pytest.mark.parametrize(
    "change",
    [
        ("as_of = 2026-09-22", "as_of = 20260922"),
        ('installer = "uv==0.12.17"', 'installer = "uv>=0.12"'),
        ('platforms = ["linux/amd64", "windows/amd64"]', 'platforms = ["linux/riscv"]'),
        ("upload_times = false", 'upload_times = "no"'),
        ('tiers = ["static", "cpu"]', 'tiers = ["static", "fast"]'),
        ("[smoke]", "[smok]"),
        ('full = "3.11.16"', 'full = "3.11"'),
        ('HF_HOME = "/models"', "HF_HOME = 3"),
        ("requirements =", "requirement ="),
        ('base = "python:3.11-slim-bookworm@', 'base = "python:3.11-slim-bookworm#'),
    ],
    ids=lambda change: change[1],
)
def test_what_the_reader_refuses_does_not_fit(change: tuple[str, str]) -> None:
    assert change[0] in PROFILE
    assert faults("profile", PROFILE.replace(*change)) != []


def enums(value: object) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        if "enum" in value:
            yield tuple(value["enum"])
        for inner in value.values():
            yield from enums(inner)


def test_the_words_are_those_of_the_readers() -> None:
    assert set(enums(schema("profile"))) == {PLATFORMS, TIERS}
    assert set(enums(schema("constraints"))) == {ROLES}
