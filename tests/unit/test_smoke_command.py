"""envgen.cli.images.smoke: GPUs that can't get into a test are refused before anything is built."""

from dataclasses import replace

import pytest
from samples import sample_lock

from envgen.cli.app import parse
from envgen.cli.images.build import BuildArgs
from envgen.cli.images.smoke import check_gpus
from envgen.core.errors import EngineError, EnvgenError, SmokeError, UsageError
from envgen.doctor import Finding
from envgen.doctor.finding import OK, PROBLEM
from envgen.engine import EngineInfo

PLAIN = EngineInfo(
    name="Docker",
    version="26.1",
    tools={"buildx": "0.13", "BuildKit": "0.13"},
    image_store="containerd image store",
    gpu_cure="nvidia-ctk runtime configure",
    data_root="",
)
ABLE = replace(PLAIN, gpus="the nvidia runtime")
OLD = Finding(subject="driver", status=PROBLEM, found="535.1; needs >=580", cure="update the driver")
CUDA = sample_lock(tiers=("static", "cpu", "gpu"))


def asked_for(*words: str) -> BuildArgs:
    args: BuildArgs = parse(["build", "small", *words]).arguments
    return args


@pytest.mark.parametrize(
    ("asked", "tiers", "info", "kind", "code", "words"),
    [
        (asked_for("--gpus", "all"), ("static", "cpu"), ABLE, UsageError, 2, "--gpus all: small has no gpu tier"),
        (asked_for("--require-gpu"), ("static", "cpu"), ABLE, UsageError, 2, "--require-gpu: small has no gpu tier"),
        (asked_for("--gpus", "0", "--no-smoke"), CUDA.tiers, ABLE, UsageError, 2, "without a smoke test"),
        (asked_for("--gpus", "0"), CUDA.tiers, PLAIN, EngineError, 5, "no runtime that passes GPUs"),
        (asked_for("--require-gpu"), CUDA.tiers, PLAIN, SmokeError, 7, "no runtime that passes GPUs"),
    ],
)
def test_what_can_not_be_is_said_at_once(
    asked: BuildArgs, tiers: tuple[str, ...], info: EngineInfo, kind: type[EnvgenError], code: int, words: str
) -> None:
    with pytest.raises(kind) as caught:
        check_gpus(asked, replace(CUDA, tiers=tiers), info, None, no_smoke=asked.no_smoke)
    assert words in str(caught.value)
    assert caught.value.exit_code == code
    assert caught.value.hint


@pytest.mark.parametrize(
    "asked", [asked_for(), asked_for("--gpus", "all"), asked_for("--gpus", "0,1", "--require-gpu"), asked_for("--no-smoke")]
)
def test_what_can_be_passes(asked: BuildArgs) -> None:
    check_gpus(asked, CUDA, ABLE, Finding(subject="driver", status=OK, found="590"), no_smoke=asked.no_smoke)


def test_without_a_wish_nothing_is_wanted() -> None:
    check_gpus(asked_for(), CUDA, PLAIN, OLD)


def test_a_driver_below_the_floor_is_said_before_minutes_are_spent() -> None:
    here = replace(ABLE, data_root="/var/lib/docker")
    with pytest.raises(EngineError, match=r"^--gpus all: the gpu tier can't run: the driver is too old: 535.1; needs >=580$") as caught:
        check_gpus(asked_for("--gpus", "all"), CUDA, here, OLD)
    assert caught.value.hint == "update the driver"
    # The engine of another machine has another driver.
    check_gpus(asked_for("--gpus", "all"), CUDA, ABLE, OLD)
