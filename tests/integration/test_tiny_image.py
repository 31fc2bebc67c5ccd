"""An image without torch and transformers: what can't be checked is said to be not run, which is neither a pass nor a failure."""

from __future__ import annotations

import json

from tiny import Site, base_arguments

NOT_HERE = {
    "torch-build": "the lock has no torch",
    "runtime-dependencies": "transformers is not installed",
    "consistent-requirements": "packaging is not installed, which reads requirements",
}


def test_what_does_not_apply_is_not_run(image: Site, tag: str) -> None:
    done = image.envgen("build", "tiny", "--json", "--tag", tag, *base_arguments()).must_pass()
    report = json.loads(done.stdout)["smoke"]
    assert {result["name"]: result["detail"] for result in report["results"] if result["status"] == "not run"} == NOT_HERE
    assert {result["status"] for result in report["results"] if result["name"] not in NOT_HERE} == {"passed"}
    assert "NOT RUN: 3 checks of static" in report["headline"]


def test_the_table_says_incomplete(image: Site, tag: str) -> None:
    done = image.envgen("build", "tiny", "--tag", tag, *base_arguments()).must_pass()
    first, *_, last = done.stdout.strip().splitlines()
    assert "NOT RUN: 3 checks of static" in first
    assert last.startswith("smoke tiny: INCOMPLETE (")
