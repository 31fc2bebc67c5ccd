"""What the help of a command says of its JSON are the keys that there are."""

import argparse
import re
from dataclasses import fields, is_dataclass

import pytest

from envgen.cli.arguments import make_parser
from envgen.cli.shapes import SHAPES
from envgen.doctor import Finding
from envgen.engine import Image
from envgen.engine.interface import Pushed
from envgen.image import LayerComparison
from envgen.image.layers import GroupSize
from envgen.image.publish import Published
from envgen.lock import LockedBound, Package, RequiredBy
from envgen.lock.why import HeldBack
from envgen.oci import Difference
from envgen.overview import LayerSummary, Overview, TargetState
from envgen.smoke import SmokeReport
from envgen.smoke.memory import ModelMemory
from envgen.smoke.report import CheckResult
from envgen.sources import Wheel
from envgen.trust.audit import AuditFinding, AuditReport
from envgen.trust.audit.report import Part

WORDS = {
    "written",
    "unchanged",
    "up to date",
    "locked",
    "stale",
    "not locked",
    "passed",
    "failed",
    "incomplete",
    "not run",
    "FAILED",
    "INCOMPLETE",
}
"""Values, which stand in quotes as keys do."""

REPORT = {"headline", "verdict", "states", SmokeReport, CheckResult}
IMAGE = {
    "image",
    "layers",
    "push",
    "replaced",
    "recorded",
    "headline",
    "built_with",
    "smoke",
    "published",
    Image,
    GroupSize,
    LayerComparison,
}
KEYS: dict[str, set[object]] = {
    "lock": {"profile", "target", "status", "folder"},
    "why": {Package, Wheel, RequiredBy, LockedBound, HeldBack, "held_back", "not_asked"},
    "build": IMAGE | REPORT | {Published, Pushed},
    "smoke": IMAGE | REPORT,
    "show": {Overview, TargetState, LayerSummary, ModelMemory, "memory", "model", "documented_fp16", "documented_8bit", "documented"},
    "doctor": {
        "problems",
        "warnings",
        "findings",
        Finding,
        "cause",
        "cure",
        "documented",
        "why",
        "source",
        "versions",
        "error",
        "others",
    },
    "audit": {"headline", "verdict", AuditReport, Part, AuditFinding},
    "reproduce": {
        Difference,
        LayerComparison,
        "headline",
        "name",
        "profile",
        "target",
        "same",
        "digest",
        "other",
        "differences",
        "causes",
        "seconds",
    }
    | {"depends_on", "lock", "base", "compression", "engine", "buildx", "buildkit", "varied", "not_varied", "recorded"},
    "init": {"profile", "written", "kept", "left_out", "text", "reason"},
}


@pytest.mark.parametrize("command", SHAPES)
def test_the_keys_are_those_of_what_is_printed(command: str) -> None:
    wanted = set()
    for part in KEYS[command]:
        wanted |= {field.name for field in fields(part)} if isinstance(part, type) and is_dataclass(part) else {str(part)}
    assert set(re.findall(r'"([^"]+)"', SHAPES[command])) - WORDS == wanted - WORDS


def test_every_command_with_json_says_its_shape() -> None:
    commands = next(action.choices for action in make_parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, parser in commands.items():
        if any("--json" in action.option_strings for action in parser._actions):
            assert "\n--json: " in parser.format_help(), name
