"""An image without torch and transformers: what the lock leaves nothing to look at is said, and is neither a pass nor a failure."""

from __future__ import annotations

import json

from tiny import Site, base_arguments

NOT_HERE = {
    "torch-build": "the lock has no torch",
    "runtime-dependencies": "the lock has no transformers",
    "consistent-requirements": "the lock has no packaging",
}


def test_what_does_not_apply_is_said(image: Site, tag: str) -> None:
    done = image.envgen("build", "tiny", "--json", "--tag", tag, *base_arguments()).must_pass()
    report = json.loads(done.stdout)["smoke"]
    assert {result["name"]: result["detail"] for result in report["results"] if result["status"] == "not applicable"} == NOT_HERE
    assert {result["status"] for result in report["results"] if result["name"] not in NOT_HERE} == {"passed"}
    assert "3 checks not applicable to this lock" in report["headline"]


def test_the_table_says_so(image: Site, tag: str) -> None:
    done = image.envgen("build", "tiny", "--tag", tag, *base_arguments()).must_pass()
    first, *_, last = done.stdout.strip().splitlines()
    assert "3 checks not applicable to this lock" in first
    assert last.startswith("smoke tiny: passed (")
