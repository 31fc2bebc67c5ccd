"""envgen.smoke.model_wheel: what an image made of a model is for that image alone, since it may have made anything of it."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from samples import sample_lock

from envgen.cli.output import QuietReporter
from envgen.core.settings import read_settings
from envgen.engine import RunRequest, RunResult
from envgen.engine.interface import OnLine
from envgen.profiles import Project
from envgen.smoke.model_wheel import WheelModels
from envgen.sources import WheelName
from envgen.workspace import Workspace

NAME = WheelName(name="llm", version="1.0", sha256="a" * 64)


class Converting:
    """An engine in which an image converts a model into a file with its own name in it."""

    def __init__(self) -> None:
        self.orders: list[RunRequest] = []

    def run(self, order: RunRequest, on_line: OnLine) -> RunResult:
        self.orders.append(order)
        output = next(source for source, target, _ in order.mounts if target == "/envgen/output")
        (output / "config.json").write_text(order.image)
        for line in ('{"check": "convert-gguf", "status": "passed"}', '{"end": "convert"}'):
            on_line(line)
        return RunResult(code=0, out_of_memory=False, stderr="")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WheelModels:
    wheel = tmp_path / "llm-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm/model.gguf", b"GGUF")
    monkeypatch.setattr(WheelModels, "_verified", lambda _self, _name: wheel)
    settings = read_settings({"ENVGEN_CACHE": str(tmp_path / "cache")}, tmp_path)
    workspace = Workspace(project=Project(folder=tmp_path), settings=settings, reporter=QuietReporter())
    return WheelModels(workspace=workspace, engine=cast(Any, Converting()), image=f"sha256:{'1' * 64}", lock=sample_lock())


def test_each_image_converts_for_itself_and_once(models: WheelModels) -> None:
    orders = cast(Any, models.engine).orders
    other = replace(models, image=f"sha256:{'2' * 64}")
    folders = [one.folder(NAME) for one in (other, models, other, models)]
    assert [(folder / "config.json").read_text() for folder in folders] == [one.image for one in (other, models, other, models)]
    assert [order.image for order in orders] == [other.image, models.image]
    assert len(set(folders)) == 2


def test_a_conversion_gets_nothing_of_the_environment_of_its_image(models: WheelModels) -> None:
    models.folder(NAME)
    (order,) = cast(Any, models.engine).orders
    assert order.clear_environment
    assert order.command[0] == "/opt/venv/bin/python"
