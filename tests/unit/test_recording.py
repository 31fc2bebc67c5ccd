"""envgen.image.layer_record: an image with any layer that is not as recorded is refused, however many are."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from samples import ROOT, sample_lock

from envgen.cli.output import QuietReporter
from envgen.core.errors import VerificationError
from envgen.core.settings import read_settings
from envgen.engine import Image
from envgen.image import Built, check_layers
from envgen.image.layer_record import LayerRecord, LayerRecords, RecordedPythons, inputs_of
from envgen.image.layers import own_layers
from envgen.lock.folder import files_of, write_files
from envgen.lock.render import render_dockerfile
from envgen.profiles import Project
from envgen.workspace import Workspace

LOCK = sample_lock()
WITH = "Docker 26.1, buildx 0.13, BuildKit 0.13"
INPUTS = inputs_of(LOCK, render_dockerfile(LOCK, (ROOT / "templates" / "Dockerfile.j2").read_text()))
GROUPS = tuple(INPUTS)
LAYERS = ("base", *own_layers(LOCK))
BUILT = {name: f"sha256:{number:064x}" for number, name in enumerate(LAYERS)}


def built() -> Built:
    image = Image(name="envgen/small", digest="sha256:1", size=1, labels={}, diff_ids=tuple(BUILT.values()))
    return Built(image=image, lock=LOCK, python=LOCK.python, base=LOCK.base)


def records(wrong: Mapping[str, str]) -> RecordedPythons:
    layers = {group: LayerRecord(inputs=INPUTS[group], diff_id=wrong.get(group, BUILT[group])) for group in GROUPS}
    return {LOCK.python: LayerRecords(built_with=WITH, layers=layers)}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    project = Project(folder=tmp_path)
    write_files(project.lock_folder(LOCK.profile, LOCK.target), files_of(LOCK, project))
    return Workspace(project=project, settings=read_settings({}, tmp_path), reporter=QuietReporter())


def test_an_image_as_recorded_is_said_to_be_so(workspace: Workspace) -> None:
    found = check_layers(workspace, built(), records({}), WITH)
    assert (found.same, found.wrong) == (GROUPS, ())


@pytest.mark.parametrize("count", range(1, len(GROUPS) + 1))
def test_one_layer_that_is_not_as_recorded_is_enough(workspace: Workspace, count: int) -> None:
    wrong = dict.fromkeys(GROUPS[:count], f"sha256:{'f' * 64}")
    with pytest.raises(VerificationError) as caught:
        check_layers(workspace, built(), records(wrong), WITH)
    message = str(caught.value)
    assert "the image envgen/small has layers that are not as recorded for Python 3.11.16" in message
    said = [line.partition(":")[0] for line in message.splitlines()[1:]]
    assert said == list(wrong), "each of them, and none of the others"
    assert "likely cause" not in message


def test_another_builder_is_named_as_the_likely_cause(workspace: Workspace) -> None:
    with pytest.raises(VerificationError, match=rf"likely cause: recorded with {WITH}, built with Docker 99"):
        check_layers(workspace, built(), records({GROUPS[0]: "sha256:x"}), "Docker 99")
