"""envgen.cli.images.smoke: GPUs that can't get into a test are refused before anything is built; what a test runs with, and how it ends."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from samples import PROFILE, sample_lock

from envgen.cli.app import parse
from envgen.cli.images import build, smoke
from envgen.cli.images.build import BuildArgs
from envgen.cli.images.smoke import check_gpus
from envgen.cli.output import QuietReporter
from envgen.core.errors import EngineError, EnvgenError, SmokeError, UsageError
from envgen.core.settings import read_settings
from envgen.doctor import Finding
from envgen.doctor.finding import OK, PROBLEM
from envgen.engine import EngineInfo, Image
from envgen.image import Built
from envgen.profiles import Project
from envgen.smoke import CheckStatus, ImageUnderTest, SmokeOptions, SmokeReport
from envgen.smoke.report import FAILED, PASSED, CheckResult
from envgen.workspace import Workspace

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
        (asked_for("--gpus", "0"), CUDA.tiers, PLAIN, EngineError, 5, "can't pass GPUs"),
        (asked_for("--require-gpu"), CUDA.tiers, PLAIN, SmokeError, 7, "can't pass GPUs"),
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


BUILT = Built(image=Image(name="an/image", digest="sha256:1", size=1, labels={}), lock=CUDA, python=CUDA.python, base=CUDA.base)


def report_with(status: CheckStatus) -> SmokeReport:
    return SmokeReport(
        profile="small", target=CUDA.target, image=BUILT.image.name, digest=BUILT.image.digest, base=BUILT.base, overridden=False,
        python=BUILT.python, model="embedded", tiers=("static",), results=(CheckResult(tier="static", name="files", status=status),),
    )  # fmt: skip


def workspace_in(folder: Path) -> Workspace:
    return Workspace(project=Project(folder=folder), settings=read_settings({}, folder), reporter=QuietReporter())


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("status", "code"), [(PASSED, 0), (FAILED, 7)])
def test_a_test_that_fails_ends_with_its_own_code_and_runs_with_the_limits_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: CheckStatus, code: int, as_json: bool
) -> None:
    chosen = []

    def run(_workspace: object, _engine: object, subject: ImageUnderTest, _model: object, options: SmokeOptions) -> SmokeReport:
        assert subject.image == BUILT.image
        chosen.append(options)
        return report_with(status)

    monkeypatch.setattr(smoke.smoke_run, "smoke", run)
    args = asked_for("--memory", "5GB", "--check-limit", "7.5", *(["--json"] if as_json else []))
    report = smoke.smoke_test(args, workspace_in(tmp_path), cast(Any, None), BUILT, ABLE)
    assert smoke.conclude(args, {}, report) == code
    assert [(options.memory, options.check_limit) for options in chosen] == [(5_000_000_000, 7.5)]


@pytest.mark.parametrize(("status", "pushed"), [(PASSED, ["registry.example/team/images"]), (FAILED, [])])
def test_what_failed_its_test_is_not_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: CheckStatus, pushed: list[str]
) -> None:
    """The whole of `envgen build --push`, with stand-ins for what makes, tests and pushes an image."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "small.toml").write_text(PROFILE)
    found: list[str] = []
    monkeypatch.setattr(build.project, "checked_lock", lambda *_words: CUDA)
    monkeypatch.setattr(build, "make_engine", lambda _settings: SimpleNamespace(check=lambda: PLAIN))
    monkeypatch.setattr(build, "driver_of", lambda *_words: None)
    monkeypatch.setattr(build, "check_disk", lambda *_words: None)
    monkeypatch.setattr(build, "records_of", lambda *_words: {})
    monkeypatch.setattr(build, "fetch_wheels", lambda *_words: None)
    monkeypatch.setattr(build, "fetch_model", lambda *_words: None)
    monkeypatch.setattr(build, "build_image", lambda *_words: BUILT)
    monkeypatch.setattr(build, "check_layers", lambda *_words: SimpleNamespace(headline=str))
    monkeypatch.setattr(build, "image_json", lambda *_words: {})
    monkeypatch.setattr(build, "smoke_test", lambda *_words: report_with(status))
    monkeypatch.setattr(build, "publish_image", lambda *words: found.append(words[-1]))
    args = asked_for("--push", "registry.example/team/images")
    if status == FAILED:
        with pytest.raises(SmokeError, match="not pushed: the smoke test failed"):
            build.run(args, workspace_in(tmp_path))
    else:
        assert build.run(args, workspace_in(tmp_path)) == 0
    assert found == pushed
