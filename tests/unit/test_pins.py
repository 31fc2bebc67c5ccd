"""What the tests run with, tests/requirements.txt, against what pyproject.toml asks for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
ASKED = (
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["test"],
)


def pins() -> dict[str, str]:
    text = (CHECKOUT / "tests" / "requirements.txt").read_text("utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("asked", ASKED)
def test_what_is_asked_for_is_pinned_within_its_bounds(asked: str) -> None:
    requirement = Requirement(asked)
    pinned = pins().get(canonicalize_name(requirement.name))
    assert pinned is not None, "write the pins anew: the command stands at the top of tests/requirements.txt"
    assert requirement.specifier.contains(pinned, prereleases=True)
