"""A lock that is written works: what is refused and what is said, with the real resolver and a real index of small wheels."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import loopback
import pytest
import tiny
from command import Done
from loopback import Answer
from tiny import make_wheel

LINUX = "cp311-cp311-manylinux_2_28_x86_64"
ARM = "cp311-cp311-manylinux_2_28_aarch64"
CPU = "https://download.pytorch.org/whl/cpu"
OLD = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[loopback.Proxy]:
    """The default index, of packages that have the names of real ones."""
    folder = tmp_path_factory.mktemp("public")
    for name in ("nvidia-cuda-runtime", "nvidia-nccl-cu12", "nvidia-nccl-cu13"):
        version = "13.0.96" if name == "nvidia-cuda-runtime" else "1.0"
        others = {"nvidia/nccl/lib/libnccl.so.2": name.encode(), "nvidia/__init__.py": b""} if "nccl" in name else {}
        make_wheel(folder, name, version, others=others)
    for tag in (LINUX, ARM):
        make_wheel(folder, "torch", "2.13.0", requires=['nvidia-cuda-runtime==13.0.96; platform_system == "Linux"'], tag=tag)
    make_wheel(folder, "torch", "2.7.0", tag=LINUX)
    make_wheel(folder, "torchvision", "0.28.0", requires=["torch==2.13.0"], tag=LINUX)
    make_wheel(folder, "torchaudio", "2.9.1", tag=LINUX)
    make_wheel(folder, "demo", requires=["torch"], extras=["sentencepiece"])
    make_wheel(folder, "asker", requires=["demo[fast]"])
    make_wheel(folder, "old-style", requires=["demo (>=0.9.*)"])
    make_wheel(folder, "peft", "0.17.1")
    make_wheel(folder, "transformers", "5.17.0")
    make_wheel(folder, "ancient", "0.1.2", uploaded=OLD)
    make_wheel(folder, "early", "2.0rc1")
    make_wheel(folder, "behind", "0.2", uploaded=OLD)
    make_wheel(folder, "pinned", "1.0")
    make_wheel(folder, "pinned", "2.0")
    for number in range(25):
        make_wheel(folder, "ancient", f"2.{number}", uploaded=tiny.AFTER)
        make_wheel(folder, "behind", f"1.{number}", requires=["pinned>=2"])
    with loopback.index_of(folder, folder.parent / "log") as upstream, loopback.proxy_for(upstream) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that stands in for an index of builds of one release, as PyTorch has them."""
    folder = tmp_path_factory.mktemp("builds")
    made = [
        make_wheel(folder, "torch", "2.13.0+cpu", tag=LINUX),
        make_wheel(folder, "torch", "2.7.0+cu126", requires=["nvidia-cuda-runtime==13.0.96"], tag=LINUX),
        make_wheel(folder, "torchvision", "0.28.0+cpu", requires=["torch==2.13.0"], tag=LINUX),
        make_wheel(folder, "torchaudio", "2.11.0+cpu", tag=LINUX),
        *(make_wheel(folder, "torchx", f"2.7.1{local}") for local in ("+cpu", "+cu128", "+xpu", "+rocm6.4")),
        make_wheel(folder, "flash-attn", "2.7.4.post1+cu12torch2.6cxx11abifalse", requires=["torch"], tag=LINUX),
    ]
    flat = tmp_path_factory.mktemp("flat")
    for wheel in made:
        wheel.rename(flat / wheel.name)
    return flat


@pytest.fixture
def lock(public: loopback.Proxy, builds: Path, tmp_path: Path) -> Iterator[Callable[..., Done]]:
    """Locks a profile with these requirements; `lock.site` is its project."""
    public.faults.clear()
    env = {
        "ENVGEN_INDEX_DEFAULT": public.url,
        "ENVGEN_CACHE": str(tmp_path / "cache"),
        **{f"ENVGEN_INDEX_{name}": str(builds) for name in ("PYTORCH_CPU", "OWN", "PYTORCH_CU126")},
    }
    site = tiny.Site(project=tmp_path / "project", env=env)

    def run(*requirements: str, more: str = "", arguments: tuple[str, ...] = (), platform: str = "linux/amd64") -> Done:
        path = tiny.write_profile(site.project, requirements=requirements)
        text = path.read_text().replace('platforms = ["linux/amd64"]', f'platforms = ["{platform}"]')
        path.write_text(text.replace("\n[smoke]", f"\n{more}\n[smoke]") if more.startswith("[") else more + text)
        return site.envgen("lock", "tiny", *arguments)

    run.site = site  # type: ignore[attr-defined]
    yield run
    public.faults.clear()


def refused(done: Done, *texts: str, code: int = 3) -> None:
    assert done.code == code, done.stderr
    for text in texts:
        assert text in done.stderr


def noticed(done: Done, *texts: str) -> None:
    assert done.code == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("notice: ")]
    assert len(lines) == len(texts), done.stdout
    for line, text in zip(lines, texts, strict=True):
        assert text in line


MAPPED = f"""[index.pytorch-cpu]
url = "{CPU}"
packages = ["torch"]
upload_times = false
"""
OWN = """[index.own]
url = "https://own.example/simple"
packages = ["torchx", "flash-attn"]
upload_times = false
public = ["torch"]
"""


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_cuda_without_cuda_is_refused_on_any_platform(lock: Callable[..., Done], platform: str) -> None:
    done = lock("demo", platform=platform)
    refused(
        done, "torch: 2.13.0 of the index default is built for CUDA 13.0, and the profile has no cuda; with it comes nvidia-cuda-runtime"
    )
    assert not (lock.site.project / "locks").exists()  # type: ignore[attr-defined]


def test_the_family_of_torch_must_be_of_one_build(lock: Callable[..., Done]) -> None:
    done = lock("torch==2.13.0", "torchvision", "torchaudio", more=MAPPED)
    refused(
        done,
        "torchvision: 0.28.0 of the index default is another build than torch 2.13.0+cpu of the index pytorch-cpu",
        'packages = ["torch", "torchvision"] in [index.pytorch-cpu]',
        "torchaudio: 2.9.1 is built for torch==2.9.1, and torch is 2.13.0+cpu",
        '"torchaudio==2.11.0"',
    )
    family = MAPPED.replace('["torch"]', '["torch", "torchvision", "torchaudio"]')
    refused(lock("torch==2.13.0", "torchvision", more=family), 'for torch 2.13.0 that is "torchvision==0.28.0"', code=2)
    noticed(lock("torch==2.13.0", "torchvision==0.28.0", "torchaudio==2.11.0", more=family))


def test_two_wheels_that_write_one_path_are_refused(lock: Callable[..., Done]) -> None:
    refused(
        lock("torch==2.13.0", "nvidia-nccl-cu12", "nvidia-nccl-cu13", more='cuda = "13.0"\n'),
        "nvidia-nccl-cu12: nvidia-nccl-cu12 1.0 and nvidia-nccl-cu13 1.0 both write nvidia/nccl/lib/libnccl.so.2, with other bytes",
    )
    noticed(lock("torch==2.13.0", "nvidia-nccl-cu12", more='cuda = "13.0"\n'))


def test_a_build_is_never_chosen_by_the_order_of_letters(lock: Callable[..., Done]) -> None:
    refused(
        lock("torchx==2.7.1", more=OWN),
        "torchx: 2.7.1 fits 4 builds in the index own, and nothing says which: 2.7.1+cpu, 2.7.1+cu128, 2.7.1+rocm6.4, 2.7.1+xpu",
    )
    noticed(lock("torchx==2.7.1+rocm6.4", more=OWN))


@pytest.mark.parametrize("torch", ["2.7.0+cu126", "2.7", "2.7.0"])
def test_a_torch_is_that_release_however_it_is_written(lock: Callable[..., Done], torch: str) -> None:
    # The CUDA of this made-up build is what its only library says.
    refused(
        lock(f"torch=={torch}", more='cuda = "12.6"\n'), "resolved to torch 2.7.0+cu126 with CUDA 13.0, but the profile is for CUDA 12.6"
    )


def test_an_extra_that_does_not_exist(lock: Callable[..., Done]) -> None:
    refused(
        lock("demo[sentencepeice]", "torch==2.7.0"),
        "demo[sentencepeice]: 1.0 has no extra 'sentencepeice'",
        "did you mean 'sentencepiece'?",
    )
    noticed(lock("asker", "torch==2.7.0"), "demo: 1.0 has no extra 'fast', which asker asks for")


def page_with(change: Callable[[list[dict[str, object]]], None]) -> Callable[[Answer], Answer]:
    """An index page whose files are others."""

    def fault(answer: Answer) -> Answer:
        page = json.loads(answer.body)
        change(page["files"])
        return replace(answer, body=json.dumps(page).encode())

    return fault


def test_what_was_yanked_is_refused(lock: Callable[..., Done], public: loopback.Proxy) -> None:
    def yank(files: list[dict[str, object]]) -> None:
        files[0]["yanked"] = "it eats files"

    public.faults.add("/simple/pinned/", page_with(yank))
    refused(lock("pinned==1.0"), "pinned: 1.0 was yanked: it eats files", '"pinned==2.0"')
    noticed(lock("pinned"))


def test_one_file_name_with_two_hashes_is_refused(lock: Callable[..., Done], public: loopback.Proxy) -> None:
    def repeat(files: list[dict[str, object]]) -> None:
        files[0]["hashes"] = {"sha256": "e" * 64}
        files.append({**files[0], "hashes": {"sha256": "d" * 64}})

    public.faults.add("/simple/peft/", page_with(repeat))
    refused(lock("peft"), "index default: lists peft-0.17.1-py3-none-any.whl 2 times, each with another sha256")


def test_notices_stay_in_the_lock_and_strict_makes_them_errors(lock: Callable[..., Done]) -> None:
    site: tiny.Site = lock.site  # type: ignore[attr-defined]
    pair = "peft: 0.17.1 with transformers 5.17.0: import peft fails"
    refused(lock("peft", "transformers", arguments=("--strict",)), pair, "ask for peft>=0.18, or transformers<5")
    assert not (site.project / "locks").exists()
    noticed(lock("peft", "transformers"), pair)
    [written] = [tomllib.loads(content.decode()) for name, content in site.locks().items() if name.endswith("envgen.lock")]
    assert [(notice["kind"], notice["package"]) for notice in written["notice"]] == [("pair", "peft")]
    noticed(site.envgen("lock", "--check", "tiny"), pair)
    refused(site.envgen("lock", "--check", "--strict", "tiny"), pair)
    [row] = json.loads(site.envgen("lock", "tiny", "--json").must_pass().stdout)
    assert [notice["kind"] for notice in row["notices"]] == ["pair"]
    assert pair in site.envgen("show", "tiny").must_pass().stdout
    [notice] = json.loads(site.envgen("show", "tiny", "--json").must_pass().stdout)["notices"]
    assert notice == row["notices"][0]


def test_what_is_far_behind_old_or_a_pre_release_is_said(lock: Callable[..., Done]) -> None:
    noticed(
        lock("ancient", "behind", "pinned==1.0", "early"),
        "ancient: 0.1.2 is of 2019-01-01, and nothing newer was there on 2026-09-22",
        "behind: 0.2 of 2019-01-01 is 25 releases behind 1.24 of 2026-03-01: it wants pinned>=2, but tiny asks for pinned==1.0",
        "early: 2.0rc1 is a pre-release that nobody asked for",
    )


def test_a_wheel_for_another_torch_is_said(lock: Callable[..., Done]) -> None:
    noticed(
        lock("torch==2.7.0", "flash-attn==2.7.4.post1", more=OWN),
        "flash-attn: 2.7.4.post1+cu12torch2.6cxx11abifalse is built for torch 2.6 by its local version, and torch is 2.7.0",
    )


@pytest.mark.parametrize("resolver", ["uv", "pip-tools"])
def test_requirements_of_old_wheels_are_read(lock: Callable[..., Done], resolver: str) -> None:
    noticed(lock("old-style", "torch==2.7.0", arguments=("--resolver", resolver)))
