"""`envgen reproduce` on what is shipped: every layer of a real image, built without a cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from built import Base, docker
from command import envgen

pytestmark = pytest.mark.usefixtures("uncached")


def reproduced(profile: str, image: dict[str, Any], cache: Path, base: Base, folder: Path, *arguments: str) -> None:
    """Builds of a profile without cache have the digest of `image`, which was built before with one."""
    command = ("reproduce", profile, "--json", *base.arguments, *arguments)
    done = envgen(*command, cwd=folder, env={"ENVGEN_CACHE": str(cache)}, timeout=1800).must_pass()
    found = json.loads(done.stdout)
    assert (found["same"], found["differences"]) == (True, [])
    assert found["digest"] == found["other"]["digest"] == image["image"]["digest"]
    assert not list(folder.iterdir())
    assert not docker("image", "ls", "--quiet", f"envgen-reproduce/{profile}").strip()


def test_cpu_base(cpu_base: dict[str, Any], cache: Path, base: Base, tmp_path: Path) -> None:
    reproduced("cpu-base", cpu_base, cache, base, tmp_path)


def test_bnb_quant(bnb_quant: dict[str, Any], cache: Path, base: Base, tmp_path: Path) -> None:
    """One build, against the image that is here: two would take minutes and 16 GB of disk more."""
    reproduced("bnb-quant", bnb_quant, cache, base, tmp_path, "--against", bnb_quant["image"]["name"])


def test_what_is_recorded_of_cpu_base_is_compared_where_it_is_for_this_python(cpu_base: dict[str, Any], base: Base) -> None:
    found = cpu_base["recorded"]
    if base.python() == "3.11.2":
        assert found["headline"] == "layers: 3 of 3 as recorded for Python 3.11.2"
    else:
        assert found["same"] == []
        assert len(found["not_compared"]) == 3
